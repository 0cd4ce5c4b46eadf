"""Root works in a place of another user as that user: with the user's rights, and with no way back."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from conda_prune_plugin.core.layout import STATE
from conda_prune_plugin.core.notices import Notice
from conda_prune_plugin.errors import LockTimeoutError, StateError
from conda_prune_plugin.execution.owner_process import Ask, User, owner_to_become, run_as
from conda_prune_plugin.execution.state.notes import remember

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

NOBODY = User(65534, 65534, (65534,), "nobody", "/nonexistent")


@dataclass(frozen=True, slots=True)
class Told:
    """What a child found out about itself."""

    ids: tuple[int, ...]
    groups: tuple[int, ...]
    texts: tuple[str, ...] = ()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that anybody may enter and that belongs to nobody."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        os.chown(path, NOBODY.uid, NOBODY.gid)
        yield path


def test_the_child_has_the_rights_of_the_user_and_cannot_go_back() -> None:
    def work(ask: Ask) -> Told:
        with pytest.raises(PermissionError):
            os.setuid(0)
        with pytest.raises(PermissionError):
            os.setresuid(-1, 0, -1)
        with pytest.raises(PermissionError):
            os.setgroups([0])
        status = Path("/proc/self/status").read_text().splitlines()
        wanted = [line.split()[1] for line in status if line.startswith("NoNewPrivs")]
        return Told((*os.getresuid(), *os.getresgid()), tuple(os.getgroups()), tuple(wanted))

    told = run_as(NOBODY, Told, work, {})

    assert told == Told((NOBODY.uid,) * 3 + (NOBODY.gid,) * 3, (NOBODY.gid,), ("1",))


def test_what_is_made_there_belongs_to_the_user_and_what_is_of_root_cannot_be_read(place: Path) -> None:
    secret = place / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)

    def work(ask: Ask) -> Told:
        (place / "made").write_text("x")
        secret.read_text()
        return Told((), ())

    with pytest.raises(PermissionError, match="secret"):
        run_as(NOBODY, Told, work, {})
    assert (place / "made").stat().st_uid == NOBODY.uid


def test_the_child_asks_the_parent_which_stays_root() -> None:
    notice = Notice("kind", "a message", "/path")

    def work(ask: Ask) -> Told:
        assert ask("notice", 1) == notice
        return Told((), tuple(ask("uid") for _ in range(3)))

    assert run_as(NOBODY, Told, work, {"notice": lambda number: notice, "uid": os.getuid}).groups == (0, 0, 0)


def test_errors_come_back_as_what_they_are_and_those_of_the_parent_reach_the_child() -> None:
    def refuse() -> NoReturn:
        raise LockTimeoutError("held", hint="wait", path="/a%sb")

    def work(ask: Ask) -> Told:
        ask("refuse")
        raise AssertionError

    with pytest.raises(LockTimeoutError, match="held") as caught:
        run_as(NOBODY, Told, work, {"refuse": refuse})
    assert (caught.value.hint, caught.value.path) == ("wait", "/a%sb")


@pytest.mark.parametrize("answer", [("x",), Told(("no number",), ()), None])  # type: ignore[arg-type]
def test_a_result_of_another_form_is_refused(answer: Any) -> None:
    with pytest.raises(StateError, match="nobody"):
        run_as(NOBODY, Told, lambda ask: answer, {})


def test_a_child_that_dies_is_an_error_and_leaves_no_process() -> None:
    pids: list[int] = []

    def work(ask: Ask) -> Told:
        ask("pid", os.getpid())
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    with pytest.raises(StateError, match="without a result"):
        run_as(NOBODY, Told, work, {"pid": pids.append})
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_ctrl_c_reaches_the_child_which_says_what_became_of_its_work() -> None:
    def work(ask: Ask) -> Told:
        try:
            ask("begun")
            time.sleep(60)
        except KeyboardInterrupt:
            return Told((1,), ())
        raise AssertionError

    def interrupt_soon() -> None:
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()

    assert run_as(NOBODY, Told, work, {"begun": interrupt_soon}) == Told((1,), ())


def test_the_child_dies_with_its_parent() -> None:
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.close(reading)

        def work(ask: Ask) -> Told:
            os.write(writing, b"begun")
            time.sleep(60)
            raise AssertionError

        run_as(NOBODY, Told, work, {})
    os.close(writing)
    assert os.read(reading, 5) == b"begun"

    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)

    # The end of the pipe: nobody holds it open any more.
    assert os.read(reading, 5) == b""
    os.close(reading)


def test_only_a_place_of_another_user_needs_it(place: Path, tmp_path: Path) -> None:
    user = owner_to_become(str(place))

    assert owner_to_become(str(tmp_path)) is None
    assert user is not None
    assert (user.uid, user.gid, user.name) == (NOBODY.uid, NOBODY.gid, "nobody")


def test_a_user_without_a_name_is_become_by_number(place: Path) -> None:
    os.chown(place, 54321, 54322)
    user = owner_to_become(str(place))
    assert user is not None

    told = run_as(user, Told, lambda ask: Told(os.getresuid(), tuple(os.getgroups())), {})

    assert told == Told((54321,) * 3, (54322,))
    assert stat.S_IMODE(place.stat().st_mode) == 0o755


def test_a_note_about_a_backup_is_written_by_the_owner_of_the_directory(place: Path, tmp_path: Path) -> None:
    run, of_root = "20260101T000000Z-12345678", tmp_path / "of-root"
    of_root.mkdir()
    remember([str(place)], str(tmp_path), run)

    assert {path.lstat().st_uid for path in place.rglob("*")} == {NOBODY.uid}
    shutil.rmtree(place / STATE)
    (place / STATE).symlink_to(of_root)
    with pytest.raises(OSError, match=STATE):
        remember([str(place)], str(tmp_path), run)
    assert list(of_root.iterdir()) == []
