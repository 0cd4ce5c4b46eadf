"""Carry out the plan of ``conda prune``. A dry run never imports this."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...core.notices import Notice
from ...core.plan import Plan
from ...core.rules.reachability import SoftLinks
from ...core.run import Disposal, Run
from ...discovery.roots.watch import RootWatch
from ...discovery.system.measure import measure
from ...errors import PruneError
from ...execution.locks.run_lock import Patience
from ...execution.ports import Ports
from ...execution.sweep import Execution
from ...presentation.terminal.progress import Reporter
from ..run_as_owner import execute_as_owners, remove_other_as_owners, repair_as_owners
from ..runs.purge_runs import purge_old
from ..runs.refetch import extraction
from ..runs.run_store import stopped_notice


def apply_plan(
    plan: Plan, run: Run, repairing: Run, watch: RootWatch, reporter: Reporter, patience: Patience
) -> Execution:
    """Remove, repair and delete what the plan says; `repairing` is the run of the repairs.

    Raises `StateError`, `LockTimeoutError` or `UnreadableEnvironmentError` before anything is moved.
    """
    removing = reporter.counter("Removing files", plan.files)

    def looking() -> SoftLinks:
        found = watch.soft_links(reporter.phase("Looking for soft links"))
        reporter.clear()
        return found

    tools = Ports(
        references=watch.references,
        soft_links=looking,
        measure=lambda path, dir_fd: measure(path, dir_fd=dir_fd),
        progress=removing,
        patience=patience,
    )
    execution = execute_as_owners(plan, run, tools) if plan.remove else Execution(())
    if plan.repair and not execution.interrupted:
        # Nobody wants a damaged copy back, whatever is done with the rest.
        own = replace(repairing, disposal=Disposal.DELETE, destination=None)
        repaired, interrupted = repair_as_owners(plan, own, extraction(), tools)
        execution = replace(execution, outcomes=(*execution.outcomes, *repaired), interrupted=interrupted)
    if plan.other and not execution.interrupted:
        others, interrupted = remove_other_as_owners(plan, tools, execution.others)
        execution = replace(execution, others=others, interrupted=interrupted)
    reporter.clear()
    return execution


def purge_old_runs(
    pkgs_dirs: Iterable[str], age: float, spared: str | None, reporter: Reporter, patience: Patience
) -> tuple[tuple[Notice, ...], bool]:
    """Delete what older runs have left; return what to say of it, and whether all of it could be deleted."""
    try:
        done = purge_old(pkgs_dirs, age, patience, reporter.counter("Purging old backups"), spared)
    except (PruneError, OSError) as error:
        # What the run itself has done must be reported all the same.
        done = (stopped_notice("purged", "Old runs could not be purged", error),), False
    reporter.clear()
    return done
