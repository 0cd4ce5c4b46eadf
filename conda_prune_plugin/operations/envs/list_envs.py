"""List environments with evidence of their use, and what the caches hold because of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ... import failures
from ...core.envs.environment_use import Environment, is_unused_for
from ...core.envs.envs_result import EnvsResult
from ...core.model import Inventory, RootKind
from ...core.notices import MISSING, SOFT_LINKS_POSSIBLE, Notice
from ...core.plan import Plan
from ...discovery.clients.conda import Settings, conda_settings
from ...discovery.envs.other_registries import only_listed_by_others
from ...discovery.envs.own_file_search import Boundaries, find_own_files
from ...discovery.envs.use_evidence import gather, stale_lines
from ...discovery.inventory import discover
from ...discovery.roots.backups import is_environment_backup
from ...discovery.usage.survey import Scan, Survey, make_usage
from ..env_registration import unregister_removed
from ..interaction import Interaction
from ..options import EnvsOptions
from ..prune.measure_usage import find_environment
from ..prune.planning import make_prune_plan
from ..runs.state_dirs import places
from ..runs.unfinished_runs import finish_runs, unfinished_notices

#: What is missing is told as a line of the registry, and what it may have soft-linked stops no environment's removal.
_NOT_HERE = (MISSING, SOFT_LINKS_POSSIBLE)


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found: all `environments`, and in the `result` those that were asked for."""

    options: EnvsOptions
    settings: Settings
    inventory: Inventory
    plan: Plan
    survey: Survey
    scan: Scan
    environments: tuple[Environment, ...]
    result: EnvsResult


def list_environments(options: EnvsOptions, interaction: Interaction) -> Listing:
    """Find all environments and look for evidence of their use.

    If something is to be changed, what an earlier removal left is finished first. Raises `PruneError`.
    """
    settings = conda_settings()
    recovered, complete = _finish_earlier_removals(options, settings, interaction)
    reporter = interaction.reporter
    progress = reporter.phase("Looking for environments")
    inventory = discover(options.request, progress).inventory
    roots = tuple(root for root in inventory.roots if root.kind is RootKind.ENVIRONMENT)
    removable = [root for root in roots if not is_environment_backup(root.path)]
    named = tuple(find_environment(removable, name) for name in options.environments)
    survey = Survey(replace(inventory, roots=roots), reporter.counter("Counting files"))
    survey.walk_caches()
    plan, remarks = make_prune_plan(options, inventory, reporter, time.time(), survey.measured)
    scan = survey.walk_environments()
    usages = [item for item in make_usage(scan, plan).environments if not is_environment_backup(item.root.path)]
    reporter.phase("Looking for evidence of use")(0)
    boundaries, asked = Boundaries(scan.boundaries), frozenset(named)
    environments = tuple(
        _with_own_files(item, scan, boundaries) if not asked or failures.realpath(item.path) in asked else item
        for item in gather(usages, inventory, settings, only_listed_by_others(roots, settings, options.request))
    )
    reporter.clear()
    found = (*inventory.notices, *scan.notices, *remarks)
    result = EnvsResult(
        shown=_chosen(environments, named, options.unused_for),
        count=len(environments),
        stale=stale_lines(settings),
        now=time.time(),
        unused_for=options.unused_for_text,
        notices=(*recovered, *(notice for notice in found if notice.kind not in _NOT_HERE)),
        failed=not complete,
    )
    return Listing(options, settings, inventory, plan, survey, scan, environments, result)


def _finish_earlier_removals(
    options: EnvsOptions, settings: Settings, interaction: Interaction
) -> tuple[tuple[Notice, ...], bool]:
    """Finish what earlier removals left, if anything may be changed; else say that there is something.

    Returns what there is to say, and whether all of it could be finished.
    """
    changes = (options.remove or options.fix_registry) and interaction.may_change
    found = places(settings)
    if not changes:
        return unfinished_notices(found), True
    patience = interaction.patience(options.lock_timeout)
    finished = finish_runs(settings, found, patience, interaction.reporter.counter("Finishing an earlier run"))
    # --fix-registry does so with a copy.
    if options.remove:
        unregister_removed(settings.registries, found)
    return finished.notices, finished.complete


def _with_own_files(environment: Environment, scan: Scan, boundaries: Boundaries) -> Environment:
    root = environment.root
    found = find_own_files(root, scan.pip.get(root, ()), environment.created, boundaries)
    return environment if found is None else replace(environment, own_files=found)


def _chosen(every: Sequence[Environment], named: Sequence[str], unused_for: float | None) -> tuple[Environment, ...]:
    now, asked = time.time(), frozenset(named)
    return tuple(
        environment
        for environment in every
        if (not asked or failures.realpath(environment.path) in asked)
        and (unused_for is None or is_unused_for(environment, unused_for, now))
    )
