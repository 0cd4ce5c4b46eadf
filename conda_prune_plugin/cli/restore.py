"""``conda prune restore``: list what can be put back, and put it back."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from .options import Output, Value, add_lock_timeout, add_pkgs_dir, parsed, patience_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.plan import Outcome
    from ..execution.state.receipt import ReceiptEntry
    from ..execution.state.stored_runs import StoredRun
    from ..operations.runs.run_store import Stock
    from ..presentation.terminal.progress import Reporter

DESCRIPTION = """\
Put back what an earlier `conda prune` took out of the package caches, and
environments that `conda prune envs` has removed.

Without RUN: list the runs that can be undone. What was moved aside (--backup)
comes back as it was, by a rename. What was archived elsewhere (--backup-to) is
unpacked and compared. What was deleted is fetched from where it came, with a
check of its hash; an environment that was deleted is made again by conda and pip
from what was exported. Nothing that is there is ever overwritten.
"""

EPILOG = """\
examples:
  conda prune restore                        list the runs
  conda prune restore last                   undo the newest
  conda prune restore last --only 'numpy<2'  only some of it
  conda prune restore last --dry-run         say what would come back
"""


#: Options that mean something else here than in ``conda prune`` itself.
OWN = frozenset({"only"})

#: Options that only ``conda prune`` itself has and that count here all the same: before the command's name.
ABOVE = frozenset[str]()


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    from conda.cli.helpers import add_output_and_prompt_options

    parser: argparse.ArgumentParser = commands.add_parser(
        "restore",
        help="List what was pruned, or put it back.",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", nargs="?", help="The run to undo, or `last` for the newest.")
    parser.add_argument(
        "--only", metavar="SPEC", action=Value, help="Only packages that match SPEC, such as numpy or 'numpy<2'."
    )
    add_pkgs_dir(parser)
    add_lock_timeout(parser)
    add_output_and_prompt_options(parser)
    parser.set_defaults(prune_command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code. Raises `PruneError`."""
    from ..errors import UsageError
    from ..presentation.terminal.progress import Reporter

    output = Output.from_context()
    if arguments.run is None:
        if arguments.only is not None:
            raise UsageError("--only needs a RUN.", hint="`conda prune restore last --only SPEC`, for instance.")
        return _list(arguments, output)
    with Reporter(sys.stderr, enabled=not (output.json or output.quiet)) as reporter:
        return _restore(arguments, output, reporter)


def _list(arguments: argparse.Namespace, output: Output) -> int:
    import time

    from ..operations.runs.run_store import summary, take_stock
    from ..presentation.json_output import print_document
    from ..presentation.plan_text import console, show_notices
    from ..presentation.runs_output import run_document, runs_document, show_runs

    stock = take_stock(arguments.pkgs_dir)
    summaries = [summary(runs) for runs in stock.runs]
    if output.json:
        runs = [run_document(item) for item in summaries]
        print_document(runs_document(runs, stock.notices, success=True, dry_run=output.dry_run))
        return 0
    show_runs(console(sys.stdout), summaries, time.time())
    show_notices(console(sys.stderr), stock.notices)
    return 0


def _restore(arguments: argparse.Namespace, output: Output, reporter: Reporter) -> int:
    from dataclasses import replace

    from ..core.model import Notice, Result
    from ..discovery.clients.conda import conda_settings
    from ..errors import NoSuchRunError
    from ..execution.restore_backups import restore
    from ..operations.run_as_owner import needs_other_user, restore_as_owner
    from ..operations.runs.refetch import fetch
    from ..operations.runs.restore_envs import restore_environments
    from ..operations.runs.run_store import (
        all_locked,
        exit_code,
        finished_stock,
        interrupted_notice,
        matching,
        named_run,
        take_stock,
    )
    from ..operations.runs.state_dirs import forget_places

    wanted = parsed(arguments.only, matching, matching(None))
    patience = patience_of(arguments, output, reporter)
    complete = True
    if output.dry_run:
        stock = take_stock(arguments.pkgs_dir)
    else:
        progress = reporter.counter("Finishing an earlier run")
        stock, complete = finished_stock(arguments.pkgs_dir, patience, progress)
    named = named_run(stock, arguments.run)
    # In one cache the run may be whole, and in another not understood.
    runs = [stored for stored in named if any(map(wanted, stored.entries))]
    entries = [entry for stored in runs for entry in stored.entries if wanted(entry)]
    if not entries:
        raise NoSuchRunError(
            f"The run {named[0].id} has nothing to restore" + (" that matches --only." if arguments.only else "."),
            hint="`conda prune restore` lists the runs that there are.",
        )
    outcomes: list[Outcome] = []
    interrupted = False
    if not output.dry_run:
        progress = reporter.counter("Restoring packages", len(entries))
        with all_locked((stored for stored in runs if not needs_other_user(stored)), patience) as locked:
            for stored in runs:
                if needs_other_user(stored):
                    done = restore_as_owner(stored, wanted, patience, progress)
                elif stored.environments:
                    done = restore_environments(locked[stored.cache.path], stored, wanted, progress)
                else:
                    done = restore(locked[stored.cache.path], stored, wanted, fetch(), progress)
                outcomes += done.outcomes
                interrupted |= done.interrupted
                complete &= not done.interrupted and done.unsettled is None
                told = [Notice("unsettled", done.unsettled, stored.path)] if done.unsettled is not None else []
                told += [Notice("rebuild", message, stored.path) for message in done.warnings]
                told += [interrupted_notice(stored.path)] if done.interrupted else []
                stock = replace(stock, notices=(*stock.notices, *told))
                if done.interrupted:
                    break
        forget_places(conda_settings())
        reporter.clear()
    failed = not complete or any(outcome.result is Result.FAILED for outcome in outcomes)
    _report(runs, entries, outcomes, stock, output, success=not failed)
    return exit_code(failed=failed, interrupted=interrupted)


def _report(
    runs: Sequence[StoredRun],
    entries: Sequence[ReceiptEntry],
    outcomes: Sequence[Outcome],
    stock: Stock,
    output: Output,
    *,
    success: bool,
) -> None:
    from ..operations.runs.run_store import summary
    from ..presentation.json_output import print_document
    from ..presentation.plan_text import console, printable, show_notices
    from ..presentation.runs_output import run_document, runs_document, show_restored

    dists = [entry.dist for entry in entries]
    if output.json:
        wanted = {"dists": dists, "entries": len(dists), "files": sum(entry.files for entry in entries)}
        run = {**run_document(summary(runs)), **wanted}
        document = runs_document([run], stock.notices, success=success, dry_run=output.dry_run, outcomes=outcomes)
        print_document(document)
        return
    out, err = console(sys.stdout), console(sys.stderr)
    show_notices(err, stock.notices)
    if outcomes:
        show_restored(out, err, runs[0].id, outcomes, quiet=output.quiet)
    elif not output.quiet:
        out.print(f"Would restore {len(dists):,} of the run {runs[0].id}:")
        for dist in dists:
            out.print(f"  {printable(dist)}")
