"""A close that fails, at each file and directory that a changing command opens, is an outcome and no traceback."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash import End, run, run_failing
from machine import copy_tree
from places import temporary
from tiny import Tiny

from conda_prune_plugin.demo.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.debian, pytest.mark.slow]

PRUNE = ("prune", "--min-age", "0", "--yes", "--ignore-running")
BACKUP = (*PRUNE, "--backup")

#: The command of which a close fails, and what comes before it.
SCENES = {
    "prune": (PRUNE, ()),
    "backup": (BACKUP, ()),
    "restore": (("prune", "restore", "last"), (BACKUP,)),
    "purge": (("prune", "purge", "--all", "--yes"), (BACKUP,)),
    "envs": (("prune", "envs", "e", "--remove", "--force", "--yes", "--ignore-running"), ()),
}

#: Every so manieth fails; with ``CONDA_PRUNE_TESTS_ALL_FAULTS=1`` each.
_STEP = 1 if os.environ.get("CONDA_PRUNE_TESTS_ALL_FAULTS") else 9


class Place:
    """A sandbox with a package that an environment uses and one that none does, to start over from."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "it"
        self._copy = directory / "copy"
        tiny = Tiny(self.directory)
        tiny.add("a-1-0", archive=True)
        tiny.add("c-1-0")
        self.kept = tiny.use("f", "c-1-0")
        tiny.use("e", "c-1-0")
        self.sandbox = Sandbox(self.directory)
        self.sandbox.create()
        self.sandbox.registry.parent.mkdir()
        self.sandbox.registry.write_text("".join(f"{self.sandbox.envs / name}\n" for name in "ef"))

    def save(self) -> None:
        """Make the present state the one to start over from."""
        copy_tree(self.directory, self._copy)

    def start_over(self) -> None:
        """Make everything what it was when it was saved."""
        shutil.rmtree(self.directory)
        copy_tree(self._copy, self.directory)

    def look(self) -> dict[str, bytes]:
        """Return the files of the environment that stays, and of its package."""
        tops = (self.kept, self.sandbox.cache / "c-1-0")
        return {str(path): path.read_bytes() for top in tops for path in top.rglob("*") if path.is_file()}

    def closing(self, command: tuple[str, ...], number: int = 0) -> tuple[End, int]:
        """Run a command of which the n-th close of something in the sandbox fails; return also how many there are."""
        seen = 0

        def decide(call: str, path: str) -> str:
            nonlocal seen
            if not path.startswith((str(self.sandbox.cache), str(self.sandbox.envs), str(self.sandbox.home))):
                return ""
            seen += 1
            return "error=EIO" if seen == number else ""

        return run_failing(self.sandbox, command, decide, ("close",)), seen


@pytest.fixture
def place() -> Iterator[Place]:
    with temporary() as directory:
        yield Place(Path(directory))


def _told(end: End) -> str:
    """Return what a command printed, without the ids of runs."""
    return re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{8}", "", end.output)


@pytest.mark.parametrize("scene", SCENES)
def test_a_close_that_fails_is_told_and_loses_nothing(place: Place, scene: str) -> None:
    command, before = SCENES[scene]
    for one in before:
        assert run(place.sandbox, *one).code == 0
    place.save()
    used = place.look()
    # Copied as later ones are, so that it is told to be as old.
    place.start_over()
    whole, count = place.closing(command)
    assert (whole.code, count > _STEP) == (0, True), whole.output
    wrong = []
    for number in range(1, count + 1, _STEP):
        place.start_over()
        end, _ = place.closing(command, number)
        same = end.code == 0 and _told(end) == _told(whole)
        if "Traceback" in end.output or not (end.code == 1 or same) or place.look() != used:
            wrong.append((number, end.code, end.output[-1500:]))

    assert not wrong, f"{len(wrong)} of {count}: {wrong[:3]}"
