"""Leftovers of all clients, found by the names that their sources give them; what only looks like one stays.

Which source makes which name is said where it is recognised: `clients.lock_files`, `leftover_names` and
`conda_clean`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from machine import Machine, listing
from tiny import Tiny, tiny_on, write_archive

from conda_prune_plugin.execution.files.dir_fd import Directory
from conda_prune_plugin.execution.locks.client_locks import EntryLockedError, entry_locks

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.posix

_HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[2], os.O_RDWR)
if sys.argv[1] == "mamba":
    # libmamba/src/core/util.cpp: MAMBA_LOCK_POS.
    fcntl.lockf(fd, fcntl.LOCK_EX, 1, 21, os.SEEK_SET)
else:
    fcntl.flock(fd, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(kind: str, path: Path) -> Iterator[int]:
    """Have another process hold a lock, and give its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, kind, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    try:
        yield process.pid
    finally:
        process.communicate()


@pytest.fixture(scope="module")
def dead() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def tiny(empty: Machine) -> Tiny:
    tiny = tiny_on(empty)
    # Otherwise it is no cache.
    (tiny.cache / "urls.txt").touch()
    tiny.add("used-1-0")
    tiny.use("e", "used-1-0")
    return tiny


def _litter(cache: Path, dead: int) -> dict[str, str]:
    """Make what clients leave in a cache; return its names, and the kind of leftover that each is."""
    for name in (
        *("a-1-0.conda.lock", "a-1-0.tar.bz2.lock", "mamba.lock", "gone-1-0.lock"),
        *(f"cache.pid{dead}.conda_lock", f"a-1-0.tar.bz2.pid{dead}.conda_lock", f"a-1-0.pid{dead}.conda_lock"),
        *("a-1-0.tar.bz2.tmp", "a-1-0.mamba_trash", "a-1-0.tar.bz2.conda_trash_1"),
    ):
        (cache / name).touch()
    (cache / f".conda_lock-{dead}").mkdir()
    (cache / "a-1-0.tmp" / "lib").mkdir(parents=True)
    (cache / ".cph_tmpabcd_f12").mkdir()
    (cache / ".cph_tmpabcd_f12" / "pkg-a-1-0.tar.zst").write_bytes(b"x" * 5000)
    (cache / "tmpab0d_fgh").mkdir()
    write_archive(cache / "tmpab0d_fgh" / "a-1-0.conda", 5000)
    (cache / "tmpAb0dEf").mkdir()
    (cache / "tmp12345678" / "info").mkdir(parents=True)
    (cache / "tmp12345678" / "info" / "index.json").write_text('{"name": "a", "version": "1", "build": "0"}')
    (cache / "ephemeralabcdefgh" / "a-1-0").mkdir(parents=True)
    (cache / "ephemeralabcdefgh" / "urls.txt").touch()
    scratch = (".cph_tmpabcd_f12", "tmpab0d_fgh", "tmpAb0dEf", "tmp12345678", "ephemeralabcdefgh", "a-1-0.tmp")
    kinds = dict.fromkeys(scratch, "incomplete-extraction") | {"a-1-0.tar.bz2.tmp": "partial-download"}
    names = {path.name for path in cache.iterdir()} - {"urls.txt", "used-1-0"}
    return {name: kinds.get(name, "trash") for name in names}


def _removed(machine: Machine, *options: str, min_age: str = "0") -> dict[str, str]:
    document = machine.prune("--dry-run", "--json", *options, min_age=min_age).json
    return {one["dist"]: one["reasons"][0]["kind"] for one in document["remove"]}


@pytest.mark.parametrize("target", ["--leftovers", "--all"])
def test_what_clients_leave_in_a_cache_goes_unless_it_is_young(
    empty: Machine, tiny: Tiny, dead: int, target: str
) -> None:
    before = set(os.listdir(tiny.cache))
    litter = _litter(tiny.cache, dead)

    assert _removed(empty, target) == litter
    assert _removed(empty, target, min_age="10m") == {}
    document = empty.prune(target, "--yes", "--json").json

    assert {outcome["result"] for outcome in document["outcomes"]} == {"removed"}
    assert set(os.listdir(tiny.cache)) - {".conda-prune"} == before
    assert (tiny.cache / "used-1-0" / "lib" / "one").exists()


def test_what_was_moved_out_comes_back(empty: Machine, tiny: Tiny, dead: int) -> None:
    litter = _litter(tiny.cache, dead)
    before = {path: known[2:4] for path, known in listing(tiny.cache).items()}

    run = empty.prune("--leftovers", "--backup", "--yes", "--json").json["run"]
    assert not litter.keys() & set(os.listdir(tiny.cache))
    assert empty.run("prune", "restore", run, "--yes").code == 0

    after = {path: known[2:4] for path, known in listing(tiny.cache).items() if ".conda-prune" not in path}
    assert after.keys() == before.keys()


