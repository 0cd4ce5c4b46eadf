"""What the user has to know of packages in use that are not whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from ..core.decision import Keep, Plan
from ..core.leftovers import Leftover
from ..core.model import Entry, Inventory, Notice, PartKind, ReasonKind, Verdict
from ..core.reachability import references
from ..discovery.crew import Crew
from ..discovery.leftovers import Search, find_leftovers
from ..discovery.look import Memory
from ..presentation.progress import Reporter

#: The kind of the notice.
DAMAGED = "damaged-package"


def kept_though_damaged(plan: Plan) -> tuple[Notice, ...]:
    """Return a warning for each damaged package that stays as it is because environments are linked to it."""
    mended = {item.removal.entry for item in plan.repair}
    archives = _with_archive(plan.inventory)
    return tuple(
        _notice(keep.entry, keep.reasons[-1].detail, archives, _obstacle(keep))
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


def damaged_in_use(inventory: Inventory, reporter: Reporter, crew: Crew) -> tuple[Notice, ...]:
    """Look at the packages in use, by names and sizes, and return a warning for each that is damaged.

    A plan that was made without a look at them removes none of them: nothing goes that was not shown in a dry run.
    """
    referenced = references(inventory.roots)
    caches = tuple(
        replace(cache, entries=tuple(entry for entry in cache.entries if entry.dist in referenced))
        for cache in inventory.caches
    )
    progress = reporter.phase("Checking packages in use", sum(len(cache.entries) for cache in caches))
    found = find_leftovers(
        replace(inventory, caches=caches, unsearched=frozenset()), (), Search(everything=True), Memory(), progress, crew
    )
    reporter.clear()
    archives = _with_archive(found.inventory)
    return tuple(_notice(item.entry, item.detail, archives) for item in _packages(found.leftovers))


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


def _notice(entry: Entry, detail: str, archives: Collection[tuple[str, str]], obstacle: str | None = None) -> Notice:
    path = entry.path(entry.parts[0])
    remedy = "`conda prune --repair` extracts it anew" + (f", but not now: {obstacle}" if obstacle else "")
    if (entry.cache, entry.dist) not in archives:
        remedy = "put its archive from its channel beside it, and `conda prune --repair` extracts it anew"
    message = (
        f"The package {path} is in use and damaged: {detail}. conda takes it for whole, and environments made from "
        f"it fail or lack files: {remedy}."
    )
    return Notice(DAMAGED, message, path)
