"""Evidence on leftovers: specifications that match them, archives to repair from, soft links."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...core.model import Entry, Inventory, Part, PartKind, ReasonKind, Root, RootKind
from ...core.rules.leftover import Archive, Leftover
from ...core.rules.reachability import SoftLinks
from ..packages.integrity import archive_record
from ..packages.match_spec import matching
from ..packages.package_identity import Names
from .leftover_search import LeftoverSearchResult


def with_evidence(
    found: LeftoverSearchResult,
    referenced: Mapping[str, Sequence[Root]],
    softly: SoftLinks,
    only: Sequence[str],
    names: Names,
    *,
    repair: bool,
) -> tuple[Leftover, ...]:
    """Return the leftovers with the rules of ``--keep`` and ``--only`` that match them, and the links into them.

    The package of a leftover is known from names alone; on doubt it is kept, and is not chosen. An environment that
    references it, and could not be listed completely, may soft-link it. repair: add the archives that damaged
    directories in use can be extracted from.
    """
    inventory, leftovers = found.inventory, found.leftovers
    if not leftovers:
        return ()
    of = {item: Entry(item.entry.cache, item.of or item.entry.dist, item.entry.parts) for item in leftovers}
    places = [
        replace(cache, entries=tuple(dict.fromkeys(entry for entry in of.values() if entry.cache == cache.path)))
        for cache in inventory.caches
    ]
    keep = dict.fromkeys(root.name or "" for root in inventory.roots if root.kind is RootKind.KEEP)
    rules = {text: matching((text,), places, doubtful=True, names=names) for text in keep}
    chosen = matching(only, places, doubtful=False, names=names) if only else frozenset(of.values())
    sound = {(entry.cache, entry.dist) for entry in found.whole if entry.parts[0].kind is PartKind.EXTRACTED}

    def add(item: Leftover) -> Leftover:
        cache, dist = item.entry.cache, item.of or ""
        doubtful = tuple(root.path for root in referenced.get(dist, ()) if root.path in softly.unseen)
        linked = softly.environments(cache, item.entry.parts)
        lacking: tuple[str, ...] = ()
        if item.holds_files:
            linked += doubtful
        elif item.kind is ReasonKind.TRASH and dist and (cache, dist) not in sound:
            # Environments may lack the package that the trash was.
            lacking = softly.environments(cache, (Part(PartKind.EXTRACTED, dist),)) + doubtful
        return replace(
            item,
            linked=tuple(dict.fromkeys(linked)),
            lacking=tuple(dict.fromkeys(lacking)),
            archive=_archive(item, inventory) if repair and dist in referenced else None,
            kept=next((text for text, matched in rules.items() if of[item] in matched), None),
            chosen=of[item] in chosen,
        )

    return tuple(map(add, leftovers))


def _archive(item: Leftover, inventory: Inventory) -> Archive | None:
    """Return the archive beside a damaged directory, None if there is none."""
    # A directory with another name than its package is nothing that conda has extracted.
    if not item.holds_files or item.of != item.entry.dist:
        return None
    cache = next(cache for cache in inventory.caches if cache.path == item.entry.cache)
    entry = next((entry for entry in cache.entries if entry.dist == item.of), None)
    archives = [part for part in entry.parts if part.kind is PartKind.ARCHIVE and not part.is_link] if entry else []
    directory = os.path.join(cache.real_path, item.entry.dist)
    records = {part.name: archive_record(directory, part.name) for part in archives}
    # The one that it came from, if that is known and there are two.
    name = max(records, key=lambda name: bool(records[name]), default=None)
    if name is None:
        return None
    sha256 = records[name].get("sha256")
    return Archive(name, sha256 if isinstance(sha256, str) else None, records[name] or None)
