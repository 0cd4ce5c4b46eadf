"""Restore the packages and environments that a run removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...core.model import Result
from ...core.notices import Notice
from ...core.plan import Outcome
from ...core.run import RunSummary
from ...discovery.clients.conda import conda_settings
from ...errors import NoSuchRunError
from ...execution.restore_backups import Restored, restore
from ...execution.state.receipt import ReceiptEntry
from ...execution.state.stored_runs import StoredRun
from ..interaction import Interaction
from ..options import RestoreOptions
from ..run_as_owner import needs_other_user, restore_as_owner
from .refetch import fetch
from .restore_envs import restore_environments
from .run_store import all_locked, finished_stock, interrupted_notice, matching, named_run, summary, take_stock
from .state_dirs import forget_places


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What became of one run; no `outcomes` if it was a dry run.

    entries: what was to be restored. failed: not all of that came back, or an earlier run could not be finished.
    interrupted: the user stopped it.
    """

    run: RunSummary
    entries: tuple[ReceiptEntry, ...]
    outcomes: tuple[Outcome, ...] = ()
    notices: tuple[Notice, ...] = ()
    failed: bool = False
    interrupted: bool = False


def restore_run(options: RestoreOptions, interaction: Interaction) -> RestoreResult:
    """Restore what was asked for of a run, unless it is a dry run.

    Raises `NoSuchRunError`, `StateError` or `LockTimeoutError`; `ValueError` for a wrong specification.
    """
    assert options.run is not None  # noqa: S101  # Without one they are listed.
    wanted, complete = matching(options.only), True
    if interaction.output.dry_run:
        stock = take_stock(options.pkgs_dirs)
    else:
        progress = interaction.reporter.counter("Finishing an earlier run")
        patience = interaction.patience(options.lock_timeout)
        stock, complete = finished_stock(options.pkgs_dirs, patience, progress)
    named = named_run(stock, options.run)
    # In one cache the run may be whole, and in another not understood.
    runs = tuple(stored for stored in named if any(map(wanted, stored.entries)))
    entries = tuple(entry for stored in runs for entry in stored.entries if wanted(entry))
    if not entries:
        matched = "." if options.only is None else " that matches --only."
        raise NoSuchRunError(
            f"Run {named[0].id} has nothing to restore{matched}",
            hint="`conda prune restore` lists all runs.",
        )
    if interaction.output.dry_run:
        return RestoreResult(summary(runs), entries, notices=stock.notices)
    outcomes, notices, whole, interrupted = _restored(runs, wanted, len(entries), options, interaction)
    failed = not (complete and whole) or any(outcome.result is Result.FAILED for outcome in outcomes)
    return RestoreResult(summary(runs), entries, outcomes, (*stock.notices, *notices), failed, interrupted)


def _restored(
    runs: tuple[StoredRun, ...],
    wanted: Callable[[ReceiptEntry], bool],
    count: int,
    options: RestoreOptions,
    interaction: Interaction,
) -> tuple[tuple[Outcome, ...], tuple[Notice, ...], bool, bool]:
    """Restore `count` wanted entries.

    Return also what to say of it, whether it came to its end everywhere, and whether the user stopped it.
    """
    outcomes: list[Outcome] = []
    notices: list[Notice] = []
    complete, interrupted = True, False
    patience = interaction.patience(options.lock_timeout)
    progress = interaction.reporter.counter("Restoring packages", count)
    with all_locked((stored for stored in runs if not needs_other_user(stored)), patience) as locked:
        for stored in runs:
            if needs_other_user(stored):
                done = restore_as_owner(stored, wanted, patience, progress)
            elif stored.environments:
                done = restore_environments(locked[stored.cache.path], stored, wanted, progress)
            else:
                done = restore(locked[stored.cache.path], stored, wanted, fetch(), progress)
            outcomes += done.outcomes
            notices += _notices(done, stored.path)
            complete &= not done.interrupted and done.unsettled is None
            interrupted |= done.interrupted
            if interrupted:
                break
    forget_places(conda_settings())
    interaction.reporter.clear()
    return tuple(outcomes), tuple(notices), complete, interrupted


def _notices(done: Restored, path: str) -> list[Notice]:
    """Return what to say of a restore in one cache."""
    told = [Notice("unsettled", done.unsettled, path)] if done.unsettled is not None else []
    told += [Notice("rebuild", message, path) for message in done.warnings]
    return told + ([interrupted_notice(path)] if done.interrupted else [])
