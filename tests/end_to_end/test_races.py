"""Two at once: a real `conda create` beside a prune, in both orders, and our own commands beside each other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from machine import UNREFERENCED, Answer, Machine, contents
from paused import BEFORE_DELETING, BEFORE_LINKING, BEFORE_MOVING, BEFORE_PURGING, BEFORE_RESTORING, paused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

#: Unreferenced packages that conda can also find in the channel.
WANTED = ("libalpha=1.0", "innerlinks=2.0", "symlinks=2.0", "pynoarch=2.0")


#: On this machine an environment was deleted by hand, and not everything has a source.
PRUNE = ("prune", "--min-age", "0", "--yes", "--ignore-unreadable", "--include-irreplaceable")


def _prune(machine: Machine, *arguments: str, **environ: str) -> Answer:
    return machine.run(*(word for word in PRUNE if word != "--yes"), *arguments, **environ)


def _create(machine: Machine) -> tuple[str, ...]:
    return ("create", "-n", "new", *WANTED, "--yes", "--override-channels", "-c", machine.channel)


def _is_complete(machine: Machine, name: str) -> bool:
    """Return whether all files that the records of an environment list are there and can be read."""
    prefix = machine.envs / name
    records = [json.loads(path.read_text()) for path in (prefix / "conda-meta").glob("*.json")]
    # The python of these tests compiles nothing.
    files = [prefix / file for record in records for file in record["files"] if not file.endswith(".pyc")]
    return len(records) >= len(WANTED) and all(file.exists() and os.access(file, os.R_OK) for file in files)


@pytest.mark.parametrize("link", ["hard", "soft", "copy"])
@pytest.mark.parametrize("how", ["--no-backup", "--backup"])
def test_a_prune_while_conda_is_about_to_link_is_refused_and_conda_succeeds(
    machine: Machine, link: str, how: str
) -> None:
    with paused(machine, BEFORE_LINKING, *_create(machine), **_linking(link)) as conda:
        dry = _prune(machine, "--dry-run", "--json")
        answer = _prune(machine, "--yes", how, "--json")
        code = conda.go_on()

    assert [warning["kind"] for warning in dry.json["warnings"]].count("running") == 1
    assert (answer.code, answer.json["exception_name"]) == (1, "RunningError")
    assert "conda create -n new" in answer.json["message"]
    assert code == 0, conda.output
    assert _is_complete(machine, "new")


@pytest.mark.parametrize("link", ["hard", "soft", "copy"])
def test_a_prune_that_ignores_a_conda_about_to_link_is_never_the_cause_of_a_silently_incomplete_environment(
    machine: Machine, link: str
) -> None:
    with paused(machine, BEFORE_LINKING, *_create(machine), **_linking(link)) as conda:
        answer = _prune(machine, "--yes", "--ignore-running", "--json")
        code = conda.go_on()

    assert answer.code == 0
    assert not machine.entry("libalpha-1.0-0").exists()
    # conda can't find what it wanted to link, says so, and takes back what it has done.
    assert code != 0
    assert not (machine.envs / "new" / "conda-meta" / "libalpha-1.0-0.json").exists()
    # And the next try fetches it again.
    machine.install("create", "-n", "again", *WANTED)
    assert _is_complete(machine, "again")


@pytest.mark.parametrize("link", ["hard", "soft", "copy"])
@pytest.mark.parametrize("moment", [BEFORE_MOVING, BEFORE_DELETING])
@pytest.mark.parametrize("how", ["--no-backup", "--backup"])
def test_a_conda_that_installs_while_a_prune_is_under_way_succeeds_and_keeps_what_it_has(
    machine: Machine, link: str, moment: str, how: str
) -> None:
    before = {path: contents(path) for path in machine.environments}
    with paused(machine, moment, *PRUNE, how, "--json") as prune:
        machine.install(*_create(machine)[:3], *WANTED, **_linking(link))
        code = prune.go_on()

    assert code == 0, prune.output
    assert _is_complete(machine, "new")
    assert {path: contents(path) for path in machine.environments} == before
    results = {outcome["dist"]: outcome["result"] for outcome in json.loads(prune.output)["outcomes"]}
    if moment == BEFORE_MOVING:
        # What conda has linked in the meantime stays; if conda has extracted it anew, that is not what was planned.
        assert results["libalpha-1.0-0"] == "skipped"
        assert machine.entry("libalpha-1.0-0").exists()


def _linking(kind: str) -> dict[str, str]:
    return {"hard": {}, "soft": {"CONDA_ALWAYS_SOFTLINK": "true"}, "copy": {"CONDA_ALWAYS_COPY": "true"}}[kind]


@pytest.mark.parametrize("second", [PRUNE, ("prune", "restore", "last")])
def test_our_own_commands_wait_for_each_other_with_a_message_and_a_limit(
    machine: Machine, second: tuple[str, ...]
) -> None:
    assert _prune(machine, "--backup", "--yes", "--tarballs").code == 0
    with paused(machine, BEFORE_MOVING, *PRUNE) as first:
        answer = machine.run(*second, "--lock-timeout", "1", "--json")
        assert (answer.code, answer.json["exception_name"]) == (1, "LockTimeoutError")
        words = machine.run(*second, "--lock-timeout", "1")
        assert "Waiting for another conda prune" in words.err
        code = first.go_on()

    assert code == 0, first.output
    assert not any(machine.entry(dist).exists() for dist in UNREFERENCED)
    assert machine.run(*second).code == 0


@pytest.mark.parametrize(
    ("moment", "first"),
    [
        (BEFORE_RESTORING, ("prune", "restore", "last")),
        (BEFORE_PURGING, ("prune", "purge", "--all", "--yes")),
    ],
)
@pytest.mark.parametrize("second", [PRUNE, ("prune", "restore", "last"), ("prune", "purge", "--all", "--yes")])
def test_restore_and_purge_beside_anything_lose_nothing_half_way(
    machine: Machine, moment: str, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    whole = {dist: contents(machine.entry(dist)) for dist in UNREFERENCED if machine.entry(dist).is_dir()}
    assert _prune(machine, "--backup", "--yes").code == 0
    with (
        paused(machine, moment, *first) as one,
        subprocess.Popen(
            [sys.executable, "-m", "conda_prune_plugin.embedded", *second],
            env=machine.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as other,
    ):
        time.sleep(1.0)
        assert one.go_on() == 0, one.output
        assert other.communicate(timeout=60)[0] is not None

    for dist, tree in whole.items():
        assert not machine.entry(dist).exists() or contents(machine.entry(dist)) == tree
    assert machine.run("prune", "purge", "--all", "--yes").code == 0
    assert not (machine.cache / ".conda-prune").exists()


def test_a_prune_that_was_interrupted_says_so_and_purges_no_older_run(machine: Machine) -> None:
    assert _prune(machine, "--backup", "--yes", "--tarballs").code == 0
    with paused(machine, BEFORE_DELETING, *PRUNE, "--json", CONDA_PLUGINS_PRUNE_PURGE_AFTER="0") as prune:
        assert prune.interrupt() == 130

    document = json.loads(prune.output)
    assert {outcome["result"] for outcome in document["outcomes"]} == {"skipped"}
    kinds = {warning["kind"] for warning in document["warnings"]}
    assert "interrupted" in kinds
    assert "purged" not in kinds
    assert len(machine.run("prune", "restore", "--json").json["runs"]) == 1


def test_a_restore_that_was_interrupted_says_so_and_the_next_one_brings_everything_back(machine: Machine) -> None:
    whole = {dist: contents(machine.entry(dist)) for dist in UNREFERENCED if machine.entry(dist).is_dir()}
    assert _prune(machine, "--backup", "--yes").code == 0
    with paused(machine, BEFORE_RESTORING, "prune", "restore", "last", "--json") as restore:
        assert restore.interrupt() == 130

    document = json.loads(restore.output)
    assert {outcome["result"] for outcome in document["outcomes"]} == {"skipped"}
    assert [warning["kind"] for warning in document["warnings"]] == ["interrupted"]
    assert machine.run("prune", "restore", "last").code == 0
    assert {dist: contents(machine.entry(dist)) for dist in whole} == whole


@contextmanager
def _held(path: Path, kind: str) -> Iterator[None]:
    """Hold a lock as mamba (``libmamba/src/core/util.cpp``) or rattler (``cache_lock.rs``) does."""
    import fcntl

    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if kind == "mamba":
            fcntl.lockf(fd, fcntl.LOCK_EX, 1, 21, os.SEEK_SET)
        else:
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("name", "kind", "holder"), [("pkgs.lock", "mamba", "mamba"), (".cache.lock", "rattler", "pixi")]
)
def test_the_locks_of_other_clients_are_waited_for(machine: Machine, name: str, kind: str, holder: str) -> None:
    lock = machine.cache / name
    lock.write_bytes(b"")
    with _held(lock, kind):
        answer = _prune(machine, "--yes", "--lock-timeout", "1")
    assert answer.code == 1
    assert f"Waiting for {holder}" in answer.err
    assert all(machine.entry(dist).exists() for dist in UNREFERENCED - {"onlyarchive-1.0-0"})

    assert _prune(machine, "--yes", "--json").code == 0
    # It was there before, so it is there after.
    assert lock.read_bytes() == b""


@pytest.mark.posix
def test_while_we_work_mamba_and_rattler_are_kept_out_and_no_lock_is_left_behind(machine: Machine) -> None:
    import fcntl

    rattler = machine.cache / ".cache.lock"
    rattler.touch()
    mamba = machine.cache / "pkgs.lock"
    with paused(machine, BEFORE_DELETING, *PRUNE) as prune:
        fds = [os.open(path, os.O_RDWR) for path in (mamba, rattler)]
        with pytest.raises(OSError, match="Resource temporarily unavailable"):
            fcntl.lockf(fds[0], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 21, os.SEEK_SET)
        with pytest.raises(BlockingIOError):
            fcntl.flock(fds[1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        for fd in fds:
            os.close(fd)
        assert prune.go_on() == 0, prune.output

    assert not mamba.exists()
    assert rattler.exists()


def test_rattler_itself_waits_for_the_lock_that_we_hold(machine: Machine, tmp_path: Path) -> None:
    pytest.importorskip("rattler", reason="py-rattler has no build for this Python")
    cache = tmp_path / "rattler"
    script = f"""
