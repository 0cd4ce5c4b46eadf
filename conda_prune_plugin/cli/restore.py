"""``conda prune restore``: list runs, or undo one."""

from __future__ import annotations

import argparse
import sys
import time

from ..core.units import NO_SPACE
from ..errors import exit_code
from ..operations.interaction import Output, interacting
from ..operations.options import RestoreOptions
from ..operations.runs.restore_runs import RestoreResult, restore_run
from ..operations.runs.run_store import list_runs
from ..presentation.documents import restored_document, run_document, runs_document
from ..presentation.json_output import print_document
from ..presentation.plan_text import show_notices
from ..presentation.runs_text import show_restorable, show_restored, show_runs
from ..presentation.terminal.console import console
from .parsing.arguments import restore_options
from .parsing.output_options import conda_output


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    options, output = restore_options(arguments), conda_output()
    if options.run is None:
        _list(options, output)
        return 0
    with interacting(output) as interaction:
        result = restore_run(options, interaction)
        show_result(result, output)
    return exit_code(failed=result.failed, interrupted=result.interrupted)


def _list(options: RestoreOptions, output: Output) -> None:
    found = list_runs(options)
    if output.json:
        runs = [run_document(summary) for summary in found.runs]
        print_document(runs_document(runs, found.notices, success=True, dry_run=output.dry_run))
        return
    show_runs(console(sys.stdout), found.runs, time.time())
    show_notices(console(sys.stderr), found.notices)


def show_result(result: RestoreResult, output: Output) -> None:
    """Show the result of a restore, or the plan in a dry run."""
    dists = [entry.dist for entry in result.entries]
    if output.json:
        run = restored_document(result.run, dists, sum(entry.files for entry in result.entries))
        success, dry_run = not result.failed, output.dry_run
        print_document(runs_document([run], result.notices, success=success, dry_run=dry_run, outcomes=result.outcomes))
        return
    out, err = console(sys.stdout), console(sys.stderr)
    show_notices(err, result.notices)
    if result.outcomes:
        show_restored(out, err, result.run.id, result.outcomes, quiet=output.quiet, before=result.before)
    elif not output.quiet:
        size = sum((entry.frees for entry in result.entries), NO_SPACE)
        show_restorable(out, result.run, dists, size, whole=output.verbosity > 0)
