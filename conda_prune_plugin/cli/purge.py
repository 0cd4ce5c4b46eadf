"""``conda prune purge``: delete backups and receipts of earlier runs for good."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from ..core.run import RunSummary
from ..core.units import format_size, plural
from ..operations.interaction import Output, confirm, interacting
from ..operations.runs.purge_runs import PurgeResult, carry_out_purge, prepare_purge
from ..presentation.documents import purged_document, run_document, runs_document
from ..presentation.json_output import print_document
from ..presentation.plan_text import show_notices
from ..presentation.runs_text import show_purged, show_runs
from ..presentation.terminal.console import console
from .parsing.arguments import purge_options
from .parsing.output_options import conda_output


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    options, output = purge_options(arguments), conda_output()
    with interacting(output) as interaction:
        prepared = prepare_purge(options, interaction)
        result = prepared.result
        if result.runs and not output.dry_run:
            _show_runs(result.runs, output)
            if not confirm(f"Delete {_what_goes(result.runs)}?", interaction, "Nothing was deleted."):
                return 1
            result = carry_out_purge(prepared, interaction)
        _show(result, output)
    return 1 if result.failed else 0


def _what_goes(runs: Sequence[RunSummary]) -> str:
    stored = sum(run.stored for run in runs)
    own = sum(run.own_files for run in runs)
    details = [f"frees {format_size(stored)}"] if stored else []
    details += [f"with {plural(own, 'file or directory', 'files and directories')} of your own"] if own else []
    more = f" ({', '.join(details)})" if details else ""
    return f"{plural(len(runs), 'run')} permanently{more}"


def _show_runs(runs: Sequence[RunSummary], output: Output) -> None:
    if not (output.json or output.quiet):
        show_runs(console(sys.stdout), runs, time.time(), purging=True)


def _show(result: PurgeResult, output: Output) -> None:
    if output.json:
        runs = [purged_document(outcome) for outcome in result.outcomes] or [run_document(run) for run in result.runs]
        print_document(runs_document(runs, result.notices, success=not result.failed, dry_run=output.dry_run))
        return
    out, err = console(sys.stdout), console(sys.stderr)
    show_notices(err, result.notices)
    if result.outcomes:
        show_purged(out, err, result.outcomes, quiet=output.quiet)
    elif result.runs:
        _show_runs(result.runs, output)
        if not output.quiet:
            out.print(f"Would delete {_what_goes(result.runs)}.")
    elif not output.quiet:
        out.print("Nothing to purge.")
