"""``conda prune envs``: its options. What it does is in `list_envs`, which conda's other commands need not import."""

from __future__ import annotations

import argparse
from typing import Any

from .options import Value, add_lock_timeout, add_places
from .policy_options import CHOICES

DESCRIPTION = """\
List environments with the evidence of their use, or take some away.

For each: its own and shared bytes, when it was created, changed and last used,
which processes run from it, what points into it (Jupyter kernels, editors,
direnv and shell files, cron, systemd, scripts), whether it is frozen, broken or
has the same packages as another.

--remove first writes what is needed to rebuild an environment into a folder
that it names, and deletes the environment then, or with --backup moves it aside
by one rename. `conda prune restore` brings back either. The base environment is
never removed, and what is active, frozen, running or pointed at only with
--force.
"""

EPILOG = """\
examples:
  conda prune envs                       all environments, the largest first
  conda prune envs -v work               one of them, with every piece of evidence
  conda prune envs --unused-for 90d      those that nothing has used for 90 days
  conda prune envs old test --remove     remove two, after a question
  conda prune envs old --remove --backup move one aside; frees nothing until purged
  conda prune envs --unused-for 1y --remove --prune --yes
                                         and remove what only they kept in the caches
  conda prune envs --fix-registry        clean environments.txt of what is gone
"""


#: Options that mean something else here than in ``conda prune`` itself.
OWN = frozenset[str]()

#: Options that only ``conda prune`` itself has and that count here all the same: before the command's name.
ABOVE = CHOICES | {"ignore_unreadable"}


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    from conda.cli.helpers import add_output_and_prompt_options

    parser: argparse.ArgumentParser = commands.add_parser(
        "envs",
        help="List environments with evidence of use, or remove some.",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("environments", metavar="NAME", nargs="*", help="Only these, by name or prefix.")
    which = parser.add_argument_group("which environments")
    which.add_argument(
        "--unused-for",
        "--older-than",
        dest="unused_for",
        metavar="AGE",
        action=Value,
        help="Only those of which all evidence of use is at least this old (12h, 30d, 8w, 6mo).",
    )
    _add_removal(parser.add_argument_group("what to do with them"))
    add_places(parser).add_argument(
        "--min-age",
        metavar="AGE",
        action=Value,
        help="What counts as too young to be reclaimable in the caches, as for conda prune (default: 10m).",
    )
    add_lock_timeout(parser)
    parser.add_argument(
        "--ignore-running",
        action="store_true",
        help="With --yes: go on though another conda, mamba or pixi is installing something right now.",
    )
    add_output_and_prompt_options(parser)
    parser.set_defaults(prune_command=execute)
    return parser


def _add_removal(group: Any) -> None:
    group.add_argument("--remove", action="store_true", help="Remove those named, or those found by --unused-for.")
    group.add_argument(
        "--force",
        action="store_true",
        help="Also what is active, frozen, running, or pointed at; with --fix-registry also lines on places that are "
        "away. Never the base environment.",
    )
    group.add_argument(
        "--backup",
        action="store_true",
        default=None,
        help="Move environments aside instead of deleting them; frees nothing until `conda prune purge`.",
    )
    group.add_argument(
        "--no-backup", dest="backup", action="store_false", help="Delete, also if the setting prune_backup says else."
    )
    group.add_argument(
        "--prune", action="store_true", help="Afterwards prune the caches; without it that is asked, with --yes not."
    )
    group.add_argument(
        "--fix-registry",
        action="store_true",
        help="Take lines out of environments.txt whose environment is gone, keeping a copy, and move leftovers of "
        "interrupted creations aside.",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from ..discovery.system.worker import Crew

    # The second process starts while this one imports the rest.
    with Crew() as crew:
        from ..operations.envs.list_envs import run

        return run(arguments, crew)
