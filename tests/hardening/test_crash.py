"""Killed or failed at any system call that changes the disk, nothing is half there, and the next run clears up.

The README's figure for `conda clean` under the same kills comes from the last test.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash import injections, run, run_traced
from machine import copy_tree, listing
from places import temporary
from syscalls import CHANGING
from tiny import Tiny

from conda_prune_plugin.core.model import Cache, Client
from conda_prune_plugin.demo.demo_packages import File, HardLink, Item, SymLink
from conda_prune_plugin.demo.sandbox import Sandbox
from conda_prune_plugin.execution.state.stored_runs import stored_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = [pytest.mark.debian, pytest.mark.slow]

PRUNE = ("prune", "--min-age", "0", "--yes")
BACKUP = (*PRUNE, "--backup")

#: The parts that nothing references.
GOING = ("a-1-0", "a-1-0.conda", "b-1-0")


class Place:
    """A sandbox with a cache in a known state, and copies of that state to start over from."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "it"
        self._copy = directory / "copy"
        self.tiny = tiny = Tiny(self.directory)
        files: dict[str, Item] = {
            "bin/tool": File(b"tool" * 3000, executable=True),
            "bin/again": HardLink("bin/tool"),
            "lib/link": SymLink("../bin/tool"),
        }
        tiny.add("a-1-0", {**files, "lib/deep/er/x": File(b"x")}, archive=True)
        tiny.add("b-1-0", {"lib/one": File(b"one")})
        tiny.add("c-1-0")
        tiny.use("e", "c-1-0")
        self.sandbox = Sandbox(self.directory)
        self.sandbox.create()
        run(self.sandbox, "info")  # It makes directories below the home.
        self.whole = {name: self.look(name) for name in (*GOING, "c-1-0")}
        self.environments = listing(self.directory / "envs")

    def look(self, name: str, below: str = "pkgs") -> dict[str, tuple[object, ...]]:
        """Return all there is to know of a part but what a rename may change: the times of change.

        A backup conceals `info/index.json` under another name (see `state_dir.disguise`); killed between that and
        setting the time of `info` again, that time is lost.
        """
        top = self.directory / below / name
        found = {os.path.relpath(path, top): known for path, known in listing(top).items()}
        return {
            path.replace("info/index.json.conda-prune", "info/index.json"): (
                *known[: 3 if path == "info" else 4],
                *known[5:],
            )
            for path, known in found.items()
        }

    def save(self) -> None:
        """Make the present state the one to start over from."""
        shutil.rmtree(self._copy, ignore_errors=True)
        copy_tree(self.directory, self._copy)

    def start_over(self) -> None:
        """Make everything what it was when it was saved."""
        shutil.rmtree(self.directory)
        copy_tree(self._copy, self.directory)

    def half(self) -> list[str]:
        """Return what is neither whole nor gone, at its place or moved aside."""
        found = [name for name in GOING if os.path.lexists(self.sandbox.cache / name) and not self._is_whole(name)]
        for receipt in (self.sandbox.cache / ".conda-prune").glob("*/receipt.json"):
            for entry in json.loads(receipt.read_text())["entries"]:
                for part in entry["parts"]:
                    aside = f"pkgs/.conda-prune/{receipt.parent.name}"
                    moved = (self.directory / aside / part["number"]).exists()
                    if moved and self.look(part["number"], aside) != self.whole[part["name"]]:
                        found.append(f"{aside}/{part['number']}")
        return found

    def _is_whole(self, name: str) -> bool:
        return self.look(name) == self.whole[name]

    def require_unharmed(self) -> None:
        """Require what has to hold after anything."""
        assert self.half() == []
        assert self._is_whole("c-1-0")
        after = listing(self.directory / "envs")
        assert {path: known[:4] for path, known in after.items()} == {
            path: known[:4] for path, known in self.environments.items()
        }

    def left(self) -> set[str]:
        """Return what lies in the cache beside the entry in use and the receipts of finished runs.

        Mamba's lock may stay if it could not be removed; it bears our mark, so that the next run can remove it.
        """
        lock = self.sandbox.cache / "pkgs.lock"
        ours = {lock.name} if lock.exists() and lock.read_bytes() == b"conda prune\n" else set()
        return self.tiny.names() - {"c-1-0", "urls.txt"} - ours


