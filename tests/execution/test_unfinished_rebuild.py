"""What fills the place of an environment is whole there, or known as unfinished and cleared; the user's work stays."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from interrupted import interrupted
from places import temporary

from conda_prune_plugin.core.model import PartKind
from conda_prune_plugin.core.notices import Notice
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.discovery.envs.own_file_search import changed_after
from conda_prune_plugin.execution.locks.run_lock import Patience
from conda_prune_plugin.execution.recover import recover
from conda_prune_plugin.execution.state.receipt import Held, Receipt, ReceiptEntry, RunState, write_receipt
from conda_prune_plugin.execution.state.state_dir import REBUILDING, LockedCache, locked
from conda_prune_plugin.execution.state.stored_runs import stored_runs
from conda_prune_plugin.execution.state.unfinished_rebuild import MARK, unfinished
from conda_prune_plugin.operations.runs.state_dirs import place_of

RUN = Run("20260101T000000Z-00000000", 0.0, Disposal.DELETE, None)


def _prepare(top: Path) -> None:
    """Write the receipt of a run that has deleted the environment ``e`` of a directory."""
    with locked(place_of(str(top / "e")), Patience()) as here, here.state.make_own(RUN.id) as folder:
        entry = ReceiptEntry("e", (Held(PartKind.ENVIRONMENT, "e", "0"),))
        write_receipt(folder, Receipt(RUN, str(top), RunState.DONE, (entry,)))


def _fill(here: LockedCache, top: Path) -> None:
    with unfinished(here, RUN.id, "e") as beat:
        beat()
        (top / "e" / "conda-meta").mkdir()
        for name in ("one", "two"):
            (top / "e" / name).write_text(name)


def _leave(top: Path) -> Path:
    """Leave an unfinished environment as a kill does; return the note on it."""

    class KilledError(BaseException):
        pass

    with locked(place_of(str(top / "e")), Patience()) as here, pytest.MonkeyPatch.context() as patch:
        patch.setattr("conda_prune_plugin.execution.state.unfinished_rebuild.clear", lambda *rest: None)
        with suppress(KilledError), unfinished(here, RUN.id, "e"):
            (top / "e" / "lib").mkdir()
            (top / "e" / "lib" / "one").write_text("one")
            raise KilledError
    return top / ".conda-prune" / RUN.id / REBUILDING


def _recover(top: Path) -> tuple[Notice, ...]:
    notices, complete = recover(place_of(str(top / "e")), Patience(), lambda files: None, changed_after)
    assert complete
    return notices


def _names(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    _prepare(tmp_path)
    return tmp_path


@pytest.mark.parametrize("second", [0, 1, 2, 3])
def test_interrupted_after_any_change_it_is_whole_or_gone_once_the_next_run_has_been(second: int) -> None:
    ends = set()
    for number in count(1):
        with temporary() as name:
            top = Path(name)
            _prepare(top)
            receipt = _names(top)
            with (  # The locks are not interrupted.
                locked(place_of(str(top / "e")), Patience()) as here,
                interrupted({number, number + second}) as changes,
                suppress(KeyboardInterrupt),
            ):
                _fill(here, top)
            _recover(top)
            assert [run.complete and not run.rebuilding for run in stored_runs(place_of(str(top / "e")))] == [True]
            left = _names(top) - receipt
            assert left in (set(), {"e/one", "e/two"})
            assert (top / "e").exists() == bool(left)
            ends.add(bool(left))
        if len(changes) < number:
            break
    assert ends == {True, False}
    assert number > 5


def test_a_kill_leaves_what_the_next_run_removes(top: Path) -> None:
    before = _names(top)
    note = _leave(top)
    assert note.exists()

    (notice,) = _recover(top)

    assert str(top / "e") in notice.message
    assert _names(top) == before
    assert not (top / "e").exists()
    assert _recover(top) == ()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": "../e", "word": "x"}', b'{"name": "e", "word": "x"}'])
def test_a_note_that_does_not_fit_the_mark_removes_nothing(top: Path, content: bytes) -> None:
    note = _leave(top)
    before = _names(top)
    note.write_bytes(content)

    _recover(top)

    assert _names(top) == before - {str(note.relative_to(top))}


@pytest.mark.parametrize("kind", ["without", "another", "link", "file"])
def test_what_does_not_bear_the_mark_is_not_removed(top: Path, kind: str) -> None:
    _leave(top)
    mark = top / "e" / MARK
    if kind == "without":
        mark.unlink()
    elif kind == "another":
        mark.write_text("0" * 32)
    else:
        (top / "e").rename(top / "moved")
        if kind == "link":
            (top / "e").symlink_to("moved")
        else:
            (top / "e").write_text("mine")

    _recover(top)

    assert (top / "e").exists()
    assert not (top / ".conda-prune" / RUN.id / REBUILDING).exists()


def _edited(prefix: Path) -> list[str]:
    (prefix / "lib" / "one").write_text("mine")
    return ["lib/one"]


def _moved_in(prefix: Path) -> list[str]:
    (prefix.parent / "work").rename(prefix / "work")
    return ["work/deep/old"]


@pytest.mark.parametrize("change", [_edited, _moved_in])
def test_what_the_user_has_worked_in_stays_and_is_named(top: Path, change: object) -> None:
    note = _leave(top)
    (top / "work" / "deep").mkdir(parents=True)
    (top / "work" / "deep" / "old").write_text("old")
    # The last sign of life was between the two.
    os.utime(note, (note.stat().st_mtime - 3600,) * 2)
    names = change(top / "e")  # type: ignore[operator]
    before = _names(top)

    (notice,) = _recover(top)

    assert all(name in notice.message for name in names)
    assert _names(top) == before
    # It is said each time, and stops nothing.
    assert len(_recover(top)) == 1


def test_a_late_change_is_any_but_of_links_and_compiled_modules(tmp_path: Path) -> None:
    prefix = tmp_path / "e"
    (prefix / "lib" / "__pycache__").mkdir(parents=True)
    for name in ("lib/__pycache__/a.pyc", "lib/linked", "lib/mine"):
        (prefix / name).write_text("x")
    (tmp_path / "other").hardlink_to(prefix / "lib" / "linked")
    now = (prefix / "lib" / "mine").stat().st_ctime

    assert changed_after(str(prefix), now - 3600) == ("lib/mine",)
    assert changed_after(str(prefix), now) == ()


def test_what_is_there_already_is_not_touched(top: Path) -> None:
    (top / "e").mkdir()
    (top / "e" / "mine").write_text("mine")
    before = _names(top)

    with locked(place_of(str(top / "e")), Patience()) as here, pytest.raises(FileExistsError):
        _fill(here, top)

    assert _names(top) == before
