"""An environment that is made again is there whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from machine import Machine

from conda_prune_plugin.demo.demo_packages import File, Package, build_channel

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534

#: Fails, or waits, if there is a file of that name in the home directory.
_SCRIPT = b"""\
#!/bin/bash
touch "$PREFIX/by-script"
if [ -e ~/wait ]; then touch ~/waiting; sleep 60; fi
[ ! -e ~/fail ]
"""


@pytest.fixture
def moody(empty: Machine) -> Machine:
    """A machine where the environment ``e`` was removed whose package may refuse to be linked."""
    package = Package(
        "moody", "1.0", files={"bin/.moody-post-link.sh": File(_SCRIPT), "lib/one": File(b"1" * 5000)}, build="0"
    )
    build_channel(empty.directory / "channel", (package,))
    empty.install("create", "-n", "e", "moody")
    (empty.envs / "e" / "conda-meta" / "frozen").write_text('{"message": "mine"}')
    assert empty.run("prune", "envs", "e", "--remove", "--force", "--yes").code == 0
    assert not (empty.envs / "e").exists()
    return empty


def _require_nothing_left(machine: Machine) -> None:
    assert not (machine.envs / "e").exists()
    assert str(machine.envs / "e") not in machine.registry.read_text().splitlines()
    assert [path.name for path in machine.envs.glob(".conda-prune/*/*.deleting")] == []


def test_what_conda_can_not_make_leaves_nothing_behind_and_can_be_tried_again(moody: Machine) -> None:
    (moody.home / "fail").touch()

    failed = moody.run("prune", "restore", "last", "--json")

    assert (failed.code, failed.json["success"]) == (1, False)
    assert [outcome["result"] for outcome in failed.json["outcomes"]] == ["failed"]
    _require_nothing_left(moody)
    (moody.home / "fail").unlink()
    # What a kill right after the place was taken leaves.
    (moody.envs / "e").mkdir()
    assert moody.run("prune", "restore", "last").code == 0
    assert (moody.envs / "e" / "lib" / "one").is_file()
    assert (moody.envs / "e" / "conda-meta" / "frozen").read_text() == '{"message": "mine"}'


def test_what_a_rebuild_does_not_bring_back_is_told_and_not_counted(moody: Machine) -> None:
    assert moody.run("prune", "restore", "last").code == 0
    files = sum(path.is_file() for path in (moody.envs / "e").rglob("*"))
    (moody.envs / "e" / "results").mkdir()
    for name in ("one.csv", "two.csv"):
        (moody.envs / "e" / "results" / name).write_text("1,2")
    assert moody.run("prune", "envs", "e", "--remove", "--force", "--yes").code == 0

    restored = moody.run("prune", "restore", "last")

    # The package's own script makes one file of no package.
    assert re.search(rf"Restored 1 environment from run \S+: {files - 1} files\.", restored.out)
    assert "e: it had 3 files of no package, which were not exported." in restored.err


def test_the_last_run_is_the_newest_that_was_not_rebuilt_yet(moody: Machine) -> None:
    moody.install("create", "-n", "f", "moody")
    assert moody.run("prune", "envs", "f", "--remove", "--force", "--yes").code == 0

    restored = [moody.run("prune", "restore", "last", "--json") for _ in range(3)]

    assert [answer.code for answer in restored] == [0, 0, 1]
    assert [[outcome["dist"] for outcome in answer.json["outcomes"]] for answer in restored[:2]] == [["f"], ["e"]]
    assert restored[2].json["exception_name"] == "NoSuchRunError"
    runs = [answer.json["runs"][0]["run"] for answer in restored[:2]]
    assert not any(run in moody.run("prune", "restore").out for run in runs)
    # What a later run removed again is that run's.
    again = moody.run("prune", "envs", "f", "--remove", "--force", "--yes", "--json").json["run"]
    assert [line.split()[0] for line in moody.run("prune", "restore").out.splitlines() if line[0] == "2"] == [again]
    assert moody.run("prune", "restore", "last", "--json").json["runs"][0]["run"] == again
    assert moody.run("prune", "restore", "last", "--json").json["exception_name"] == "NoSuchRunError"
    # It can be rebuilt again if it was deleted by other means.
    shutil.rmtree(moody.envs / "e")
    assert moody.run("prune", "restore", "last", "--json").json["runs"][0]["run"] == runs[1]
    assert (moody.envs / "e" / "lib" / "one").is_file()


def test_an_environment_that_was_rebuilt_by_other_means_leaves_the_list_of_runs(moody: Machine) -> None:
    moody.install("create", "-n", "e", "moody")

    first, second = (moody.run("prune", "restore", "last", "--json") for _ in range(2))

    assert [outcome["result"] for outcome in first.json["outcomes"]] == ["skipped"]
    assert second.json["exception_name"] == "NoSuchRunError"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_what_root_can_not_make_as_the_owner_of_its_place_is_not_made_by_root(moody: Machine) -> None:
    """The owner can't get there: a directory above is root's own. A script of the package would run as root."""
    for path in (moody.envs, *moody.envs.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    moody.directory.chmod(0o700)
    before = sorted(moody.envs.rglob("*"))

    failed = moody.run("prune", "restore", "last")

    assert failed.code == 1
    assert "Permission denied" in failed.err
    assert sorted(moody.envs.rglob("*")) == before


@pytest.mark.posix  # There a terminal interrupts a group of processes.
def test_what_is_interrupted_leaves_nothing_behind(moody: Machine) -> None:
    waiting = moody.home / "waiting"
    (moody.home / "wait").touch()
    command = [sys.executable, "-m", "conda_prune_plugin.embedded", "prune", "restore", "last"]
    with subprocess.Popen(
        command,
        env=moody.environ(),
        cwd=moody.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    ) as process:
        _wait_for(waiting)
        _interrupt(process)
        output = process.communicate()[0]

    assert process.returncode == 130
    assert "interrupted" in output
    _require_nothing_left(moody)
    (moody.home / "wait").unlink()
    assert moody.run("prune", "restore", "last").code == 0


def _wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.1)


def _interrupt(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


@pytest.mark.slow
def test_an_environment_and_the_packages_only_it_used_come_back_in_two_steps_that_are_named(machine: Machine) -> None:
    removed = machine.run("prune", "envs", "hard", "--remove", "--yes", "--json").json["run"]
    pruned = machine.prune("--yes", "--json", "--ignore-unreadable").json["run"]

    first = machine.run("prune", "restore", "last").out.splitlines()
    second = machine.run("prune", "restore", "last").out.splitlines()

    assert pruned in first[0]
    assert first[-1].endswith(f"conda prune restore {removed}")
    assert "hard" in first[-2].split()
    assert (machine.envs / "hard" / "lib" / "libalpha").is_dir()
    assert len(second) == 1
    assert removed in second[0]
