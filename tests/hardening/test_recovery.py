"""Cut off anywhere, nothing is half-deleted, and the next run finishes or gives back."""

from __future__ import annotations

import json
import os
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from interrupted import interrupted
from machine import contents, copy_tree
from places import temporary
from tiny import Tiny

from conda_prune_plugin.core.model import Result
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.discovery.packages.cache_listing import list_cache
from conda_prune_plugin.discovery.system.measure import measure
from conda_prune_plugin.execution.files.dir_fd import Directory
from conda_prune_plugin.execution.locks.run_lock import Patience
from conda_prune_plugin.execution.purge_backups import purge
from conda_prune_plugin.execution.recover import cut_off_runs, recover
from conda_prune_plugin.execution.state.state_dir import locked
from conda_prune_plugin.execution.state.stored_runs import stored_runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conda_prune_plugin.core.notices import Notice

DISTS = ("a-1-0", "b-1-0")

#: What becomes of what goes.
RESULTS = {
    Disposal.DELETE: Result.REMOVED,
    Disposal.BACKUP: Result.BACKED_UP,
    Disposal.ARCHIVE: Result.BACKED_UP,
}


def _recover(tiny: Tiny) -> tuple[Notice, ...]:
    notices, complete = recover(list_cache(str(tiny.cache)), Patience(), lambda files: None)
    assert complete == all("could not be cleared" not in notice.message for notice in notices)
    return notices


def _purge_all(tiny: Tiny) -> None:
    for run in stored_runs(list_cache(str(tiny.cache))):
        with locked(run.cache, Patience()) as cache:
            assert purge(cache, run, lambda name, fd: measure(name, dir_fd=fd), lambda files: None).error is None


#: The changes of the disk, as `Directory` makes them.
CHANGES = ("mkdir", "move", "replace", "link", "unlink", "rmdir")


def die_at(step: int, changes: Sequence[str]) -> None:
    """End this process, as a power cut would, just before the step-th change of the disk."""
    steps = count(1)
    for name in changes:

        def change(self: Directory, *arguments: object, do: object = getattr(Directory, name)) -> None:
            if next(steps) == step:
                os._exit(9)
            do(self, *arguments)  # type: ignore[operator]

        setattr(Directory, name, change)


def _run_until(tiny: Tiny, step: int, changes: Sequence[str] = CHANGES) -> bool:
    """Prune in a process that dies at a step; return whether it got there."""
    plan = tiny.plan()
    pid = os.fork()
    if pid == 0:
        die_at(step, changes)
        tiny.execute(plan)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@pytest.mark.posix
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_killed_before_any_change_nothing_is_half_deleted_and_the_next_run_clears_up(tmp_path: Path) -> None:
    master = Tiny(tmp_path / "master")
    for dist in DISTS:
        master.add(dist, archive=True)
    whole = {name: contents(master.cache / name) for name in DISTS}
    for step in count(1):
        copy_tree(tmp_path / "master", tmp_path / f"at{step}")
        tiny = Tiny.__new__(Tiny)
        tiny.__dict__.update(
            master.__dict__, cache=tmp_path / f"at{step}" / "pkgs", envs=tmp_path / f"at{step}" / "envs"
        )
        reached = _run_until(tiny, step)

        def half(tiny: Tiny = tiny) -> list[str]:
            here = {name: contents(tiny.cache / name) for name in DISTS if (tiny.cache / name).exists()}
            return [name for name, tree in here.items() if len(tree) != len(whole[name])]

        assert half() == []
        notices = _recover(tiny)
        assert half() == []
        assert cut_off_runs(list_cache(str(tiny.cache))) == ()
        assert ".conda-prune" not in tiny.names()
        assert all("could not be cleared" not in notice.message for notice in notices)
        if not reached:
            assert tiny.names() == {"urls.txt"}
            break
    # The changes of two entries with two parts each: many more than a handful.
    assert step > 20


@pytest.mark.posix
def test_what_was_put_there_anew_is_not_overwritten(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path / "it")
    tiny.add("a-1-0")
    # The first move takes it aside, the second marks it for deletion.
    assert _run_until(tiny, 2, ("move",))
    assert "a-1-0" not in tiny.names()
    anew = tiny.add("a-1-0", {})
    before = contents(anew)

    _recover(tiny)

    assert contents(anew) == before
    assert tiny.names() == {"a-1-0", "urls.txt"}


