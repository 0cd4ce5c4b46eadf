"""Speed, in system calls: times are noisy, calls are exact.

strace(1) tells of every call that a command makes with a path in it.
"""

from __future__ import annotations

import functools
import gc
import os
import re
import shutil
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tiny import Tiny

from conda_prune_plugin.cli.main import execute
from conda_prune_plugin.core.model import ReasonKind
from conda_prune_plugin.core.rules.reachability import candidates, references
from conda_prune_plugin.demo.demo_packages import File
from conda_prune_plugin.discovery.leftovers.leftover_search import LeftoverSearchResult, Search, find_leftovers
from conda_prune_plugin.discovery.packages.cache_listing import find_caches
from conda_prune_plugin.discovery.packages.inspection import Inspected, Inspecting, Memory
from conda_prune_plugin.discovery.packages.removal_evidence import gather_evidence
from conda_prune_plugin.discovery.roots.environments import Reader, Sources
from conda_prune_plugin.discovery.roots.watch import RootWatch
from conda_prune_plugin.discovery.system import worker as worker_module
from conda_prune_plugin.discovery.system.mounts import mount_of, mounts
from conda_prune_plugin.discovery.system.worker import WorkerPool
from conda_prune_plugin.discovery.usage.survey import _TRUSTED
from conda_prune_plugin.execution.files.parallel_remove import FEW, delete_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conda_prune_plugin.core.evidence import Evidence
    from conda_prune_plugin.core.model import Inventory

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
    assert (loaded - without_us) & {"rich", "html", "filelock"} == set()


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


@pytest.fixture
def odd(tiny: Tiny) -> Inventory:
    """A hundred packages that no environment has, of which some are damaged in one way or another."""
    for number in range(100):
        tree = tiny.add(f"many-{number}-0", archive=number % 2 == 0 or number == 99)
        match number % 10:
            case 1:
                (tree / "lib" / "one").unlink()
            case 2:
                (tiny.cache / f"many-{number}-0.conda").write_bytes(b"cut off")
            case 3:
                (tree / "info" / "index.json").unlink()
            case 5:
                (tree / "info" / "repodata_record.json").write_text("[")
            case 7:
                os.link(tree / "lib" / "one", tree / "lib" / "three")
    urls = [f"https://host/linux-64/many-{number}-0.conda" for number in range(99)]
    # Only by conda's own functions it can be told that this is the same.
    urls.append("https://somebody:secret@host/linux-64/many-99-0.conda")
    (tiny.cache / "urls.txt").write_text("\n".join(urls))
    return tiny.inventory()


def _seen(inventory: Inventory, workers: WorkerPool | None) -> tuple[LeftoverSearchResult, tuple[Evidence, ...]]:
    memory = Memory()
    found = find_leftovers(inventory, references(inventory.roots), Search(), memory, lambda done: None, workers)
    entries = candidates(found.inventory, references(inventory.roots))
    return found, gather_evidence(found.inventory.caches, entries, lambda done: None, memory)


def test_two_processes_see_what_one_does(odd: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    helped: list[Inspected] = []
    take = Inspecting.take

    def taken(work: Inspecting, found: list[Inspected]) -> list[Inspected]:
        helped.extend(found)
        return take(work, found)

    monkeypatch.setattr(Inspecting, "take", taken)
    monkeypatch.setattr(worker_module, "_processors", lambda: 2)

    with WorkerPool() as workers:
        seen = _seen(odd, workers)

    assert helped
    assert seen == _seen(odd, None)
    assert {item.kind for item in seen[0].leftovers} == {ReasonKind.CORRUPT, ReasonKind.INCOMPLETE_EXTRACTION}


def test_one_process_sees_everything_when_the_other_dies(odd: Inventory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_processors", lambda: 2)
    monkeypatch.setattr(worker_module, "_SCRIPT", "import sys; sys.stdin.buffer.read(300); sys.exit(3)")

    with WorkerPool() as workers:
        assert _seen(odd, workers) == _seen(odd, None)


def test_what_becomes_of_environments_after_they_were_read_ahead_counts(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "_processors", lambda: 2)
    sources = Sources(envs_dirs=(str(tiny.envs),))
    caches, _ = find_caches((str(tiny.cache),), ())
    tiny.use("three", "lone-1-0")

    def settle(seconds_ago: float) -> None:
        """Let all directories have changed so long ago that their times tell whether they have since."""
        then = time.time() - seconds_ago
        for path in (tiny.envs, *tiny.envs.glob("*/conda-meta")):
            os.utime(path, (then, then))

    settle(1000)
    with WorkerPool() as workers:
        reader = Reader(workers)
        reader.begin(sources)
        while not (workers._worker and workers._worker.has_answer()):
            time.sleep(0.001)  # It is the first of them that was read.
        tiny.record(tiny.envs / "one", "idle-2-0")
        tiny.use("new", "used-1-0")
        shutil.rmtree(tiny.envs / "three")
        settle(500)
        watch = RootWatch(sources, caches, reader)

    assert [root.name for root in watch.roots] == ["new", "one", "two"]
    assert "idle-2-0" not in watch.roots[1].dists
    assert [root.name for root in watch.references()["idle-2-0"]] == ["one"]


def test_what_was_read_ahead_within_a_tick_of_its_last_change_is_read_again(tiny: Tiny) -> None:
    meta = tiny.envs / "one" / "conda-meta"
    changed = time.time_ns() - 10**10
    for path in (tiny.envs, *tiny.envs.glob("*/conda-meta")):
        os.utime(path, ns=(changed, changed))
    reader = Reader(WorkerPool(at_once=False))
    reader.since = changed + 10**9
    caches, _ = find_caches((str(tiny.cache),), ())

    watch = RootWatch(Sources(envs_dirs=(str(tiny.envs),)), caches, reader)
    tiny.record(tiny.envs / "one", "idle-2-0")
    # To a clock that ticks so coarsely it was the same moment.
    os.utime(meta, ns=(changed, changed))

    assert "idle-2-0" in watch.references()


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
