"""On btrfs, where the first listing of an open directory misses what was made in it since: nothing is lost there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from disks import BTRFS, mounted

from conda_prune_plugin.core.run import Disposal
from conda_prune_plugin.execution.files.dir_fd import Directory

from .test_recovery import test_what_could_not_be_put_back_is_explained_and_comes_to_an_end as not_put_back
from .test_tampered_state import DISTS, PRUNE, Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.debian


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(BTRFS, tmp_path / "disk") as top:
        yield top


def test_a_directory_held_open_lists_what_was_made_since(disk: Path) -> None:
    with Directory.open(str(disk)) as directory:
        for name in "abc":
            (disk / name).touch()

        assert {name for name, _ in directory.names()} == set("abc")


@pytest.mark.parametrize("how", ["--backup", "--backup-to"])
def test_a_backup_comes_back_byte_for_byte(disk: Path, how: str) -> None:
    place = Place(disk / "it")
    before = {path: path.read_bytes() for path in place.sandbox.cache.rglob("*") if path.is_file()}
    where = (how, str(disk / "archives")) if how == "--backup-to" else (how,)

    assert place.run(*PRUNE, *where).code == 0
    assert not any(path.exists() for path in before if path.parts[-1] != "urls.txt")
    answer = place.json("prune", "restore", "last")

    assert {outcome["dist"]: outcome["result"] for outcome in answer["outcomes"]} == dict.fromkeys(DISTS, "restored")
    assert {path: path.read_bytes() for path in before} == before


def test_a_backup_that_could_not_be_put_back_blocks_no_other_of_its_run(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_put_back(disk, monkeypatch, Disposal.BACKUP)