def test_a_lock_that_a_living_process_holds_stays_and_is_in_use(empty: Machine, tiny: Tiny) -> None:
    locks = {"a-1-0.conda.lock": "mamba", "mamba.lock": "mamba", "gone-1-0.lock": "rattler"}
    for name in locks:
        (tiny.cache / name).touch()
    ours = tiny.cache / f"a-1-0.tar.bz2.pid{os.getpid()}.conda_lock"
    ours.touch()
    old = tiny.cache / f".conda_lock-{os.getpid()}"
    old.mkdir()
    before = listing(tiny.cache)

    with (
        held("mamba", tiny.cache / "a-1-0.conda.lock") as first,
        held("mamba", tiny.cache / "mamba.lock"),
        held("rattler", tiny.cache / "gone-1-0.lock"),
    ):
        document = empty.prune("--leftovers", "--dry-run", "--json").json
        assert listing(tiny.cache) == before
        assert empty.prune("--leftovers", "--yes", "--ignore-running").code == 0
        assert all((tiny.cache / name).exists() for name in locks)

    kept = {one["dist"]: one for one in document["keep"] if one["verdict"] == "leftover"}
    assert document["remove"] == []
    assert kept.keys() == {*locks, ours.name, old.name}
    assert {one["reasons"][0]["kind"] for one in kept.values()} == {"locked"}
    if sys.platform == "linux":
        assert str(first) in kept["a-1-0.conda.lock"]["reasons"][0]["detail"]
    # Those of the processes that have ended go; this one goes on.
    assert _removed(empty, "--leftovers").keys() == locks.keys()


def test_looking_takes_a_lock_away_from_nobody(empty: Machine, tiny: Tiny) -> None:
    lock = tiny.cache / "a-1-0.conda.lock"
    lock.touch()
    with held("mamba", lock):
        for _ in range(2):
            document = empty.prune("--leftovers", "--dry-run", "--json").json
            assert document["remove"] == []


@pytest.mark.parametrize("kind", ["mamba", "rattler"])
def test_what_is_locked_after_it_was_planned_is_not_moved(tmp_path: Path, kind: str) -> None:
    lock = tmp_path / "a-1-0.conda.lock"
    lock.touch()
    with Directory.open(str(tmp_path)) as directory, held(kind, lock):
        for name in ("a-1-0.conda", "a-1-0.conda.lock"):
            with pytest.raises(EntryLockedError), entry_locks(directory, [name]):
                pass
    with Directory.open(str(tmp_path)) as directory, entry_locks(directory, ["a-1-0.conda.lock"]):
        pass


def test_what_only_has_such_a_name_stays(empty: Machine, tiny: Tiny, dead: int) -> None:
    cache = tiny.cache
    # Packages, by their own metadata or conda's record; one of them is in use, and is called as pip calls a directory.
    for dist in ("x-1-0.tmp", "x-1-1.tmp"):
        tiny.add(dist)
    (cache / "x-1-0.tmp" / "info" / "repodata_record.json").unlink()
    tiny.use("f", "x-1-0.tmp")
    tiny.use("g", "x-1-1.tmp")
    tiny.add("y-1-0")
    (cache / "y-1-0").rename(cache / "tmpabcdefgh")
    # Files and directories of the user.
    for name in ("project.lock", "conda.lock", "notes.tmp", "x.pid5.lock", "tmpabcdefg1"):
        (cache / name).touch()
    (cache / "large-1-0.conda.lock").write_bytes(b"version: 1\n" * 10)
    (cache / "tmpmy_files").mkdir()
    (cache / "tmpmy_files" / "thesis.tex").touch()
    (cache / f".conda_lock-{dead}").mkdir()
    (cache / f".conda_lock-{dead}" / "file").touch()
    (cache / "a-1-0.conda.lock").symlink_to("project.lock")
    (cache / "b-1-0.tmp").symlink_to("used-1-0")
    before = set(os.listdir(cache))

    document = empty.prune("--leftovers", "--yes", "--json").json

    assert document["remove"] == []
    assert set(os.listdir(cache)) - {".conda-prune"} == before


def _trash(prefix: Path, dead: int) -> set[Path]:
    """Make what clients leave in an environment; return the paths."""
    (prefix / "lib").mkdir(exist_ok=True)
    paths = {
        *(prefix / "lib" / name for name in ("a.so.c~", "b.trash", "c.conda_trash", "d.conda_trash_1")),
        *(prefix / "lib" / name for name in ("e.so.mamba_trash", "f.so0.mamba_trash")),
        *(prefix / name for name in (".tmp.index.json", ".tmp.index.json.0a1b2c3d", ".tmp-python-3.5.1-0")),
        *(prefix / f"{prefix.name}.pid{dead}.conda_lock", prefix / f"x-1-0.pid{dead}.conda_lock"),
        *(prefix / "conda-meta" / name for name in ("conda-meta.lock", "mamba.lock", "mamba_trash.txt")),
    }
    for path in paths:
        path.touch()
    (prefix / "conda-meta" / "mamba_trash.txt").write_text("lib/e.so.mamba_trash\nlib/f.so0.mamba_trash\nlib/gone\n")
    (prefix / f".conda_lock-{dead}").mkdir()
    return {*paths, prefix / f".conda_lock-{dead}"}


