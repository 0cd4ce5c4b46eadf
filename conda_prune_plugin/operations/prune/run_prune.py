"""Carry out a prepared prune and what follows it, and return the result."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from ...core.notices import Notice
from ...core.plan import OtherOutcome, Outcome, Plan
from ...core.run import Check, Run, Shrinkage
from ...errors import exit_code
from .prepare_prune import PreparedPrune, measure_caches

_UNRECORDED = "{} had no room for a receipt, so `conda prune restore` can't fetch again what was removed there."

#: The exit code of a check when there is more to reclaim.
_EXCEEDED = 3


@dataclass(frozen=True, slots=True)
class PruneResult:
    """What became of a prune.

    run: what was carried out, None if nothing was; left: the same if `restore` or `purge` knows it. outcomes, others:
    of packages, and of what is none. shrinkage: of a preset. failed: not all of it could be done.
    interrupted: the user stopped it.
    """

    plan: Plan
    dry_run: bool
    check: Check | None
    notices: tuple[Notice, ...]
    shrinkage: Shrinkage | None
    failed: bool
    run: Run | None = None
    left: Run | None = None
    outcomes: tuple[Outcome, ...] = ()
    others: tuple[OtherOutcome, ...] = ()
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0, 1 if something failed, 3 if a check found more to reclaim, or 130 if the user stopped it."""
        if self.check is not None and self.check.exceeded(self.plan.reclaimable):
            return _EXCEEDED
        return exit_code(failed=self.failed, interrupted=self.interrupted)


def finish_without_changes(prepared: PreparedPrune) -> PruneResult:
    """Return the result of a dry run, or of a run that finds nothing to change, once it has purged old backups."""
    result = _with_shrinkage(_unchanged(prepared), prepared)
    return _with_old_purged(result, prepared)


def carry_out(prepared: PreparedPrune) -> PruneResult:
    """Carry out the plan.

    Raises `StateError`, `LockTimeoutError` or `UnreadableEnvironmentError` before anything is moved.
    """
    from ...execution.state.stored_runs import has_left
    from .apply_plan import apply_plan

    options, interaction, plan = prepared.options, prepared.interaction, prepared.plan
    run = _new_run(prepared)
    patience = interaction.patience(options.lock_timeout)
    execution = apply_plan(plan, run, _new_run(prepared), prepared.watch, interaction.reporter, patience)
    result = _unchanged(prepared)
    result = replace(
        result,
        run=run,
        outcomes=execution.outcomes,
        others=execution.others,
        failed=result.failed or execution.failed,
        interrupted=execution.interrupted,
        notices=(
            *result.notices,
            *(Notice("unsettled", message, "") for message in execution.unsettled),
            *(Notice("unrecorded", _UNRECORDED.format(path), path) for path in execution.unrecorded),
        ),
    )
    result = _settled(result, prepared, run)
    return replace(result, left=run if has_left(run.id, plan.inventory.caches) else None)


def _unchanged(prepared: PreparedPrune) -> PruneResult:
    return PruneResult(
        prepared.plan,
        prepared.output.dry_run,
        prepared.options.check,
        prepared.notices,
        prepared.shrinkage,
        prepared.failed,
    )


def _new_run(prepared: PreparedPrune) -> Run:
    from ..runs.run_store import new_run_id

    now = time.time()
    return Run(new_run_id(now), now, prepared.options.disposal, prepared.options.destination)


def _settled(result: PruneResult, prepared: PreparedPrune, run: Run) -> PruneResult:
    """Do what comes after a removal. Stopped here, what was removed is reported all the same."""
    from ..runs.run_store import interrupted_notice

    try:
        result = _with_shrinkage(result, prepared)
        if result.shrinkage is not None and not result.failed:
            from ..runs.purge_runs import forget

            # Nobody comes back to a job to undo its run.
            options = prepared.options
            forget(run, options.pkgs_dirs, prepared.interaction.patience(options.lock_timeout))
        if not result.interrupted:
            return _with_old_purged(result, prepared)
    except KeyboardInterrupt:
        prepared.interaction.reporter.clear()
        result = replace(result, failed=True, interrupted=True)
        if result.shrinkage is not None and result.shrinkage.after is None:
            result = replace(result, shrinkage=None)  # Nobody knows by how much.
    return replace(result, notices=(*result.notices, interrupted_notice()))


def _with_shrinkage(result: PruneResult, prepared: PreparedPrune) -> PruneResult:
    """Measure what a preset has left in the caches."""
    if result.shrinkage is None or result.dry_run:
        return result
    after = measure_caches(result.plan, prepared.interaction)
    return replace(result, shrinkage=replace(result.shrinkage, after=after))


def _with_old_purged(result: PruneResult, prepared: PreparedPrune) -> PruneResult:
    """Delete what older runs have left, if the options say so; never what this one did."""
    options, interaction = prepared.options, prepared.interaction
    if options.purge_after is None or not interaction.may_change:
        return result
    from .apply_plan import purge_old_runs

    spared = None if result.run is None else result.run.id
    patience = interaction.patience(options.lock_timeout)
    notices, complete = purge_old_runs(options.pkgs_dirs, options.purge_after, spared, interaction.reporter, patience)
    return replace(result, notices=(*result.notices, *notices), failed=result.failed or not complete)
