"""Entries that environments reference and share no file with: what is copied, or lies on another file system."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...core.model import Entry, Evidence, Inventory, Root, RootKind
from ...core.soft_links import SoftLinks


def may_be_unlinked(
    inventory: Inventory, referenced: Mapping[str, Sequence[Root]], softly: SoftLinks
) -> tuple[Entry, ...]:
    """Return the entries that environments and no other roots reference, and that no environment soft-links."""

    def fits(entry: Entry) -> bool:
        roots = referenced.get(entry.dist, ())
        return bool(roots) and all(root.kind is RootKind.ENVIRONMENT for root in roots) and softly.spare(entry, roots)

    entries = (entry for cache in inventory.caches for entry in cache.entries if entry not in inventory.unsearched)
    return tuple(filter(fits, entries))


def unlinked(evidence: Iterable[Evidence], entries: frozenset[Entry]) -> tuple[Evidence, ...]:
    """Return those of the entries that were measured and have no hard link from anywhere but a cache."""
    return tuple(
        item
        for item in evidence
        if item.entry in entries and not item.outside and item.doubt is None and item.unreadable is None
    )
