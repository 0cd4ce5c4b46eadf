"""Explain a plan entry by entry, and find what only one root keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..accounting import InodeKey, Ledger
from ..dist_names import recorded_names
from ..evidence import Measurement
from ..model import Entry, Inventory, Root, Verdict
from ..plan import Plan, Reason, Remove
from ..units import NO_SPACE
from .reachability import references


@dataclass(frozen=True, slots=True)
class KeptAlone:
    """The entries that only one root names.

    reclaimable: the bytes in the caches that could be freed if the root were removed with its own links.
    reclaimable_inodes: the inodes, likewise.
    """

    root: Root
    entries: tuple[Entry, ...]
    reclaimable: int
    reclaimable_inodes: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on one entry with every reason; `removal` is the decision to remove it, if there is one."""

    entry: Entry
    verdict: Verdict
    reasons: tuple[Reason, ...]
    removal: Remove | None = None


def explanations(plan: Plan) -> dict[Entry, Explanation]:
    """Return the explanation of every entry of a plan."""
    found = {keep.entry: Explanation(keep.entry, keep.verdict, keep.reasons) for keep in plan.keep}
    for removal in plan.remove:
        verdict = Verdict.REACHABLE if removal.accepted else Verdict.UNREFERENCED
        verdict = Verdict.LEFTOVER if removal.leftover else verdict
        found[removal.entry] = Explanation(removal.entry, verdict, removal.reasons, removal)
    return found


def decided_on(plan: Plan) -> Inventory:
    """Return a plan's inventory with everything that it decides on as entries, leftovers too."""
    entries: dict[str, list[Entry]] = {cache.path: [] for cache in plan.inventory.caches}
    decided = [*(keep.entry for keep in plan.keep), *(removal.entry for removal in plan.remove)]
    for entry in decided:
        entries[entry.cache].append(entry)
    caches = tuple(
        replace(cache, entries=tuple(sorted(entries[cache.path], key=lambda entry: entry.dist)))
        for cache in plan.inventory.caches
    )
    return replace(plan.inventory, caches=caches)


def named_by_one(inventory: Inventory) -> dict[Root, tuple[Entry, ...]]:
    """Return the entries of each root that no other root names."""
    referenced = references(inventory.roots)
    found: dict[Root, list[Entry]] = {root: [] for root in inventory.roots}
    for cache in inventory.caches:
        for entry in cache.entries:
            roots = [root for name in recorded_names(entry.dist) for root in referenced.get(name, ())]
            if len(roots) == 1:
                found[roots[0]].append(entry)
    return {root: tuple(entries) for root, entries in found.items()}


def kept_alone(
    inventory: Inventory,
    measurements: Mapping[Entry, Iterable[Measurement]],
    links: Mapping[Root, Mapping[InodeKey, int]],
) -> tuple[KeptAlone, ...]:
    """Return what each root alone keeps, in the order of the roots.

    measurements: of the entries that one root names; missing ones count as nothing.
    links: by environment, how many links its files are of each inode.
    """
    found = []
    for root, entries in named_by_one(inventory).items():
        ledger = Ledger(links.get(root))
        parts = (measured for entry in entries for measured in measurements.get(entry, ()))
        freed = sum(map(ledger.remove, parts), NO_SPACE)
        found.append(KeptAlone(root, entries, freed.bytes, freed.inodes))
    return tuple(found)
