"""Plan a prune: examine the caches and let the planner decide; also as if some environments were removed.

Includes notices on damaged packages in use, and on environments that still have the damage after a repair.
"""

from __future__ import annotations

import errno
import os
import shlex
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from ... import failures
from ...core.evidence import Measurement
from ...core.model import Entry, Inventory, LinkKind, PartKind, ReasonKind, Result, RootKind, Verdict
from ...core.notices import COPIED_DAMAGE, DAMAGED, REPAIR, SHARED, STILL_DAMAGED, Notice
from ...core.plan import Outcome, Plan, Reason
from ...core.rules.planner import make_plan
from ...core.rules.policy import Policy
from ...core.rules.ranking import Budget, Goal
from ...core.rules.reachability import references
from ...core.rules.targets import Target, kinds
from ...core.units import NO_SPACE, Unit, plural
from ...discovery.clients.conda_specs import version_key
from ...discovery.examine import Findings, examine
from ...discovery.inventory import discover
from ...discovery.leftovers.leftover_search import Search, find_leftovers
from ...discovery.packages.inspection import Memory
from ...discovery.packages.integrity import directory_damage, has_changed_files
from ...discovery.system.measure import Measure
from ...discovery.usage.survey import Scan, survey
from ...presentation.terminal.progress import Reporter
from ..options import PlanOptions
from .missed_target import missed_target

#: Reasons to keep a package that prevent its repair too.
_OBSTACLES = {ReasonKind.RECENT, ReasonKind.READ_ONLY, ReasonKind.UNREADABLE}

#: How an environment has the old files of a repaired package. Through soft links it has the new ones.
_HOLDING: Mapping[LinkKind | None, str] = {
    LinkKind.HARD: "hard-links the old files of",
    LinkKind.COPY: "may have the same damage in its copies of",
}

#: The options that limit a prune, and their units. Some limit the size of the caches, others the space to free.
_LIMITS = {"max_size": Unit.BYTES, "max_inodes": Unit.INODES, "free": Unit.BYTES, "free_inodes": Unit.INODES}
_OF_CACHES = ("max_size", "max_inodes")


