"""Root at work in somebody else's cache, whose owner puts something else under a name at the worst moment.

The moment is right after a call of the system that gives or leaves the name; root's own calls do the swapping, once.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
from tiny import Tiny

from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.execution.directory import Directory
from conda_prune_plugin.execution.receipt import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be at work in a cache of somebody else"
)

NOBODY = 65534


@pytest.fixture
def theirs(tmp_path: Path) -> Tiny:
    """A cache that belongs to nobody."""
    tiny = Tiny(tmp_path / "it")
    for dist in ("a-1-0", "b-1-0"):
        tiny.add(dist, archive=True)
    for path in (tiny.cache, *tiny.cache.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return tiny


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of root's that nobody else may read."""
    path = tmp_path / "victim"
    path.write_text("root's")
    path.chmod(0o600)
    return path


def _access(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def _swap_after(
    monkeypatch: pytest.MonkeyPatch, call: str, name: str, tiny: Tiny, swap: Callable[[Path], object]
) -> list[Path]:
    """Let something else bear a name below a cache when a call on that name has returned; return where that was."""
    real = getattr(os, call)
    swapped: list[Path] = []

    def called(path: Any, *arguments: Any, **options: Any) -> Any:
        result = real(path, *arguments, **options)
        if os.path.basename(str(path)) == name:
            monkeypatch.setattr(os, call, real)
            (place,) = tiny.cache.rglob(name)
            swapped.append(place)
            place.rename(f"{place}.away")
            swap(place)
        return result

    monkeypatch.setattr(os, call, called)
    return swapped


def test_a_link_put_in_the_place_of_a_receipt_opens_no_file_of_root(
    theirs: Tiny, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _access(victim)
    swapped = _swap_after(monkeypatch, "open", UNFINISHED, theirs, lambda place: place.symlink_to(victim))

    theirs.execute(theirs.plan(), run=Run("run-1", 1.0, Disposal.DELETE))

    assert swapped
    assert _access(victim) == before


def test_a_further_name_of_a_file_of_root_in_the_place_of_a_receipt_gives_it_to_nobody(
    theirs: Tiny, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _access(victim)
    swapped = _swap_after(monkeypatch, "open", UNFINISHED, theirs, lambda place: os.link(victim, place))

    theirs.execute(theirs.plan(), run=Run("run-1", 1.0, Disposal.DELETE))

    assert swapped
    assert _access(victim) == before


def test_what_is_put_in_the_place_of_a_restored_file_gets_neither_its_mode_nor_its_owner(
    theirs: Tiny, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _access(victim)
    (theirs.cache / "restored").touch()
    swapped = _swap_after(monkeypatch, "stat", "restored", theirs, lambda place: place.symlink_to(victim))

    with Directory.open(str(theirs.cache)) as cache, pytest.raises(OSError, match="restored"):
        cache.restore_status("restored", 0o666, (NOBODY, NOBODY), 0)

    assert swapped
    assert _access(victim) == before
