"""Where no inode or no block is free, whatever frees space frees it there, says so honestly, and breaks nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import prepared
import pytest
from crash import PRINTED, injections, run_traced
from disks import BTRFS_QUOTA, KINDS, Kind, fill, free, mounted
from machine import contents, copy_tree, listing
from tiny import Tiny, write_archive

from conda_prune_plugin.core.layout import STATE, TRASH
from conda_prune_plugin.core.model import Cache, Client
from conda_prune_plugin.demo.demo_packages import File, Item
from conda_prune_plugin.demo.sandbox import Sandbox
from conda_prune_plugin.execution.state.stored_runs import stored_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.debian, pytest.mark.slow]

NOW = ("--min-age", "0", "--yes")

#: What frees something, and what it takes of `Full`: packages, archives, index caches, leftovers.
COMMANDS = {
    "--yes": ((*NOW,), {"big", "small", "leftover"}),
    "--all": (("--all", *NOW), {"big", "small", "index", "leftover"}),
    "--packages": (("--packages", *NOW), {"big", "small"}),
    "--index-cache": (("--index-cache", *NOW), {"index"}),
    "--leftovers": (("--leftovers", *NOW), {"leftover"}),
    "--ci image": (("--ci", "image"), {"big", "small", "index", "leftover"}),
    "--ci cache": (("--ci", "cache"), {"big", "small", "index", "leftover"}),
    "envs": (("envs", "goes", "--remove", "--yes", "--ignore-running"), {"goes"}),
}


class Full:
    """A sandbox on a file system that is full: caches, environments, home, and a file for what is printed."""

    def __init__(self, kind: Kind, directory: Path, printed: Path, *, archives: bool, small: bool = True) -> None:
        self.kind = kind
        self.directory = directory
        self.printed = printed
        tiny = Tiny(directory)
        content: dict[str, Item] = {f"lib/file{number}": File(b"x" * 5000) for number in range(20)}
        tiny.add("big-1-0", content, archive=archives)
        tiny.add("used-1-0", archive=archives)
        if small:
            tiny.add("small-1-0", {}, archive=archives)
        self.prefix = tiny.use("stays", "used-1-0")
        self.going = tiny.use("goes", "used-1-0")
        # Where programs write: the user's own work goes only with --force.
        (self.going / "share").mkdir(exist_ok=True)
        for number in range(20):
            (self.going / "share" / f"own{number}").write_bytes(b"own" * 3000)
        (tiny.cache / "cache").mkdir()
        for number in range(12):
            (tiny.cache / "cache" / f"{number:08x}.json").write_bytes(b"{}" * 4000)
        (tiny.cache / "lost-1-0.conda.partial").write_bytes(b"partial" * 3000)
        self.sandbox = Sandbox(directory)
        self.sandbox.create()
        self.sandbox.registry.parent.mkdir()
        self.sandbox.registry.write_text(f"{self.prefix}\n{self.going}\n")
        self.run("info")
        self.before = listing(self.prefix)

    def run(self, *command: str) -> int:
        """Run ``conda COMMAND``; what it prints is added to the file for that."""
        with open(os.devnull) as nothing, self.printed.open("a") as printed:
            files = (nothing.fileno(), printed.fileno(), printed.fileno())
            # Writing down the coverage would be among what lacks room.
            return prepared.start(command, self.sandbox.environ(), self.directory, files, measured=False).wait()

    def text(self) -> str:
        """Return what was printed."""
        return self.printed.read_text(errors="replace")

    def there(self) -> set[str]:
        """Return what of `COMMANDS` is there."""
        cache, envs = self.sandbox.cache, self.sandbox.envs
        paths = {
            "big": cache / "big-1-0",
            "small": cache / "small-1-0",
            "index": cache / "cache",
            "leftover": cache / "lost-1-0.conda.partial",
            "goes": envs / "goes",
        }
        return {name for name, path in paths.items() if path.exists() and (not path.is_dir() or os.listdir(path))}

    def require_unharmed(self) -> None:
        """Require that the environment that stays is what it was, but for the times of change that links have."""
        without = [
            {path: (*known[:1], *known[2:4], known[5]) for path, known in seen.items()}
            for seen in (listing(self.prefix), self.before)
        ]
        assert without[0] == without[1]

    def require_settled(self) -> None:
        """Require that nothing is left for the next run to complete."""
        for directory in (self.sandbox.cache, self.sandbox.envs):
            assert [name for name in os.listdir(directory) if TRASH in name] == []
            place = Cache(str(directory), str(directory), Client.CONDA, writable=True, entries=())
            assert all(run.complete for run in stored_runs(place))
            assert not (directory / STATE / "lock").exists()


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Kind, Path]]:
    with mounted(request.param, tmp_path / "disk") as directory:
        yield request.param, directory


@pytest.mark.parametrize("archives", [True, False], ids=["archives", "no-archives"])
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_frees_space(disk: tuple[Kind, Path], tmp_path: Path, command: str, *, archives: bool) -> None:
    kind, directory = disk
    arguments, goes = COMMANDS[command]
    full = Full(kind, directory, tmp_path / "printed", archives=archives)
    fill(kind, directory)
    before, there = free(kind, directory), full.there()

    assert full.run("prune", *arguments) == 0, full.text()

    assert free(kind, directory) > before
    gone = there - full.there()
    # Whether `--ci cache` takes index caches depends on the solver (`cli.parsing.ci_presets`).
    optional = {"index"} if command == "--ci cache" else set()
    assert gone - optional == goes - optional, full.text()
    full.require_unharmed()
    full.require_settled()
    assert full.run("prune", *NOW, "--dry-run") == 0
    assert "cut off" not in full.text()
    if command in ("--yes", "--all", "--packages"):
        (receipt,) = (full.sandbox.cache / STATE).glob("*/receipt.json")
        assert {"big-1-0", "small-1-0"} <= {entry["dist"] for entry in json.loads(receipt.read_text())["entries"]}
    if command == "envs":
        assert list((full.sandbox.envs / STATE).glob("*/environment-exports/goes/explicit.txt"))
        assert full.sandbox.registry.read_text() == f"{full.prefix}\n"


def test_archives_alone_make_room_for_their_receipt_or_go_without(disk: tuple[Kind, Path], tmp_path: Path) -> None:
    kind, directory = disk
    full = Full(kind, directory, tmp_path / "printed", archives=True)
    fill(kind, directory)
    before = free(kind, directory)

    assert full.run("prune", "--tarballs", *NOW) == 0, full.text()

    assert free(kind, directory) > before
    assert {path.name for path in full.sandbox.cache.glob("*.conda")} == {"used-1-0.conda"}
    assert full.there() >= {"big", "small"}
    full.require_unharmed()
    full.require_settled()


def test_one_package_is_enough(disk: tuple[Kind, Path], tmp_path: Path) -> None:
    kind, directory = disk
    full = Full(kind, directory, tmp_path / "printed", archives=False)
    fill(kind, directory)

    assert full.run("prune", "--only", "small", *NOW) == 0, full.text()

    assert full.there() >= {"big"}
    assert "small" not in full.there()
    full.require_unharmed()
    full.require_settled()


def test_what_is_printed_waits_for_room_on_the_same_disk(disk: tuple[Kind, Path]) -> None:
    kind, directory = disk
    full = Full(kind, directory, directory / "printed", archives=False)
    full.printed.write_text("")
    fill(kind, directory)

    assert full.run("prune", *NOW) == 0

    assert "To undo (downloads them again): conda prune restore" in full.text()


def test_a_backup_loses_nothing(disk: tuple[Kind, Path], tmp_path: Path) -> None:
    kind, directory = disk
    full = Full(kind, directory, tmp_path / "printed", archives=True)
    fill(kind, directory)
    before = listing(full.sandbox.cache), listing(full.sandbox.envs)

    assert full.run("prune", "--backup", *NOW) == 1
    assert full.run("prune", "--backup-to", str(tmp_path / "elsewhere"), *NOW) == 1
    assert full.run("prune", "envs", "goes", "--remove", "--backup", "--yes", "--ignore-running") == 1

    kept = [
        {path: (known[0], *known[2:4], known[5]) for path, known in seen.items() if not os.path.isdir(path)}
        for seen in (before[0], before[1], listing(full.sandbox.cache), listing(full.sandbox.envs))
    ]
    assert kept[0] == kept[2]
    assert kept[1] == kept[3]


def test_a_purge_frees_what_was_kept(disk: tuple[Kind, Path], tmp_path: Path) -> None:
    kind, directory = disk
    full = Full(kind, directory, tmp_path / "printed", archives=True)
    assert full.run("prune", "--backup", *NOW) == 0
    fill(kind, directory)
    before = free(kind, directory)

    assert full.run("prune", "purge", "--all", "--yes") == 0, full.text()

    assert free(kind, directory) > before
    full.require_unharmed()
    full.require_settled()


def test_where_a_used_up_quota_stops_even_renames_archives_make_room(tmp_path: Path) -> None:
    with mounted(BTRFS_QUOTA, tmp_path / "disk") as directory:
        full = Full(BTRFS_QUOTA, directory, tmp_path / "printed", archives=True)
        write_archive(full.sandbox.cache / "big-1-0.conda", 4 << 20)
        fill(BTRFS_QUOTA, directory)
        before = free(BTRFS_QUOTA, directory)

        assert full.run("prune", *NOW) == 0, full.text()

        assert free(BTRFS_QUOTA, directory) > before
        assert full.there() == {"index", "goes"}
        full.require_unharmed()
        full.require_settled()


class Crashing(Full):
    """A full file system whose state can be had again, for commands that are killed."""

    def __init__(self, kind: Kind, directory: Path, copy: Path) -> None:
        super().__init__(kind, directory, directory / PRINTED, archives=False)
        self.copy = copy
        copy_tree(directory, copy)
        self.start_over()
        names = {name: self.sandbox.cache / name for name in ("big-1-0", "small-1-0")} | {"goes": self.going}
        self.whole = {path: contents(path) for path in names.values()}

    def start_over(self) -> None:
        """Make everything what it was, and use up the inodes again."""
        shutil.rmtree(self.directory)
        copy_tree(self.copy, self.directory)
        self.before = listing(self.prefix)
        fill(self.kind, self.directory)

    def require_nothing_half_there(self) -> None:
        """Require that what bears a package's or an environment's name is whole."""
        for path, whole in self.whole.items():
            assert not path.exists() or contents(path) == whole, path
        self.require_unharmed()


@pytest.mark.parametrize("command", ["--yes", "--index-cache", "envs"])
def test_killed_while_it_makes_room_the_next_run_completes_it(tmp_path: Path, command: str) -> None:
    kind = KINDS[0]
    arguments = ("prune", *COMMANDS[command][0])
    with mounted(kind, tmp_path / "disk") as directory:
        full = Crashing(kind, directory, tmp_path / "copy")
        end = run_traced(full.sandbox, arguments)
        assert end.code == 0, end.output
        killed = 0
        for injection in list(injections(end.calls, "signal=KILL")):
            full.start_over()
            killed += run_traced(full.sandbox, arguments, injection).code == -9
            full.require_nothing_half_there()

            again = run_traced(full.sandbox, arguments)

            done = "goes" not in full.there() if command == "envs" else False
            assert again.code == 0 or (done and "No environment" in again.output), f"{injection}: {again.output}"
            full.require_nothing_half_there()
            if command == "envs":
                # A receipt that found no room waits for the run after that.
                assert run_traced(full.sandbox, ("prune", "envs", "--fix-registry", "--yes")).code == 0
            full.require_settled()
            assert not full.there() & COMMANDS[command][1], injection
            if command == "envs":
                assert list((full.sandbox.envs / STATE).glob("*/environment-exports/goes/explicit.txt")), injection
        assert killed > 10
