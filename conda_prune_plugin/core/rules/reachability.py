"""Mark: which roots reference which entries, by name alone."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..dist_names import recorded_names
from ..model import Entry, Inventory, Part, Root


def references(roots: Iterable[Root]) -> Mapping[str, tuple[Root, ...]]:
    """Return the roots of each dist that a root names, in the order of the roots."""
    return _references(tuple(roots))


@functools.lru_cache(2)
def _references(roots: tuple[Root, ...]) -> Mapping[str, tuple[Root, ...]]:
    # Each step of a plan needs the same.
    found: dict[str, list[Root]] = {}
    for root in roots:
        for dist in root.dists:
            found.setdefault(dist, []).append(root)
    return {dist: tuple(naming) for dist, naming in found.items()}


def candidates(inventory: Inventory, referenced: Mapping[str, Sequence[Root]]) -> tuple[Entry, ...]:
    """Return the entries that no root names: only these may be removed, and are worth measuring."""
    return tuple(
        entry
        for cache in inventory.caches
        for entry in cache.entries
        if entry not in inventory.unsearched and not any(name in referenced for name in recorded_names(entry.dist))
    )


@dataclass(frozen=True, slots=True)
class SoftLinks:
    """What environments soft-link.

    entries: the paths of the environments that link a part, by its cache and its case-folded name: on file systems that
        ignore case, a link may be spelled differently.
    unseen: environments that could not be listed completely.
    """

    entries: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    unseen: frozenset[str] = frozenset()

    def environments(self, cache: str, parts: Iterable[Part]) -> tuple[str, ...]:
        """Return the paths of the environments that soft-link any of these parts of a cache, sorted."""
        found = (self.entries.get((cache, part.name.casefold()), ()) for part in parts)
        return tuple(sorted({path for paths in found for path in paths}))

    def spare(self, entry: Entry, roots: Iterable[Root]) -> bool:
        """Return True if no environment soft-links an entry and all of these roots were listed completely."""
        return not self.environments(entry.cache, entry.parts) and all(root.path not in self.unseen for root in roots)


#: No environment soft-links anything.
NO_SOFT_LINKS = SoftLinks()