import asyncio, os, rattler
async def install():
    records = await rattler.solve([rattler.Channel({machine.channel!r})], ["libalpha=1.0"], platforms=["linux-64"])
    await rattler.install(records, {str(tmp_path / "env")!r}, cache_dir={str(cache)!r}, show_progress=False)
asyncio.run(install())
os._exit(0)  # Its threads don't always survive the end of the interpreter.
"""
    command = [sys.executable, "-c", script]
    subprocess.run(command, check=True, env=machine.environ(), capture_output=True)
    (entry,) = [path for path in cache.iterdir() if path.is_dir() and path.name.startswith("libalpha")]
    shutil.rmtree(tmp_path / "env")
    assert (cache / ".cache.lock").exists()

    # Without it nothing in a cache of rattler's may go.
    projects = tmp_path / "projects"
    projects.mkdir()
    arguments = (*PRUNE, "--pkgs-dir", str(cache), "--search", str(projects))
    with (
        paused(machine, BEFORE_MOVING, *arguments) as prune,
        subprocess.Popen(command, env=machine.environ(), stderr=subprocess.PIPE) as client,
    ):
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(3)
        assert prune.go_on() == 0, prune.output
        assert client.wait(60) == 0

    assert "1 package" in prune.output
    assert (tmp_path / "env" / "lib" / "libalpha" / "part0.so").exists()
    assert entry.exists()


def test_an_entry_whose_own_lock_is_held_is_skipped(machine: Machine) -> None:
    lock = machine.cache / "libalpha-1.0-0.lock"
    lock.write_bytes(b"metadata")
    with _held(lock, "rattler"):
        # An entry with such a lock was used by rattler, whose environments have to be looked for.
        answer = _prune(machine, "--yes", "--json", "--search", str(machine.envs))
    results = {outcome["dist"]: outcome["result"] for outcome in answer.json["outcomes"]}

    assert answer.code == 0
    assert results == dict.fromkeys(UNREFERENCED, "removed") | {"libalpha-1.0-0": "skipped"}
    assert machine.entry("libalpha-1.0-0").is_dir()
    assert lock.read_bytes() == b"metadata"
