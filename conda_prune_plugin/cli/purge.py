"""``conda prune purge``: delete backups and receipts of earlier runs for good."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .parsing import help_text
from .parsing.shared_options import Value, add_lock_timeout, add_pkgs_dir, conda_output

if TYPE_CHECKING:
    from ..core.run import RunSummary
    from ..operations.interaction import Output
    from ..operations.runs.purge_runs import PurgeResult

DESCRIPTION = """\
Delete what earlier runs left for `conda prune restore`: backups of packages and
environments, exports of deleted environments, archives, and receipts.

This is what frees the space of a backup. It can't be undone. To list the runs,
use `conda prune restore`.
"""

EPILOG = """\
examples:
  conda prune purge last              delete the backup of the last run
  conda prune purge --older-than 30d  delete backups older than 30 days
  conda prune purge --all --yes       delete all backups, don't ask
"""


#: Options with another meaning here than in ``conda prune`` itself.
OWN = frozenset[str]()

#: Options of ``conda prune`` itself that this command honours before its name.
ABOVE = frozenset[str]()


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    parser: argparse.ArgumentParser = help_text.add_command(
        commands, "purge", "Delete backups for good.", "[OPTIONS] [RUN ...]", DESCRIPTION, EPILOG
    )
    parser.add_argument("runs", metavar="RUN", nargs="*", help="A run, or `last`.")
    parser.add_argument("--all", action="store_true", help="All runs.")
    parser.add_argument(
        "--older-than", metavar="AGE", action=Value, help="Runs that are at least AGE old (12h, 30d, 8w, 6mo)."
    )
    add_pkgs_dir(parser)
    add_lock_timeout(parser)
    help_text.add_output_options(
        parser, dry_run="Show what would be deleted; change nothing.", yes="Don't ask before deleting."
    )
    parser.set_defaults(prune_command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from ..operations.interaction import confirm, interacting
    from ..operations.runs.purge_runs import carry_out_purge, prepare_purge
    from .parsing.arguments import purge_options

    options, output = purge_options(arguments), conda_output()
    with interacting(output) as interaction:
        prepared = prepare_purge(options, interaction)
        result = prepared.result
        if result.runs and not output.dry_run:
            _show_runs(result.runs, output)
            if not confirm(_question(result.runs), interaction):
                return 1
            result = carry_out_purge(prepared, interaction)
        _show(result, output)
    return 1 if result.failed else 0


def _question(runs: Sequence[RunSummary]) -> str:
    from ..core.units import format_size, plural

    stored = format_size(sum(item.stored for item in runs))
    own = sum(item.own_files for item in runs)
    with_them = f", with {plural(own, 'file or directory', 'files and directories')} of your own" if own else ""
    return f"Delete {plural(len(runs), 'run')} permanently (frees {stored}{with_them})?"


def _show_runs(runs: Sequence[RunSummary], output: Output) -> None:
    import time

    from ..presentation.runs_text import show_runs
    from ..presentation.terminal.console import console

    if not (output.json or output.quiet):
        show_runs(console(sys.stdout), runs, time.time(), purging=True)


def _show(result: PurgeResult, output: Output) -> None:
    from ..presentation.documents import purged_document, run_document, runs_document
    from ..presentation.json_output import print_document
    from ..presentation.plan_text import show_notices
    from ..presentation.runs_text import show_purged
    from ..presentation.terminal.console import console

    if output.json:
        runs = [purged_document(item) for item in result.outcomes] or [run_document(item) for item in result.runs]
        print_document(runs_document(runs, result.notices, success=not result.failed, dry_run=output.dry_run))
        return
    out, err = console(sys.stdout), console(sys.stderr)
    show_notices(err, result.notices)
    if result.outcomes:
        show_purged(out, err, result.outcomes, quiet=output.quiet)
    elif result.runs:
        _show_runs(result.runs, output)
    elif not output.quiet:
        out.print("Nothing to purge.")
