"""Speed, in system calls: times are noisy, calls are exact.

strace(1) tells of every call that a command makes with a path in it.
"""

from __future__ import annotations

import functools
import gc
import os
import re
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tiny import Tiny

from conda_prune_plugin.cli.main import execute
from conda_prune_plugin.demo.demo_packages import File
from conda_prune_plugin.discovery.system.mounts import mount_of, mounts
from conda_prune_plugin.discovery.usage.survey import _TRUSTED
from conda_prune_plugin.execution.files.parallel_remove import FEW, delete_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


#: The call, the directory that its path is relative to, and the path.
_CALL = re.compile(r'^\d+ +(\w+)\((?:(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, )?"([^"]*)"')

_STATS = frozenset({"stat", "lstat", "newfstatat", "statx"})


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """Three packages that two environments have, and two that none has."""
    tiny = Tiny(tmp_path / "it")
    for dist in ("used-1-0", "shared-1-0", "copied-1-0", "lone-1-0", "idle-2-0"):
        name = dist.split("-")[0]
        tiny.add(dist, {f"lib/{name}/{name}.{number}": File(b"x" * 5000) for number in range(3)})
    for env in ("one", "two"):
        tiny.use(env, "used-1-0")
        tiny.use(env, "shared-1-0")
        tiny.use(env, "copied-1-0", link=False)
    return tiny


def _loaded(imports: str) -> set[str]:
    """Return the names of the modules that a process has once it has run a line of imports."""
    script = f"import sys\nfrom conda_prune_plugin.embedded import activate; activate()\n{imports}\nprint(*sys.modules)"
    # What measures coverage imports one of them itself.
    environ = {name: value for name, value in os.environ.items() if name != "COVERAGE_PROCESS_CONFIG"}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_dry_run_with_json_imports_neither_rich_nor_locks() -> None:
    loaded = _loaded("import conda_prune_plugin.cli.prune")
    # A conda that runs from a checkout has its version looked up by setuptools-scm, which imports rich.
    parts = [name for name in sorted(loaded) if name.startswith("conda.")]
    without_us = _loaded(f"import {', '.join(parts)}")

    assert not [name for name in without_us if name.startswith("conda_prune_plugin.operations")]
    assert (loaded - without_us) & {"rich", "html", "filelock", "psutil"} == set()


def test_a_program_that_calls_conda_gets_its_garbage_collector_back() -> None:
    before = gc.get_threshold()
    meanwhile: list[tuple[int, int, int]] = []

    def command(_: Namespace) -> int:
        meanwhile.append(gc.get_threshold())
        return 0

    assert execute(Namespace(prune_command=command)) == 0

    assert meanwhile[0] != before
    assert gc.get_threshold() == before


def _calls(tiny: Tiny, *arguments: str) -> dict[str, Counter[str]]:
    """Run ``conda prune`` and return, for each path below the directory of the caches, the calls that name it."""
    top = tiny.cache.parent
    trace = top.parent / "trace"
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(top / "home"),
        "CONDA_PKGS_DIRS": str(tiny.cache),
        "CONDA_ENVS_DIRS": str(tiny.envs),
    }
    command = [sys.executable, "-m", "conda_prune_plugin.embedded", "prune", *arguments, "--json"]
    tracing = ["strace", "--follow-forks", "--decode-fds=path", "--trace=%file", f"--output={trace}"]
    subprocess.run([*tracing, *command], env=environ, capture_output=True, check=True)
    found: dict[str, Counter[str]] = {}
    for line in trace.read_text().splitlines():
        # What has no path is about a descriptor that an earlier call has opened.
        if (match := _CALL.match(line)) and match[3]:
            call, directory, path = match.groups()
            whole = os.path.normpath(os.path.join(directory or "", path))
            if whole.startswith(f"{top}/"):
                kind = "stat" if call in _STATS else call
                found.setdefault(os.path.relpath(whole, top), Counter())[kind] += 1
    return found


@pytest.mark.debian
def test_a_scan_looks_at_nothing_of_what_is_in_use_but_records_and_a_few_listings(tiny: Tiny) -> None:
    """Of a record its name and length, and in each environment the directories where soft links would show."""
    calls = _calls(tiny, "--dry-run", "--min-age", "0", "--include-irreplaceable")

    assert not [path for path in calls if re.match(r"pkgs/(used|shared|copied)-1-0", path)]
    of_environments = {path: calls[path] for path in calls if re.match(r"envs/\w+/", path)}
    metas = {f"envs/{env}/conda-meta" for env in ("one", "two")}
    records = {f"{meta}/{dist}-1-0.json" for meta in metas for dist in ("used", "shared", "copied")}
    listed = {f"envs/{env}/{name}" for env in ("one", "two") for name in ("bin", "lib", "share", "include")}
    assert set(of_environments) <= metas | records | listed
    assert all(calls[path] == {"openat": 1} for path in listed)
    assert all(calls[record] == {"stat": 1} for record in records)