@pytest.mark.parametrize("disposal", Disposal)
def test_what_could_not_be_put_back_is_explained_and_comes_to_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disposal: Disposal
) -> None:
    tiny = Tiny(tmp_path / "it")
    for dist in DISTS:
        tiny.add(dist)
    watch = tiny.watch()
    plan = tiny.plan(watch)
    move = Directory.move

    def install(self: Directory, name: str, target: Directory, new_name: str) -> None:
        """An install that finds a package gone, extracts it again and has its record before all roots are asked."""
        move(self, name, target, new_name)
        if name == "b-1-0":
            tiny.add("a-1-0", {})
            tiny.use("new", "a-1-0")

    with monkeypatch.context() as patch:
        patch.setattr(Directory, "move", install)
        elsewhere = str(tmp_path / "elsewhere") if disposal is Disposal.ARCHIVE else None
        execution = tiny.execute(plan, watch, Run("run-1", 0.0, disposal, elsewhere))
    anew = contents(tiny.cache / "a-1-0")

    assert [outcome.result for outcome in execution.outcomes] == [Result.FAILED, RESULTS[disposal]]
    assert "could not be put back" in str(execution.outcomes[0].error)
    _recover(tiny)
    (run,) = stored_runs(list_cache(str(tiny.cache)))
    assert run.complete
    assert [entry.dist for entry in run.entries] == list(DISTS if disposal is Disposal.BACKUP else DISTS[1:])
    _purge_all(tiny)
    assert tiny.names() == {"a-1-0", "urls.txt"}
    assert contents(tiny.cache / "a-1-0") == anew


@pytest.mark.posix
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    ("step", "there"),
    [(3, {"a-1-0", "b-1-0", "urls.txt"}), (4, {"b-1-0", "urls.txt"}), (5, {"urls.txt"})],
    ids=["all moved", "one marked", "both marked"],
)
def test_what_can_not_be_given_back_or_deleted_stops_nothing_else_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, there: set[str]
) -> None:
    tiny = Tiny(tmp_path / "it")
    for dist in DISTS:
        tiny.add(dist)
    assert _run_until(tiny, step, ("move", "rmdir"))
    refused = [True]
    for change in ("move", "rmdir"):

        def refuse(self: Directory, name: str, *arguments: object, do: object = getattr(Directory, change)) -> None:
            if refused and name in ("0", "0.deleting"):
                raise PermissionError(1, "Operation not permitted")
            do(self, name, *arguments)  # type: ignore[operator]

        monkeypatch.setattr(Directory, change, refuse)

    for _ in range(2):
        (notice,) = _recover(tiny)
        assert "Operation not permitted" in notice.message
        assert "could not be cleared" in notice.message
        assert {path.name[0] for path in (tiny.cache / ".conda-prune" / "run-1").iterdir()} == {"0", "r"}
        assert tiny.names() - {".conda-prune"} == there - {"a-1-0"}
    refused.clear()
    _recover(tiny)

    assert cut_off_runs(list_cache(str(tiny.cache))) == ()
    assert tiny.names() - {".conda-prune"} == there
    assert set(_to_be_had(tiny)) == {"a-1-0", "b-1-0"} - there


@pytest.mark.posix
@pytest.mark.parametrize("receipt", ['{"schema": 99}', "[" * 100_000, "", "null", '{"schema": 1, "entries": 7}', None])
def test_what_is_not_understood_is_left_alone_and_said(tmp_path: Path, receipt: str | None) -> None:
    tiny = Tiny(tmp_path / "it")
    run = tiny.cache / ".conda-prune" / "20200101T000000Z-0000"
    (run / "0").mkdir(parents=True)
    if receipt is None:
        os.mkfifo(run / "receipt.json")
    else:
        (run / "receipt.json").write_text(receipt)

    (notice,) = _recover(tiny)

    assert "could not be cleared" in notice.message
    assert (run / "0").is_dir()


@pytest.mark.posix
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("state", ["begun", "done"])
def test_an_item_that_its_receipt_does_not_list_stays_and_blocks_no_other(tmp_path: Path, state: str) -> None:
    tiny = Tiny(tmp_path / "it")
    for dist in DISTS:
        tiny.add(dist)
    if state == "begun":
        assert _run_until(tiny, 2, ("move",))
    else:
        tiny.execute(tiny.plan(), run=Run("run-1", 0.0, Disposal.BACKUP))
    unlisted = tiny.cache / ".conda-prune" / "run-1" / "77"
    (unlisted / "lib").mkdir(parents=True)

    _recover(tiny)

    if state == "done":
        (run,) = stored_runs(list_cache(str(tiny.cache)))
        assert (run.complete, set(run.unlisted)) == (True, {"77"})
        assert {entry.dist for entry in run.entries} == set(DISTS)
        _purge_all(tiny)
    assert cut_off_runs(list_cache(str(tiny.cache))) == ()
    assert (unlisted / "lib").is_dir()
    assert {path.name for path in unlisted.parent.iterdir()} <= {"77", "receipt.json"}


def test_a_stray_file_beside_the_runs_is_no_run(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path / "it")
    (tiny.cache / ".conda-prune").mkdir()
    (tiny.cache / ".conda-prune" / "stray").touch()

    assert cut_off_runs(list_cache(str(tiny.cache))) == ()
    assert _recover(tiny) == ()


