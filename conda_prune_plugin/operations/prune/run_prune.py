"""Carry out a prepared prune and what follows it. A dry run never imports this."""

from __future__ import annotations

import time
from dataclasses import replace

from ...core.notices import Notice
from ...core.rules.reachability import SoftLinks
from ...core.run import Disposal, Run
from ...discovery.system.measure import measure
from ...errors import PruneError
from ...execution.ports import Ports
from ...execution.state.stored_runs import has_left
from ...execution.sweep import Execution
from ..conda_fetch import fetch
from ..run_as_owner import carry_out_as_owners
from ..runs.purge_runs import forget, purge_old
from ..runs.run_store import interrupted_notice, new_run_id, stopped_notice
from .planning import still_damaged
from .prepare_prune import PreparedPrune, PruneResult, measure_caches

_UNRECORDED = "{} had no room for a receipt, so `conda prune restore` can't undo the removal there."


def carry_out(prepared: PreparedPrune) -> PruneResult:
    """Carry out the plan, if there is anything to change, and purge old backups; return the result.

    Raises `StateError`, `LockTimeoutError` or `UnreadableEnvironmentError` before anything is moved.
    """
    if not prepared.changes:
        return _with_old_purged(_with_shrinkage(prepared.unchanged, prepared), prepared)
    run = _new_run(prepared)
    execution = _apply(prepared, run)
    notices = (
        *prepared.notices,
        *(Notice("unsettled", message, "") for message in execution.unsettled),
        *(Notice("unrecorded", _UNRECORDED.format(path), path) for path in execution.unrecorded),
        *still_damaged(prepared.plan, execution.outcomes),
    )
    result = replace(
        prepared.unchanged,
        run=run,
        outcomes=execution.outcomes,
        others=execution.others,
        failed=prepared.failed or execution.failed,
        interrupted=execution.interrupted,
        notices=notices,
    )
    result = _settled(result, prepared, run)
    return replace(result, left=run if has_left(run.id, prepared.plan.inventory.caches) else None)


def _new_run(prepared: PreparedPrune) -> Run:
    now = time.time()
    return Run(new_run_id(now), now, prepared.options.disposal, prepared.options.destination)


def _apply(prepared: PreparedPrune, run: Run) -> Execution:
    """Remove, repair and delete what the plan says."""
    plan, watch, reporter = prepared.plan, prepared.watch, prepared.interaction.reporter
    removing = reporter.counter("Removing files", plan.files)

    def soft_links() -> SoftLinks:
        found = watch.soft_links(reporter.phase("Looking for soft links"))
        reporter.clear()
        return found

    ports = Ports(
        references=watch.references,
        soft_links=soft_links,
        measure=lambda path, dir_fd: measure(path, dir_fd=dir_fd),
        progress=removing,
        patience=prepared.interaction.patience(prepared.options.lock_timeout),
    )
    # A damaged copy is never worth a backup.
    repairing = replace(_new_run(prepared), disposal=Disposal.DELETE, destination=None)
    execution = carry_out_as_owners(plan, run, repairing, fetch(), ports)
    reporter.clear()
    return execution


def _settled(result: PruneResult, prepared: PreparedPrune, run: Run) -> PruneResult:
    """Do what comes after a removal. If that is interrupted, the removal is still reported."""
    try:
        result = _with_shrinkage(result, prepared)
        if result.shrinkage is not None and not result.failed:
            # Nothing is restored after a job.
            options = prepared.options
            forget(run, options.pkgs_dirs, prepared.interaction.patience(options.lock_timeout))
        if not result.interrupted:
            return _with_old_purged(result, prepared)
    except KeyboardInterrupt:
        prepared.interaction.reporter.clear()
        result = replace(result, failed=True, interrupted=True)
        if result.shrinkage is not None and result.shrinkage.after is None:
            result = replace(result, shrinkage=None)
    return replace(result, notices=(*result.notices, interrupted_notice()))


def _with_shrinkage(result: PruneResult, prepared: PreparedPrune) -> PruneResult:
    """Measure what a preset has left in the caches."""
    if result.shrinkage is None:
        return result
    after = measure_caches(result.plan, prepared.interaction)
    return replace(result, shrinkage=replace(result.shrinkage, after=after.bytes, after_inodes=after.inodes))


def _with_old_purged(result: PruneResult, prepared: PreparedPrune) -> PruneResult:
    """Delete the backups of older runs, if the options ask for it; never that of this run."""
    options, interaction = prepared.options, prepared.interaction
    if options.purge_after is None or not interaction.may_change:
        return result
    spared = None if result.run is None else result.run.id
    patience, counter = interaction.patience(options.lock_timeout), interaction.reporter.counter("Purging old backups")
    try:
        notices, complete = purge_old(options.pkgs_dirs, options.purge_after, patience, counter, spared)
    except (PruneError, OSError) as error:
        # The removal has to be reported all the same.
        notices, complete = (stopped_notice("purged", "Old runs could not be purged", error),), False
    interaction.reporter.clear()
    return replace(result, notices=(*result.notices, *notices), failed=result.failed or not complete)
