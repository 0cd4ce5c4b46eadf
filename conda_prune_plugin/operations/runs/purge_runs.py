"""Purge runs: those that are named, and those that are old by a setting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain

from ... import failures
from ...core.model import Result
from ...core.notices import Notice
from ...core.run import Disposal, PurgeOutcome, Run, RunSummary
from ...core.units import NO_SPACE, format_size
from ...discovery.clients.conda import conda_settings
from ...discovery.system.measure import measure
from ...errors import NoSuchRunError, PruneError
from ...execution.locks.run_lock import Patience
from ...execution.purge_backups import Purged, purge
from ...execution.state.state_dir import LockedCache
from ...execution.state.stored_runs import StoredRun
from ..interaction import Interaction
from ..options import PurgeOptions
from ..run_as_owner import Voices, runs_locked
from .run_store import Stock, finished_stock, named_run, summary, take_stock
from .state_dirs import forget_places

#: What one run has left, cache by cache.
_Stored = tuple[StoredRun, ...]


@dataclass(frozen=True, slots=True)
class PurgeResult:
    """What was purged, or would be: no `outcomes` if nothing was changed.

    failed: a run could not be purged, or an earlier one not finished.
    """

    runs: tuple[RunSummary, ...]
    outcomes: tuple[PurgeOutcome, ...] = ()
    notices: tuple[Notice, ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class PreparedPurge:
    """The runs that were chosen; nothing of them has been changed so far."""

    options: PurgeOptions
    chosen: tuple[_Stored, ...]
    result: PurgeResult


def prepare_purge(options: PurgeOptions, interaction: Interaction) -> PreparedPurge:
    """Choose runs; if the user has agreed already, finish interrupted ones first.

    Raises `NoSuchRunError`, `StateError` or `LockTimeoutError`.
    """
    agreed = interaction.output.yes and not interaction.output.dry_run
    stock, complete = finished_stock(options, interaction, finish=agreed)
    if agreed:
        # A purge that was interrupted may have left only these.
        forget_places(conda_settings())
    chosen = tuple(_chosen(stock, options.runs, options.older_than, time.time()))
    result = PurgeResult(tuple(map(summary, chosen)), notices=stock.notices, failed=not complete)
    return PreparedPurge(options, chosen, result)


def carry_out_purge(prepared: PreparedPurge, interaction: Interaction) -> PurgeResult:
    """Delete what the chosen runs have left. Raises `StateError` or `LockTimeoutError`."""
    result, patience = prepared.result, interaction.patience(prepared.options.lock_timeout)
    outcomes = tuple(_purged(prepared.chosen, patience, interaction.reporter.counter("Removing files")))
    interaction.reporter.clear()
    failed = result.failed or any(outcome.result is Result.FAILED for outcome in outcomes)
    return PurgeResult(result.runs, outcomes, result.notices, failed)


def package_backups() -> list[str]:
    """Return the folders of the caller's finished runs with packages moved aside, for ``conda clean``.

    Only what can go as a whole: no environments, no files of the user's own, nothing that a receipt doesn't list.
    """
    failures.begin()
    return [
        stored.path
        for stored in chain.from_iterable(take_stock(()).runs)
        if stored.own and stored.complete and stored.run is not None and stored.run.disposal is Disposal.BACKUP
        if not (stored.environments or stored.keeps_files or stored.rebuilding or stored.unlisted)
    ]


def purge_old(
    pkgs_dirs: Iterable[str], age: float, patience: Patience, progress: Callable[[int], None], except_run: str | None
) -> tuple[tuple[Notice, ...], bool]:
    """Purge the runs that are at least so many seconds old, but the one with the id `except_run`.

    Those with the user's own files stay: the setting ``prune_purge_after`` is no decision about these.

    Returns a notice for each, and whether all of it could be purged. Raises `StateError` or `LockTimeoutError`.
    """
    chosen = _chosen(take_stock(pkgs_dirs), (), age, time.time())
    old = [runs for runs in chosen if runs[0].id != except_run and not summary(runs).own_files]
    outcomes = _purged(old, patience, progress)
    notices = []
    for outcome in outcomes:
        run_id, freed = outcome.summary.id, format_size(outcome.freed)
        message = f"The run {run_id} is older than the setting prune_purge_after and was purged; {freed} freed."
        if outcome.error is not None:
            message = f"The run {run_id} could not be purged: {outcome.error}"
        notices.append(Notice("purged", message, outcome.summary.caches[0]))
    return tuple(notices), all(outcome.error is None for outcome in outcomes)


def forget(run: Run, pkgs_dirs: Iterable[str], patience: Patience) -> None:
    """Remove the receipts of a run that is not to be undone, where that is possible; one that stays does no harm."""
    with suppress(PruneError, OSError):
        _purged(_chosen(take_stock(pkgs_dirs), (run.id,), None, run.started), patience, lambda files: None)


def _chosen(stock: Stock, names: Iterable[str], age: float | None, now: float) -> list[_Stored]:
    """Return the complete runs that were named, or that are of an age, or else all.

    Raises `NoSuchRunError`, also for a run that is named and incomplete, or that nothing explains.
    """
    named = [named_run(stock, name, purging=True) for name in names]
    for stored in chain.from_iterable(named):
        if stored.unexplained:
            raise NoSuchRunError(
                f"The run {stored.id} is left alone: its receipt is missing or can't be understood.",
                hint=stored.remedy,
                path=stored.path,
            )
        if not stored.complete:
            raise NoSuchRunError(
                f"The run {stored.id} was interrupted, or is still running.",
                hint="The next `conda prune` that may write completes an interrupted one.",
                path=stored.path,
            )
    if named:
        return list(dict.fromkeys(named))
    return [
        runs
        for runs, told in ((runs, summary(runs)) for runs in stock.runs)
        if told.complete and told.run and (age is None or now - told.run.started >= age)
    ]


def _purged(
    chosen: Sequence[Sequence[StoredRun]], patience: Patience, progress: Callable[[int], None]
) -> list[PurgeOutcome]:
    """Delete what runs have left, in all caches. Raises `StateError` or `LockTimeoutError`."""
    outcomes = []
    with runs_locked(chain.from_iterable(chosen), Voices(progress, patience)) as here:
        for runs in chosen:
            purged = [here.work(stored, Purged, partial(_purged_here, stored)) for stored in runs]
            errors = [one.error for one in purged if one.error]
            result = Result.FAILED if errors else Result.PURGED
            freed = sum((one.freed for one in purged), NO_SPACE)
            outcomes.append(
                PurgeOutcome(summary(runs), result, freed.bytes, "; ".join(errors) or None, freed_inodes=freed.inodes)
            )
    forget_places(conda_settings())
    return outcomes


def _purged_here(stored: StoredRun, here: LockedCache, progress: Callable[[int], None]) -> Purged:
    return purge(here, stored, lambda path, fd: measure(path, dir_fd=fd), progress)