@pytest.mark.parametrize(
    ("name", "number"), [("../victim", "0"), ("/etc/victim", "0"), ("a", "../../victim"), ("a", "x")]
)
def test_a_receipt_cannot_name_a_place_outside_of_the_cache(tmp_path: Path, name: str, number: str) -> None:
    tiny = Tiny(tmp_path / "it")
    victim = tmp_path / "it" / "victim"
    victim.write_text("precious")
    run = tiny.cache / ".conda-prune" / "20200101T000000Z-0000"
    run.mkdir(parents=True)
    (run / "0").write_text("moved")
    (run / "x").write_text("moved")
    receipt = {"schema": 1, "entries": [{"parts": [{"name": name, "number": number}]}]}
    (run / "receipt.json").write_text(json.dumps(receipt))

    (notice,) = _recover(tiny)

    assert "could not be cleared" in notice.message
    assert victim.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "0",
        "receipt.json",
        "urls.txt",
        "victim",
        "x",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("again", [0, 1, 4], ids=["once", "at once again", "soon again"])
@pytest.mark.parametrize("disposal", Disposal)
def test_interrupted_after_any_change_what_is_gone_can_be_had_again(disposal: Disposal, again: int) -> None:
    for number in count(1):
        with temporary() as directory:
            tiny = Tiny(Path(directory, "it"))
            tiny.add("a-1-0")
            tiny.add("b-1-0", archive=True)
            elsewhere = f"{directory}/elsewhere" if disposal is Disposal.ARCHIVE else None
            plan = tiny.plan()

            with interrupted({number, number + again}) as changes:
                tiny.execute(plan, run=Run("run-1", 0.0, disposal, elsewhere))
            _recover(tiny)

            assert tiny.names() | set(_to_be_had(tiny)) >= {"a-1-0", "b-1-0", "b-1-0.conda"}, (number, changes)
            _purge_all(tiny)
            assert _archives(Path(directory, "elsewhere")) == set(), (number, changes)
        if len(changes) < number:
            break
    assert number > 10


def _archives(directory: Path) -> set[str]:
    return {path.name for path in directory.rglob("*.tar.zst*")}


@pytest.mark.parametrize("discarded", [True, False], ids=["at once", "by the next run"])
def test_interrupted_before_anything_is_deleted_no_archive_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, discarded: bool
) -> None:
    tiny = Tiny(tmp_path / "it")
    for dist in DISTS:
        tiny.add(dist)
    elsewhere = tmp_path / "elsewhere"

    def interrupt(name: str) -> None:
        if name == "1":
            raise KeyboardInterrupt

    plan = tiny.plan()
    tiny.before_measuring = interrupt
    with monkeypatch.context() as patch:
        if not discarded:
            patch.setattr(
                "conda_prune_plugin.execution.quarantine.package_removal.discard", lambda folder, decision: None
            )
        execution = tiny.execute(plan, run=Run("run-1", 0.0, Disposal.ARCHIVE, str(elsewhere)))

    assert [outcome.result for outcome in execution.outcomes] == [Result.SKIPPED] * 2
    assert len(_archives(elsewhere)) == (0 if discarded else 2)
    _recover(tiny)
    assert tiny.names() == {*DISTS, "urls.txt"}
    assert list(elsewhere.iterdir()) == []


def test_interrupted_amid_the_deletion_the_archive_of_what_was_put_back_does_not_stay(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path / "it")
    for dist in (*DISTS, "c-1-0"):
        tiny.add(dist)
    elsewhere = tmp_path / "elsewhere"
    seen = count(1)

    def interrupt(files: int) -> None:
        # In the middle of the second entry.
        if next(seen) == 5:
            raise KeyboardInterrupt

    plan = tiny.plan()
    tiny.on_progress = interrupt
    execution = tiny.execute(plan, run=Run("run-1", 0.0, Disposal.ARCHIVE, str(elsewhere)))

    assert [outcome.result for outcome in execution.outcomes] == [Result.BACKED_UP, Result.FAILED, Result.SKIPPED]
    assert _archives(elsewhere) == {f"{dist}.tar.zst" for dist in DISTS}
    _recover(tiny)
    (run,) = stored_runs(list_cache(str(tiny.cache)))
    assert [entry.dist for entry in run.entries] == list(DISTS)


def _to_be_had(tiny: Tiny) -> Iterator[str]:
    """Give the parts that a receipt tells how to get back."""
    for path in tiny.cache.glob(".conda-prune/*/receipt.json"):
        receipt = json.loads(path.read_text())
        for entry in receipt["entries"]:
            for part in entry["parts"]:
                place = {
                    "delete": path,
                    "backup": path.parent / part["number"],
                    "archive": Path(receipt["destination"] or "/", entry.get("archived", {}).get("name", "none")),
                }
                if place[receipt["disposal"]].exists():
                    yield part["name"]
