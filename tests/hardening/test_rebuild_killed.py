"""A rebuild that is killed leaves no process, and nothing that the next run does not clear up and make whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash import injections, run_traced
from machine import PACKAGES, Answer, Machine, copy_tree
from syscalls import CHANGING

from conda_prune_plugin.demo.demo_packages import File, Package, build_channel

if TYPE_CHECKING:
    from collections.abc import Iterator

# Windows has no signals.
pytestmark = pytest.mark.posix

NOBODY = 65534

#: Waits beside the directory of environments if it finds a file there, and says which processes do.
_SCRIPT = b"""\
#!/bin/bash
touch "$PREFIX/by-script"
cd "$PREFIX/../.."
if [ -e wait ]; then echo $$ $PPID > pids; mv pids waiting; sleep 60; fi
"""

SLOW = Package("slow", "1.0", files={"bin/.slow-post-link.sh": File(_SCRIPT), "lib/one": File(b"1" * 5000)}, build="0")

RESTORE = ("prune", "restore", "last")

#: Nothing is as old as that.
PURGE = ("prune", "purge", "--older-than", "100d", "--yes")


def _removed(machine: Machine) -> None:
    """Make an environment ``e`` with a package that may wait when it is linked, and remove it."""
    build_channel(machine.directory / "channel", (SLOW, *PACKAGES))
    machine.install("create", "-n", "e", "slow", "libalpha=1.0", "pynoarch=1.0")
    assert machine.run("prune", "envs", "e", "--remove", "--force", "--yes").code == 0
    assert not (machine.envs / "e").exists()


@pytest.fixture
def removed(empty: Machine) -> Machine:
    _removed(empty)
    return empty


def _by_name(machine: Machine) -> tuple[str, ...]:
    """Return the command that restores the run even if all of it is back, where ``last`` looks for an earlier one."""
    (receipt,) = machine.envs.glob(".conda-prune/*/receipt.json")
    return ("prune", "restore", receipt.parent.name)


def _killed(machine: Machine, number: signal.Signals) -> None:
    """Kill a restore by a signal while conda runs the package's script, and require that nothing runs on."""
    (machine.directory / "wait").touch()
    waiting = machine.directory / "waiting"
    command = [sys.executable, "-m", "conda_prune_plugin.embedded", *RESTORE]
    with subprocess.Popen(
        command,
        env=machine.environ(),
        cwd=machine.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not waiting.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        process.wait()
    assert process.returncode == -number
    for pid in map(int, waiting.read_text().split()):
        _require_ended(pid)
    waiting.unlink()
    (machine.directory / "wait").unlink()
    assert (machine.envs / "e").exists()


def _require_ended(pid: int) -> None:
    """Wait for the end of a process; whoever has become its parent may not have asked for its code yet."""
    with suppress(FileNotFoundError, ProcessLookupError):
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
            time.sleep(0.05)


def _require_whole(machine: Machine, answer: Answer) -> None:
    assert answer.code == 0, answer.out + answer.err
    prefix = machine.envs / "e"
    records = {path.name for path in (prefix / "conda-meta").glob("*.json")}
    assert {"slow-1.0-0.json", "libalpha-1.0-0.json", "pynoarch-1.0-0.json"} <= records
    for name in ("lib/one", "by-script", "lib/libalpha/part0.so"):
        assert (prefix / name).is_file()
    _require_no_trace(machine)


def _require_no_trace(machine: Machine) -> None:
    assert list(machine.envs.rglob(".conda-prune-unfinished")) == []
    (folder,) = [path for path in machine.envs.glob(".conda-prune/*") if path.is_dir()]
    assert {path.name for path in folder.iterdir()} == {"receipt.json", "environment-exports"}
    assert not (machine.envs / ".conda-prune" / "lock").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_what_conda_runs_dies_with_a_restore_and_the_next_one_makes_it_whole(
    removed: Machine, number: signal.Signals
) -> None:
    _killed(removed, number)
    assert list(removed.envs.rglob(".conda-prune-unfinished")) != []

    _require_whole(removed, removed.run(*RESTORE))


@pytest.mark.parametrize("command", [PURGE, ("prune", "--yes"), ("prune", "envs", "other", "--remove", "--yes")])
def test_every_run_that_writes_there_clears_what_a_killed_restore_has_left(
    removed: Machine, command: tuple[str, ...]
) -> None:
    removed.install("create", "-n", "other", "libalpha=1.0")
    _killed(removed, signal.SIGKILL)

    answer = removed.run(*command, "--json")

    assert answer.code == 0, answer.out
    assert not (removed.envs / "e").exists()
    assert [warning["kind"] for warning in answer.json["warnings"]].count("cut-off-run") == 1


def test_a_dry_run_leaves_it_alone_and_says_that_it_is_there(removed: Machine) -> None:
    _killed(removed, signal.SIGKILL)
    before = sorted(removed.envs.rglob("*"))

    answer = removed.run(*RESTORE, "--dry-run", "--json")

    assert [warning["kind"] for warning in answer.json["warnings"]] == ["cut-off-run"]
    assert sorted(removed.envs.rglob("*")) == before


def test_what_the_user_has_put_into_it_since_stays_and_is_named(removed: Machine) -> None:
    prefix = removed.envs / "e"
    _killed(removed, signal.SIGKILL)
    (prefix / "lib" / "mine.txt").write_text("mine")
    # As if that was long after it.
    (note,) = removed.envs.glob(".conda-prune/*/rebuilding.json")
    os.utime(note, (note.stat().st_mtime - 3600,) * 2)
    before = sorted(prefix.rglob("*"))

    purged = removed.run(*PURGE, "--json")
    restored = removed.run(*RESTORE, "--json")

    assert purged.code == 0, purged.out
    assert any("lib/mine.txt" in warning["message"] for warning in purged.json["warnings"])
    assert (restored.code, [item["result"] for item in restored.json["outcomes"]]) == (1, ["failed"])
    assert "lib/mine.txt" in restored.json["outcomes"][0]["error"]
    assert sorted(prefix.rglob("*")) == before
    shutil.rmtree(prefix)
    _require_whole(removed, removed.run(*RESTORE))


def test_another_environment_of_that_name_is_not_touched(removed: Machine) -> None:
    _killed(removed, signal.SIGKILL)
    shutil.rmtree(removed.envs / "e")
    removed.install("create", "-n", "e", "libalpha=2.0")
    before = sorted((removed.envs / "e").rglob("*"))

    answer = removed.run(*RESTORE, "--json")

    (outcome,) = answer.json["outcomes"]
    assert (answer.code, outcome["result"]) == (1, "failed")
    assert all(name in outcome["error"] for name in ("slow-1.0-0", "libalpha-1.0-0", "pynoarch-1.0-0"))
    assert sorted((removed.envs / "e").rglob("*")) == before
    _require_no_trace(removed)


def test_a_part_of_an_environment_without_a_mark_is_no_restored_one(removed: Machine) -> None:
    again = _by_name(removed)
    assert removed.run(*RESTORE).code == 0
    assert removed.run(*again).code == 0
    next((removed.envs / "e" / "conda-meta").glob("libalpha-*.json")).unlink()

    answer = removed.run(*again, "--json")

    assert (answer.code, [item["result"] for item in answer.json["outcomes"]]) == (1, ["failed"])
    assert "libalpha-1.0-0" in answer.json["outcomes"][0]["error"]
    shutil.rmtree(removed.envs / "e" / "conda-meta")
    assert removed.run(*again).code == 1


@pytest.fixture
def theirs() -> Iterator[Machine]:
    """The same, belonging to another user, where that one may go."""
    try:
        subprocess.run([sys.executable, "-c", ""], user=NOBODY, group=NOBODY, check=True)
    except PermissionError:
        pytest.skip("another user can't run this Python")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        machine = Machine(Path(directory) / "it")
        machine.create()
        _removed(machine)
        for path in (machine.directory, *machine.directory.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        yield machine


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_so_it_is_where_root_restores_for_another_user(theirs: Machine, number: signal.Signals) -> None:
    _killed(theirs, number)

    _require_whole(theirs, theirs.run(*RESTORE))

    assert {path.lstat().st_uid for path in (theirs.envs, *theirs.envs.rglob("*"))} == {NOBODY}


#: What `Directory` calls, and conda rarely.
_OURS = ("mkdirat", "renameat", "unlinkat", "fsync", "sync", "utimensat")


@pytest.mark.debian
@pytest.mark.slow
def test_killed_at_any_change_the_next_restore_makes_it_whole(removed: Machine) -> None:
    """Each change of the restore itself, and every tenth of the conda that it runs, which is killed with it."""
    copy = removed.directory.parent / "copy"
    copy_tree(removed.directory, copy)
    end = run_traced(removed, RESTORE)
    assert end.code == 0, end.output
    others = list(injections(end.calls, "signal=KILL", [name for name in CHANGING if name not in _OURS]))
    killed = 0
    for injection in (*injections(end.calls, "signal=KILL", _OURS), *others[::10]):
        shutil.rmtree(removed.directory)
        copy_tree(copy, removed.directory)
        killed += run_traced(removed, RESTORE, injection).code == -signal.SIGKILL
        # The kill may have come after all was done.
        _require_whole(removed, removed.run(*_by_name(removed)))
    assert killed > 10
