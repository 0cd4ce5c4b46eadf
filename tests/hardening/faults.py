"""Whole commands of ours on a machine of real packages, with a fault at the n-th call that changes the disk."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crash import run_decided
from machine import Machine, copy_tree

from .oracle import exact
from .seeds import ViolationError
from .soak import ENDS, ERRORS

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from .oracle import Oracle, Sight

_PRUNE = ("prune", "--min-age", "0", "--yes")
_REMOVE = ("prune", "envs", "hard", "--remove", "--force", "--yes")
_RESTORE = ("prune", "restore", "last")
_PURGE = ("prune", "purge", "--all", "--yes")


@dataclass(frozen=True, slots=True)
class Scene:
    """A command and what comes before it. `given_up`: the environment that it removes or brings back."""

    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    given_up: str | None = None


SCENES = {
    "prune": Scene(_PRUNE),
    "prune all": Scene((*_PRUNE, "--all", "--include-irreplaceable")),
    "backup": Scene((*_PRUNE, "--backup")),
    "archive": Scene((*_PRUNE, "--backup-to", "archives")),
    "restore what was deleted": Scene(_RESTORE, (_PRUNE,)),
    "restore a backup": Scene(_RESTORE, ((*_PRUNE, "--backup"),)),
    "restore archives": Scene(_RESTORE, ((*_PRUNE, "--backup-to", "archives"),)),
    "purge": Scene(_PURGE, ((*_PRUNE, "--backup"), (*_REMOVE, "--backup")), "hard"),
    "remove an environment": Scene(_REMOVE, (), "hard"),
    "set an environment aside": Scene((*_REMOVE, "--backup"), (), "hard"),
    "restore an environment": Scene(_RESTORE, ((*_REMOVE, "--backup"),), "hard"),
    "rebuild an environment": Scene(_RESTORE, (_REMOVE,), "hard"),
}


class Stage:
    """A scene on a machine, ready to be started over."""

    def __init__(self, machine: Machine, oracle: Oracle, copy: Path, name: str) -> None:
        self._machine, self._oracle, self._copy, self._scene = machine, oracle, copy, SCENES[name]
        self.name = name
        self._do(("prune", "envs", "--fix-registry", "--force", "--yes"))
        self._original = exact(machine.envs / "hard")
        for command in self._scene.before:
            self._do(command)
        shutil.rmtree(copy, ignore_errors=True)
        copy_tree(machine.directory, copy)
        self._sight = oracle.look()
        self.calls = 0

        def count(call: str) -> str:
            self.calls += 1
            return ""

        run_decided(machine, self._scene.command, count)
        self._whole_end = oracle.look()

    def fail(self, seed: int, figures: Counter[str]) -> None:
        """Fail the command at a call that the seed chooses, judge, run it again without, and judge again."""
        chance = random.Random(seed)  # noqa: S311
        number, error, onward = chance.randint(1, self.calls), chance.choice(ERRORS), chance.random() < 0.3
        seen = 0

        def decide(call: str) -> str:
            nonlocal seen
            seen += 1
            hit = seen >= number if onward else seen == number
            figures["faults injected"] += hit
            return f"error={error}" if hit else ""

        self._start_over()
        end = run_decided(self._machine, self._scene.command, decide)
        figures["commands with a fault"] += 1
        what = f"{self.name}: {error} at call {number}{' and all after it' if onward else ''}, seed {seed}"
        wrong = [] if end.code in ENDS and "Traceback" not in end.output else [f"{end.code}: {end.output[-3000:]}"]
        after = self._oracle.look()
        wrong += self._judge(self._sight, after)
        wrong += self._completed(after)
        if wrong:
            figures["violations"] += 1
            raise ViolationError("\n".join((what, *wrong, "it printed:", end.output[-1500:])))

    def _judge(self, before: Sight, after: Sight) -> list[str]:
        given_up = [str(self._machine.envs / self._scene.given_up)] if self._scene.given_up else []
        return self._oracle.judge(
            before,
            after,
            given_up=given_up,
            archives="--all" in self._scene.command,
            conda_too=self.name.startswith("rebuild"),
        )

    def _completed(self, before: Sight) -> list[str]:
        """Run it again without a fault: it completes what was begun, and nothing is lost on the way."""
        again = self._machine.run(*self._scene.command)
        after = self._oracle.look()
        wrong = self._judge(before, after)
        self._machine.run(*_PRUNE, "--only", "nothing-of-this-name")
        wrong += self._oracle.unfinished()
        environment = str(self._machine.envs / "hard")
        if self._scene.command == _RESTORE:
            lost = self._whole_end.entries.keys() - after.entries.keys()
            if self.name.startswith("rebuild"):
                # conda runs under the same faults. As in any of its commands, it extracts archives of which the cache
                # has nothing else, and deletes those that it can't (`PackageCacheData._make_single_record`).
                lost &= self._sight.entries.keys()
            wrong += [f"not restored: {sorted(lost)}"] if lost else []
            if self._scene.given_up and environment not in after.environments:
                wrong.append("the environment is not restored")
            if ("--backup" in self._scene.before[-1]) and self._scene.given_up:
                same = exact(self._machine.envs / "hard") == self._original
                wrong += [] if same else ["the environment came back otherwise"]
        else:
            more = after.entries.keys() - self._whole_end.entries.keys()
            wrong += [f"still there: {sorted(more)}"] if more else []
            if self._scene.given_up and environment in after.environments:
                wrong.append("the environment is still there")
        return [*wrong, f"again: {again.code} {again.out[-1000:]} {again.err[-1000:]}"] if wrong else []

    def _do(self, command: tuple[str, ...]) -> None:
        answer = self._machine.run(*command)
        assert answer.code == 0, (command, answer)

    def _start_over(self) -> None:
        shutil.rmtree(self._machine.directory)
        copy_tree(self._copy, self._machine.directory)