@pytest.mark.debian
def test_a_scan_asks_once_about_each_file_and_opens_once_the_metadata_of_what_may_go(tiny: Tiny) -> None:
    calls = _calls(tiny, "--dry-run", "--min-age", "0", "--include-irreplaceable")

    for tree in (tiny.cache / "lone-1-0", tiny.cache / "idle-2-0"):
        for path in tree.rglob("*"):
            opened = path.is_dir() or path.name in ("index.json", "paths.json", "repodata_record.json")
            expected = {"stat": 1, "openat": 1} if opened else {"stat": 1}
            assert calls[str(path.relative_to(tiny.cache.parent))] == expected, path


@pytest.mark.debian
def test_a_removal_asks_about_each_file_when_planning_and_again_when_moved_and_unlinks_it_once(tiny: Tiny) -> None:
    calls = _calls(tiny, "--yes", "--min-age", "0", "--include-irreplaceable")

    assert not list(tiny.cache.glob("lone-*"))
    of_files: dict[str, Counter[str]] = {}
    for path, made in calls.items():
        if re.search(r"/(lone|idle)\.\d$", path):
            of_files.setdefault(os.path.basename(path), Counter()).update(made)
    assert of_files == {
        f"{name}.{number}": {"stat": 2, "unlinkat": 1} for name in ("lone", "idle") for number in range(3)
    }


@pytest.mark.debian
def test_a_removal_lists_each_directory_of_an_environment_once_and_asks_nothing_of_its_files(tiny: Tiny) -> None:
    # What changed within the last two seconds may change again and look the same, so it is listed again.
    time.sleep(2.1)

    calls = _calls(tiny, "--yes", "--min-age", "0", "--include-irreplaceable")

    for env in ("one", "two"):
        for path in (tiny.envs / env).rglob("*"):
            if path.is_dir() and path.parent.name == "lib":
                # By one status it is known again after the last move, and by another whether it has changed.
                assert calls[str(path.relative_to(tiny.cache.parent))] == {"openat": 1, "stat": 2}
            elif path.parent.parent.name == "lib":
                assert str(path.relative_to(tiny.cache.parent)) not in calls


@pytest.mark.debian
def test_a_removal_asks_once_about_each_file_that_packages_in_use_list_and_opens_none_of_their_archives(
    tiny: Tiny,
) -> None:
    calls = _calls(tiny, "--yes", "--min-age", "0", "--include-irreplaceable")

    listed = {path for path in calls if re.match(r"pkgs/(used|shared|copied)-1-0/lib/\w+/", path)}
    assert len(listed) == 9
    assert {path: dict(calls[path]) for path in listed} == {path: {"stat": 1} for path in listed}
    assert not [path for path in calls if re.match(r"pkgs/(used|shared|copied)-1-0\.conda", path)]


@pytest.mark.debian
def test_a_backup_conceals_a_package_by_one_rename_and_asks_nothing_of_its_files_once_it_is_planned(tiny: Tiny) -> None:
    calls = _calls(tiny, "--backup", "--yes", "--min-age", "0", "--include-irreplaceable")

    moved = {path: dict(calls[path]) for path in calls if re.match(r"pkgs/\.conda-prune/[^/]+/\d+/", path)}
    # Whether what was moved is an environment is asked of the directory, however many files it has.
    moved = {path: made for path, made in moved.items() if not path.endswith("/conda-meta")}
    trees = {path.removesuffix("/info/index.json") for path in moved if path.endswith("/info/index.json")}
    assert len(trees) == 2
    assert moved == {
        f"{tree}/{path}": calls
        for tree in trees
        for path, calls in {
            "info": {"openat": 1},
            "info/index.json": {"renameat": 1},
            "info/index.json.conda-prune": {"stat": 1},
        }.items()
    }


@pytest.mark.debian
def test_usage_asks_about_no_file_of_an_environment_that_a_cache_has(tiny: Tiny) -> None:
    mount = mount_of(os.path.realpath(tiny.cache), mounts())
    if mount is None or mount.type not in _TRUSTED:
        pytest.skip("listings of this file system are not trusted")

    calls = _calls(tiny, "usage")

    installed = re.compile(r"envs/\w+/lib/(used|shared)/\w+\.\d")
    assert not [path for path in calls if installed.match(path)]
    cached = re.compile(r"pkgs/[^/]+/lib/\w+/\w+\.\d")
    of_caches = {path: made for path, made in calls.items() if cached.match(path)}
    assert len(of_caches) == 15
    assert all(made == {"stat": 1} for made in of_caches.values())


def test_many_trees_are_deleted_once_each() -> None:
    deleted: list[int] = []
    told: list[int] = []

    def job(number: int, progress: Callable[[int], None]) -> None:
        deleted.append(number)
        progress(10)

    delete_all([functools.partial(job, number) for number in range(300)], FEW, told.append)

    assert sorted(deleted) == list(range(300))
    assert sum(told) == 3_000


def test_an_interruption_while_many_trees_are_deleted_is_raised_when_all_threads_have_stopped() -> None:
    running: list[int] = []
    ended: list[int] = []

    def progress(removed: int) -> None:
        if len(running) > 20:
            raise KeyboardInterrupt

    def job(tell: Callable[[int], None]) -> None:
        running.append(1)
        try:
            for _ in range(1_000):
                tell(1)
        finally:
            ended.append(1)

    with pytest.raises(KeyboardInterrupt):
        delete_all([job] * 200, FEW, progress)

    assert len(running) == len(ended) < 200
