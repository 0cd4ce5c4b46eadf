"""Gather evidence on entries that no root names: open them, measure them, and note any doubt."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ... import failures
from ...core.accounting import InodeKey, missing_links, unexplained
from ...core.dist_names import is_dist_name
from ...core.evidence import Evidence, Measurement
from ...core.layout import INDEX, META
from ...core.model import Cache, Entry, Part, PartKind
from ...failures import suppress
from ..clients.archive_names import is_wheel
from ..clients.conda_context import local_builds
from ..clients.rattler import recorded_sha256
from ..system.measure import identity
from ..system.privileges import is_root_to, is_root_to_all
from ..system.tree_walk import names_of_inodes
from .archive_metadata import dist_in_archive
from .inspection import Memory
from .package_urls import read_urls, without_credentials
from .provenance import irreplaceable


def gather_evidence(
    caches: Iterable[Cache],
    entries: Sequence[Entry],
    progress: Callable[[int], None],
    memory: Memory | None = None,
) -> tuple[Evidence, ...]:
    """Return the evidence on each of the entries; `progress` is called with how many of them are done.

    `memory`: what has been seen already.
    """
    by_path = {cache.path: cache for cache in caches}
    urls_of = functools.cache(read_urls)
    memory = memory or Memory()
    builds = local_builds()
    found = []
    for done, entry in enumerate(entries):
        progress(done)
        found.append(_examine(by_path[entry.cache], entry, urls_of, memory, builds))
    outside = missing_links(m for item in found if item.doubt is None for _, m in item.measurements)
    if outside:
        outside = _links_not_in_caches(outside, by_path.values(), found)
    if not outside:
        return tuple(found)
    return tuple(
        # Only the files of the extracted directory are linked into environments.
        replace(item, outside=sum(unexplained(m, outside) for part, m in item.measurements if _extracted(part)))
        for item in found
    )


def redundant_archives(caches: Iterable[Cache], entries: Iterable[Entry], memory: Memory) -> tuple[Evidence, ...]:
    """Return the evidence on the archives alone of those of the entries that have an extracted directory too."""
    both = [entry for entry in entries if {part.kind for part in entry.parts} == {PartKind.EXTRACTED, PartKind.ARCHIVE}]
    alone = {replace(entry, parts=tuple(part for part in entry.parts if not _extracted(part))): entry for entry in both}
    found = []
    for item in gather_evidence(caches, list(alone), lambda done: None, memory):
        entry = alone[item.entry]
        # Beside a directory that somebody removes meanwhile the archive is all there is, and stays.
        with suppress(FileNotFoundError):
            identities = [(part, identity(os.lstat(entry.path(part)))) for part in entry.parts if _extracted(part)]
            directory = next(entry.path(part) for part in entry.parts if _extracted(part))
            described = _known(memory, directory)
            found.append(replace(item, entry=entry, beside=tuple(identities), **described))
    return tuple(found)


def _known(memory: Memory, directory: str) -> dict[str, Any]:
    """Return the fields of evidence that say what a package is known by, as its extracted directory tells."""
    try:
        described = memory.described(directory)
    except (OSError, ValueError) as error:
        failures.note(error)
        return {}
    return {"dist": described.dist, "aliases": described.aliases}


def _extracted(part: Part) -> bool:
    return part.kind is PartKind.EXTRACTED


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What an extracted directory says of itself, as far as it says it; `source` is its url without credentials."""

    dist: str | None = None
    aliases: tuple[str, ...] = ()
    url: str | None = None
    source: str | None = None
    sha256: str | None = None
    record: Mapping[str, Any] | None = None
    doubt: str | None = None


def _examine(
    cache: Cache,
    entry: Entry,
    urls_of: Callable[[str], Mapping[str, str]],
    memory: Memory,
    builds: Sequence[str],
) -> Evidence:
    for part in entry.parts:
        if part.is_link:
            return Evidence(entry, doubt=f"{part.name} is a symbolic link, which is never followed")
    paths = {part.name: os.path.join(cache.real_path, part.name) for part in entry.parts}
    try:
        measurements = tuple((part, memory.measured(paths[part.name])) for part in entry.parts)
        urls = urls_of(cache.real_path)
        metadata = _metadata(entry, paths, urls, memory)
        url = metadata.url or next((urls[part.name] for part in entry.parts if part.name in urls), None)
        checked = recorded_sha256(cache, entry) if url is None and metadata.doubt is None else None
        others = _other_archives(entry, url, urls)
        return Evidence(
            entry=entry,
            measurements=with_sticky_obstacle(cache, measurements),
            dist=metadata.dist,
            aliases=metadata.aliases,
            fetched=_fetched(measurements, paths, memory),
            source=metadata.source or without_credentials(url),
            sha256=metadata.sha256 or checked,
            record=metadata.record,
            doubt=metadata.doubt,
            # Of what is not understood nothing more has to be said. rattler never records a url in its cache, but the
            # hash that a channel or a lockfile has: there it can be had again.
            irreplaceable=_irreplaceable(url, others, builds) if metadata.doubt is None and checked is None else None,
            other_sources=tuple((name, masked) for name, it in others.items() if (masked := without_credentials(it))),
        )
    except OSError as error:
        failures.note(error)
        return Evidence(entry, unreadable=f"{error.filename} can't be read: {error.strerror}")


