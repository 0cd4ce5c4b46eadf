"""Removing what no environment uses, against ``rm -rf`` of the same paths and against ``conda clean --packages``.

Each removes the same trees from the same place. They are put there again, from copies, before each run and written to
the disk, which is not timed; so are the few packages that only ``conda clean`` takes though environments have them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence

from .install import Install
from .timing import Compared, Took, alternate, conda, process


def compare(install: Install, rounds: int) -> list[Compared]:
    """Return the comparisons."""
    environ = install.environ()
    prune = ("prune", "--packages", "--min-age", "0", "--include-irreplaceable")
    plan = json.loads(conda(environ, *prune, "--dry-run")().out)
    paths = [path for item in plan["remove"] for path in item["paths"]]
    theirs = json.loads(conda(environ, "clean", "--packages", "--dry-run")().out)["packages"]["pkg_sizes"]
    names = sorted({os.path.basename(path) for path in paths}.union(*theirs.values()))
    spare = install.directory / "spare"
    shutil.rmtree(spare, ignore_errors=True)
    spare.mkdir()
    _copy([install.cache / name for name in names], spare)

    def restored(run: Callable[[], Took]) -> Callable[[], Took]:
        def timed() -> Took:
            _copy([spare / name for name in names if not (install.cache / name).exists()], install.cache)
            os.sync()
            return run()

        return timed

    runs = alternate(
        {
            "prune": restored(conda(environ, *prune, "--yes")),
            "rm -rf": restored(lambda: process(["rm", "-rf", *paths], environ)),
            "clean": restored(conda(environ, "clean", "--packages", "--yes")),
        },
        rounds,
    )
    _copy([spare / name for name in names if not (install.cache / name).exists()], install.cache)
    shutil.rmtree(spare)
    shutil.rmtree(install.cache / ".conda-prune", ignore_errors=True)
    print(f"removal: {len(paths)} packages with {plan['totals']['files']:,} files")
    return _verdicts(*runs.values())


def _verdicts(ours: Sequence[Took], rm: Sequence[Took], clean: Sequence[Took]) -> list[Compared]:
    compared = [Compared("prune --yes", "rm -rf", ours, rm, 1.0), Compared("prune --yes", "clean -p", ours, clean, 1.0)]
    slower = min(compared, key=lambda one: one.wall)
    return [Compared(one.ours, one.against, ours, one.their_runs, 0.8 if one is slower else 1.0) for one in compared]


def _copy(sources: Iterable[object], target: object) -> None:
    paths = [str(path) for path in sources]
    for first in range(0, len(paths), 500):
        subprocess.run(
            ["cp", "-a", "-t", str(target), "--", *paths[first : first + 500]],  # noqa: S607
            check=True,
        )
