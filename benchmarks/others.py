"""What the installed plugin costs all other commands of conda."""

from __future__ import annotations

import statistics
import sys

from .install import Install
from .timing import Compared, Contender, alternate, part, process

#: conda's command line with or without this plugin among those it finds.
_INFO = """
import sys
from conda_prune_plugin import embedded
embedded.activate()
if embedded.is_embedded():
    embedded._leave_out_conda_lock()
from conda.plugins import manager
found = manager.distributions
if sys.argv[1] == "without":
    manager.distributions = lambda: (one for one in found() if one.name.replace("_", "-") != "conda-prune")
from conda.cli.main import main
main("info", "--json")
"""


def compare(install: Install, rounds: int) -> list[Compared]:
    """Return the comparison of ``conda info`` with and without the plugin; few milliseconds need many rounds."""
    # conda would start a process to look for it, in a module that knows no embedded conda.
    environ = install.environ() | {"CONDA_OVERRIDE_CUDA": ""}

    def info(how: str) -> Contender:
        return lambda: process([sys.executable, "-c", _INFO, how], environ)

    runs = alternate({how: info(how) for how in ("with", "without")}, rounds * 5)
    more = statistics.median(a.processor - b.processor for a, b in zip(runs["with"], runs["without"]))
    wall = statistics.median(a.wall - b.wall for a, b in zip(runs["with"], runs["without"]))
    imports = alternate({"import": part(environ, "plugin-import")}, rounds)["import"]
    print(
        f"conda info with the plugin: {wall * 1e3:+.1f} ms wall, {more * 1e3:+.1f} ms processor (goal 3 ms); "
        f"import of plugin.py {statistics.median(one.wall for one in imports) * 1e3:.2f} ms (goal 1 ms)"
    )
    return []
