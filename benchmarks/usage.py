"""``conda prune usage`` against ``du -s`` over the same trees: whole processes, one after the other, several times."""

from __future__ import annotations

import json

from .install import Install
from .timing import Compared, alternate, conda, process


def compare(install: Install, rounds: int) -> list[Compared]:
    """Return the comparison. Raises `ValueError` if the two don't count the same bytes."""
    environ = install.environ()
    du = ["du", "--summarize", "--total", "--block-size=1", "--", *install.trees()]
    runs = alternate({"usage": conda(environ, "prune", "usage"), "du -s": lambda: process(du, environ)}, rounds)
    usage, of_du = runs.values()
    document = json.loads(usage[-1].out)
    entries = sum(item["files"] + item["directories"] for item in (*document["environments"], *document["caches"]))
    print(f"usage: {entries:,} directory entries, peak memory {max(run.peak for run in usage) / 2**20:.0f} MiB")
    counted, expected = document["totals"]["allocated"], int(of_du[-1].out.splitlines()[-1].split()[0])
    if counted != expected:
        raise ValueError(f"usage counts {counted:,} bytes, du {expected:,}")
    return [Compared("prune usage", "du -s", usage, of_du, 1.0)]
