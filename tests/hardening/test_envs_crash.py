"""Killed at any system call that changes the disk, an environment is whole at its place or wholly set aside."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash import injections, run, run_traced
from machine import copy_tree, listing
from places import temporary
from tiny import Tiny

from conda_prune_plugin.demo.demo_packages import File, SymLink
from conda_prune_plugin.demo.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = [pytest.mark.debian, pytest.mark.slow]

#: Whatever else is installed on the machine of the tests meanwhile.
REMOVE = ("prune", "envs", "e", "--remove", "--yes", "--ignore-running")
PRUNE = ("prune", "--yes", "--ignore-running")
BACKUP = (*REMOVE, "--backup")
RESTORE = ("prune", "restore", "last")
PURGE = ("prune", "purge", "--all", "--yes")


class Place:
    """A sandbox with two environments, and copies of its state to start over from."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "it"
        self._copy = directory / "copy"
        tiny = Tiny(self.directory)
        tiny.add("a-1-0", {"bin/tool": File(b"tool" * 3000, executable=True), "lib/link": SymLink("../bin/tool")})
        self.prefix = tiny.use("e", "a-1-0")
        (self.prefix / "deep" / "er").mkdir(parents=True)
        (self.prefix / "deep" / "er" / "own").write_bytes(b"own")
        self.other = tiny.use("other", "a-1-0")
        self.sandbox = Sandbox(self.directory)
        self.sandbox.create()
        self.sandbox.registry.parent.mkdir()
        self.sandbox.registry.write_text(f"/mnt/away/env\n{self.prefix}\n{self.other}\n")
        run(self.sandbox, "info")  # It makes directories below the home.
        self.whole = self.look(self.prefix)
        self.others = self.look(self.other)

    def look(self, top: Path) -> dict[str, tuple[object, ...]]:
        """Return all there is to know of a tree but what a rename and new links may change."""
        found = {os.path.relpath(path, top): known for path, known in listing(top).items()}
        return {path: (known[0], *known[2:4], known[5]) for path, known in found.items()}

    def save(self) -> None:
        """Make the present state the one to start over from."""
        shutil.rmtree(self._copy, ignore_errors=True)
        copy_tree(self.directory, self._copy)

    def start_over(self) -> None:
        """Make everything what it was when it was saved."""
        shutil.rmtree(self.directory)
        copy_tree(self._copy, self.directory)

    def aside(self) -> list[Path]:
        """Return the environments that are set aside."""
        return [path for path in self.sandbox.envs.glob(".conda-prune/*/*") if path.name.isdecimal()]

    def doomed(self) -> list[Path]:
        """Return what is being deleted."""
        return list(self.sandbox.envs.glob(".conda-prune/*/0.deleting"))

    def registry(self) -> list[str]:
        """Return the lines of the registry."""
        return self.sandbox.registry.read_text().splitlines()

    def require_unharmed(self) -> None:
        """Require what has to hold after anything."""
        assert self.look(self.other) == self.others
        assert {"/mnt/away/env", str(self.other)} <= set(self.registry())
        copies = [path for path in (self.prefix, *self.aside(), *self.doomed()) if path.exists()]
        assert len(copies) <= 1
        for path in copies:
            assert path in self.doomed() or self.look(path) == self.whole

    def require_settled(self) -> None:
        """Require that nothing is under way any more."""
        assert self.doomed() == []
        for receipt in self.sandbox.envs.glob(".conda-prune/*/receipt.json"):
            assert json.loads(receipt.read_text())["state"] == "done"


@pytest.fixture
def place() -> Iterator[Place]:
    with temporary() as directory:
        yield Place(Path(directory))


def _nothing(place: Place) -> None:
    """Begin with what is there."""


def _backed_up(place: Place) -> None:
    assert run(place.sandbox, *BACKUP).code == 0


def _gone(place: Place) -> None:
    # If it is gone already, it is not found any more: by then the rest is cleared up.
    end = run(place.sandbox, *REMOVE)
    assert not place.prefix.exists(), end.output
    assert place.aside() == []
    exports = list(place.sandbox.envs.glob(".conda-prune/*/environment-exports/e/explicit.txt"))
    assert len(exports) == 1


def _aside_and_back(place: Place) -> None:
    assert run(place.sandbox, *BACKUP).code in (0, 1)
    place.require_unharmed()
    assert len(place.aside()) == 1
    _back(place)


def _back(place: Place) -> None:
    assert run(place.sandbox, *RESTORE).code in (0, 1)
    assert place.look(place.prefix) == place.whole
    assert place.registry().count(str(place.prefix)) == 1


def _purged(place: Place) -> None:
    assert run(place.sandbox, *PURGE).code == 0
    assert not (place.sandbox.envs / ".conda-prune").exists()


def _worked_in(place: Place) -> None:
    (place.prefix / "src" / "project" / ".git").mkdir(parents=True)
    (place.prefix / "src" / "project" / ".git" / "HEAD").write_bytes(b"mine")
    # Beside one of a package, so that it is moved by itself.
    for name in ("deep/notes", "plan"):
        (place.prefix / name).write_bytes(b"mine")
    place.whole = place.look(place.prefix)


def _gone_but_for_the_work(place: Place) -> None:
    _require_work_once(place)
    end = run(place.sandbox, *REMOVE, "--force")
    assert not place.prefix.exists(), end.output
    place.require_settled()
    (files,) = place.sandbox.envs.glob(".conda-prune/*/environment-files/e")
    _require_work_once(place)
    assert {path.name for path in files.rglob("*") if path.is_file()} == {"HEAD", "notes", "plan", "own"}


def _require_work_once(place: Place) -> None:
    for name in ("src/project/.git/HEAD", "deep/notes", "plan"):
        copies = [*place.sandbox.envs.rglob(f"e/{name}"), *place.sandbox.envs.glob(f".conda-prune/*/0*/{name}")]
        assert [path.read_bytes() for path in copies] == [b"mine"], name


def _pruned(place: Place) -> None:
    """Require that a prune finishes or rolls back what was killed."""
    end = run(place.sandbox, *PRUNE)
    assert end.code == 0, end.output
    assert (str(place.prefix) in place.registry()) == place.prefix.exists()
    for left in place.sandbox.envs.glob(".conda-prune/*/*"):
        assert left.name in ("receipt.json", "environment-exports")
    assert place.prefix.exists() or list(place.sandbox.envs.glob(".conda-prune/*/environment-exports/e/explicit.txt"))


#: What comes before, the command that is killed, and what has to work after it.
SCENES: dict[str, tuple[Callable[[Place], None], Sequence[str], Callable[[Place], None]]] = {
    "remove": (_nothing, REMOVE, _gone),
    "remove, then prune": (_nothing, (*REMOVE, "--force"), _pruned),
    "backup": (_nothing, BACKUP, _aside_and_back),
    "restore": (_backed_up, RESTORE, _back),
    "purge": (_backed_up, PURGE, _purged),
    "remove with own work": (_worked_in, (*REMOVE, "--force"), _gone_but_for_the_work),
}


@pytest.mark.parametrize("scene", SCENES)
def test_killed_at_any_change_an_environment_is_whole_or_wholly_set_aside(place: Place, scene: str) -> None:
    before, command, after = SCENES[scene]
    before(place)
    place.save()
    end = run_traced(place.sandbox, command)
    assert end.code == 0, end.output
    killed = 0
    for injection in list(injections(end.calls, "signal=KILL")):
        place.start_over()
        killed += run_traced(place.sandbox, command, injection).code == -9
        place.require_unharmed()
        after(place)
        place.require_unharmed()
        place.require_settled()
    assert killed > 10
