"""A dry run against conda's own, and against loading the records; its memory, and how both grow."""

from __future__ import annotations

from .install import Install
from .timing import Compared, alternate, conda, part


def compare(install: Install, rounds: int) -> list[Compared]:
    """Return the comparisons of whole commands, and of the scan alone."""
    environ = install.environ()
    runs = alternate(
        {
            "prune --dry-run": conda(environ, "prune", "--dry-run"),
            "the scan of it": part(environ, "scan"),
            "clean --packages --dry-run": conda(environ, "clean", "--packages", "--dry-run"),
        },
        rounds,
    )
    ours, scan, clean = runs.values()
    # It takes so long that few rounds tell enough.
    records = alternate({"PrefixData": part(environ, "prefix-data")}, min(rounds, 2))["PrefixData"]
    print(f"peak memory of a plan: {max(run.peak for run in ours) / 2**20:.0f} MiB")
    return [
        Compared("prune --dry-run", "clean -p --dry-run", ours, clean, 1.0),
        Compared("its scan", "clean -p --dry-run", scan, clean, 0.5),
        Compared("prune --dry-run", "PrefixData", ours, records, 0.05),
        Compared("its scan", "PrefixData", scan, records, 0.05),
    ]
