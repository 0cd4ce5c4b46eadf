"""``conda prune``: its options. What it does is in `run`, which conda's other commands need not import."""

from __future__ import annotations

import argparse

from .options import Value, add_places

DESCRIPTION = """\
Remove what no environment needs from conda's package caches.

Finds every environment and every package cache, shows which packages nothing
references and how many bytes they really take, asks, and removes them.
Packages in use stay, however they are linked. The default is to remove the
extracted directories and the archives of unreferenced packages.
"""

EPILOG = """\
examples:
  conda prune --dry-run            show the plan, change nothing
  conda prune                      show the plan, ask, remove
  conda prune --tarballs --yes     remove archives of unreferenced packages, don't ask
  conda prune --search /projects   also keep what environments below /projects use
  conda prune --dry-run -v         say for every package that stays what keeps it
  conda prune usage                show where the disk goes
  conda prune demo                 try it in a throw-away sandbox
"""


def configure_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from conda.cli.helpers import add_output_and_prompt_options

    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    what = parser.add_argument_group("what to remove")
    what.add_argument(
        "-p", "--packages", action="store_true", help="Only extracted directories of unreferenced packages."
    )
    what.add_argument("-t", "--tarballs", action="store_true", help="Only archives of unreferenced packages.")
    what.add_argument(
        "--min-age",
        metavar="AGE",
        action=Value,
        help="Never touch what was fetched or extracted less than AGE ago (10m, 12h, 30d, 8w, 6mo; 0 for none; "
        "default: 10m): an install may be using it.",
    )
    where = add_places(parser)
    where.add_argument(
        "--ignore-unreadable",
        action="store_true",
        help="Go on though an environment, or a place where one may be, can't be read; what only it soft-links may be "
        "removed.",
    )
    add_output_and_prompt_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from .run import run

    return run(arguments)
