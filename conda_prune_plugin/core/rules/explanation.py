"""Find what only one root keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..accounting import InodeKey
from ..dist_names import recorded_names
from ..evidence import Measurement
from ..model import Entry, Inventory, Root, Verdict
from ..plan import Plan, Reason, Remove
from .reachability import references


@dataclass(frozen=True, slots=True)
class KeptAlone:
    """What a root keeps that no other root names.

    reclaimable: bytes of the caches that removal could give back if the root went away, with its own links.
    """

    root: Root
    entries: tuple[Entry, ...]
    reclaimable: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on one entry with every reason; `removal` is the decision to remove it, if that is the plan's."""

    entry: Entry
    verdict: Verdict
    reasons: tuple[Reason, ...]
    removal: Remove | None = None


def explanations(plan: Plan) -> dict[Entry, Explanation]:
    """Return what a plan says of every entry."""
    found = {keep.entry: Explanation(keep.entry, keep.verdict, keep.reasons) for keep in plan.keep}
    for removal in plan.remove:
        verdict = Verdict.REACHABLE if removal.accepted else Verdict.UNREFERENCED
        verdict = Verdict.LEFTOVER if removal.leftover else verdict
        found[removal.entry] = Explanation(removal.entry, verdict, removal.reasons, removal)
    return found


def decided_on(plan: Plan) -> Inventory:
    """Return the inventory with all that a plan decides on as entries of the caches, leftovers too."""
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
    """Return for every root the entries that only it names."""
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
    """Return for every root what it alone keeps, in the order of the roots.

    measurements: of the entries that one root names; one that is not there counts nothing.
    links: by environment, how many links its files are of each inode.
    """
    return tuple(
        KeptAlone(root, entries, _reclaimable([measurements.get(entry, ()) for entry in entries], links.get(root)))
        for root, entries in named_by_one(inventory).items()
    )


def _reclaimable(parts: Iterable[Iterable[Measurement]], links: Mapping[InodeKey, int] | None) -> int:
    gone: dict[InodeKey, int] = dict(links or {})
    total = 0
    counted: set[InodeKey] = set()
    flat = [measurement for measurements in parts for measurement in measurements]
    for measurement in flat:
        total += measurement.single
        for inode in measurement.shared:
            key = (inode.device, inode.inode)
            gone[key] = gone.get(key, 0) + inode.inside
    for measurement in flat:
        for inode in measurement.shared:
            key = (inode.device, inode.inode)
            # An inode comes back when its last link goes: those in the entries and in the root itself are gone then.
            if key not in counted and gone[key] >= inode.links:
                counted.add(key)
                total += inode.allocated
    return total
