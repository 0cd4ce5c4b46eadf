"""Killed, stopped or failed at any system call, a repair leaves the old or the new package, and the next run clears up.

So it does where leftovers, index caches, log files and temporary files go.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash import injections, run, run_traced
from machine import Machine, copy_tree
from places import temporary

from conda_prune_plugin.demo.demo_packages import File, Package, SymLink, build_channel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.debian, pytest.mark.slow]

# Other tests install on this machine, whose installs are none of ours.
PRUNE = ("prune", "--min-age", "0", "--yes", "--ignore-running")
PACKAGE = Package("it", "1", files={"lib/a": File(b"a" * 5000), "lib/b": File(b"b"), "lib/c": SymLink("a")})


class Place:
    """A machine with an environment that soft-links a damaged package, litter of all kinds, and a copy of that."""

    def __init__(self, directory: Path) -> None:
        self.machine = machine = Machine(directory / "it")
        self._copy = directory / "copy"
        machine.create()
        build_channel(machine.directory / "channel", [PACKAGE])
        machine.install("create", "-n", "e", "it", CONDA_ALWAYS_SOFTLINK="true")
        self.entry = machine.entry("it-1-0")
        self.new = self.files()
        (self.entry / "lib" / "b").unlink()
        (self.entry / "extra").touch()
        self.old = self.files()
        self.litter = (
            machine.cache / "x-1-0.conda.partial",
            machine.cache / "y-1-0.c~" / "lib" / "file",
            machine.cache / "cache" / "1.json",
            machine.cache / ".logs" / "x.log",
            machine.envs / "e" / "lib" / "x.c~",
            # mamba's, old conda's, and a temporary directory.
            machine.cache / "mamba.lock",
            machine.cache / "z-1-0.tmp" / "lib" / "file",
            machine.cache / "tmpab0d_fgh" / "z-1-0.conda",
            machine.envs / "e" / "lib" / "x.mamba_trash",
        )
        for path in self.litter:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        copy_tree(machine.directory, self._copy)

    def files(self) -> dict[str, bytes]:
        """Return the files of the package, without its metadata."""
        assert (self.entry / "info" / "index.json").exists()
        found = {path.relative_to(self.entry): path for path in self.entry.rglob("*") if path.is_file()}
        return {str(name): path.read_bytes() for name, path in found.items() if name.parts[0] != "info"}

    def start_over(self) -> None:
        """Make everything what it was."""
        shutil.rmtree(self.machine.directory)
        copy_tree(self._copy, self.machine.directory)

    def require_old_or_new(self) -> None:
        """Require that the package is whole in one of both ways, or is moved aside whole."""
        if self.entry.exists():
            assert self.files() in (self.old, self.new)
        else:
            (aside,) = (self.machine.cache / ".conda-prune").glob("*/0")
            assert set(os.listdir(aside)) == {"extra", "info", "lib"}

    def require_done(self) -> None:
        """Require what a run leaves that nothing disturbs."""
        assert self.files() == self.new
        left = set(os.listdir(self.machine.cache))
        lock = self.machine.cache / "pkgs.lock"
        if lock.exists() and lock.read_bytes() == b"conda prune\n":
            left -= {lock.name}
        assert left <= {"it-1-0", "it-1-0.conda", "urls.txt", "cache", ".logs"}


@pytest.fixture
def place() -> Iterator[Place]:
    with temporary() as directory:
        yield Place(Path(directory))


@pytest.mark.parametrize("what", ["signal=KILL", "signal=INT", "error=EIO", "error=ENOSPC"])
def test_a_repair_disturbed_at_any_change_leaves_the_old_or_the_new(place: Place, what: str) -> None:
    command = (*PRUNE, "--leftovers", "--repair")
    end = run_traced(place.machine, command)
    assert end.code == 0, end.output
    place.require_done()
    disturbed = 0
    for injection in list(injections(end.calls, what)):
        place.start_over()
        end = run_traced(place.machine, command, injection)
        assert "Traceback" not in end.output, (injection, end.output)
        disturbed += end.code != 0
        place.require_old_or_new()
        again = run(place.machine, *command)
        assert again.code == 0, (injection, end.output, again.output)
        place.require_done()
    assert disturbed > 10


def test_all_targets_killed_at_any_change_leave_nothing_that_the_next_run_does_not_take(place: Place) -> None:
    command = (*PRUNE, "--all")
    end = run_traced(place.machine, command)
    assert end.code == 0, end.output
    assert not any(path.exists() for path in place.litter)
    for injection in list(injections(end.calls, "signal=KILL")):
        place.start_over()
        run_traced(place.machine, command, injection)
        assert place.entry.exists()
        assert place.files() == place.old
        again = run(place.machine, *command)
        assert again.code == 0, (injection, again.output)
        assert not any(path.exists() for path in place.litter)
