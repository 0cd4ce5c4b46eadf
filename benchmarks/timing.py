"""Running what is compared in turns, and the numbers that come out: wall time, processor time, memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

#: conda's command line with this plugin: the installed conda, else the embedded one.
CONDA = (sys.executable, "-m", "conda_prune_plugin.embedded")


@dataclass(frozen=True, slots=True)
class Took:
    """One run: its wall time and processor time in seconds, the peak of its memory in bytes, and what it printed."""

    wall: float
    processor: float
    peak: int = 0
    out: str = ""


Contender = Callable[[], Took]


@dataclass(frozen=True, slots=True)
class Compared:
    """Two series of runs that were made in turns, and the ratio of wall times that they should have at most."""

    ours: str
    against: str
    our_runs: Sequence[Took]
    their_runs: Sequence[Took]
    goal: float

    @property
    def wall(self) -> float:
        """The ratio of the median wall times."""
        return _median(self.our_runs, "wall") / _median(self.their_runs, "wall")

    @property
    def processor(self) -> float:
        """The ratio of the median processor times."""
        return _median(self.our_runs, "processor") / _median(self.their_runs, "processor")

    def __str__(self) -> str:
        ours, theirs = _median(self.our_runs, "wall"), _median(self.their_runs, "wall")
        verdict = "reached" if self.wall <= self.goal else "MISSED"
        return (
            f"{self.ours:<28} {ours:8.3f} s   {self.against:<24} {theirs:8.3f} s   "
            f"wall {self.wall:5.2f}   processor {self.processor:5.2f}   goal {self.goal:4.2f} {verdict}"
        )


def alternate(contenders: Mapping[str, Contender], rounds: int) -> dict[str, list[Took]]:
    """Run each contender once in each round, after one round that does not count and fills the kernel's caches."""
    for contender in contenders.values():
        contender()
    found: dict[str, list[Took]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            found[name].append(contender())
    return found


def process(command: Sequence[str], environ: Mapping[str, str]) -> Took:
    """Run a command to its end. Raises `CalledProcessError` if it fails."""
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        child = subprocess.Popen(command, env=dict(environ), stdout=out)
        # Only wait4 tells what this one child has used.
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, command)
        out.seek(0)
        return Took(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, out.read().decode())


def conda(environ: Mapping[str, str], *arguments: str) -> Contender:
    """Return a contender that is a command of conda's, with its JSON output."""
    return lambda: process([*CONDA, *arguments, "--json"], environ)


def part(environ: Mapping[str, str], name: str) -> Contender:
    """Return a contender that is one of `parts`, timed by itself in a process of its own."""

    def run() -> Took:
        whole = process([sys.executable, "-m", "benchmarks.parts", name], environ)
        took = json.loads(whole.out.splitlines()[-1])
        return Took(took["wall"], took["processor"], whole.peak)

    return run


def _median(runs: Sequence[Took], what: str) -> float:
    return statistics.median(float(getattr(run, what)) for run in runs)
