"""Plan a prune: examine the caches and let the planner decide; also as if some environments were removed."""

from __future__ import annotations

import errno
import os
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from ... import failures
from ...core.evidence import Measurement
from ...core.model import Entry, Inventory, ReasonKind, RootKind
from ...core.notices import Notice
from ...core.plan import Plan
from ...core.rules.planner import make_plan
from ...core.rules.policy import Policy
from ...core.rules.ranking import Budget
from ...core.rules.targets import Target, kinds
from ...core.units import format_size
from ...discovery.clients.conda_specs import version_key
from ...discovery.examine import Findings, Scope, examine
from ...discovery.inventory import discover
from ...discovery.system.measure import Measure
from ...discovery.usage.survey import Scan
from ...presentation.terminal.progress import Reporter
from ..options import PlanOptions
from .integrity_check import kept_though_damaged


def discover_and_plan(options: PlanOptions, reporter: Reporter) -> tuple[Plan, tuple[Notice, ...]]:
    """Return the plan for what there is now, and what the user should know about it. Raises `PruneError`."""
    inventory = discover(options.request, reporter.phase("Looking for environments")).inventory
    return make_prune_plan(options, inventory, reporter, time.time())


def make_prune_plan(
    options: PlanOptions,
    inventory: Inventory,
    reporter: Reporter,
    now: float,
    measured: Measure | None = None,
) -> tuple[Plan, tuple[Notice, ...]]:
    """Return the plan for the caches at the time `now`, and what the user should know about it.

    measured: returns what was measured already.
    """
    scope = Scope(
        targets=options.targets,
        search=options.search,
        only=options.only,
        keep=options.keep,
        min_age=options.min_age,
        check_remote=options.check_remote,
        # Only if it matters: every file of the caches is looked at.
        measure_caches=options.max_size is not None,
    )
    findings = _chosen(examine(inventory, scope, reporter, now, measured), options.paths)
    policy = Policy(
        kinds=kinds(options.targets),
        min_age=options.min_age,
        older_than=options.older_than,
        only=findings.chosen,
        keep_newest=options.keep_newest,
        version_key=version_key,
        include_irreplaceable=options.include_irreplaceable,
        budget=_budget(options, findings),
        leftovers=Target.REPAIR not in options.targets,
    )
    found, leftovers, other = findings.inventory, findings.leftovers, findings.other
    plan = make_plan(found, findings.evidence, policy, now, leftovers, other, findings.soft_links)
    reporter.clear()
    remarks = (
        *kept_though_damaged(plan, verified=options.search.hashes),
        *_too_deep(plan),
        *_missed(plan, policy.budget),
    )
    return plan, (*findings.notices, *remarks)


def _chosen(findings: Findings, paths: frozenset[str] | None) -> Findings:
    """Return the findings with the choice of what lies at these paths, in place of the one by specifications."""
    if paths is None:
        return findings

    def chosen(entry: Entry) -> bool:
        return all(entry.path(part) in paths for part in entry.parts)

    entries = (entry for cache in findings.inventory.caches for entry in cache.entries)
    leftovers = tuple(replace(item, chosen=chosen(item.entry)) for item in findings.leftovers)
    return replace(findings, chosen=frozenset(filter(chosen, entries)), leftovers=leftovers)


def plan_without(
    removed: Collection[str], inventory: Inventory, scan: Scan, options: PlanOptions, reporter: Reporter
) -> Plan:
    """Return the plan for the caches as it would be without the environments at some real paths."""
    links: Counter[tuple[int, int]] = Counter()
    for root, tree in scan.environments:
        if failures.realpath(root.path) in removed:
            links.update((scan.inodes.devices[row], scan.inodes.numbers[row]) for row in tree.rows)

    def without_their_links(path: str) -> Measurement:
        measured = scan.measured(path)
        shared = (replace(one, links=one.links - links[one.device, one.inode]) for one in measured.shared)
        return replace(measured, shared=tuple(shared))

    # The history of an environment, and so its revisions, is removed with it.
    theirs = (RootKind.ENVIRONMENT, RootKind.REVISION)
    left = (root for root in inventory.roots if root.kind not in theirs or failures.realpath(root.path) not in removed)
    then = replace(inventory, roots=tuple(left))
    plan, _ = make_prune_plan(options, then, reporter, time.time(), without_their_links)
    return plan


def _too_deep(plan: Plan) -> tuple[Notice, ...]:
    """Return a warning for each package that can't be judged because a path in it is longer than the system takes."""
    said = os.strerror(errno.ENAMETOOLONG)
    return tuple(
        Notice(
            "too-deep",
            f"{path} was kept: a path in it is too long for this system. If you don't need it, delete it with rm -r.",
            path,
        )
        for decision in plan.keep
        for path in (os.path.join(decision.entry.cache, decision.entry.dist),)
        if any(reason.kind is ReasonKind.UNREADABLE and reason.detail.endswith(said) for reason in decision.reasons)
    )


def _budget(options: PlanOptions, findings: Findings) -> Budget:
    """Return how much has to be freed in packages; everything else that is removed counts as freed."""
    other = findings.other
    free = None if options.free is None else max(options.free - sum(item.reclaimable for item in other), 0)
    if options.max_size is None:
        return Budget(None, free)
    caches = {cache.real_path for cache in findings.inventory.judged}
    inside = sum(item.reclaimable for item in other if item.top in caches)
    return Budget(options.max_size, free, findings.held - inside)


def _missed(plan: Plan, budget: Budget) -> tuple[Notice, ...]:
    """Return a warning if less can be freed than was asked for."""
    if not plan.missed:
        return ()
    met = (budget.needed or 0) - plan.missed
    over = 0 if budget.max_size is None else budget.held - budget.max_size
    asked = [name for name, needed in (("--max-size", over), ("--free", budget.free or 0)) if needed > met]
    message = (
        f"Can't free enough for {' and '.join(asked)}: {format_size(plan.missed)} short. Run with -v to see what is "
        "kept and why. Removing environments that you no longer use frees more: see `conda prune envs`."
    )
    return (Notice("target-missed", message, ""),)