def _other_archives(entry: Entry, url: str | None, urls: Mapping[str, str]) -> Mapping[str, str | None]:
    """Return the archives that do not come from a package's url, each with the url that conda has noted for it."""
    if url is None:
        return {}
    fetched = url.rsplit("/", 1)[-1]
    archives = (part.name for part in entry.parts if part.kind is PartKind.ARCHIVE)
    return {name: urls.get(name) for name in archives if name != fetched}


def _irreplaceable(url: str | None, others: Mapping[str, str | None], builds: Sequence[str]) -> str | None:
    """Return why a package or one of its archives can't be fetched again, None if all of it probably can."""
    if why := irreplaceable(url, builds):
        return why
    reasons = ((name, irreplaceable(other, builds)) for name, other in others.items())
    return next((f"{name}: {why}" for name, why in reasons if why), None)


def _metadata(entry: Entry, paths: Mapping[str, str], urls: Mapping[str, str], memory: Memory) -> _Metadata:
    archives = [part.name for part in entry.parts if part.kind is PartKind.ARCHIVE]
    for part in entry.parts:
        if not _extracted(part) and not stat.S_ISREG(os.lstat(paths[part.name]).st_mode):
            return _Metadata(doubt=f"{part.name} is not a regular file")
    directory = next((part.name for part in entry.parts if _extracted(part)), None)
    if directory is None:
        named = is_dist_name(entry.dist) and not any(map(is_wheel, archives))
        strangers = [name for name in archives if not named or name not in urls]
        looked_into = [_metadata_in_archive(paths[name]) for name in strangers]
        doubtful = (metadata for metadata in looked_into if metadata.doubt is not None)
        return next(doubtful, looked_into[0] if looked_into else _Metadata(entry.dist))
    path = paths[directory]
    try:
        described = memory.described(path)
    except FileNotFoundError as error:
        lacking = os.path.relpath(error.filename, path)
        return _Metadata(doubt=f"it has no {lacking}: probably an interrupted extraction or removal")
    except (OSError, ValueError) as error:
        failures.note(error)
        return _Metadata(doubt=f"its metadata in info/ can't be read ({error})")
    if described.doubt is not None:
        # It may be known to environments all the same.
        return _Metadata(described.dist, described.aliases, doubt=described.doubt)
    url, sha256 = (_text(described.record.get(key)) for key in ("url", "sha256"))
    source = without_credentials(url)
    record = {**described.record, "url": source} if source else None
    return _Metadata(described.dist, described.aliases, url, source, sha256, record)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _fetched(
    measurements: Iterable[tuple[Part, Measurement]], paths: Mapping[str, str], memory: Memory
) -> float | None:
    times = []
    for part, measurement in measurements:
        recorded = _recorded(paths[part.name], memory) if _extracted(part) else None
        # Without a record the directory's own time has to do.
        times.append(measurement.identity.mtime_ns / 1e9 if recorded is None else recorded)
    return max(times, default=None)


def _recorded(directory: str, memory: Memory) -> float | None:
    # What can't be read is a doubt, which keeps it whatever its age.
    with suppress(OSError, ValueError):
        return memory.described(directory).recorded
    return None


def _metadata_in_archive(path: str) -> _Metadata:
    try:
        return _Metadata(dist_in_archive(path))
    except ValueError as error:
        return _Metadata(doubt=str(error))


def with_sticky_obstacle(
    cache: Cache, measurements: tuple[tuple[Part, Measurement], ...]
) -> tuple[tuple[Part, Measurement], ...]:
    """Say which parts a sticky cache directory leaves to their owners (rename(2), EPERM)."""
    if not hasattr(os, "geteuid") or is_root_to_all():
        return measurements
    directory = os.stat(cache.real_path)
    if not directory.st_mode & stat.S_ISVTX or os.geteuid() == directory.st_uid:
        return measurements

    def checked(part: Part, measurement: Measurement) -> Measurement:
        status = os.lstat(os.path.join(cache.real_path, part.name))
        if status.st_uid == os.geteuid() or is_root_to(status):
            return measurement
        return replace(measurement, obstacle=f"{part.name} belongs to somebody else")

    return tuple((part, checked(part, measurement)) for part, measurement in measurements)


def _is_package(path: str) -> bool:
    return failures.isfile(os.path.join(path, INDEX)) and not failures.lexists(os.path.join(path, META))


def _links_not_in_caches(
    missing: Mapping[InodeKey, int], caches: Iterable[Cache], found: Iterable[Evidence]
) -> dict[InodeKey, int]:
    """Take off the missing links that lie in other entries: packages that were deduplicated against each other.

    Only packages are looked through, not what else may lie in a cache, be it an environment with the name of a dist.
    What can't be read explains nothing, so the entry is kept.
    """
    left = dict(missing)
    measured = {item.entry for item in found if item.measurements and item.doubt is None}
    others = (
        os.path.join(cache.real_path, part.name)
        for cache in caches
        for entry in cache.entries
        if entry not in measured
        for part in entry.parts
        if _extracted(part) and not part.is_link
    )
    for _, key in names_of_inodes(left.keys(), *filter(_is_package, others)):
        left[key] -= 1
    return {key: links for key, links in left.items() if links > 0}
