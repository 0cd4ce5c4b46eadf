"""Root at work in somebody else's cache, whose owner puts something else under a name at the worst moment.

The moment is right after a call of the system that gives or leaves the name; root's own calls do the swapping, once.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tiny import Tiny

from conda_prune_plugin.core.plan import Repair
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.discovery.packages.cache_listing import list_cache
from conda_prune_plugin.discovery.system.measure import measure
from conda_prune_plugin.execution.files.dir_fd import Directory
from conda_prune_plugin.execution.files.tree_tar import walk
from conda_prune_plugin.execution.locks.run_lock import Patience
from conda_prune_plugin.execution.ports import Fetch, Ports
from conda_prune_plugin.execution.repair_packages import repair
from conda_prune_plugin.execution.restore_backups import restore
from conda_prune_plugin.execution.state.receipt import UNFINISHED
from conda_prune_plugin.execution.state.state_dir import MAKING, locked
from conda_prune_plugin.execution.state.stored_runs import stored_runs

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be at work in a cache of somebody else"
)

NOBODY = 65534


@pytest.fixture
def theirs(tmp_path: Path) -> Tiny:
    """A cache that belongs to nobody."""
    tiny = Tiny(tmp_path / "it")
    tiny.add("a-1-0")
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


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_what_is_put_in_the_place_of_a_restored_file_gets_neither_its_mode_nor_its_owner(
    theirs: Tiny, victim: Path, monkeypatch: pytest.MonkeyPatch, link: Callable[[Path, Path], object]
) -> None:
    before = _access(victim)
    (theirs.cache / "restored").touch()
    swapped = _swap_after(monkeypatch, "stat", "restored", theirs, lambda place: link(victim, place))

    with Directory.open(str(theirs.cache)) as cache, pytest.raises(OSError, match="restored"):
        cache.restore_status("restored", 0o666, (NOBODY, NOBODY), 0)

    assert swapped
    assert _access(victim) == before


def test_a_file_with_a_name_elsewhere_stays_whose_it_is_when_a_tree_is_handed_over(theirs: Tiny, victim: Path) -> None:
    made = theirs.cache / "made"
    (made / "lib").mkdir(parents=True)
    (made / "lib" / "own").touch()
    (made / "lib" / "link").symlink_to(victim)
    os.link(victim, made / "lib" / "linked")
    before = _access(victim)

    with Directory.open(str(theirs.cache)) as cache:
        for directory, name, _, _ in walk(cache, "made", "made"):
            directory.hand_over(name)

    assert _access(victim) == before
    assert {path.stat().st_uid for path in (made, made / "lib", made / "lib" / "own")} == {NOBODY}


class Diverted:
    """Gets packages as conda does, by paths; when it has been given the first one, that leads to `victims` instead."""

    def __init__(self, tiny: Tiny, victims: Path) -> None:
        self._tiny = tiny
        self._victims = victims
        self.done = False

    def archive(self, entry: object, directory: str, name: str) -> None:
        self._divert()
        (Path(directory) / name).write_text("archive")

    def extracted(self, entry: object, archive: str, target: str) -> None:
        self._divert()
        (Path(target) / "lib").mkdir(parents=True)
        (Path(target) / "lib" / "one").write_text("library")
        (Path(target) / "lib" / "one").chmod(0o4755)
        os.link(Path(target) / "lib" / "one", Path(target) / "lib" / "again")
        (Path(target) / "lib" / "soft").symlink_to("one")

    def _divert(self) -> None:
        if not self.done:
            self.done = True
            (making,) = self._tiny.cache.glob(f".conda-prune/*/{MAKING}")
            for place in making.iterdir():
                (self._victims / place.name).mkdir()
            making.rename(f"{making}.away")
            making.symlink_to(self._victims)


@pytest.fixture
def victims(tmp_path: Path) -> Path:
    """A directory of root's."""
    path = tmp_path / "victims"
    path.mkdir(mode=0o700)
    return path


def _extracted_there(tree: Path) -> None:
    """Check that what `Diverted` makes is in a place, and is not root's."""
    one = (tree / "lib" / "one").lstat()
    assert (one.st_uid, stat.S_IMODE(one.st_mode), one.st_nlink) == (NOBODY, 0o755, 2)
    assert os.readlink(tree / "lib" / "soft") == "one"
    assert {path.lstat().st_uid for path in (tree, *tree.rglob("*"))} == {NOBODY}


def test_a_package_fetched_again_is_made_in_its_cache_wherever_the_path_to_it_leads_by_then(
    theirs: Tiny, victims: Path
) -> None:
    theirs.execute(theirs.plan(), run=Run("run-1", 1.0, Disposal.DELETE))
    conda = Diverted(theirs, victims)

    (stored,) = stored_runs(list_cache(str(theirs.cache)))
    with locked(stored.cache, Patience(2.0)) as cache:
        done = restore(cache, stored, lambda entry: True, Fetch(conda.archive, conda.extracted), lambda count: None)

    assert conda.done
    assert [path for path in victims.rglob("*") if not path.is_dir()] == []
    assert [outcome.result.value for outcome in done.outcomes] == ["restored"]
    _extracted_there(theirs.cache / "a-1-0")


def test_a_package_is_repaired_in_its_cache_wherever_the_path_to_it_leads_by_then(theirs: Tiny, victims: Path) -> None:
    (removal,) = theirs.plan().remove
    conda = Diverted(theirs, victims)
    watch = theirs.watch()
    senses = (watch.references, watch.soft_links, lambda name, fd: measure(name, dir_fd=fd), lambda files: None)

    outcomes, _ = repair(
        [Repair(removal, "a-1-0.conda", "a-1-0", None, None)],
        theirs.inventory().caches,
        Run("run-1", 1.0, Disposal.DELETE),
        Fetch(conda.archive, conda.extracted),
        Ports(*senses, Patience(2.0)),
    )

    assert conda.done
    assert [path for path in victims.rglob("*") if not path.is_dir()] == []
    assert [outcome.result.value for outcome in outcomes] == ["repaired"]
    _extracted_there(theirs.cache / "a-1-0")
