"""``conda prune``: its options, and one run: prepare, show the plan, ask, carry it out, show the result."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .parsing import help_text
from .parsing import shared_options as common
from .parsing.shared_options import (
    add_backup,
    add_ci,
    add_ignore_running,
    add_lock_timeout,
    add_policies,
    add_roots,
    add_targets,
    conda_output,
)

if TYPE_CHECKING:
    from ..operations.interaction import Output
    from ..operations.options import PruneOptions
    from ..operations.prune.run_prune import PruneResult

#: The exit code if the user answers no.
DECLINED = 1

DESCRIPTION = """\
Remove cached packages that no environment uses.

Finds your environments and conda's package caches, shows the unused packages
and how much space removing them frees, and asks before it removes anything.
"""

#: The options that the short help lists: the ten that people use most, and where to find the rest.
COMMON = (
    "--dry-run",
    "--yes",
    "--all",
    "--only",
    "--keep",
    "--older-than",
    "--keep-newest",
    "--max-size",
    "--backup",
    "--search",
    "--help",
    "--help-all",
    "--version",
)

EXAMPLES = """\
examples:
  conda prune --dry-run            show the plan, change nothing
  conda prune --older-than 30d     remove packages unused for 30 days
  conda prune restore last         undo the last run
"""

SHORT_EPILOG = f"""\
{EXAMPLES}
Run `conda prune --help-all` for all options, or `conda prune help COMMAND` for
a command.
"""

EPILOG = f"""\
{EXAMPLES}  conda prune --all                also remove index caches, logs and more
  conda prune --tarballs --yes     remove archives only, don't ask
  conda prune --max-size 10GB      shrink the caches to 10 GB
  conda prune --keep-newest 1      keep the newest version of each package
  conda prune --lockfile pixi.lock  keep the packages of a lockfile
  conda prune --search ~/projects  keep packages that ~/projects uses
  conda prune --backup             move to a backup instead of deleting
  conda prune --dry-run -v         show why each package is kept
  conda prune --check 5GB          exit with 3 if more than 5 GB can be freed
"""


def configure_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = DESCRIPTION
    parser.usage = "conda prune [OPTIONS] [COMMAND]"
    parser.formatter_class = help_text.HelpFormatter
    add_targets(parser)
    add_policies(parser)
    _add_undo(parser.add_argument_group("backups"))
    add_places(parser)
    _add_others(parser.add_argument_group("other programs"))
    add_ci(parser.add_argument_group("continuous integration"))
    parser.add_argument_group("output of the plan").add_argument(
        "--sort",
        choices=("size", "age", "name"),
        default="size",
        help="Order of the packages to remove: largest (default), longest unused, or alphabetical.",
    )
    help_text.add_output_options(
        parser,
        verbose="Show all packages and why each is kept; -vv also why each one is removed.",
        dry_run="Show what would be removed; change nothing.",
        yes="Don't ask before removing.",
    )
    parser.add_argument("--help-all", action=help_text.FullHelp, help="Show all options and exit.")
    parser.epilog = EPILOG
    help_text.shorten(parser, COMMON, SHORT_EPILOG)


def add_places(parser: argparse.ArgumentParser) -> None:
    """Add the options for caches, environments and other things that keep packages."""
    where = common.add_places(parser)
    where.add_argument(
        "--ignore-unreadable",
        action="store_true",
        help="Continue even if an environment can't be read. Packages that only it soft-links may be removed.",
    )
    add_roots(where)


def _add_undo(group: Any) -> None:
    add_backup(group)
    group.add_argument(
        "--backup-to",
        metavar="DIR",
        help="Write compressed archives of the packages to DIR, verify them, then delete the packages.",
    )


def _add_others(group: Any) -> None:
    add_lock_timeout(group)
    add_ignore_running(group)


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from .parsing.arguments import prune_options

    result = prune_with(prune_options(arguments), conda_output(), sort=arguments.sort)
    return DECLINED if result is None else result.exit_code


def prune_with(
    options: PruneOptions,
    output: Output,
    *,
    print_json: bool = True,
    declined: str = "Nothing was removed.",
    sort: str = "size",
) -> PruneResult | None:
    """Plan, show the plan, ask, carry it out and show the result; return it, or None if the user declined.

    print_json: print the JSON document if --json was given; otherwise the caller makes it a part of its own (see
    `prune_screen.document_of`). declined: the message if the user declines. sort: the order of the packages to remove.

    Raises `PruneError`.
    """
    from ..operations.interaction import confirm, interacting
    from ..operations.prune.prepare_prune import check_may_run, prepare
    from ..operations.prune.run_prune import carry_out, finish_without_changes
    from .prune_screen import question, show_plan, show_result

    with interacting(output) as interaction:
        prepared = prepare(options, interaction)
        show_plan(prepared, sort)
        if prepared.changes:
            check_may_run(prepared)
            if not confirm(question(prepared), prepared.interaction, declined):
                return None
            # Once more: time has passed since the question.
            check_may_run(prepared)
            result = carry_out(prepared)
        else:
            result = finish_without_changes(prepared)
        show_result(result, prepared.output, print_json=print_json)
        return result
