"""Marking: which roots reference which entries, by name alone."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence

from ..dist_names import recorded_names
from ..model import Entry, Inventory, Root


def references(roots: Iterable[Root]) -> Mapping[str, tuple[Root, ...]]:
    """Return for each dist that a root names the roots that name it, in the order of the roots."""
    return _references(tuple(roots))


@functools.lru_cache(2)
def _references(roots: tuple[Root, ...]) -> Mapping[str, tuple[Root, ...]]:
    # Each step of a plan asks for the same.
    found: dict[str, list[Root]] = {}
    for root in roots:
        for dist in root.dists:
            found.setdefault(dist, []).append(root)
    return {dist: tuple(naming) for dist, naming in found.items()}


def candidates(inventory: Inventory, referenced: Mapping[str, Sequence[Root]]) -> tuple[Entry, ...]:
    """Return the entries that may go, as no root names them: the only ones worth opening and measuring."""
    return tuple(
        entry
        for cache in inventory.caches
        for entry in cache.entries
        if entry not in inventory.unsearched and not any(name in referenced for name in recorded_names(entry.dist))
    )
