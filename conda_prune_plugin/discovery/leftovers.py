"""Finding what failed installs and removals have left in the caches.

By name: partial downloads and trash. By their content: extracted directories and archives that are not whole, which
are taken out of their entries then, so that what is left of these is decided on by itself.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache as cached
from typing import Any

from ..core.leftovers import Archive, Leftover
from ..core.model import Cache, Client, Entry, Inventory, Part, PartKind, ReasonKind, Root
from ..core.names import ARCHIVE_SUFFIXES
from ..core.soft_links import SoftLinks
from .candidates import RECORD, Measure, holds_package, read_urls, with_sticky_obstacle, without_credentials
from .measure import Seen
from .reading import read_object
from .records import META
from .sources import irreplaceable, local_builds
from .specs import matching
from .strays import strays
from .wholeness import Damage, archive_damage, archive_record, directory_damage

#: Waiting for the disk and hashing go on beside each other.
_THREADS = 4


#: Measures a directory, and is told of everything in it.
Look = Callable[[str, Seen], object]


@dataclass(frozen=True, slots=True)
class Search:
    """What to look at, besides what bears the name of a leftover and what nothing references.

    everything: what is referenced too. contents: look into packages, not only at names. hashes: read all contents.
    repair: look for the archives of what is damaged and in use.
    """

    everything: bool = False
    contents: bool = True
    hashes: bool = False
    repair: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The leftovers, the inventory without them, and the entries that were looked at and are whole."""

    inventory: Inventory
    leftovers: tuple[Leftover, ...] = ()
    whole: frozenset[Entry] = frozenset()


def find_leftovers(
    inventory: Inventory,
    referenced: Collection[str],
    search: Search,
    measure: Measure,
    progress: Callable[[int], None],
    looked: Look | None = None,
) -> Found:
    """Look for leftovers in the caches of which something may go.

    `looked` measures a directory and tells what it has seen. `progress` is called with the number of entries done.
    Nothing is written, and no symbolic link followed.
    """
    places = inventory.judged
    entries = [
        (cache, entry)
        for cache in places
        # rattler and pixi keep no archives, and mend what is incomplete themselves.
        if search.contents and cache.client != Client.RATTLER
        for entry in cache.entries
        if search.everything or entry.dist not in referenced
        if entry not in inventory.unsearched or entry.dist in referenced
    ]
    urls = cached(read_urls)
    damages: dict[Entry, Mapping[Part, Damage]] = {}
    whole: set[Entry] = set()

    def look(item: tuple[Cache, Entry]) -> Mapping[Part, Damage] | None:
        return _damages(item[0], item[1], urls(item[0].real_path), search.hashes, looked)

    with ThreadPoolExecutor(_THREADS) as pool:
        # Without hashes there is nothing to wait for: handing over would take longer than looking.
        found = pool.map(look, entries) if search.hashes else map(look, entries)
        for done, ((_, entry), damaged) in enumerate(zip(entries, found)):
            progress(done)
            if damaged:
                damages[entry] = damaged
            elif damaged is not None:
                whole.add(entry)
    caches = tuple(
        replace(cache, entries=tuple(_without(cache.entries, damages))) if damages else cache
        for cache in inventory.caches
    )
    leftovers = (*_by_name(places, measure), *_by_content(inventory.caches, damages, urls, measure))
    return Found(replace(inventory, caches=caches), leftovers, frozenset(whole))


def _by_name(caches: Iterable[Cache], measure: Measure) -> Iterator[Leftover]:
    for cache in caches:
        for name, reason, detail, dist in strays(cache):
            yield _leftover(cache, Part(PartKind.LEFTOVER, name), Damage(reason, detail), dist, measure)


def _by_content(
    caches: Iterable[Cache],
    damages: Mapping[Entry, Mapping[Part, Damage]],
    urls: Callable[[str], Mapping[str, str]],
    measure: Measure,
) -> Iterator[Leftover]:
    builds = local_builds()
    for cache in caches:
        for entry in cache.entries:
            damaged = damages.get(entry, {})
            for part, damage in damaged.items():
                leftover = _leftover(cache, part, damage, entry.dist, measure)
                held = leftover.measurement is not None and leftover.measurement.files
                if leftover.holds_files and held and len(damaged) == len(entry.parts):
                    url = _origin(cache, entry, urls(cache.real_path))
                    leftover = replace(leftover, irreplaceable=irreplaceable(url, builds))
                yield leftover


def _origin(cache: Cache, entry: Entry, urls: Mapping[str, str]) -> str | None:
    """Return the url that a damaged package came from, if that is known."""
    with suppress(OSError, ValueError):
        url = read_object(os.path.join(cache.real_path, entry.dist, RECORD)).get("url")
        if isinstance(url, str):
            return url
    return next((urls[entry.dist + suffix] for suffix in ARCHIVE_SUFFIXES if entry.dist + suffix in urls), None)


def _without(entries: Sequence[Entry], damages: Mapping[Entry, Mapping[Part, Damage]]) -> Iterator[Entry]:
    for entry in entries:
        parts = tuple(part for part in entry.parts if part not in damages.get(entry, {}))
        if parts:
            yield entry if parts == entry.parts else replace(entry, parts=parts)


