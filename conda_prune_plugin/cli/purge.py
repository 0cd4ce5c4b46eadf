"""``conda prune purge``: delete for good what earlier runs left to be restored."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .options import Output, Value, add_lock_timeout, add_pkgs_dir, parsed, patience_of

if TYPE_CHECKING:
    from ..core.run import PurgeOutcome, RunSummary
    from ..execution.locks.run_lock import Patience
    from ..execution.state.stored_runs import StoredRun
    from ..operations.runs.run_store import Stock
    from ..presentation.terminal.progress import Reporter

DESCRIPTION = """\
Delete for good what earlier runs of `conda prune` left to be restored: backups
in the package caches, environments that were set aside, what was exported of
deleted ones, archives elsewhere, and receipts.

Only this gives the bytes of a backup back. `conda prune restore` lists the runs.
"""

EPILOG = """\
examples:
  conda prune purge 20260102T030405Z-1a2b   delete what this run left
  conda prune purge --older-than 30d        delete what is older than 30 days
  conda prune purge --all --yes             delete everything, don't ask
"""


#: Options that mean something else here than in ``conda prune`` itself.
OWN = frozenset[str]()

#: Options that only ``conda prune`` itself has and that count here all the same: before the command's name.
ABOVE = frozenset[str]()


def configure_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command's parser and return it."""
    from conda.cli.helpers import add_output_and_prompt_options

    parser: argparse.ArgumentParser = commands.add_parser(
        "purge",
        help="Delete backups for good.",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", metavar="RUN", nargs="*", help="A run, or `last` for the newest.")
    parser.add_argument("--all", action="store_true", help="All runs.")
    parser.add_argument(
        "--older-than", metavar="AGE", action=Value, help="Runs that are at least this old (12h, 30d, 8w, 6mo)."
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

    ways = (bool(arguments.runs), arguments.all, arguments.older_than is not None)
    if sum(ways) != 1:
        raise UsageError(
            "Name the runs to purge, or give either --older-than or --all.",
            hint="`conda prune restore` lists the runs that there are.",
        )
    output = Output.from_context()
    with Reporter(sys.stderr, enabled=not (output.json or output.quiet)) as reporter:
        return _purge(arguments, output, reporter)


def _purge(arguments: argparse.Namespace, output: Output, reporter: Reporter) -> int:
    from ..core.model import Result
    from ..core.units import format_size, parse_age, plural
    from ..discovery.clients.conda import conda_settings
    from ..operations.interaction import confirm
    from ..operations.runs.run_store import finished_stock, summary, take_stock
    from ..operations.runs.state_dirs import forget_places

    patience = patience_of(arguments, output, reporter)
    age = parsed(arguments.older_than, parse_age, None)
    complete = True
    if output.yes and not output.dry_run:
        stock, complete = finished_stock(arguments.pkgs_dir, patience, reporter.counter("Finishing an earlier run"))
        reporter.clear()
        # A purge that was cut off may have left only these.
        forget_places(conda_settings())
    else:
        stock = take_stock(arguments.pkgs_dir)
    chosen = chosen_runs(stock, arguments.runs, age, time.time())
    summaries = [summary(runs) for runs in chosen]
    outcomes: list[PurgeOutcome] = []
    if not output.dry_run and chosen:
        stored = format_size(sum(item.stored for item in summaries))
        _announce(summaries, output)
        own = sum(item.own_files for item in summaries)
        with_them = (
            f", with {plural(own, 'file or directory', 'files and directories')} of your own work" if own else ""
        )
        if not confirm(f"Delete {plural(len(chosen), 'run')} for good ({stored}{with_them})?", output, reporter):
            return 1
        outcomes = purge_runs(chosen, patience, reporter.counter("Removing files"))
        reporter.clear()
    failed = not complete or any(outcome.result is Result.FAILED for outcome in outcomes)
    _report(summaries, outcomes, stock, output, success=not failed)
    return 1 if failed else 0


def chosen_runs(stock: Stock, names: Iterable[str], age: float | None, now: float) -> list[tuple[StoredRun, ...]]:
    """Return the complete runs that were named, or that are of an age, or else all. Raises `NoSuchRunError`."""
    from ..errors import NoSuchRunError
    from ..operations.runs.run_store import named_run, summary

    if named := [named_run(stock, name) for name in names]:
        for runs in named:
            if unexplained := next((stored for stored in runs if stored.unexplained), None):
                raise NoSuchRunError(
                    f"The run {unexplained.id} is left alone: its receipt is missing or can't be understood.",
                    hint=unexplained.remedy,
                    path=unexplained.path,
                )
            if not summary(runs).complete:
                raise NoSuchRunError(
                    f"The run {runs[0].id} was cut off, or still goes on.",
                    hint="The next `conda prune` that may write finishes what was cut off.",
                    path=runs[0].path,
                )
        return list(dict.fromkeys(named))
    summaries = [(runs, summary(runs)) for runs in stock.runs]
    return [
        runs
        for runs, told in summaries
        if told.complete and told.run and (age is None or now - told.run.started >= age)
    ]


def purge_runs(
    chosen: Iterable[Sequence[StoredRun]], patience: Patience, progress: Callable[[int], None]
) -> list[PurgeOutcome]:
    """Delete what runs have left, in all caches. Raises `StateError` or `LockTimeoutError`."""
    from ..core.model import Result
    from ..core.run import PurgeOutcome
    from ..discovery.clients.conda import conda_settings
    from ..discovery.system.measure import measure
    from ..execution.purge_backups import purge
    from ..operations.run_as_owner import needs_other_user, purge_as_owner
    from ..operations.runs.run_store import all_locked, summary
    from ..operations.runs.state_dirs import forget_places

    outcomes = []
    chosen = list(chosen)
    ours = [stored for runs in chosen for stored in runs if not needs_other_user(stored)]
    with all_locked(ours, patience) as locked:
        for runs in chosen:
            done = []
            for stored in runs:
                if needs_other_user(stored):
                    done.append(purge_as_owner(stored, patience, progress))
                    continue
                here = locked[stored.cache.path]
                purged = purge(here, stored, lambda path, fd: measure(path, dir_fd=fd), progress)
                done.append((purged.freed, purged.error))
            errors = [error for _, error in done if error]
            result = Result.FAILED if errors else Result.PURGED
            freed = sum(freed for freed, _ in done)
            outcomes.append(PurgeOutcome(summary(runs), result, freed, "; ".join(errors) or None))
    forget_places(conda_settings())
    return outcomes


def _announce(summaries: Sequence[RunSummary], output: Output) -> None:
    from ..presentation.plan_text import console
    from ..presentation.runs_output import show_runs

    if not (output.json or output.quiet):
        show_runs(console(sys.stdout), summaries, time.time())


def _report(
    summaries: Sequence[RunSummary], outcomes: Sequence[PurgeOutcome], stock: Stock, output: Output, *, success: bool
) -> None:
    from ..presentation.json_output import print_document
    from ..presentation.plan_text import console, show_notices
    from ..presentation.runs_output import purged_document, run_document, runs_document, show_purged

    if output.json:
        runs = [purged_document(outcome) for outcome in outcomes] or [run_document(item) for item in summaries]
        print_document(runs_document(runs, stock.notices, success=success, dry_run=output.dry_run))
        return
    out, err = console(sys.stdout), console(sys.stderr)
    show_notices(err, stock.notices)
    if outcomes:
        show_purged(out, err, outcomes, quiet=output.quiet)
    elif summaries:
        _announce(summaries, output)
    elif not output.quiet:
        out.print("There is nothing to purge.")
