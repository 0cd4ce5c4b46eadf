"""The names an entry is known by: in its channel, in environments, and its directory's."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ... import failures
from ...core.dist_names import plain_dist
from ...core.layout import ARCHIVE_SUFFIXES
from ...core.model import Cache, Entry, PartKind, Root, RootKind
from ...failures import suppress
from .archive_metadata import dist_in_archive
from .extracted_metadata import describe


class Names:
    """Tells by which names an entry is known, and opens its metadata once at most."""

    def __init__(self, roots: Iterable[Root] = ()) -> None:
        environments = [root for root in roots if root.kind is RootKind.ENVIRONMENT]
        self._aliases: dict[str, list[str]] = {}
        for root in environments:
            for alias, dist in root.aliases.items():
                self._aliases.setdefault(alias, []).append(dist)
        self._named = frozenset[str]().union(*(root.packages for root in environments))
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}

    def of(self, cache: Cache, entry: Entry) -> tuple[str, ...]:
        """Return the dists that an entry is known by; first the name of an environment's record, or else conda's."""
        key = (cache.real_path, entry.dist)
        if key not in self._known:
            own, aliases = plain_dist(entry.dist), self._aliases.get(entry.dist, ())
            first = tuple(name for name in (own, entry.dist) if name in self._named)[:1]
            self._known[key] = tuple(dict.fromkeys((*first, *_described(cache, entry), *aliases, own)))
        return self._known[key]


def _described(cache: Cache, entry: Entry) -> tuple[str, ...]:
    path = os.path.join(cache.real_path, entry.dist)
    with suppress(OSError, ValueError):
        if not failures.islink(path):
            described = describe(path)
            return (described.dist, *described.aliases)
    for part in entry.parts:
        # What conda doesn't call after its content; its own archives bear their dist, and take long to be looked into.
        foreign = part.kind is PartKind.ARCHIVE and not part.is_link and not part.name.endswith(ARCHIVE_SUFFIXES)
        with suppress(OSError, ValueError):
            if foreign:
                return (dist_in_archive(os.path.join(cache.real_path, part.name)),)
    return ()
