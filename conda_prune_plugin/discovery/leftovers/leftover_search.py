"""Find leftovers of failed installs and removals in the caches.

By name: partial downloads and trash. By their content: extracted directories and archives that are not whole, which
are taken out of their entries then, so that what is left of these is decided on by itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache as cached
from threading import Event

from ... import failures
from ...core.dist_names import recorded_names
from ...core.layout import RECORD
from ...core.model import Cache, Client, Entry, Inventory, Part, PartKind, ReasonKind, Root, RootKind
from ...core.rules.leftover import Archive, Leftover
from ...core.rules.reachability import SoftLinks
from ...failures import suppress
from ..clients.archive_names import archive_suffixes
from ..clients.conda_context import local_builds
from ..packages.inspection import Inspected, Memory, inspect
from ..packages.integrity import Damage, archive_record
from ..packages.match_spec import matching
from ..packages.package_identity import Names
from ..packages.package_urls import irreplaceable, read_urls
from ..packages.removal_evidence import with_sticky_obstacle
from ..system.extents import UNASKED
from ..system.measure import Measure, Statuses, measure
from ..system.safe_read import read_object
from .leftover_names import leftovers_by_name

#: Waiting for the disk and hashing go on beside each other.
_THREADS = 4


@dataclass(frozen=True, slots=True)
class Search:
    """What to look at, besides files with the name of a leftover and unreferenced packages.

    everything: what is referenced too. contents: look into packages, not only at names. hashes: read all contents.
    repair: look for the archives of what is damaged and in use.
    """

    everything: bool = False
    contents: bool = True
    hashes: bool = False
    repair: bool = False


#: What is looked at unless more was asked for.
DEFAULT_SEARCH = Search()


@dataclass(frozen=True, slots=True)
class LeftoverSearchResult:
    """The leftovers, the inventory without them, and the entries that were looked at and are whole."""

    inventory: Inventory
    leftovers: tuple[Leftover, ...] = ()
    whole: frozenset[Entry] = frozenset()


def find_leftovers(
    inventory: Inventory,
    referenced: Collection[str],
    search: Search,
    memory: Memory,
    progress: Callable[[int], None],
) -> LeftoverSearchResult:
    """Look for leftovers in the caches of which something may go; `memory` learns what is seen there.

    `progress` is told how many more entries are done. Nothing is written, and no symbolic link followed.
    """
    places = inventory.judged
    urls = cached(read_urls)
    damages: dict[Entry, Mapping[Part, Damage]] = {}
    whole: set[Entry] = set()
    tasks = [
        (cache.real_path, entry, urls(cache.real_path))
        for cache in places
        # rattler and pixi keep no archives, and mend what is incomplete themselves.
        if search.contents and cache.client != Client.RATTLER
        for entry in cache.entries
        for named in (any(name in referenced for name in recorded_names(entry.dist)),)
        if (search.everything or not named) and (named or entry not in inventory.unsearched)
    ]
    for (_, entry, _), inspected in zip(tasks, _inspections(memory, tasks, search, progress)):
        if inspected.damages:
            damages[entry] = inspected.damages
        elif inspected.sure:
            whole.add(entry)
    leftovers = [leftover for cache in places for leftover in _by_name(cache, memory.measured)]
    caches = []
    for cache in inventory.caches:
        entries = []
        for entry in cache.entries:
            damaged = damages.get(entry)
            if damaged is None:
                entries.append(entry)
                continue
            leftovers += _by_content(cache, entry, damaged, referenced, urls, memory)
            if parts := tuple(part for part in entry.parts if part not in damaged):
                entries.append(replace(entry, parts=parts))
        caches.append(replace(cache, entries=tuple(entries)) if damages else cache)
    return LeftoverSearchResult(replace(inventory, caches=tuple(caches)), tuple(leftovers), frozenset(whole))


def _inspections(
    memory: Memory,
    tasks: Sequence[tuple[str, Entry, Mapping[str, str]]],
    search: Search,
    progress: Callable[[int], None],
) -> Iterator[Inspected]:
    """Return the inspection of each entry, in their order.

    Where all contents are read, threads read from the disk and hash beside each other; without hashes they would only
    wait for each other.
    """
    if not search.hashes:
        for task in tasks:
            yield inspect(memory, *task)
            progress(1)
        return
    enough = Event()

    def look(task: tuple[str, Entry, Mapping[str, str]]) -> Inspected:
        return inspect(memory, *task, contents=enough.is_set)

    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            try:
                found: Iterable[Inspected] = pool.map(look, tasks)
            except RuntimeError:
                # No more threads are to be had.
                found = map(look, tasks)
            for inspected in found:
                progress(1)
                yield inspected
        finally:
            # A Ctrl-C need not wait for what the threads still read.
            enough.set()


def _by_name(cache: Cache, measure: Measure) -> Iterator[Leftover]:
    for named in leftovers_by_name(cache):
        part, damage = Part(PartKind.LEFTOVER, named.name), Damage(named.kind, named.detail)
        leftover = _leftover(cache, part, damage, named.dist, measure)
        yield replace(leftover, held=named.held, unreadable=leftover.unreadable or named.unreadable)


def _by_content(
    cache: Cache,
    entry: Entry,
    damaged: Mapping[Part, Damage],
    referenced: Collection[str],
    urls: Callable[[str], Mapping[str, str]],
    memory: Memory,
) -> Iterator[Leftover]:
    """Give the damaged parts of an entry, with the dist that roots name it by: a record may mean it by another one."""
    directory = os.path.join(cache.real_path, entry.dist)
    known = list(recorded_names(entry.dist))
    with suppress(OSError, ValueError):
        described = memory.described(directory)
        known += (described.dist, *described.aliases)
    of = next((name for name in known if name in referenced), entry.dist)
    for part, damage in damaged.items():
        leftover = _leftover(cache, part, damage, of, memory.measured)
        holds = leftover.holds_files and leftover.measurement is not None and leftover.measurement.files
        if holds and len(damaged) == len(entry.parts):
            url = None
            with suppress(OSError, ValueError):
                url = read_object(os.path.join(directory, RECORD)).get("url")
            if not isinstance(url, str):
                fetched = urls(cache.real_path)
                names = (entry.dist + suffix for suffix in archive_suffixes())
                url = next((fetched[name] for name in names if name in fetched), None)
            leftover = replace(leftover, irreplaceable=irreplaceable(url, local_builds()))
        yield leftover


def _leftover(cache: Cache, part: Part, damage: Damage, dist: str | None, measure: Measure) -> Leftover:
    path = os.path.join(cache.real_path, part.name)
    entry = Entry(cache.path, part.name, (part,))
    try:
        ((_, measurement),) = with_sticky_obstacle(cache, ((part, measure(path)),))
        changed = _newest_change(path)
    except OSError as error:
        failures.note(error)
        why = f"{error.filename} can't be read: {error.strerror}"
        return Leftover(entry, damage.kind, damage.detail, dist, 0.0, None, unreadable=why)
    return Leftover(entry, damage.kind, damage.detail, dist, changed, measurement)


def _newest_change(top: str) -> float:
    """Return when anything in a tree was last written, made or renamed. Raises `OSError`."""
    statuses: Statuses = {}
    measure(top, systems=UNASKED, statuses=statuses)
    return max(max(status.st_mtime, status.st_ctime) for status in (os.lstat(top), *statuses.values()))


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
