"""List environments with evidence of their use, and what the caches hold because of them."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from ... import failures
from ...core.accounting import InodeKey
from ...core.envs.environment_use import Environment, EnvsResult, is_unused_for
from ...core.evidence import Measurement
from ...core.model import Entry, Inventory, Root, RootKind
from ...core.notices import MISSING, SOFT_LINKS_POSSIBLE, Notice
from ...core.plan import Plan
from ...core.rules.explanation import kept_alone, named_by_one
from ...core.usage.disk_usage import Inodes, Tree
from ...discovery.clients.conda import Settings, conda_settings
from ...discovery.envs.other_registries import only_listed_by_others
from ...discovery.envs.own_file_search import find_own_files
from ...discovery.envs.use_evidence import gather, stale_lines
from ...discovery.inventory import discover
from ...discovery.roots.environments_txt import is_environment_backup
from ...discovery.usage.survey import Scan, make_usage, survey
from ...failures import suppress
from ..conda_hooks import unregister_removed
from ..interaction import Interaction
from ..options import EnvsOptions
from ..prune.measure_usage import find_environment
from ..prune.planning import make_prune_plan
from ..runs.state_dirs import finish_runs, places, unfinished_notices

#: Missing environments are listed as lines of the registry, and their soft links stop no removal of an environment.
_NOT_HERE = (MISSING, SOFT_LINKS_POSSIBLE)


@dataclass(frozen=True, slots=True)
class Listing:
    """All environments, and in the `result` the chosen ones."""

    options: EnvsOptions
    settings: Settings
    inventory: Inventory
    plan: Plan
    scan: Scan
    environments: tuple[Environment, ...]
    result: EnvsResult


def list_environments(
    options: EnvsOptions,
    interaction: Interaction,
    listed: Callable[[Inventory], None] = lambda inventory: None,
    measured: Callable[[Root, Tree, Inodes], None] = lambda root, tree, inodes: None,
) -> Listing:
    """Find all environments and evidence of their use.

    `listed` is called with what there is before anything is measured, `measured` as by `survey`. Before any change,
    completes earlier removals. Raises `PruneError`.
    """
    settings = conda_settings()
    recovered, complete = _finish_earlier_removals(options, settings, interaction)
    reporter = interaction.reporter
    progress = reporter.phase("Looking for environments")
    inventory = discover(options, progress).inventory
    listed(inventory)
    roots = tuple(root for root in inventory.roots if root.kind is RootKind.ENVIRONMENT)
    removable = [root for root in roots if not is_environment_backup(root.path)]
    named = {find_environment(removable, name, inventory.caches) for name in options.environments}
    scan = survey(replace(inventory, roots=roots), reporter.counter("Counting files"), measured)
    plan, remarks = make_prune_plan(options, inventory, reporter, time.time(), scan.measured)
    usages = [item for item in make_usage(scan, plan).environments if not is_environment_backup(item.root.path)]
    reporter.phase("Looking for evidence of use")(0)
    tops = scan.tops
    environments, shown = [], []
    now = time.time()
    for found in gather(usages, inventory, settings, only_listed_by_others(roots, settings, options)):
        environment, root = found, found.root
        if not named or failures.realpath(found.path) in named:
            own = find_own_files(root, scan.pip.get(root, ()), found.created, tops)
            environment = found if own is None else replace(found, own_files=own)
            if options.unused_for is None or is_unused_for(environment, options.unused_for, now):
                shown.append(environment)
        environments.append(environment)
    reporter.clear()
    notices = (*inventory.notices, *scan.notices, *remarks)
    result = EnvsResult(
        shown=tuple(shown),
        count=len(environments),
        stale=stale_lines(settings),
        now=time.time(),
        unused_for=options.unused_for_text,
        kept=_kept_by_each(inventory, scan),
        notices=(*recovered, *(notice for notice in notices if notice.kind not in _NOT_HERE)),
        failed=not complete,
    )
    return Listing(options, settings, inventory, plan, scan, tuple(environments), result)


def _kept_by_each(inventory: Inventory, scan: Scan) -> dict[str, int]:
    """Return by path the bytes in the caches that could be freed if an environment were removed with its links."""
    trees, numbers = dict(scan.environments), scan.inodes
    directories = {cache.path: cache.real_path for cache in inventory.caches}
    measurements: dict[Entry, tuple[Measurement, ...]] = {}
    links: dict[Root, Counter[InodeKey]] = {}
    for root, entries in named_by_one(inventory).items():
        shared: set[InodeKey] = set()
        for entry in entries if root in trees else ():
            with suppress(OSError):
                parts = (os.path.join(directories[entry.cache], part.name) for part in entry.parts)
                measurements[entry] = tuple(map(scan.measured, parts))
                shared.update((one.device, one.inode) for part in measurements[entry] for one in part.shared)
        if shared:
            keys = ((numbers.devices[row], numbers.numbers[row]) for row in trees[root].rows)
            links[root] = Counter(filter(shared.__contains__, keys))
    return {item.root.path: item.reclaimable for item in kept_alone(inventory, measurements, links)}


def _finish_earlier_removals(
    options: EnvsOptions, settings: Settings, interaction: Interaction
) -> tuple[tuple[Notice, ...], bool]:
    """Complete earlier removals, if anything may be changed; else only report them.

    Returns notices, and whether all of them could be completed.
    """
    changes = (options.remove or options.fix_registry) and interaction.may_change
    found = places(settings)
    if not changes:
        return unfinished_notices(found), True
    patience = interaction.patience(options.lock_timeout)
    finished = finish_runs(settings, found, patience, interaction.reporter.counter("Finishing an earlier run"))
    # --fix-registry makes a copy first.
    if options.remove:
        unregister_removed(settings.registries, found)
    return finished.notices, finished.complete
