"""Restore the packages and environments that a run removed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from ... import failures
from ...core.model import Result
from ...core.notices import Notice
from ...core.plan import Outcome
from ...core.run import Disposal, RunSummary
from ...discovery.clients.conda import conda_settings
from ...errors import NoSuchRunError
from ...execution.restore_backups import Restored, record_rebuilt, restore
from ...execution.state.receipt import ReceiptEntry
from ...execution.state.state_dir import LockedCache
from ...execution.state.stored_runs import StoredRun, require_own, require_unchanged_run
from ..conda_fetch import fetch
from ..conda_hooks import is_registered, register, unregister
from ..interaction import Interaction
from ..options import RestoreOptions
from ..run_as_owner import Voices, runs_locked
from .rebuild_env import Rebuild, outcome
from .run_store import Stock, finished_stock, interrupted_notice, matching, named_run, summary
from .state_dirs import forget_places


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """What became of one run; no `outcomes` if it was a dry run.

    entries: those to restore. failed: not all of them came back, or an earlier run could not be completed.
    interrupted: by the user. before: the run before it, if it removed environments that are not back.
    """

    run: RunSummary
    entries: tuple[ReceiptEntry, ...]
    outcomes: tuple[Outcome, ...] = ()
    notices: tuple[Notice, ...] = ()
    failed: bool = False
    interrupted: bool = False
    before: RunSummary | None = None


def restore_run(options: RestoreOptions, interaction: Interaction) -> RestoreResult:
    """Restore the entries of a run that the options select, unless it is a dry run.

    Raises `NoSuchRunError`, `StateError` or `LockTimeoutError`; `ValueError` for a wrong specification.
    """
    assert options.run is not None  # noqa: S101  # Without one they are listed.
    wanted = matching(options.only)
    stock, complete = finished_stock(options, interaction, finish=not interaction.output.dry_run)
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
    result = RestoreResult(summary(runs), entries, notices=stock.notices, failed=not complete)
    if interaction.output.dry_run:
        return result
    return replace(
        _restored(result, runs, wanted, options, interaction), before=_environments_before(stock, named[0].id)
    )


def _environments_before(stock: Stock, run: str) -> RunSummary | None:
    """Return the run before another one, if it removed environments that are not back: often both are one step."""
    earlier = [runs for runs in stock.runs if runs[0].id < run]
    before = summary(earlier[-1]) if earlier else None
    return before if before and before.environments and before.dists and before.restorable else None


def _restored(
    result: RestoreResult,
    runs: tuple[StoredRun, ...],
    wanted: Callable[[ReceiptEntry], bool],
    options: RestoreOptions,
    interaction: Interaction,
) -> RestoreResult:
    """Restore the wanted entries and return the result with their outcomes."""
    outcomes: list[Outcome] = []
    notices = list(result.notices)
    failed, interrupted = result.failed, False
    progress = interaction.reporter.counter("Restoring packages", len(result.entries))
    with runs_locked(runs, Voices(progress, interaction.patience(options.lock_timeout))) as locked:
        for stored in runs:
            done = locked.work(stored, Restored, partial(_restored_here, stored, wanted))
            outcomes += done.outcomes
            if done.unsettled is not None:
                notices.append(Notice("unsettled", done.unsettled, stored.path))
            notices += [Notice("rebuild", message, stored.path) for message in done.warnings]
            failed |= done.interrupted or done.unsettled is not None
            if done.interrupted:
                notices.append(interrupted_notice(stored.path))
                interrupted = True
                break
    forget_places(conda_settings())
    interaction.reporter.clear()
    failed |= any(outcome.result is Result.FAILED for outcome in outcomes)
    return replace(result, outcomes=tuple(outcomes), notices=tuple(notices), failed=failed, interrupted=interrupted)


def _restored_here(
    stored: StoredRun,
    wanted: Callable[[ReceiptEntry], bool],
    here: LockedCache,
    progress: Callable[[int], None],
) -> Restored:
    """Bring back the wanted entries of a run in one place. Raises `StateError`."""
    if not stored.environments:
        return restore(here, stored, wanted, fetch(), progress)
    run = require_unchanged_run(here, stored)
    require_own(run)
    prefixes = {entry: os.path.join(run.cache.path, entry.dist) for entry in run.entries if wanted(entry)}
    registries = conda_settings().registries
    if run.run is not None and run.run.disposal is Disposal.BACKUP:
        # Registered before they are renamed: killed in between, that leaves a line too many, and not an environment
        # that nothing leads to.
        missing = [
            prefix
            for entry, prefix in prefixes.items()
            if (entry.record or {}).get("registered") and not is_registered(registries, prefix)
        ]
        for prefix in missing:
            register(prefix)
        done = restore(here, run, wanted, fetch(), progress)
        for prefix in missing:
            if not failures.lexists(prefix):
                unregister(registries, prefix)
        return done
    outcomes: list[Outcome] = []
    warnings: list[str] = []
    complete: list[ReceiptEntry] = []
    interrupted = False
    for entry, prefix in prefixes.items():
        try:
            rebuilt = Rebuild(here, run, entry).rebuild()
        except KeyboardInterrupt:
            left = list(prefixes)[len(outcomes) :]
            outcomes += [outcome(run, entry, Result.SKIPPED, "interrupted before it") for entry in left]
            interrupted = True
            break
        finally:
            if not failures.lexists(prefix):
                unregister(registries, prefix)
        outcomes.append(rebuilt.outcome)
        warnings += rebuilt.warnings
        if rebuilt.outcome.result is not Result.FAILED:
            complete.append(entry)
        progress(1)
    unsettled = record_rebuilt(here, run, complete)
    return Restored(tuple(outcomes), unsettled, interrupted, tuple(warnings))
