"""Where files share content without a link, the bytes that were predicted are those that the file system frees."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from disks import BTRFS, SHARING, UNSHARING, Kind, mounted, used
from machine import allocated
from tiny import Tiny

from conda_prune_plugin.core.layout import STATE
from conda_prune_plugin.core.plan import Plan
from conda_prune_plugin.core.rules.policy import Policy
from conda_prune_plugin.core.units import Space, Unit
from conda_prune_plugin.core.usage.disk_usage import occupied
from conda_prune_plugin.demo.demo_packages import File, Item
from conda_prune_plugin.demo.sandbox import Sandbox
from conda_prune_plugin.discovery.usage.survey import held, make_usage, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.debian

#: Bytes that no compression makes shorter, in more than one extent of Btrfs once they are compressed.
NOISE = os.urandom(300_000)

#: Small enough to lie in the metadata of Btrfs.
SMALL: dict[str, Item] = {f"lib/small{number}": File(b"x" * 100) for number in range(5)}


@pytest.fixture(params=SHARING, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def disk(kind: Kind, tmp_path: Path) -> Iterator[Path]:
    with mounted(kind, tmp_path / "disk") as directory:
        yield directory


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def _clone(source: Path, target: Path) -> None:
    _run("cp", "-r", "--reflink=always", source, target)


def _overwrite(path: Path, start: int, length: int = 8192) -> None:
    with path.open("r+b") as stream:
        stream.seek(start)
        stream.write(os.urandom(length))


def _packages(tiny: Tiny, *dists: str) -> list[Path]:
    """Add packages with two large files that they share."""
    trees = [tiny.add(dist, SMALL | {"lib/one": File(NOISE), "lib/two": File(NOISE)}) for dist in dists]
    os.sync()
    for tree in trees[1:]:
        for name in ("lib/one", "lib/two"):
            (tree / name).unlink()
            _clone(trees[0] / name, tree / name)
    return trees


def _overwritten(trees: list[Path]) -> None:
    for number, tree in enumerate(trees):
        _overwrite(tree / "lib" / "one", 40_960 * (number + 1))


def _alone(tiny: Tiny) -> None:
    _packages(tiny, "a-1-0")


def _cloned_by_something_unknown(tiny: Tiny) -> None:
    (tree,) = _packages(tiny, "a-1-0")
    _clone(tree / "lib", tiny.envs.parent / "unknown")


def _copied_as_conda_does(tiny: Tiny) -> None:
    (tree,) = _packages(tiny, "a-1-0")
    shutil.copyfile(tree / "lib" / "one", tiny.envs.parent / "unknown")


def _cloned_and_both_go(tiny: Tiny) -> None:
    _packages(tiny, "a-1-0", "b-1-0")


def _cloned_and_one_is_in_use(tiny: Tiny) -> None:
    _packages(tiny, "a-1-0", "b-1-0")
    tiny.use("e", "a-1-0")


def _cloned_and_one_of_three_stays(tiny: Tiny) -> None:
    _packages(tiny, "a-1-0", "b-1-0", "stays-1-0")


def _overwritten_and_one_is_in_use(tiny: Tiny) -> None:
    _overwritten(_packages(tiny, "a-1-0", "b-1-0"))
    tiny.use("e", "b-1-0", link=False)


def _overwritten_and_all_go(tiny: Tiny) -> None:
    _overwritten(_packages(tiny, "a-1-0", "b-1-0", "c-1-0"))


def _overwritten_and_one_of_three_stays(tiny: Tiny) -> None:
    _overwritten(_packages(tiny, "a-1-0", "b-1-0", "stays-1-0"))


def _linked_and_cloned(tiny: Tiny) -> None:
    first, second = _packages(tiny, "a-1-0", "b-1-0")
    os.link(first / "lib" / "one", second / "lib" / "linked")
    os.link(second / "lib" / "two", second / "lib" / "again")


#: What lies in the cache, and where sizes are upper bounds, as something unknown may share some of what goes.
SCENES: dict[Callable[[Tiny], None], set[Kind]] = {
    _alone: set(),
    _cloned_by_something_unknown: set(),
    _copied_as_conda_does: set(),
    _cloned_and_both_go: {*SHARING},
    _cloned_and_one_is_in_use: set(),
    _cloned_and_one_of_three_stays: set(),
    _overwritten_and_one_is_in_use: set(),
    _overwritten_and_all_go: {*SHARING},
    # XFS frees what the other two share where it was overwritten in the one that stays; Btrfs keeps whole extents.
    _overwritten_and_one_of_three_stays: {SHARING[0]},
    _linked_and_cloned: {*SHARING},
}


def _carried_out(kind: Kind, tiny: Tiny, plan: Plan) -> tuple[int, int]:
    """Carry out a plan; return the bytes that the file system has freed, and those that the outcomes name."""
    before = used(kind, tiny.envs.parent)
    execution = tiny.execute(plan)
    shutil.rmtree(tiny.cache / STATE, ignore_errors=True)
    return before - used(kind, tiny.envs.parent), sum(outcome.freed for outcome in execution.outcomes)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_plan_frees_what_it_says_to_the_byte(kind: Kind, disk: Path, scene: Callable[[Tiny], None]) -> None:
    tiny = Tiny(disk)
    scene(tiny)
    os.sync()
    entries = (entry for cache in tiny.inventory().caches for entry in cache.entries)
    going = frozenset(entry for entry in entries if entry.dist != "stays-1-0")
    plan = tiny.plan(policy=Policy(min_age=0, only=going))

    freed, reported = _carried_out(kind, tiny, plan)

    assert plan.remove
    assert (plan.reclaimable, reported) == (freed, freed)
    assert (plan.bounded or plan.common > 0) is (kind in SCENES[scene])


def test_what_is_not_written_yet_counts_too(kind: Kind, disk: Path) -> None:
    tiny = Tiny(disk)
    tiny.add("a-1-0", {"lib/one": File(NOISE)})
    plan = tiny.plan()

    freed, reported = _carried_out(kind, tiny, plan)

    assert plan.reclaimable >= freed >= len(NOISE)
    # Btrfs decides only when it writes what it compresses, and what lies in its metadata.
    assert (plan.bounded or plan.common > 0) is (kind is BTRFS)
    assert (plan.bounded or plan.common > 0) or plan.reclaimable == reported == freed


def _environments(tiny: Tiny) -> None:
    """One package that two environments have as clones, one by links; one is a clone of another, all with own files."""
    trees = _packages(tiny, "a-1-0", "b-1-0")
    for name, tree in (("one", trees[0]), ("two", trees[1])):
        prefix = tiny.use(name, tree.name, link=False)
        _clone(tree / "lib", prefix / "lib")
        (prefix / "own").write_bytes(NOISE)
    _overwrite(tiny.envs / "two" / "lib" / "one", 8192)
    tiny.use("three", "b-1-0")
    os.sync()
    _clone(tiny.envs / "one", tiny.envs / "four")


def test_trees_take_together_what_the_file_system_says_and_each_frees_its_own(kind: Kind, disk: Path) -> None:
    tiny = Tiny(disk)
    start = used(kind, disk)
    _environments(tiny)
    full = used(kind, disk)

    for name in ("one", "two", "three", "four", None):
        inventory = tiny.inventory()
        scan = survey(inventory, lambda files: None)
        usage = make_usage(scan, tiny.plan())
        outside = allocated(tiny.envs) if kind is not BTRFS and not any(tiny.envs.iterdir()) else 0
        assert usage.allocated + outside == full - start
        assert usage.exact
        in_caches = [tree for item in scan.caches for tree in item.parts.values()]
        sizes = (occupied(in_caches, scan.inodes, unit) for unit in Unit)
        assert held(inventory.caches, lambda files: None) == Space(*sizes)
        if name is None:
            break
        (own,) = (item.account.own for item in usage.environments if item.root.name == name)
        shutil.rmtree(tiny.envs / name)
        left = used(kind, disk)
        assert own == full - left
        full = left


@pytest.fixture
def btrfs(tmp_path: Path) -> Iterator[Path]:
    with mounted(BTRFS, tmp_path / "btrfs") as directory:
        yield directory


def test_what_a_snapshot_holds_is_freed_with_the_snapshot(btrfs: Path) -> None:
    _run("btrfs", "subvolume", "create", btrfs / "sub")
    tiny = Tiny(btrfs / "sub" / "place")
    first, second = _packages(tiny, "a-1-0", "b-1-0")
    _run("btrfs", "subvolume", "snapshot", btrfs / "sub", btrfs / "snapshot")
    (first / "lib" / "new").write_bytes(NOISE)
    shutil.copytree(second / "lib", second / "copy")
    os.sync()
    plan = tiny.plan()

    freed, reported = _carried_out(BTRFS, tiny, plan)

    # Both share content with each other, and nothing tells that the snapshot has that too.
    assert freed == 3 * _blocks(NOISE)
    assert plan.reclaimable == reported == freed + 2 * _blocks(NOISE)
    assert plan.bounded or plan.common > 0


def test_subvolumes_are_one_file_system(btrfs: Path) -> None:
    for name in ("one", "two"):
        _run("btrfs", "subvolume", "create", btrfs / name)
    tiny = Tiny(btrfs / "one" / "place")
    (tree,) = _packages(tiny, "a-1-0")
    tiny.envs = btrfs / "two" / "envs"
    tiny.envs.mkdir()
    _clone(tree / "lib", tiny.use("e", "a-1-0", link=False) / "lib")
    os.sync()

    scan = survey(tiny.inventory(), lambda files: None)
    usage = make_usage(scan, tiny.plan())

    assert tree.stat().st_dev != tiny.envs.stat().st_dev
    assert usage.allocated == used(BTRFS, btrfs)
    assert usage.environments[0].account.with_caches == usage.caches[0].account.with_environments == 2 * _blocks(NOISE)


def test_of_compressed_files_no_more_is_freed_than_said(btrfs: Path) -> None:
    tiny = Tiny(btrfs)
    tiny.add("plain-1-0", {"lib/one": File(NOISE)})
    _run("btrfs", "property", "set", tiny.cache, "compression", "zstd")
    text = File(b"".join(b"%d\n" % (number * number) for number in range(100_000)))
    tree, other = tiny.add("a-1-0", {"lib/one": text}), tiny.add("b-1-0", {})
    os.sync()
    _clone(tree / "lib", other / "lib")
    os.sync()
    plan = tiny.plan()

    freed, reported = _carried_out(BTRFS, tiny, plan)

    assert plan.bounded or plan.common > 0
    assert freed <= plan.reclaimable == reported
    # Nearly all of it by where the next extent starts; by its length it would be the whole.
    assert plan.reclaimable - freed < 128 << 10 < len(text.content) // 3


def _blocks(content: bytes) -> int:
    return -(-len(content) // 4096) * 4096


def _command(directory: Path, *command: str) -> Any:
    done = Sandbox(directory).conda("prune", *command, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_every_command_counts_shared_content_alike(kind: Kind, disk: Path) -> None:
    tiny = Tiny(disk)
    Sandbox(disk).create()
    trees = _packages(tiny, "a-1-0", "b-1-0", "used-1-0")
    prefix = tiny.use("e", "used-1-0", link=False)
    _clone(trees[2] / "lib", prefix / "lib")
    (prefix / "own").write_bytes(NOISE)
    (trees[0] / "own").write_bytes(NOISE)
    os.sync()
    _command(disk, "--dry-run")

    usage = _command(disk, "usage", "--min-age", "0")
    (environment,), (cache,) = usage["environments"], usage["caches"]
    shared = environment["shared"]
    assert shared == environment["shared_with_caches"] >= 2 * _blocks(NOISE)
    assert usage["totals"]["exact"]
    assert not any(system["reflinks"] for system in usage["file_systems"])
    plan = _command(disk, "--dry-run", "--min-age", "0")
    assert usage["totals"]["reclaimable"] == plan["totals"]["reclaimable"] == cache["reclaimable"]
    assert plan["totals"]["reclaimable"] < shared
    assert plan["totals"]["precision"] == "exact"
    # The package that was used less recently frees little, as it shares most of what it has.
    size = usage["totals"]["allocated"] - environment["own"]
    for target in (("--free", "290KiB"), ("--max-size", f"{size // 1024 - 290}KiB")):
        removed = _command(disk, "--dry-run", "--min-age", "0", *target)["remove"]
        assert {item["dist"] for item in removed} == {"a-1-0", "b-1-0"}
    (alone,) = _command(disk, "why", "--all")["roots"]
    assert alone["reclaimable"] < shared

    (gone,) = _command(disk, "envs", "e", "--remove", "--yes", "--force", "--ignore-running")["outcomes"]
    assert gone["freed"] == environment["own"]
    done = _command(disk, "--backup", "--yes", "--min-age", "0")
    assert [one["result"] for one in done["outcomes"]] == ["backed-up"] * 3
    before = used(kind, disk)
    purged = sum(one["freed"] for one in _command(disk, "purge", "--all", "--yes")["runs"])
    # Nothing else has any of it now. Receipts go too.
    assert shared < purged <= before - used(kind, disk) <= purged + 16 * 4096


def _traced(directory: Path, command: tuple[str, ...], *options: str) -> tuple[Any, list[str]]:
    """Run a command; return its document, and the files whose extents it asks for by their names."""
    trace = directory / "trace"
    run = [sys.executable, "-m", "conda_prune_plugin.embedded", "prune", *command, "--json"]
    tracing = ["strace", "--follow-forks", "--decode-fds=path", "--trace=ioctl", f"--output={trace}", *options]
    environ = Sandbox(directory).environ()
    done = subprocess.run([*tracing, *run], env=environ, capture_output=True, text=True, check=False)
    lines = [line for line in trace.read_text().splitlines() if "FIEMAP" in line]
    return json.loads(done.stdout), [os.path.basename(line.partition("<")[2].partition(">")[0]) for line in lines]


@pytest.mark.parametrize("command", [("--yes", "--min-age", "0"), ("usage",)])
def test_where_nothing_can_be_shared_no_file_is_asked(tmp_path: Path, command: tuple[str, ...]) -> None:
    for kind in UNSHARING:
        with mounted(kind, tmp_path / kind.name) as directory:
            tiny = Tiny(directory)
            Sandbox(directory).create()
            tiny.add("a-1-0", SMALL)
            tiny.use("e", "a-1-0")
            tiny.add("b-1-0", SMALL)

            assert _traced(directory, command)[1] == []


def test_only_files_of_what_may_go_are_asked_once_each(disk: Path) -> None:
    tiny = Tiny(disk)
    Sandbox(disk).create()
    tiny.add("used-1-0", {"lib/used": File(NOISE)})
    tiny.use("e", "used-1-0", link=False)
    tiny.add("b-1-0", {"lib/one": File(NOISE), "lib/two": File(NOISE)})
    os.sync()

    _, asked = _traced(disk, ("--dry-run", "--min-age", "0"))

    assert {"one", "two"} <= {*asked}
    assert "used" not in asked
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("error", ["EOPNOTSUPP", "EIO"])
def test_a_file_system_that_does_not_answer_gives_an_upper_bound(kind: Kind, disk: Path, error: str) -> None:
    tiny = Tiny(disk)
    Sandbox(disk).create()
    _packages(tiny, "a-1-0", "b-1-0")
    os.sync()

    document, asked = _traced(disk, ("--dry-run", "--min-age", "0"), f"--inject=ioctl:error={error}")

    assert asked
    assert document["totals"]["precision"] == "at-most"
    assert [item["kind"] for item in document["warnings"]].count("shared-storage") == 1
    assert document["totals"]["reclaimable"] >= 4 * _blocks(NOISE)
