"""Gather evidence on entries that may go: open them, measure them, and note any doubt."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from ... import failures
from ...core.accounting import InodeKey, missing_links, unexplained
from ...core.dist_names import is_dist_name
from ...core.evidence import Evidence, Measurement
from ...core.layout import INDEX, META
from ...core.model import Cache, Entry, Part, PartKind, ReasonKind
from ...failures import suppress
from ..clients.archive_names import archive_dist, is_wheel
from ..clients.conda_context import local_builds
from ..clients.lock_files import recorded_sha256
from ..clients.mamba_nested import nested_url
from ..system.measure import identity
from ..system.privileges import is_root_to, is_root_to_all
from ..system.tree_walk import names_of_inodes
from .archive_metadata import dist_in_archive
from .inspection import Memory
from .package_identity import doubt_about
from .package_urls import irreplaceable, read_urls, without_credentials


def gather_evidence(
    caches: Iterable[Cache],
    entries: Sequence[Entry],
    progress: Callable[[int], None],
    memory: Memory | None = None,
) -> tuple[Evidence, ...]:
    """Return the evidence on each of the entries; `progress` is called with the number done so far.

    `memory`: has the measurements and descriptions made before.
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
    """Return the evidence on the archives of the entries that have an extracted directory too."""
    both = [entry for entry in entries if {part.kind for part in entry.parts} == {PartKind.EXTRACTED, PartKind.ARCHIVE}]
    alone = {replace(entry, parts=tuple(part for part in entry.parts if not _extracted(part))): entry for entry in both}
    found = []
    for item in gather_evidence(caches, list(alone), lambda done: None, memory):
        entry = alone[item.entry]
        # Beside a directory that another program removes meanwhile the archive is all there is, and stays.
        with suppress(FileNotFoundError):
            directories = [part for part in entry.parts if _extracted(part)]
            beside = tuple((part, identity(os.lstat(entry.path(part)))) for part in directories)
            dist, aliases = item.dist, item.aliases
            with suppress(OSError, ValueError):
                described = memory.described(entry.path(directories[0]))
                dist, aliases = described.dist, described.aliases
            excuse = ReasonKind.TARBALL
            found.append(replace(item, entry=entry, beside=beside, excuse=excuse, dist=dist, aliases=aliases))
    return tuple(found)


def _extracted(part: Part) -> bool:
    return part.kind is PartKind.EXTRACTED


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
        if cache.top is not None and (place := nested_url(cache.top, cache.real_path)):
            urls = {**{name: f"{place}/{name}" for name in paths if archive_dist(name)}, **urls}
        evidence, url = _identified(entry, paths, urls, memory)
        url = url or next((urls[part.name] for part in entry.parts if part.name in urls), None)
        evidence = replace(
            evidence,
            measurements=with_sticky_obstacle(cache, measurements),
            fetched=_fetched(measurements, paths, memory),
            source=evidence.source or without_credentials(url),
        )
        checked = recorded_sha256(cache, entry) if url is None and evidence.doubt is None else None
        # The archives that don't come from the package's url.
        archives = [part.name for part in entry.parts if part.kind is PartKind.ARCHIVE]
        others = {name: urls.get(name) for name in archives if url is not None and name != url.rsplit("/", 1)[-1]}
        why = None
        # A doubtful package stays anyway. rattler records no url in its cache, but the hash from a channel or a
        # lockfile, where the package can be downloaded again.
        if evidence.doubt is None and checked is None:
            reasons = ((name, irreplaceable(other, builds)) for name, other in others.items())
            why = irreplaceable(url, builds) or next((f"{name}: {reason}" for name, reason in reasons if reason), None)
        return replace(
            evidence,
            sha256=evidence.sha256 or checked,
            irreplaceable=why,
            other_sources=tuple((name, masked) for name, it in others.items() if (masked := without_credentials(it))),
        )
    except OSError as error:
        failures.note(error)
        return Evidence(entry, unreadable=f"{error.filename} can't be read: {error.strerror}")


def _identified(
    entry: Entry, paths: Mapping[str, str], urls: Mapping[str, str], memory: Memory
) -> tuple[Evidence, str | None]:
    """Return the evidence from an entry's metadata, and the url in its record, credentials included."""
    archives = [part.name for part in entry.parts if part.kind is PartKind.ARCHIVE]
    for part in entry.parts:
        if not _extracted(part) and not stat.S_ISREG(os.lstat(paths[part.name]).st_mode):
            return Evidence(entry, doubt=f"{part.name} is not a regular file"), None
    path = next((paths[part.name] for part in entry.parts if _extracted(part)), None)
    try:
        if path is None:
            named = is_dist_name(entry.dist) and not any(map(is_wheel, archives))
            dists = [dist_in_archive(paths[name]) for name in archives if not named or name not in urls]
            return Evidence(entry, dist=dists[0] if dists else entry.dist), None
    except ValueError as error:
        return Evidence(entry, doubt=str(error)), None
    try:
        described = memory.described(path)
    except (OSError, ValueError) as error:
        failures.note(error)
        return Evidence(entry, doubt=doubt_about(path, error)), None
    evidence = Evidence(entry, dist=described.dist, aliases=described.aliases, doubt=described.doubt)
    if described.doubt is not None:
        # It may be known to environments all the same.
        return evidence, None
    url, sha256 = (value if isinstance(value := described.record.get(key), str) else None for key in ("url", "sha256"))
    source = without_credentials(url)
    record = {**described.record, "url": source} if source else None
    return replace(evidence, source=source, sha256=sha256, record=record), url


def _fetched(
    measurements: Iterable[tuple[Part, Measurement]], paths: Mapping[str, str], memory: Memory
) -> float | None:
    times = []
    for part, measurement in measurements:
        # Without a record the directory's own time has to do.
        fetched = measurement.identity.mtime_ns / 1e9
        if _extracted(part):
            # What can't be read is a doubt, which keeps it whatever its age.
            with suppress(OSError, ValueError):
                recorded = memory.described(paths[part.name]).recorded
                fetched = fetched if recorded is None else recorded
        times.append(fetched)
    return max(times, default=None)


def with_sticky_obstacle(
    cache: Cache, measurements: tuple[tuple[Part, Measurement], ...]
) -> tuple[tuple[Part, Measurement], ...]:
    """Return the measurements, with an obstacle where a sticky cache leaves a part to its owner (rename(2), EPERM)."""
    if not hasattr(os, "geteuid") or is_root_to_all():
        return measurements
    directory = os.stat(cache.real_path)
    if not directory.st_mode & stat.S_ISVTX or os.geteuid() == directory.st_uid:
        return measurements
    checked = []
    for part, measurement in measurements:
        status = os.lstat(os.path.join(cache.real_path, part.name))
        own = status.st_uid == os.geteuid() or is_root_to(status)
        obstacle = measurement.obstacle if own else f"{part.name} belongs to another user"
        checked.append((part, replace(measurement, obstacle=obstacle)))
    return tuple(checked)


def _is_package(path: str) -> bool:
    return failures.isfile(os.path.join(path, INDEX)) and not failures.lexists(os.path.join(path, META))


def _links_not_in_caches(
    missing: Mapping[InodeKey, int], caches: Iterable[Cache], found: Iterable[Evidence]
) -> dict[InodeKey, int]:
    """Take off the missing links that lie in other entries: packages that were deduplicated against each other.

    Only packages are searched, not other directories in a cache, such as an environment with the name of a package.
    A directory that can't be read explains no link, so the entry is kept.
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
