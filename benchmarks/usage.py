"""``conda prune usage`` against ``du -s`` over the same trees: whole processes, one after the other, several times."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .install import Install


@dataclass(frozen=True, slots=True)
class Run:
    """One process: its wall time and processor time in seconds, and what it printed."""

    wall: float
    processor: float
    out: str


def compare(install: Install, rounds: int) -> int:
    """Print the medians and their ratio; return 0 if both count the same bytes."""
    environ = install.environ()
    du = ["du", "--summarize", "--total", "--block-size=1", "--", *install.trees()]
    usage = [sys.executable, "-m", "conda_prune_plugin.embedded", "prune", "usage", "--json"]
    # Once each before it counts: both find the same in the kernel's caches then.
    bytes_of_du = int(run(du, environ).out.splitlines()[-1].split()[0])
    document = json.loads(run(usage, environ).out)
    pairs = [(run(du, environ), run(usage, environ)) for _ in range(rounds)]
    entries = sum(item["files"] + item["directories"] for item in (*document["environments"], *document["caches"]))
    print(f"{entries:,} directory entries, {rounds} rounds, {_machine()}")
    for name, runs in (("du -s", [pair[0] for pair in pairs]), ("conda prune usage", [pair[1] for pair in pairs])):
        walls = [one.wall for one in runs]
        print(
            f"{name:18} median {statistics.median(walls):.2f} s, from {min(walls):.2f} to {max(walls):.2f} s, "
            f"processor {statistics.median(one.processor for one in runs):.2f} s"
        )
    ratio = statistics.median(pair[1].wall for pair in pairs) / statistics.median(pair[0].wall for pair in pairs)
    print(f"ratio {ratio:.2f}; largest memory of all processes {_peak()}")
    same = bytes_of_du == document["totals"]["allocated"]
    print(f"du: {bytes_of_du:,} bytes; usage: {document['totals']['allocated']:,} bytes")
    return 0 if same else 1


def run(command: Sequence[str], environ: Mapping[str, str]) -> Run:
    """Run a command to its end. Raises `CalledProcessError` if it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, env=dict(environ), stdout=subprocess.PIPE, text=True, check=True)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Run(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout)


def _peak() -> str:
    return f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB"


def _machine() -> str:
    return f"{os.cpu_count()} processors, Python {sys.version.split()[0]}"
