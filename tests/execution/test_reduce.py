"""Deleting an extracted directory except for conda's record: whatever is in the way, nothing incomplete is left."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from conda_prune_plugin.execution.files.dir_fd import Directory
from conda_prune_plugin.execution.files.remove_tree import reduce

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPARED = ("info", "repodata_record.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder with a package that is being deleted."""
    folder = tmp_path / "run"
    for name in ("info/repodata_record.json", "info/index.json", "info/test/deep", "lib/repodata_record.json"):
        path = folder / "0-doomed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "pkgs").mkdir()
    return folder


@pytest.fixture
def places(folder: Path) -> Iterator[tuple[Directory, Directory]]:
    with Directory.open(str(folder)) as run, Directory.open(str(folder.parent / "pkgs")) as cache:
        yield run, cache


def _below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_the_record_alone_returns_to_the_cache(folder: Path, places: tuple[Directory, Directory]) -> None:
    removed: list[int] = []

    reduce(places[0], "0-doomed", places[1], "a-1-0", SPARED, removed.append)

    assert _below(folder.parent / "pkgs" / "a-1-0") == {"info", "info/repodata_record.json"}
    assert (_below(folder), sum(removed)) == (set(), 3)


def test_what_conda_has_extracted_meanwhile_stays_as_it_is(folder: Path, places: tuple[Directory, Directory]) -> None:
    again = folder.parent / "pkgs" / "a-1-0"
    (again / "info").mkdir(parents=True)
    (again / "info" / "index.json").touch()

    reduce(places[0], "0-doomed", places[1], "a-1-0", SPARED, lambda files: None)

    assert _below(again) == {"info", "info/index.json"}
    assert _below(folder) == set()


@pytest.mark.parametrize("place", ["missing", "link", "directory", "link to info"])
def test_without_a_record_nothing_is_left(folder: Path, places: tuple[Directory, Directory], place: str) -> None:
    record = folder / "0-doomed" / "info" / "repodata_record.json"
    record.unlink()
    if place == "link":
        record.symlink_to("index.json")
    elif place == "directory":
        record.mkdir()
    elif place == "link to info":
        os.rename(record.parent, folder.parent / "elsewhere")
        (folder.parent / "elsewhere" / record.name).write_text("not ours")
        record.parent.symlink_to(folder.parent / "elsewhere")

    reduce(places[0], "0-doomed", places[1], "a-1-0", SPARED, lambda files: None)

    assert (_below(folder), _below(folder.parent / "pkgs")) == (set(), set())
    assert place != "link to info" or (folder.parent / "elsewhere" / record.name).exists()
