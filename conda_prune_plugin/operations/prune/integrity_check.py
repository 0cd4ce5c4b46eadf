"""Notices on damaged packages that are in use."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from ... import failures
from ...core.model import Entry, Inventory, Part, PartKind, ReasonKind, Verdict
from ...core.notices import DAMAGED, Notice
from ...core.plan import Keep, Plan
from ...core.rules.leftover import Leftover
from ...core.rules.reachability import references
from ...discovery.leftovers.leftover_search import Search, find_leftovers
from ...discovery.packages.inspection import Memory
from ...discovery.packages.integrity import directory_damage
from ...presentation.terminal.progress import Reporter


def kept_though_damaged(plan: Plan, *, verified: bool = False) -> tuple[Notice, ...]:
    """Return a warning for each damaged package that stays as it is because environments are linked to it.

    verified: hashes were compared, so the same is needed to find the damage again.
    """
    mended = {item.removal.entry for item in plan.repair}
    archives = _with_archive(plan.inventory)
    return tuple(
        _notice(keep.entry, keep.reasons[-1].detail, archives, _obstacle(keep), verified=verified)
        for keep in plan.keep
        if keep.verdict is Verdict.LEFTOVER and _in_use(keep) and keep.entry not in mended
    )


def _obstacle(keep: Keep) -> str | None:
    """Return what stands in the way of a repair, too."""
    obstacles = {ReasonKind.RECENT, ReasonKind.READ_ONLY, ReasonKind.UNREADABLE}
    return next((reason.detail for reason in keep.reasons if reason.kind in obstacles), None)


def _in_use(keep: Keep) -> bool:
    is_package = keep.entry.parts[0].kind is PartKind.EXTRACTED
    return is_package and any(reason.kind is ReasonKind.ENVIRONMENT for reason in keep.reasons)


def damaged_in_use(inventory: Inventory, reporter: Reporter) -> tuple[Notice, ...]:
    """Look at the packages in use, by names and sizes, and return a warning for each that is damaged.

    A plan that was made without a look at them removes none of them: nothing goes that was not shown in a dry run.
    """
    referenced = references(inventory.roots)
    used = [(cache, entry) for cache in inventory.caches for entry in cache.entries if entry.dist in referenced]
    trees = [(os.path.join(cache.real_path, part.name), entry) for cache, entry in used for part in _trees(entry)]
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
    return tuple(_notice(item.entry, item.detail, archives) for item in _packages(found.leftovers))


def _needs_inspection(directory: str) -> bool:
    try:
        return directory_damage(directory) is not None
    except OSError as error:
        failures.note(error)
        return True


def _trees(entry: Entry) -> Iterator[Part]:
    return (part for part in entry.parts if part.kind is PartKind.EXTRACTED and not part.is_link)


def _with_archive(inventory: Inventory) -> frozenset[tuple[str, str]]:
    """Return cache and dist of all that has an archive that is not known to be damaged."""
    return frozenset(
        (entry.cache, entry.dist)
        for cache in inventory.caches
        for entry in cache.entries
        if any(part.kind is PartKind.ARCHIVE and not part.is_link for part in entry.parts)
    )


def _packages(leftovers: Iterable[Leftover]) -> Iterable[Leftover]:
    return (item for item in leftovers if item.holds_files)


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
        remedy = f"It can't be repaired now ({obstacle}). Later, extract it again with `{command}`"
    if (entry.cache, entry.dist) not in archives:
        remedy = f"Download its archive from its channel into the cache, then run `{command}`"
    message = (
        f"The package {path} is in use and damaged: {detail}. Environments created from it fail or lack files. "
        f"{remedy}."
    )
    return Notice(DAMAGED, message, path, command=command)
