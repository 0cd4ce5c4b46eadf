"""Archives that would write elsewhere when they are extracted are refused, whoever extracts them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conda_prune_plugin.demo.demo_packages import Package, build_package
from conda_prune_plugin.discovery.packages.archive_metadata import require_contained
from conda_prune_plugin.execution.ports import UnfetchableError
from conda_prune_plugin.execution.state.receipt import ReceiptEntry
from conda_prune_plugin.operations.conda_fetch import fetch

if TYPE_CHECKING:
    from collections.abc import Callable

INDEX = json.dumps({"name": "a", "version": "1", "build": "0"}).encode()


def _archive(path: Path, *members: tuple[str, bytes, str]) -> Path:
    """Write a package with further members: name, type and what a link leads to or a file holds."""
    with tarfile.open(path, "w:bz2") as tar:
        for name, kind, text in (("info/index.json", tarfile.REGTYPE, INDEX.decode()), *members):
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
            else:
                info.linkname = text
                tar.addfile(info)
    return path


HOSTILE: dict[str, Callable[[Path], tuple[tuple[str, bytes, str], ...]]] = {
    "hard link out, then written": lambda victim: (
        ("lib/x", tarfile.LNKTYPE, str(victim)),
        ("lib/x", tarfile.REGTYPE, "taken"),
    ),
    "hard link out": lambda victim: (("lib/x", tarfile.LNKTYPE, str(victim)),),
    "hard link up": lambda victim: (("lib/x", tarfile.LNKTYPE, "../victim"),),
    "behind a link": lambda victim: (
        ("lib", tarfile.SYMTYPE, str(victim.parent)),
        ("lib/victim", tarfile.REGTYPE, "taken"),
    ),
    "through a link of its name": lambda victim: (
        ("x", tarfile.SYMTYPE, str(victim)),
        ("./x", tarfile.REGTYPE, "taken"),
    ),
    "up": lambda victim: (("../victim", tarfile.REGTYPE, "taken"),),
    "absolute": lambda victim: ((str(victim), tarfile.REGTYPE, "taken"),),
    "pipe": lambda victim: (("x", tarfile.FIFOTYPE, ""),),
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE)
def test_an_archive_that_leads_elsewhere_is_refused_and_changes_nothing(
    tmp_path: Path, members: Callable[[Path], tuple[tuple[str, bytes, str], ...]]
) -> None:
    victim, target = tmp_path / "victim", tmp_path / "a-1-0"
    victim.write_text("precious")
    path = _archive(tmp_path / "a-1-0.tar.bz2", *members(victim))

    with pytest.raises(ValueError, match="unsafe"):
        require_contained(str(path))
    with pytest.raises(UnfetchableError, match="unsafe"):
        fetch().extracted(ReceiptEntry("a-1-0", ()), str(path), str(target))

    assert victim.read_text() == "precious"
    assert victim.stat().st_nlink == 1
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_links_within_a_package_are_fine(tmp_path: Path, suffix: str) -> None:
    package = Package("a", "1", "0")
    path = build_package(package, tmp_path, suffix)

    require_contained(str(path))


def test_a_hard_link_and_a_symbolic_link_to_what_came_before_are_fine(tmp_path: Path) -> None:
    members = (
        ("bin/x", tarfile.REGTYPE, "x"),
        ("bin/y", tarfile.LNKTYPE, "bin/x"),
        ("lib/z", tarfile.SYMTYPE, "../bin/x"),
        ("share/up", tarfile.SYMTYPE, "../../elsewhere"),
    )

    require_contained(str(_archive(tmp_path / "a-1-0.tar.bz2", *members)))


def test_what_can_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a-1-0.conda"
    path.write_bytes(b"no package")

    with pytest.raises(ValueError, match="can't be read"):
        require_contained(str(path))
