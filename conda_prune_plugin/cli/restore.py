"""``conda prune restore``: list runs, and undo one."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from .parsing import help_text
from .parsing.shared_options import Value, add_lock_timeout, add_pkgs_dir, conda_output

if TYPE_CHECKING:
    from ..operations.interaction import Output
    from ..operations.runs.restore_runs import RestoreResult
    from ..operations.runs.run_store import RunList

DESCRIPTION = """\
List earlier runs, or undo one: restore the packages and environments it
removed.

Backups (--backup) come back as they were. Archives (--backup-to) are unpacked
and verified. Deleted packages are downloaded again and their hash is checked.
Deleted environments are rebuilt by conda and pip from their export. Existing
files are never overwritten.
"""

EPILOG = """\
examples:
  conda prune restore                        list the runs
  conda prune restore last                   undo the last run
  conda prune restore last --only 'numpy<2'  restore only some packages
  conda prune restore last --dry-run         show what would be restored
"""


#: Options with another meaning here than in ``conda prune`` itself.
OWN = frozenset({"only"})

#: Options of ``conda prune`` itself that this command honours before its name.
ABOVE = frozenset[str]()


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    parser: argparse.ArgumentParser = help_text.add_command(
        commands, "restore", "List earlier runs, or undo one.", "[OPTIONS] [RUN]", DESCRIPTION, EPILOG
    )
    parser.add_argument("run", metavar="RUN", nargs="?", help="The run to undo, or `last`.")
    parser.add_argument(
        "--only", metavar="SPEC", action=Value, help="Restore only packages that match SPEC, such as 'numpy<2'."
    )
    add_pkgs_dir(parser)
    add_lock_timeout(parser)
    help_text.add_output_options(
        parser, verbose="Show complete lists.", dry_run="Show what would be restored; change nothing."
    )
    parser.set_defaults(prune_command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from ..errors import exit_code
    from ..operations.interaction import interacting
    from ..operations.runs.run_store import list_runs
    from .parsing.arguments import restore_options

    options, output = restore_options(arguments), conda_output()
    if options.run is None:
        _show_list(list_runs(options), output)
        return 0
    from ..operations.runs.restore_runs import restore_run

    with interacting(output) as interaction:
        result = restore_run(options, interaction)
        _show(result, output)
    return exit_code(failed=result.failed, interrupted=result.interrupted)


def _show_list(found: RunList, output: Output) -> None:
    import time

    from ..presentation.documents import run_document, runs_document
    from ..presentation.json_output import print_document
    from ..presentation.plan_text import show_notices
    from ..presentation.runs_text import show_runs
    from ..presentation.terminal.console import console

    if output.json:
        runs = [run_document(item) for item in found.runs]
        print_document(runs_document(runs, found.notices, success=True, dry_run=output.dry_run))
        return
    show_runs(console(sys.stdout), found.runs, time.time())
    show_notices(console(sys.stderr), found.notices)


def _show(result: RestoreResult, output: Output) -> None:
    from ..presentation.documents import restored_document, runs_document
    from ..presentation.json_output import print_document
    from ..presentation.plan_text import show_notices
    from ..presentation.runs_text import show_restorable, show_restored
    from ..presentation.terminal.console import console

    dists = [entry.dist for entry in result.entries]
    if output.json:
        run = restored_document(result.run, dists, sum(entry.files for entry in result.entries))
        document = runs_document(
            [run], result.notices, success=not result.failed, dry_run=output.dry_run, outcomes=result.outcomes
        )
        print_document(document)
        return
    out, err = console(sys.stdout), console(sys.stderr)
    show_notices(err, result.notices)
    if result.outcomes:
        show_restored(out, err, result.run.id, result.outcomes, quiet=output.quiet)
    elif not output.quiet:
        show_restorable(out, result.run.id, dists, whole=output.verbosity > 0)