@pytest.fixture
def place() -> Iterator[Place]:
    with temporary() as directory:
        yield Place(Path(directory))


def _nothing(place: Place) -> None:
    """Prune what is there."""


def _backed_up(place: Place) -> None:
    assert run(place.sandbox, *BACKUP).code == 0


def _archived(place: Place) -> None:
    assert run(place.sandbox, *PRUNE, "--backup-to", str(place.directory / "elsewhere")).code == 0


def _all_gone(place: Place) -> None:
    assert run(place.sandbox, *PRUNE).code == 0
    assert place.left() == set()


def _all_back(place: Place) -> None:
    """Whatever was moved or archived comes back, byte for byte."""
    run(place.sandbox, "prune", "restore", "last")
    cache = os.fspath(place.sandbox.cache)
    for left in stored_runs(Cache(cache, cache, Client.CONDA, writable=True, entries=())):
        if left.entries:
            assert run(place.sandbox, "prune", "restore", left.id).code == 0
    assert {name for name in GOING if (place.sandbox.cache / name).exists()} == set(GOING)
    assert place.half() == []


def _all_purged(place: Place) -> None:
    assert run(place.sandbox, "prune", "purge", "--all", "--yes").code == 0
    assert place.left() <= set(GOING)
    assert list((place.directory / "elsewhere").glob("*/*/*")) == []


#: What comes before, the command that is disturbed, and what has to work after it.
SCENES: dict[str, tuple[Callable[[Place], None], Sequence[str], Callable[[Place], None]]] = {
    "prune": (_nothing, PRUNE, _all_gone),
    "backup": (_nothing, BACKUP, _all_back),
    "archive": (_nothing, (*PRUNE, "--backup-to", "elsewhere"), _all_back),
    "restore a backup": (_backed_up, ("prune", "restore", "last"), _all_back),
    "restore archives": (_archived, ("prune", "restore", "last"), _all_back),
    "purge a backup": (_backed_up, ("prune", "purge", "--all", "--yes"), _all_purged),
    "purge archives": (_archived, ("prune", "purge", "--all", "--yes"), _all_purged),
}


@pytest.fixture(params=SCENES)
def scene(request: pytest.FixtureRequest, place: Place) -> tuple[Place, Sequence[str], Callable[[Place], None]]:
    before, command, after = SCENES[request.param]
    before(place)
    place.save()
    return place, command, after


def _disturbances(place: Place, command: Sequence[str], what: str, among: Sequence[str] = CHANGING) -> Iterator[str]:
    end = run_traced(place.sandbox, command)
    assert end.code == 0, end.output
    yield from injections(end.calls, what, among)


def test_killed_at_any_change_nothing_is_half_there_and_the_next_run_clears_up(
    scene: tuple[Place, Sequence[str], Callable[[Place], None]],
) -> None:
    place, command, after = scene
    killed = 0
    for injection in list(_disturbances(place, command, "signal=KILL")):
        place.start_over()
        end = run_traced(place.sandbox, command, injection)
        killed += end.code == -9
        place.require_unharmed()
        after(place)
        place.require_unharmed()
    assert killed > 10


@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EACCES"])
def test_failed_at_any_change_it_says_so_and_the_next_run_clears_up(
    scene: tuple[Place, Sequence[str], Callable[[Place], None]], error: str
) -> None:
    place, command, after = scene
    failed = 0
    for injection in list(_disturbances(place, command, f"error={error}", _CAN_FAIL[error])):
        place.start_over()
        end = run_traced(place.sandbox, command, injection)
        assert end.code in (0, 1), f"{injection}: {end.output}"
        assert "Traceback" not in end.output, f"{injection}: {end.output}"
        failed += end.code
        place.require_unharmed()
        after(place)
        place.require_unharmed()
    # A purge of archives needs no room, not even for its lock.
    assert failed or (error == "ENOSPC" and command[1] == "purge")


