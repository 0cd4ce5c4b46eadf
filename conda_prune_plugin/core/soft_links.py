"""Soft links from environments into the caches: what no record and no link count tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .model import Entry, Part, Root


@dataclass(frozen=True, slots=True)
class SoftLinks:
    """What environments soft-link.

    entries: the paths of the environments that link a part, by its cache and its case-folded name: where letters of
        any case name the same file, a link may spell it in its own way.
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
