"""Soft links from environments into the caches: what no record and no link count tells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .model import Entry, Root


@dataclass(frozen=True, slots=True)
class SoftLinks:
    """What environments soft-link.

    entries: cache and name of a part, case-folded: where letters of any case name the same file, a link may spell it in
        its own way.
    unseen: environments not looked through whole.
    """

    entries: frozenset[tuple[str, str]]
    unseen: frozenset[str]

    def spare(self, entry: Entry, roots: Iterable[Root]) -> bool:
        """Return whether an entry may go that these roots have: none is known, or can't be ruled out, to link it."""
        linked = any((entry.cache, part.name.casefold()) in self.entries for part in entry.parts)
        return not linked and all(root.path not in self.unseen for root in roots)