def discover_and_plan(options: PlanOptions, reporter: Reporter) -> tuple[Plan, tuple[Notice, ...]]:
    """Return the plan for what there is now, and what the user should know about it. Raises `PruneError`."""
    inventory = discover(options, reporter.phase("Looking for environments")).inventory
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
    findings = _chosen(examine(inventory, options, reporter, now, measured), options.paths)
    policy = Policy(
        kinds=kinds(options.targets),
        min_age=options.min_age,
        older_than=options.older_than,
        only=findings.chosen,
        unchosen="excluded by --only" if options.paths is None else "not chosen",
        keep_newest=options.keep_newest,
        version_key=version_key,
        include_irreplaceable=options.include_irreplaceable,
        budget=_budget(options, findings),
        leftovers=Target.REPAIR not in options.targets,
    )
    found, leftovers, other = findings.inventory, findings.leftovers, findings.other
    plan = make_plan(found, findings.evidence, policy, now, leftovers, other, findings.soft_links)
    if plan.common and measured is None:
        # Packages that are kept may share it too. Only now is it worth asking about all of them.
        environments = tuple(root for root in found.roots if root.kind is RootKind.ENVIRONMENT)
        counting = reporter.counter("Counting files that share content")
        sharing = survey(replace(found, roots=environments), counting, pips=False).sharing
        plan = make_plan(found, findings.evidence, policy, now, leftovers, other, findings.soft_links, sharing)
    plan = replace(plan, inventory=replace(found, notices=(*found.notices, *_upper_bounds(plan))))
    reporter.clear()
    remarks = (
        *kept_though_damaged(plan),
        *_too_deep(plan),
        *missed_target(plan, options, policy.budget),
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
    links = scan.links(tree for root, tree in scan.environments if failures.realpath(root.path) in removed)

    def without_their_links(path: str) -> Measurement:
        measured = scan.measured(path)
        shared, common = (
            tuple(replace(one, links=one.links - links[one.device, one.inode]) for one in inodes)
            for inodes in (measured.shared, measured.common)
        )
        return replace(measured, shared=shared, common=common)

    # The history of an environment, and so its revisions, is removed with it.
    theirs = (RootKind.ENVIRONMENT, RootKind.REVISION)
    left = (root for root in inventory.roots if root.kind not in theirs or failures.realpath(root.path) not in removed)
    then = replace(inventory, roots=tuple(left))
    plan, _ = make_prune_plan(options, then, reporter, time.time(), without_their_links)
    return plan


def _upper_bounds(plan: Plan) -> tuple[Notice, ...]:
    """Return a warning if the plan may free less than it says."""
    if not (plan.bounded or plan.common):
        return ()
    message = (
        "Some files to remove may share their content with files elsewhere, such as clones or snapshots, or are "
        "compressed, or can't be read. So all sizes are upper bounds."
    )
    return (Notice(SHARED, message, ""),)


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
    caches = {cache.real_path for cache in findings.inventory.judged}
    freed = sum((item.frees for item in findings.other), NO_SPACE)
    left = findings.held - sum((item.frees for item in findings.other if item.top in caches), NO_SPACE)
    goals = []
    for name, unit in _LIMITS.items():
        if (limit := getattr(options, name)) is not None:
            needed = left.of(unit) - limit if name in _OF_CACHES else limit - freed.of(unit)
            goals.append(Goal(f"--{name.replace('_', '-')}", unit, needed))
    return Budget(tuple(goals))


def kept_though_damaged(plan: Plan) -> tuple[Notice, ...]:
    """Return a warning for each damaged package that environments use, and that the plan doesn't repair."""
    repaired = {repair.entry for repair in plan.repair}
    archives = _with_archive(plan.inventory)
    notices = []
    for keep in plan.keep:
        kinds = {reason.kind for reason in keep.reasons}
        is_package = keep.entry.parts[0].kind is PartKind.EXTRACTED
        in_use = keep.verdict is Verdict.LEFTOVER and is_package and ReasonKind.ENVIRONMENT in kinds
        if in_use and keep.entry not in repaired:
            obstacle = next((reason for reason in keep.reasons if reason.kind in _OBSTACLES), None)
            notices.append(_notice(keep.entry, keep.reasons[-1].detail, archives, obstacle))
    return (*notices, *_copied_though_damaged(plan))


def damaged_in_use(inventory: Inventory, reporter: Reporter) -> tuple[Notice, ...]:
    """Check the packages in use, by names and sizes, and return a warning for each damaged one.

    They are not removed, because the plan was made without this check and a dry run would not have shown them.
    """
    referenced = references(inventory.roots)
    used = [(cache, entry) for cache in inventory.caches for entry in cache.entries if entry.dist in referenced]
    trees = [
        (os.path.join(cache.real_path, part.name), entry)
        for cache, entry in used
        for part in entry.parts
        if part.kind is PartKind.EXTRACTED and not part.is_link
    ]
    progress = reporter.counter("Checking packages in use", len(trees))
    doubted = set()
    for path, entry in trees:
        if _needs_inspection(path):
            doubted.add(entry)
        progress(1)
    suspects = tuple(
        replace(cache, entries=tuple(filter(doubted.__contains__, cache.entries))) for cache in inventory.caches
    )
    closer = replace(inventory, caches=suspects, unsearched=frozenset())
    found = find_leftovers(closer, (), Search(everything=True), Memory(), lambda done: None)
    reporter.clear()
    archives = _with_archive(found.inventory)
    return tuple(_notice(item.entry, item.detail, archives) for item in found.leftovers if item.holds_files)


def _needs_inspection(directory: str) -> bool:
    try:
        return directory_damage(directory) is not None
    except OSError as error:
        failures.note(error)
        return True


def _with_archive(inventory: Inventory) -> frozenset[tuple[str, str]]:
    """Return cache and dist of all entries with an archive that is not known to be damaged."""
    return frozenset(
        (entry.cache, entry.dist)
        for cache in inventory.caches
        for entry in cache.entries
        if any(part.kind is PartKind.ARCHIVE and not part.is_link for part in entry.parts)
    )


def _notice(entry: Entry, detail: str, archives: Collection[tuple[str, str]], obstacle: Reason | None = None) -> Notice:
    path = entry.path(entry.parts[0])
    remedy, command = "Extract it again:", REPAIR
    if obstacle and obstacle.kind is ReasonKind.RECENT:
        remedy, command = f"It was {obstacle.detail}. If none is, extract it again:", f"{REPAIR} --min-age 0"
    elif obstacle:
        remedy = f"It can't be repaired now: {obstacle.detail}. Extract it again later:"
    if (entry.cache, entry.dist) not in archives:
        remedy = "Download its archive from its channel into the cache, then extract it:"
    message = (
        f"The package {path} is in use and damaged: {detail}. New environments may be broken. {remedy} `{command}`"
    )
    return Notice(DAMAGED, message, path, command=command)


def still_damaged(plan: Plan, outcomes: Iterable[Outcome]) -> tuple[Notice, ...]:
    """Return a warning for each environment that has files of a repaired package as they were before."""
    # Of a package that only lacked files, environments have whole ones.
    changed = {item.entry for item in plan.repair if has_changed_files(item.removal.reasons[0].detail)}
    repaired = {outcome.entry for outcome in outcomes if outcome.result is Result.REPAIRED} & changed
    names = {root.path: root.name for root in plan.inventory.roots if root.kind is RootKind.ENVIRONMENT}
    holders: dict[tuple[str, LinkKind | None], list[str]] = {}
    for keep in plan.keep:
        for reason in keep.reasons if keep.entry in repaired else ():
            if reason.root in names and reason.link in _HOLDING:
                holders.setdefault((reason.root, reason.link), []).append(keep.entry.dist)
    notices = []
    for (path, link), dists in holders.items():
        command = _reinstall(path, names[path], dists)
        message = f"Environment {names[path] or path} {_HOLDING[link]} {', '.join(dists)}. Reinstall there: `{command}`"
        notices.append(Notice(STILL_DAMAGED, message, path, command=command))
    return tuple(notices)


def _copied_though_damaged(plan: Plan) -> Iterator[Notice]:
    """Give a warning for each damaged package that goes because environments have copies of its files."""
    for removal in plan.remove:
        users = [root for root in removal.accepted if root.kind is RootKind.ENVIRONMENT]
        if removal.leftover and removal.entry.parts[0].kind is PartKind.EXTRACTED and users:
            path, first = removal.paths[0], min(users, key=lambda root: root.path)
            command = _reinstall(first.path, first.name, [removal.entry.dist])
            more = f" and {plural(len(users) - 1, 'more environment')}" if users[1:] else ""
            message = (
                f"The package {path} is damaged: {removal.reasons[0].detail}. {first.name or first.path}{more} copied "
                f"its files and may have the same damage. Reinstall there: `{command}`"
            )
            yield Notice(COPIED_DAMAGE, message, path, command=command)


def _reinstall(path: str, name: str | None, dists: Iterable[str]) -> str:
    """Return the command that installs packages of an environment again. conda skips one that is given by its URL."""
    specs = ("=".join(dist.rsplit("-", 2)) for dist in dists)
    where = ("-n", name) if name else ("-p", path)
    return shlex.join(("conda", "install", *where, "--force-reinstall", "--no-deps", *specs))
