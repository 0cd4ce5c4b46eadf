"""Notices on damaged packages that are in use."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace

from ... import failures
from ...core.model import Entry, Inventory, PartKind, ReasonKind, Verdict
from ...core.notices import DAMAGED, Notice
from ...core.plan import Plan
from ...core.rules.reachability import references
from ...discovery.leftovers.leftover_search import Search, find_leftovers
from ...discovery.packages.inspection import Memory
from ...discovery.packages.integrity import directory_damage
from ...presentation.terminal.progress import Reporter

#: Reasons to keep a package that prevent its repair too.
_OBSTACLES = {ReasonKind.RECENT, ReasonKind.READ_ONLY, ReasonKind.UNREADABLE}


def kept_though_damaged(plan: Plan, *, verified: bool = False) -> tuple[Notice, ...]:
    """Return a warning for each damaged package that is kept because environments are linked to it.

    verified: hashes were compared, so a repair has to compare them too.
    """
    repaired = {repair.removal.entry for repair in plan.repair}
    archives = _with_archive(plan.inventory)
    notices = []
    for keep in plan.keep:
        kinds = {reason.kind for reason in keep.reasons}
        is_package = keep.entry.parts[0].kind is PartKind.EXTRACTED
        in_use = keep.verdict is Verdict.LEFTOVER and is_package and ReasonKind.ENVIRONMENT in kinds
        if in_use and keep.entry not in repaired:
            obstacle = next((reason.detail for reason in keep.reasons if reason.kind in _OBSTACLES), None)
            notices.append(_notice(keep.entry, keep.reasons[-1].detail, archives, obstacle, verified=verified))
    return tuple(notices)


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


def _notice(
    entry: Entry,
    detail: str,
    archives: Collection[tuple[str, str]],
    obstacle: str | None = None,
    *,
    verified: bool = False,
) -> Notice:
    path = entry.path(entry.parts[0])
    command = "conda prune --verify --repair" if verified else "conda prune --repair"
    remedy = f"Extract it again with `{command}`"
    if obstacle:
        remedy = f"It can't be repaired now: {obstacle}. Later, extract it again with `{command}`"
    if (entry.cache, entry.dist) not in archives:
        remedy = f"Download its archive from its channel into the cache, then run `{command}`"
    message = (
        f"The package {path} is in use and damaged: {detail}. Environments created from it fail or lack files. "
        f"{remedy}."
    )
    return Notice(DAMAGED, message, path, command=command)
