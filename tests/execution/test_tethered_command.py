"""What is run on a tether ends with its caller, and holds the caller's lock until then."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import NoReturn

import pytest

from conda_prune_plugin.execution.locks.tethered_command import run_tethered

pytestmark = [
    pytest.mark.posix,
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

#: Says which processes there are: itself, one that it has started, and that between it and the caller.
_SLEEPER = "sleep 60 & echo $$ $! $PPID > pids.new; mv pids.new pids; wait"

#: The same, but it answers an interruption.
_CLEARING = (
    "trap 'sleep 0.2; echo > cleared; exit 3' INT; echo $$ > pids.new; mv pids.new pids; while :; do sleep 0.1; done"
)


def _nothing() -> None:
    pass


def _run(script: str, lock: int | None = None) -> tuple[int, bytes]:
    return run_tethered(["/bin/sh", "-c", script], os.environ, lock, _nothing)


def _pids(directory: Path) -> list[int]:
    while not (directory / "pids").exists():
        time.sleep(0.01)
    return [int(pid) for pid in (directory / "pids").read_text().split()]


def _runs(pid: int) -> bool:
    """Return whether a process runs; one that has ended may wait to be asked for its code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _forked(directory: Path, script: str, lock: int | None = None) -> int:
    """Run a script on a tether in a child process, which ends with its code, or with 99 if it is interrupted."""

    def work() -> NoReturn:
        code = 98
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.chdir(directory)
            code = _run(script, lock)[0]
        except KeyboardInterrupt:
            code = 99
        finally:
            os._exit(code)

    pid = os.fork()
    if pid == 0:
        work()
    return pid


def test_code_and_output_come_back() -> None:
    assert _run("echo out; echo err >&2; exit 3") == (3, b"out\nerr\n")
    assert _run("kill -KILL $$") == (128 + signal.SIGKILL, b"")
    code, output = run_tethered(["/nonexistent/command"], os.environ, None, _nothing)
    assert code != 0
    assert b"/nonexistent/command" in output


def test_signs_of_life_come_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conda_prune_plugin.execution.locks.tethered_command.BEAT", 0.01)
    beats: list[bool] = []

    assert run_tethered(["/bin/sh", "-c", "sleep 0.2"], os.environ, None, lambda: beats.append(True)) == (0, b"")

    assert beats


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_gets_the_lock_after_the_caller_was_killed_finds_nothing_running(
    tmp_path: Path, number: signal.Signals
) -> None:
    import fcntl

    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    caller = _forked(tmp_path, _SLEEPER, lock)
    os.close(lock)
    pids = _pids(tmp_path)
    assert all(map(_runs, pids))

    os.kill(caller, number)
    other = os.open(tmp_path / "lock", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_EX)

    assert not _runs(pids[0])
    os.close(other)
    assert os.waitstatus_to_exitcode(os.waitpid(caller, 0)[1]) == -number
    while any(map(_runs, pids)):
        time.sleep(0.01)


@pytest.mark.linux  # Only Linux tells a child of its parent's death.
def test_it_dies_with_the_process_between_as_well(tmp_path: Path) -> None:
    caller = _forked(tmp_path, _SLEEPER)
    command, _, between = _pids(tmp_path)

    os.kill(between, signal.SIGKILL)

    while _runs(command):
        time.sleep(0.01)
    os.kill(caller, signal.SIGKILL)
    os.waitpid(caller, 0)


def test_ctrl_c_lets_it_clear_up(tmp_path: Path) -> None:
    caller = _forked(tmp_path, _CLEARING)
    _pids(tmp_path)

    os.kill(caller, signal.SIGINT)

    assert os.waitstatus_to_exitcode(os.waitpid(caller, 0)[1]) == 99
    assert (tmp_path / "cleared").exists()


def test_ctrl_c_ends_also_what_does_not_care_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conda_prune_plugin.execution.locks.tethered_command._GRACE", 0.1)
    caller = _forked(tmp_path, f"trap '' INT; {_SLEEPER}")
    pids = _pids(tmp_path)

    os.kill(caller, signal.SIGINT)

    assert os.waitstatus_to_exitcode(os.waitpid(caller, 0)[1]) == 99
    while any(map(_runs, pids)):
        time.sleep(0.01)
