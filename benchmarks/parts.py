"""Parts of a run, each timed in an interpreter of its own without its start: ``python -m benchmarks.parts NAME``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from conda_prune_plugin.embedded import activate


def scan() -> Callable[[], object]:
    """Everything of a dry run but the interpreter's start and conda: from our own imports to the document."""
    from conda.base.context import context
    from conda.cli.conda_argparse import generate_parser

    # As conda.cli.main.main_subshell does it.
    parser = generate_parser()
    arguments = parser.parse_args(["prune", "--dry-run", "--json"])
    context.__init__(argparse_args=arguments)
    context.plugin_manager.load_plugins()

    from conda_prune_plugin.cli.main import execute

    return lambda: execute(arguments)


def prefix_data() -> Callable[[], object]:
    """Load all records of all environments through conda's own class."""
    from conda.base.context import reset_context
    from conda.core.envs_manager import list_all_known_prefixes
    from conda.core.prefix_data import PrefixData

    reset_context()
    return lambda: [list(PrefixData(prefix, False).iter_records()) for prefix in list_all_known_prefixes()]


def plugin_import() -> Callable[[], object]:
    """Import ``plugin.py``, as every conda command does."""
    import conda.plugins  # noqa: F401

    return lambda: __import__("conda_prune_plugin.plugin")


PARTS = {"scan": scan, "prefix-data": prefix_data, "plugin-import": plugin_import}


def main(name: str) -> None:
    """Print what a part takes, as JSON in the last line of the output."""
    activate()
    do = PARTS[name]()
    wall, processor = time.perf_counter(), time.process_time()
    do()
    took = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    print(json.dumps(took))


if __name__ == "__main__":
    main(sys.argv[1])
