"""The removal of environments in several directories: all or nothing is begun, and it can be stopped."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from interrupted import interrupted
from machine import listing
from places import temporary
from tiny import Tiny

from conda_prune_plugin.core.model import Result
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.discovery.system.measure import identity, measure
from conda_prune_plugin.errors import StateError
from conda_prune_plugin.execution.environment_preflight import EnvironmentPorts, EnvironmentRemoval
from conda_prune_plugin.execution.files.dir_fd import Directory
from conda_prune_plugin.execution.locks.run_lock import Patience
from conda_prune_plugin.execution.recover import recover
from conda_prune_plugin.execution.remove_environments import RemovalResult, remove_environments
from conda_prune_plugin.execution.state.receipt import ReceiptEntry
from conda_prune_plugin.execution.state.stored_runs import stored_runs
from conda_prune_plugin.operations.runs.state_dirs import place_of

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Two:
    """An environment ``e`` in each of two directories of environments."""

    places: list[Path]
    removal_hooks: Callable[[str], str | None] = lambda path: None
    progress: Callable[[int], None] = lambda files: None
    obstacle: str | None = None
    unregistered: list[str] = field(default_factory=list)

    @property
    def prefixes(self) -> list[Path]:
        """The environments."""
        return [place / "e" for place in self.places]

    @property
    def tools(self) -> EnvironmentPorts:
        """What a removal is handed."""
        return EnvironmentPorts(
            objection=lambda path: None,
            removal_hooks=self.removal_hooks,
            unregister=self.unregistered.append,
            note=lambda place: None,
            measure=lambda path, dir_fd: replace(measure(path, dir_fd=dir_fd), obstacle=self.obstacle),
            progress=self.progress,
            patience=Patience(1.0, lambda message: None),
        )

    def remove_environments(self, disposal: Disposal = Disposal.DELETE) -> RemovalResult:
        """Take both away."""
        return remove_environments(
            [_removal(prefix) for prefix in self.prefixes], Run("run-1", 0.0, disposal), self.tools
        )


def _removal(prefix: Path) -> EnvironmentRemoval:
    exports = {"explicit.txt": b"@EXPLICIT\n"}
    meta = (prefix / "conda-meta").stat()
    signature = (meta.st_ino, meta.st_mtime_ns)
    entry = ReceiptEntry(prefix.name, ())
    return EnvironmentRemoval(place_of(str(prefix)), prefix.name, identity(prefix.lstat()), signature, exports, entry)


@pytest.fixture
def two(tmp_path: Path) -> Two:
    """Two directories with an environment each."""
    return _two(tmp_path)


def _two(directory: Path) -> Two:
    for name in ("one", "two"):
        tiny = Tiny(directory / name)
        tiny.add("a-1-0")
        tiny.use("e", "a-1-0")
    return Two([directory / name / "envs" for name in ("one", "two")])


def test_nothing_is_taken_where_one_of_the_directories_can_not_be_used(two: Two) -> None:
    (two.places[1] / ".conda-prune").mkdir()
    # The folder of the run can't be made.
    (two.places[1] / ".conda-prune" / "run-1").symlink_to(two.places[0])
    before = [sorted(os.listdir(place)) for place in two.places]

    with pytest.raises(StateError):
        two.remove_environments()

    assert [sorted(os.listdir(place)) for place in two.places] == before
    assert two.unregistered == []


def test_a_removal_is_noted_before_there_is_anything_to_find(two: Two) -> None:
    """Killed in between, and the environment deleted by hand, only the note leads to its exports."""
    seen: list[list[str]] = []

    def note(place: str) -> None:
        seen.append(os.listdir(Path(place, ".conda-prune", "run-1")))

    removals = [_removal(prefix) for prefix in two.prefixes]
    remove_environments(removals, Run("run-1", 0.0, Disposal.DELETE), replace(two.tools, note=note))

    assert seen == [[], []]


def test_what_can_be_noted_only_later_is_noted_before_the_first_move(two: Two) -> None:
    seen: list[bool] = []

    def note(place: str) -> None:
        seen.append(Path(place, "e").exists() and Path(place, ".conda-prune", "run-1", "receipt.json").exists())
        if len(seen) == 1:
            raise StateError("full", hint="")

    removals = [_removal(prefix) for prefix in two.prefixes[:1]]
    remove_environments(removals, Run("run-1", 0.0, Disposal.DELETE), replace(two.tools, note=note))

    assert seen == [False, True]


def test_nobody_takes_leave_of_what_comes_back(two: Two) -> None:
    left: list[str] = []
    two.removal_hooks = left.append

    removed = two.remove_environments(Disposal.BACKUP)

    assert [outcome.result for outcome in removed.outcomes] == [Result.BACKED_UP] * 2
    assert left == []


def test_what_is_stopped_takes_nothing_more(two: Two) -> None:
    before = listing(two.places[1])

    def stop(path: str) -> str | None:
        raise KeyboardInterrupt

    two.removal_hooks = stop
    removed = two.remove_environments()

    assert removed.interrupted
    assert removed.failed
    assert [outcome.result for outcome in removed.outcomes] == [Result.SKIPPED] * 2
    assert two.unregistered == []
    after = listing(two.places[1])
    del before[str(two.places[1])], after[str(two.places[1])]
    assert after == before


def test_a_deletion_that_is_stopped_is_left_to_the_next_run(two: Two) -> None:
    def stop(files: int) -> None:
        raise KeyboardInterrupt

    two.progress = stop
    removed = two.remove_environments()

    assert removed.interrupted
    assert [outcome.result for outcome in removed.outcomes] == [Result.FAILED, Result.SKIPPED]
    assert [prefix.exists() for prefix in two.prefixes] == [False, True]
    assert two.unregistered == [str(two.prefixes[0])]
    _recover(two.prefixes[0])
    assert [
        path.name for path in (two.places[0] / ".conda-prune" / "run-1").iterdir() if path.name[0].isdecimal()
    ] == []


def test_what_could_not_be_put_back_is_cleared_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Tiny(tmp_path)
    tiny.add("a-1-0")
    prefixes = [tiny.use(name, "a-1-0") for name in ("e", "f")]
    move = Directory.move

    def refuse(self: Directory, name: str, target: Directory, new_name: str) -> None:
        """The second one can't be marked, and meanwhile somebody has made another one in its place."""
        if new_name == "1.deleting":
            prefixes[1].mkdir(exist_ok=True)
            raise PermissionError(1, "Operation not permitted")
        move(self, name, target, new_name)

    with monkeypatch.context() as patch:
        patch.setattr(Directory, "move", refuse)
        removed = remove_environments(
            [_removal(prefix) for prefix in prefixes], Run("run-1", 0.0, Disposal.DELETE), Two([]).tools
        )

    assert [outcome.result for outcome in removed.outcomes] == [Result.REMOVED, Result.FAILED]
    assert "could not be put back" in str(removed.outcomes[1].error)
    _recover(prefixes[0])
    (run,) = stored_runs(place_of(str(prefixes[0])))
    assert run.complete
    assert [entry.dist for entry in run.entries] == ["e"]
    assert os.listdir(prefixes[1]) == []