def _index_litter(cache: Path, dead: int) -> set[Path]:
    (cache / "cache").mkdir()
    names = ("497deca9.a0b1.tmp", "mambafAbCdEfGhI0", "mambashard0123456789", "cache.lock", "497deca9.json.lock")
    paths = {cache / "cache" / name for name in (*names, f"cache.pid{dead}.conda_lock", "x.db.conda_trash")}
    for path in paths:
        path.touch()
    (cache / "cache" / "497deca9.json").write_text("{}")
    return paths


@pytest.mark.parametrize("target", ["--leftovers", "--tempfiles", "--all"])
def test_what_clients_leave_in_environments_and_index_caches_goes_unless_it_is_young(
    empty: Machine, tiny: Tiny, dead: int, target: str
) -> None:
    prefix = tiny.envs / "e"
    before = listing(prefix)
    left = _trash(prefix, dead) | _index_litter(tiny.cache, dead)

    young = empty.prune(target, "--dry-run", "--json", min_age="10m").json
    document = empty.prune(target, "--yes", "--json").json

    assert young["other"]["tempfiles"] == []
    assert "recent-tempfiles" in {warning["kind"] for warning in young["warnings"]}
    assert not [path for path in left if path.exists()]
    assert {outcome["result"] for outcome in document["outcomes"]} == {"removed"}
    assert listing(prefix).keys() == before.keys()
    # Only --all takes the indexes themselves.
    assert (tiny.cache / "cache" / "497deca9.json").exists() is (target != "--all")


def test_the_default_and_a_choice_of_packages_look_into_no_environment(empty: Machine, tiny: Tiny, dead: int) -> None:
    left = _trash(tiny.envs / "e", dead)

    assert empty.prune("--yes").code == 0
    assert empty.prune("--leftovers", "--only", "used", "--yes").code == 0

    assert all(path.exists() for path in left)


def test_what_a_package_has_brought_into_an_environment_stays(empty: Machine, tiny: Tiny, dead: int) -> None:
    prefix = tiny.envs / "e"
    left = _trash(prefix, dead)
    names = {path.relative_to(prefix).as_posix() for path in left if path.is_file()} - {"conda-meta/mamba_trash.txt"}
    record = {"name": "owner", "version": "1", "build": "0", "files": sorted(names), "fill": "x" * 300}
    (prefix / "conda-meta" / "owner-1-0.json").write_text(json.dumps(record))
    site = prefix / "lib" / "python3.12" / "site-packages"
    (site / "pip_owner-1.dist-info").mkdir(parents=True)
    (site / "pip_owner-1.dist-info" / "RECORD").write_text("own.mamba_trash,,\n../../../bin/own.conda_trash,,\n")
    (prefix / "bin").mkdir(exist_ok=True)
    for path in (site / "own.mamba_trash", prefix / "bin" / "own.conda_trash"):
        path.touch()
    (prefix / "lib" / "free.conda_trash").touch()

    document = empty.prune("--leftovers", "--dry-run", "--json").json

    assert {item["path"] for item in document["other"]["tempfiles"]} == {
        str(prefix / "lib" / "free.conda_trash"),
        str(prefix / f".conda_lock-{dead}"),
    }


def test_where_a_record_can_t_be_read_temporary_files_stay(empty: Machine, tiny: Tiny, dead: int) -> None:
    prefix = tiny.envs / "e"
    left = _trash(prefix, dead)
    (prefix / "conda-meta" / "broken-1-0.json").write_text("{")

    document = empty.prune("--tempfiles", "--yes", "--json").json

    assert all(path.exists() for path in left)
    assert str(prefix) in {warning["path"] for warning in document["warnings"]}


def test_mamba_s_list_stays_as_long_as_its_trash(empty: Machine, tiny: Tiny, dead: int) -> None:
    prefix = tiny.envs / "e"
    trash = prefix / "lib" / "e.so.mamba_trash"
    _trash(prefix, dead)
    for path in (trash, prefix / "lib" / "f.so0.mamba_trash"):
        path.unlink()
    trash.mkdir()

    assert empty.prune("--tempfiles", "--yes").code == 0

    assert trash.is_dir()
    assert (prefix / "conda-meta" / "mamba_trash.txt").exists()
    assert not (prefix / "lib" / "c.conda_trash").exists()


def test_a_lock_of_an_environment_that_is_held_stays_and_is_told(empty: Machine, tiny: Tiny) -> None:
    lock = tiny.envs / "e" / "conda-meta" / "conda-meta.lock"
    lock.touch()
    (tiny.cache / "cache").mkdir()
    index = tiny.cache / "cache" / "1.json.lock"
    index.touch()
    ours = tiny.envs / "e" / f"e.pid{os.getpid()}.conda_lock"
    ours.touch()

    with held("mamba", lock), held("mamba", index):
        document = empty.prune("--tempfiles", "--yes", "--json", "--ignore-running").json
        assert lock.exists()
        assert index.exists()
    assert [warning["kind"] for warning in document["warnings"]].count("locked") == 1
    again = empty.prune("--tempfiles", "--yes", "--json", "--ignore-running").json

    assert {os.path.basename(item["path"]) for item in again["outcomes"]} == {"conda-meta.lock", "1.json.lock"}
    assert ours.exists()
