"""Prepare and carry out the removal of environments."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from errno import EACCES
from os.path import realpath

from ...core.envs.environment_use import Environment, Protection, RemovedEnvironment
from ...core.envs.envs_result import EnvsResult
from ...core.notices import Notice
from ...core.run import Disposal, Run
from ...core.usage.disk_usage import released
from ...discovery.system.measure import measure
from ...execution.environment_preflight import EnvironmentPorts
from ..env_registration import unregister
from ..interaction import Interaction
from ..prune.planning import plan_without
from ..prune.preflight import refuse_running
from ..run_as_owner import removal_hooks_as_owner, remove_environments_as_owners
from ..runs.run_store import new_run_id
from ..runs.state_dirs import forget_places, note_place, place_of
from .eligibility import PlannedRemoval, allowed, objection, planned_removals, refuse_protected, why_protected
from .list_envs import Listing


@dataclass(frozen=True, slots=True)
class PreparedRemoval:
    """The environments that are to be removed, with all that this needs; nothing has been changed so far.

    result: with what the removal would free.
    """

    listing: Listing
    removals: tuple[PlannedRemoval, ...]
    disposal: Disposal
    result: EnvsResult


def prepare_removal(listing: Listing, interaction: Interaction) -> PreparedRemoval:
    """Prepare the removal of the environments that were asked for, but of those that are protected.

    Raises `ProtectedEnvironmentError` if one of these was named.
    """
    options, result = listing.options, listing.result
    by_name = bool(options.environments)
    eligible, protected = allowed(result.shown, by_age=not by_name, named=by_name, force=options.force)
    if by_name:
        refuse_protected(protected)
    result = replace(result, notices=(*result.notices, *protection_notices(protected)))
    removals, result = with_details(listing, eligible, result)
    return with_forecast(listing, removals, options.disposal, result, interaction)


def protection_notices(protected: Iterable[tuple[Environment, Sequence[Protection]]]) -> list[Notice]:
    """Return a notice for each environment that stays, and why."""
    return [
        Notice("protected", f"{environment.path} stays: {why_protected(found)}.", environment.path)
        for environment, found in protected
    ]


def with_details(
    listing: Listing, eligible: Iterable[Environment], result: EnvsResult
) -> tuple[tuple[PlannedRemoval, ...], EnvsResult]:
    """Return what the removal of each environment needs; one that can't be removed is reported and stops no other."""
    removals: list[PlannedRemoval] = []
    notices: list[Notice] = []
    for environment in eligible:
        try:
            place = place_of(environment.path)
            if not place.writable:
                raise PermissionError(EACCES, f"you don't have permission to change {place.path}")
            removals.append(planned_removals(environment, listing.scan, result.now))
        except OSError as error:
            message = f"Kept {environment.path}: {error.strerror or error}."
            notices.append(Notice("removal", message, environment.path))
    failed = result.failed or bool(notices)
    return tuple(removals), replace(result, failed=failed, notices=(*result.notices, *notices))


def with_forecast(
    listing: Listing,
    removals: tuple[PlannedRemoval, ...],
    disposal: Disposal,
    result: EnvsResult,
    interaction: Interaction,
) -> PreparedRemoval:
    """Return a removal with what it would free, in the environments and in the caches."""
    paths = frozenset(realpath(item.environment.path) for item in removals)
    then = listing.plan.reclaimable
    if removals and disposal is Disposal.DELETE:
        reporter = interaction.reporter
        inventory, survey, scan = listing.inventory, listing.survey, listing.scan
        then = plan_without(paths, inventory, survey, scan, listing.options, reporter).reclaimable
    trees = [tree for root, tree in listing.scan.environments if realpath(root.path) in paths]
    result = replace(
        result,
        remove=tuple((item.environment, item.losses) for item in removals),
        disposal=disposal,
        released=released(trees, listing.scan.inodes) - sum(item.kept for item in removals),
        reclaimable=listing.plan.reclaimable,
        reclaimable_then=then,
    )
    return PreparedRemoval(listing, removals, disposal, result)


def check_may_run(prepared: PreparedRemoval, interaction: Interaction) -> None:
    """Refuse while another conda installs: it may be into one of these environments. Raises `RunningError`."""
    options = prepared.listing.options
    ignored = options.ignore_running and interaction.output.yes
    if not (options.force or ignored):
        refuse_running(prepared.listing.inventory.caches)


def carry_out_removal(prepared: PreparedRemoval, interaction: Interaction) -> EnvsResult:
    """Remove the environments and return the result with what became of them.

    Raises `StateError` or `LockTimeoutError` before any of them is changed.
    """
    options, settings = prepared.listing.options, prepared.listing.settings
    started = time.time()
    run = Run(new_run_id(started), started, prepared.disposal)
    files = sum(item.removal.files for item in prepared.removals)
    tools = EnvironmentPorts(
        objection=(lambda path: None) if options.force else objection,
        removal_hooks=removal_hooks_as_owner,
        unregister=lambda path: unregister(settings.registries, path),
        note=lambda place: note_place(settings, place, run),
        measure=lambda path, dir_fd: measure(path, dir_fd=dir_fd),
        progress=interaction.reporter.counter("Removing files", files),
        patience=interaction.patience(options.lock_timeout),
    )
    try:
        removed = remove_environments_as_owners([item.removal for item in prepared.removals], run, tools)
    finally:
        forget_places(settings)
    interaction.reporter.clear()
    result = prepared.result
    return replace(
        result,
        run=run,
        outcomes=removed.outcomes,
        failed=result.failed or removed.failed,
        interrupted=removed.interrupted,
        notices=(*result.notices, *_warnings(removed.outcomes)),
    )


def _warnings(outcomes: Sequence[RemovedEnvironment]) -> list[Notice]:
    return [
        Notice("removal", f"{outcome.path}: {outcome.warning}.", outcome.path)
        for outcome in outcomes
        if outcome.warning is not None
    ]