@pytest.mark.parametrize("change", ["made", "removed"])
def test_an_environment_whose_conda_meta_comes_or_goes_after_the_look_stays(two: Two, change: str) -> None:
    (first, second) = two.prefixes
    removal = _removal(first)
    if change == "made":
        # Half removed when it was looked at; somebody creates it anew.
        removal = replace(removal, signature=None)
    else:
        shutil.rmtree(first / "conda-meta")

    removed = remove_environments([removal, _removal(second)], Run("run-1", 0.0, Disposal.DELETE), two.tools)

    assert [outcome.result for outcome in removed.outcomes] == [Result.SKIPPED, Result.REMOVED]
    assert (first / "lib" / "one").exists()


def test_what_can_not_be_deleted_is_found_before_anybody_takes_leave_of_it(two: Two) -> None:
    left: list[str] = []
    two.removal_hooks = left.append
    two.obstacle = "another file system is mounted in it"

    removed = two.remove_environments()

    assert [(outcome.result, outcome.error) for outcome in removed.outcomes] == [(Result.FAILED, two.obstacle)] * 2
    assert left == []
    assert all(prefix.is_dir() for prefix in two.prefixes)


def _recover(prefix: Path) -> None:
    _, complete = recover(place_of(str(prefix)), Patience(1.0), lambda files: None)
    assert complete


@pytest.mark.slow
@pytest.mark.parametrize("again", [0, 1, 4], ids=["once", "at once again", "soon again"])
@pytest.mark.parametrize("disposal", [Disposal.DELETE, Disposal.BACKUP])
def test_interrupted_after_any_change_what_is_said_to_stay_is_there_and_registered(
    disposal: Disposal, again: int
) -> None:
    for number in count(1):
        with temporary() as directory:
            two = _two(Path(directory))
            results: list[Result] = []

            with interrupted({number, number + again}) as changes:
                results += [outcome.result for outcome in two.remove_environments(disposal).outcomes]
            for prefix in two.prefixes:
                _recover(prefix)

            there = {prefix for prefix in two.prefixes if (prefix / "lib" / "one").exists()}
            assert {prefix for prefix, result in zip(two.prefixes, results) if result is Result.SKIPPED} <= there, (
                number
            )
            assert not set(map(Path, two.unregistered)) & there, number
        if len(changes) < number:
            break
    assert number > 10