def _damages(
    cache: Cache, entry: Entry, urls: Mapping[str, str], hashes: bool, looked: Look | None
) -> Mapping[Part, Damage] | None:
    """Return the parts of an entry that are not whole; None if that can't be said of all."""
    found = {}
    sure = True
    directory = os.path.join(cache.real_path, entry.dist)
    for part in entry.parts:
        if part.kind not in (PartKind.EXTRACTED, PartKind.ARCHIVE):
            continue
        path = os.path.join(cache.real_path, part.name)
        damage = None
        try:
            if part.is_link or not _is_looked_into(path, part, entry, urls):
                sure = False
            elif part.kind is PartKind.EXTRACTED:
                statuses: dict[str, os.stat_result] = {}
                if looked is not None:
                    looked(path, statuses.__setitem__)
                damage = directory_damage(path, statuses=statuses, hashes=hashes)
            else:
                record = _record_of(directory, part, urls)
                damage = archive_damage(path, record, known=bool(record) or part.name in urls, hashes=hashes)
        except OSError:
            # What can't be read is no leftover for that; the evidence will say so.
            sure = False
        if damage is not None:
            found[part] = damage
    return found if found or sure else None


def _record_of(directory: str, part: Part, urls: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what is recorded of an archive; nothing if it came from another channel, that has one of this name too."""
    record = archive_record(directory, part.name)
    url, last = record.get("url"), urls.get(part.name)
    elsewhere = isinstance(url, str) and last and without_credentials(url) != without_credentials(last)
    return {} if elsewhere else record


def _is_looked_into(path: str, part: Part, entry: Entry, urls: Mapping[str, str]) -> bool:
    if part.kind is PartKind.EXTRACTED:
        return _was_package(path, entry, urls)
    return stat.S_ISREG(os.lstat(path).st_mode)


def _was_package(path: str, entry: Entry, urls: Mapping[str, str]) -> bool:
    """Return whether a directory ever was a package: anything may be called like one, as channels in mamba's caches.

    It has metadata, or conda has fetched its archive, or nothing is in it at all, or its archive is a package: somebody
    else's directory may lie beside an archive of it. An environment is none.
    """
    names = set(os.listdir(path))
    if META in names:
        return False
    if not names or _has_metadata(path) or any(entry.dist + suffix in urls for suffix in ARCHIVE_SUFFIXES):
        return True
    archives = (part for part in entry.parts if part.kind is PartKind.ARCHIVE and not part.is_link)
    return any(holds_package(os.path.join(os.path.dirname(path), part.name)) for part in archives)


def _has_metadata(path: str) -> bool:
    # Not by info/files, which is a name that anybody might give.
    known = ("index.json", "paths.json", "repodata_record.json", "about.json")
    return any(os.path.isfile(os.path.join(path, "info", name)) for name in known)


def _leftover(cache: Cache, part: Part, damage: Damage, dist: str | None, measure: Measure) -> Leftover:
    path = os.path.join(cache.real_path, part.name)
    entry = Entry(cache.path, part.name, (part,))
    try:
        ((_, measurement),) = with_sticky_obstacle(cache, ((part, measure(path)),))
        changed = _newest_change(path)
    except OSError as error:
        why = f"{error.filename} can't be read: {error.strerror}"
        return Leftover(entry, damage.kind, damage.detail, dist, 0.0, None, unreadable=why)
    return Leftover(entry, damage.kind, damage.detail, dist, changed, measurement)


def _newest_change(top: str) -> float:
    """Return when anything in a tree was last written, made or renamed. Raises `OSError`."""
    newest = 0.0
    pending = [top]
    while pending:
        path = pending.pop()
        status = os.lstat(path)
        newest = max(newest, status.st_mtime, status.st_ctime)
        if stat.S_ISDIR(status.st_mode):
            pending += [os.path.join(path, name) for name in os.listdir(path)]
    return newest


def with_choices(
    leftovers: Sequence[Leftover], caches: Sequence[Cache], keep: Sequence[str], only: Sequence[str]
) -> tuple[Leftover, ...]:
    """Return the leftovers with what the specifications of ``--keep`` and ``--only`` say of the dists they are of.

    What a leftover is of is known from names alone; on doubt it is kept, and is not chosen.
    """
    of = {item: Entry(item.entry.cache, item.of or item.entry.dist, item.entry.parts) for item in leftovers}
    places = [
        replace(cache, entries=tuple(dict.fromkeys(entry for entry in of.values() if entry.cache == cache.path)))
        for cache in caches
    ]
    rules = {text: matching((text,), places, doubtful=True) for text in dict.fromkeys(keep)}
    chosen = matching(only, places, doubtful=False) if only else frozenset(of.values())

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
        if not item.holds_files or item.of not in referenced or not archives:
            return item
        directory = os.path.join(caches[item.entry.cache].real_path, item.entry.dist)
        records = {part.name: archive_record(directory, part.name) for part in archives}
        # The one that it came from, if that is known and there are two.
        name = max(records, key=lambda name: bool(records[name]))
        record = records[name]
        sha256 = record.get("sha256")
        return replace(
            item,
            archive=Archive(name, sha256 if isinstance(sha256, str) else None, json.dumps(record) if record else None),
        )

    return tuple(map(find, leftovers))


def with_links(
    leftovers: Sequence[Leftover], roots: Sequence[Root], softly: SoftLinks, whole: Collection[Entry]
) -> tuple[Leftover, ...]:
    """Return the leftovers with whether an environment soft-links them, or what they were set aside from.

    whole: the entries that were looked at and found whole.
    """
    sound = {(entry.cache, entry.dist) for entry in whole if entry.parts[0].kind is PartKind.EXTRACTED}

    def find(item: Leftover) -> Leftover:
        entry = item.entry
        if not item.holds_files and item.of is not None:
            entry = Entry(entry.cache, item.of, (Part(PartKind.EXTRACTED, item.of),))
        lacking = item.kind is ReasonKind.TRASH and (entry.cache, entry.dist) not in sound
        return replace(item, linked=(item.holds_files or lacking) and not softly.spare(entry, roots))

    return tuple(map(find, leftovers))
