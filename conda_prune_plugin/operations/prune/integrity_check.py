"""Notices on damaged packages that are in use, and on environments that still have the damage after a repair."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from ... import failures
from ...core.model import Entry, Inventory, LinkKind, PartKind, ReasonKind, Result, RootKind, Verdict
from ...core.notices import COPIED_DAMAGE, DAMAGED, REPAIR, STILL_DAMAGED, Notice
from ...core.plan import Outcome, Plan
from ...core.rules.reachability import references
from ...core.units import plural
from ...discovery.leftovers.leftover_search import Search, find_leftovers
from ...discovery.packages.inspection import Memory
from ...discovery.packages.integrity import directory_damage
from ...presentation.terminal.progress import Reporter

#: Reasons to keep a package that prevent its repair too.
_OBSTACLES = {ReasonKind.RECENT, ReasonKind.READ_ONLY, ReasonKind.UNREADABLE}

#: How an environment has the old files of a repaired package. Through soft links it has the new ones.
_HOLDING: Mapping[LinkKind | None, str] = {
    LinkKind.HARD: "hard-links the old files of",
    LinkKind.COPY: "may have the same damage in its copies of",
}


def kept_though_damaged(plan: Plan) -> tuple[Notice, ...]:
    """Return a warning for each damaged package that environments use, and that the plan doesn't repair."""
    repaired = {repair.removal.entry for repair in plan.repair}
    archives = _with_archive(plan.inventory)
    notices = []
    for keep in plan.keep:
        kinds = {reason.kind for reason in keep.reasons}
        is_package = keep.entry.parts[0].kind is PartKind.EXTRACTED
        in_use = keep.verdict is Verdict.LEFTOVER and is_package and ReasonKind.ENVIRONMENT in kinds
        if in_use and keep.entry not in repaired:
            obstacle = next((reason.detail for reason in keep.reasons if reason.kind in _OBSTACLES), None)
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


def _notice(entry: Entry, detail: str, archives: Collection[tuple[str, str]], obstacle: str | None = None) -> Notice:
    path = entry.path(entry.parts[0])
    remedy = "Extract it again:"
    if obstacle:
        remedy = f"It can't be repaired now: {obstacle}. Extract it again later:"
    if (entry.cache, entry.dist) not in archives:
        remedy = "Download its archive from its channel into the cache, then extract it:"
    message = (
        f"The package {path} is in use and damaged: {detail}. Environments created from it fail or lack files. "
        f"{remedy} `{REPAIR}`"
    )
    return Notice(DAMAGED, message, path, command=REPAIR)


def still_damaged(plan: Plan, outcomes: Iterable[Outcome]) -> tuple[Notice, ...]:
    """Return a warning for each environment that has files of a repaired package as they were before."""
    repaired = {outcome.entry for outcome in outcomes if outcome.result is Result.REPAIRED}
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