#: Which calls a real disk fails in these ways.
_CAN_FAIL = {
    "EIO": ("mkdirat", "unlinkat", "renameat", "linkat", "symlinkat", "fchmod", "fsync", "write"),
    "ENOSPC": ("mkdirat", "renameat", "linkat", "symlinkat", "fsync", "write"),
    "EACCES": ("mkdirat", "unlinkat", "renameat", "linkat", "symlinkat", "fchmod"),
}


def test_conda_clean_killed_in_the_same_way_leaves_half_deleted_packages_that_conda_takes_for_valid(
    tmp_path: Path,
) -> None:
    """The comparison of the README, measured."""
    # On a disk: which file of a directory goes first depends on the file system.
    place = Place(tmp_path)
    shutil.rmtree(place.sandbox.cache / "b-1-0")
    place.tiny.add("b-1-0", {f"{part}/{number}": File(b"x") for part in ("bin", "lib") for number in range(8)})
    place.whole["b-1-0"] = place.look("b-1-0")
    place.save()
    command = ("clean", "--packages", "--yes")
    kills = list(injections(run_traced(place.sandbox, command).calls, "signal=KILL", ("unlink", "unlinkat", "rmdir")))
    half = 0
    for injection in kills:
        place.start_over()
        run_traced(place.sandbox, command, injection)
        half += any(_taken_for_valid(place.sandbox.cache / name) for name in place.half())

    print(f"conda clean: half deleted and taken for valid after {half} of {len(kills)} kills")
    assert half


def _taken_for_valid(entry: Path) -> bool:
    """Return whether conda would link an extracted directory (PackageCacheData._make_single_record)."""
    return (entry / "info" / "index.json").is_file() and (entry / "info" / "repodata_record.json").is_file()


class _NeedsRecords(Sandbox):
    """A sandbox whose conda needs its records beside the archives, whichever runs the tests."""

    __slots__ = ()

    def environ(self, **more: str) -> dict[str, str]:
        return super().environ(**{"CONDA_SOLVER": "libmamba", **more})


def test_killed_at_any_change_a_cache_preset_loses_no_record_of_an_archive() -> None:
    """Whole, the record alone, or not there; and the next run leaves the record."""
    with temporary() as directory:
        place = Place(Path(directory))
        tiny, tree = place.tiny, place.tiny.cache / "a-1-0"
        archive = tiny.cache / "a-1-0.conda"
        record = tree / "info" / "repodata_record.json"
        known = {**json.loads(record.read_text()), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
        record.write_text(json.dumps(known))
        tiny.use("e", "a-1-0")
        place.sandbox = _NeedsRecords(place.directory)
        place.whole["a-1-0"], place.environments = place.look("a-1-0"), listing(place.directory / "envs")
        place.save()
        command = ("prune", "--ci", "cache")
        killed = 0
        for injection in list(_disturbances(place, command, "signal=KILL")):
            place.start_over()
            end = run_traced(place.sandbox, command, injection)
            killed += end.code == -9
            assert archive.exists()
            if tree.exists() and place.look("a-1-0") != place.whole["a-1-0"]:
                assert _names(tree) == {"info", "info/repodata_record.json"}
            assert run(place.sandbox, *command).code == 0
            assert _names(tree) == {"info", "info/repodata_record.json"}
            assert json.loads(record.read_text()) == known
            assert {path: one[:1] for path, one in listing(place.directory / "envs").items()} == {
                path: one[:1] for path, one in place.environments.items()
            }
        assert killed > 10


def _names(tree: Path) -> set[str]:
    return {str(path.relative_to(tree)) for path in tree.rglob("*")}
