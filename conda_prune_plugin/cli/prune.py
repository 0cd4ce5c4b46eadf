"""``conda prune``: its options. What it does is in `run`, which conda's other commands need not import."""

from __future__ import annotations

import argparse

from .policy_options import add_policies, add_roots

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
  conda prune --older-than 30d     remove only what nothing has used for 30 days
  conda prune --max-size 10GB      remove the longest unused, until the caches hold 10 GB
  conda prune --lockfile pixi.lock --keep-newest 1
                                   keep what a lockfile names and the newest of each package
  conda prune --dry-run -v         say for every package that stays what keeps it
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
    add_policies(parser)
    add_places(parser)
    add_output_and_prompt_options(parser)


def add_places(parser: argparse.ArgumentParser) -> None:
    """Add the options that name caches and roots."""
    where = parser.add_argument_group("where to look, and what stays")
    where.add_argument(
        "--pkgs-dir",
        metavar="DIR",
        action="append",
        default=[],
        help="This package cache instead of the configured ones; can be repeated.",
    )
    where.add_argument(
        "--root",
        metavar="PREFIX",
        action="append",
        default=[],
        help="A further environment whose packages stay; can be repeated.",
    )
    where.add_argument(
        "--search",
        metavar="DIR",
        action="append",
        default=[],
        help="Look for further environments everywhere below DIR; can be repeated.",
    )
    where.add_argument(
        "--ignore-unreadable",
        action="store_true",
        help="Go on though an environment, or a place where one may be, can't be read; what only it soft-links may be "
        "removed.",
    )
    add_roots(where)


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from .run import run

    return run(arguments)
