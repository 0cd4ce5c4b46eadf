"""Evidence on leftovers: specifications that match them, archives to repair from, soft links."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace

from ...core.model import Cache, Entry, Inventory, Part, PartKind, ReasonKind, Root
from ...core.rules.leftover import Archive, Leftover
from ...core.rules.reachability import SoftLinks, references
from ..packages.integrity import archive_record
from ..packages.match_spec import matching
from ..packages.package_identity import Names


def with_choices(
    leftovers: Sequence[Leftover], caches: Sequence[Cache], keep: Sequence[str], only: Sequence[str], names: Names
) -> tuple[Leftover, ...]:
    """Return the leftovers with what the specifications of ``--keep`` and ``--only`` say of the dists they are of.

    What a leftover is of is known from names alone; on doubt it is kept, and is not chosen.
    """
    of = {item: Entry(item.entry.cache, item.of or item.entry.dist, item.entry.parts) for item in leftovers}
    places = [
        replace(cache, entries=tuple(dict.fromkeys(entry for entry in of.values() if entry.cache == cache.path)))
        for cache in caches
    ]
    rules = {text: matching((text,), places, doubtful=True, names=names) for text in dict.fromkeys(keep)}
    chosen = matching(only, places, doubtful=False, names=names) if only else frozenset(of.values())

    def choose(item: Leftover) -> Leftover:
        rule = next((text for text, matched in rules.items() if of[item] in matched), None)
        return replace(item, kept=rule, chosen=of[item] in chosen)

    return tuple(map(choose, leftovers))


def with_archives(
    leftovers: Sequence[Leftover], inventory: Inventory, referenced: Collection[str]
) -> tuple[Leftover, ...]:
    """Return the leftovers, damaged directories that are referenced with the archive that is beside them."""
    caches = {cache.path: cache for cache in inventory.caches}
    entries = {(entry.cache, entry.dist): entry for cache in inventory.caches for entry in cache.entries}

    def find(item: Leftover) -> Leftover:
        entry = entries.get((item.entry.cache, item.entry.dist))
        archives = [part for part in entry.parts if part.kind is PartKind.ARCHIVE and not part.is_link] if entry else []
        # What bears another name than its package is nothing that conda has extracted.
        if not item.holds_files or item.of != item.entry.dist or item.of not in referenced or not archives:
            return item
        directory = os.path.join(caches[item.entry.cache].real_path, item.entry.dist)
        records = {part.name: archive_record(directory, part.name) for part in archives}
        # The one that it came from, if that is known and there are two.
        name = max(records, key=lambda name: bool(records[name]))
        record = records[name]
        sha256 = record.get("sha256")
        return replace(
            item,
            archive=Archive(name, sha256 if isinstance(sha256, str) else None, record or None),
        )

    return tuple(map(find, leftovers))


def with_links(
    leftovers: Sequence[Leftover], roots: Sequence[Root], softly: SoftLinks, whole: Collection[Entry]
) -> tuple[Leftover, ...]:
    """Return the leftovers with the environments that soft-link them, or the packages that they were.

    One that names what a leftover is of, and could not be listed completely, may do so. whole: the entries that were
    looked at and found whole.
    """
    if not softly.entries and not softly.unseen:
        return tuple(leftovers)
    referenced = references(roots)
    sound = {(entry.cache, entry.dist) for entry in whole if entry.parts[0].kind is PartKind.EXTRACTED}

    def find(item: Leftover) -> Leftover:
        cache, dist = item.entry.cache, item.of or ""
        doubtful = tuple(root.path for root in referenced.get(dist, ()) if root.path in softly.unseen)
        linked = softly.environments(cache, item.entry.parts)
        if item.holds_files:
            return replace(item, linked=tuple(dict.fromkeys(linked + doubtful)))
        if item.kind is not ReasonKind.TRASH or not dist or (cache, dist) in sound:
            return replace(item, linked=linked)
        lacking = softly.environments(cache, (Part(PartKind.EXTRACTED, dist),))
        return replace(item, linked=linked, lacking=tuple(dict.fromkeys(lacking + doubtful)))

    return tuple(map(find, leftovers))
