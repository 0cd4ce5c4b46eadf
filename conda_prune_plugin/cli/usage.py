"""``conda prune usage``: its options. What it does is in `measure_usage`, which other commands need not import."""

from __future__ import annotations

import argparse
from typing import Any

from .options import Value, add_places
from .policy_options import CHOICES

DESCRIPTION = """\
Show where the disk goes: environments, package caches, and what could be
reclaimed.

Bytes are blocks on disk, every inode counted once, so everything together is
what du says. "Own" comes back if exactly this environment is removed; "shared"
has hard links outside of it, mostly in a package cache.
"""

EPILOG = """\
examples:
  conda prune usage                environments and caches, the largest first
  conda prune usage work           one environment: its packages, what only it keeps
  conda prune usage --packages     who uses what, and in how many versions
  conda prune usage --html u.html  a report to explore in a browser
  conda prune usage --export ncdu | ncdu -f -
                                   every file, to browse in ncdu
"""


#: Options that mean something else here than in ``conda prune`` itself.
OWN = frozenset[str]()

#: Options that only ``conda prune`` itself has and that count here all the same: before the command's name.
ABOVE = CHOICES


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    from conda.cli.helpers import add_output_and_prompt_options

    parser: argparse.ArgumentParser = commands.add_parser(
        "usage",
        help="Show where the disk goes.",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("environment", metavar="NAME", nargs="?", help="Only this environment, by name or prefix.")
    what = parser.add_argument_group("what to show")
    what.add_argument(
        "--packages",
        dest="by_package",
        action="store_true",
        help="Package by package: versions, environments, bytes shared and duplicated.",
    )
    what.add_argument("--html", metavar="FILE", help="Write an interactive report to FILE, for any browser.")
    what.add_argument(
        "--export",
        metavar="FORMAT",
        choices=("ncdu",),
        help="Write every file of the environments and caches to standard output, for ncdu or gdu to browse: ncdu.",
    )
    what.add_argument(
        "--min-age",
        metavar="AGE",
        action=Value,
        help="What counts as too young to be reclaimable, as for conda prune (default: 10m).",
    )
    what.add_argument(
        "--other-caches",
        action=argparse.BooleanOptionalAction,
        help="Measure the caches of other tools (conda-build, pip, uv, ...) to their end, or not at all; by default "
        "for some seconds.",
    )
    add_places(parser)
    add_output_and_prompt_options(parser)
    parser.set_defaults(prune_command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from ..discovery.system.worker import Crew

    # The second process starts, and begins to read environments, while this one imports the rest.
    with Crew() as crew:
        from ..discovery.inventory import begin

        beginning = begin(crew)
        from ..operations.prune.measure_usage import run

        return run(arguments, beginning)
