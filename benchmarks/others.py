"""What the installed plugin costs all other commands of conda."""

from __future__ import annotations

import statistics
import sys

from .install import Install
from .timing import Compared, Contender, alternate, part, process

#: conda's command line with or without this plugin among those it finds; both look through the same names.
_INFO = """
import sys
from conda_prune_plugin import embedded
embedded.activate()
if embedded.is_embedded():
    embedded._leave_out_conda_lock()
from conda.plugins import manager
found, without = manager.distributions, sys.argv[1] == "without"
manager.distributions = lambda: (one for one in found() if one.name.replace("_", "-") != "conda-prune" or not without)
from conda.cli.main import main
main("info", "--json")
"""


def compare(install: Install, rounds: int) -> list[Compared]:
    """Return the comparison of ``conda info`` with and without the plugin; few milliseconds need many rounds."""
    # conda would start a process to look for it, in a module that knows no embedded conda; and the order of its sets
    # makes more of a difference than the plugin.
    environ = install.environ() | {"CONDA_OVERRIDE_CUDA": "", "PYTHONHASHSEED": "0"}

    def info(how: str) -> Contender:
        return lambda: process([sys.executable, "-c", _INFO, how], environ)

    runs = alternate({how: info(how) for how in ("with", "without")}, rounds * 10)
    # What else the machine does makes a run longer, never shorter: the fastest are nearest to what they need.
    wall = min(run.wall for run in runs["with"]) - min(run.wall for run in runs["without"])
    processor = min(run.processor for run in runs["with"]) - min(run.processor for run in runs["without"])
    imports = alternate({"import": part(environ, "plugin-import")}, rounds)["import"]
    print(
        f"conda info with the plugin: {wall * 1e3:+.1f} ms wall, {processor * 1e3:+.1f} ms processor (goal 3 ms); "
        f"import of plugin.py {statistics.median(one.wall for one in imports) * 1e3:.2f} ms (goal 1 ms)"
    )
    return []
