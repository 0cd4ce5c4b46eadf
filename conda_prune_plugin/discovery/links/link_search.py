"""Find the hard links to an entry's files: in environments, and anywhere below a directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ... import failures
from ...core.accounting import InodeKey
from ...core.evidence import Measurement
from ...core.file_status import listed_status
from ...core.layout import META
from ...core.model import Cache, Entry
from ...errors import NoSuchDirectoryError
from ..system.measure import measure
from ..system.mounts import mount_points


@dataclass(frozen=True, slots=True)
class LinkLocation:
    """A file outside of the caches that is the same as one of an entry, and the environment that it lies in."""

    path: str
    environment: str | None


def measure_entries(caches: Iterable[Cache], entries: Iterable[Entry]) -> dict[Entry, tuple[Measurement, ...]]:
    """Return the measurements of the parts of entries; what can't be read is left out."""
    by_path = {cache.path: cache for cache in caches}
    mounts = mount_points()
    found: dict[Entry, tuple[Measurement, ...]] = {}
    for entry in entries:
        directory = by_path[entry.cache].real_path
        try:
            found[entry] = tuple(measure(os.path.join(directory, part.name), mounts=mounts) for part in entry.parts)
        except OSError as error:
            failures.note(error)
            continue
    return found


def count_links(directory: str, inodes: frozenset[InodeKey], skip: frozenset[str]) -> dict[InodeKey, int]:
    """Return how many names below a directory the inodes have; `skip` are paths that are not looked into."""
    found: dict[InodeKey, int] = {}
    for _, key in _names(directory, inodes, skip, lambda seen: None):
        found[key] = found.get(key, 0) + 1
    return found


def find_links(
    directory: str,
    entries: Mapping[Entry, Iterable[Measurement]],
    skip: frozenset[str],
    progress: Callable[[int], None],
) -> dict[Entry, tuple[LinkLocation, ...]]:
    """Return for each entry the files below a directory that share an inode with it.

    Raises `NoSuchDirectoryError` if the directory can't be listed.
    """
    top = os.path.abspath(os.path.expanduser(directory)) if directory else ""
    try:
        os.scandir(top).close()
    except OSError as error:
        raise NoSuchDirectoryError(
            f"{directory} can't be searched for links: {error.strerror}.",
            hint="Give --find a directory that exists and that you may read.",
            path=top,
        ) from error
    of_entry: dict[InodeKey, list[Entry]] = {}
    for entry, measurements in entries.items():
        for key in {(inode.device, inode.inode) for m in measurements for inode in m.shared}:
            of_entry.setdefault(key, []).append(entry)
    found: dict[Entry, list[LinkLocation]] = {}
    for path, key in _names(top, frozenset(of_entry), skip, progress):
        for entry in of_entry[key]:
            found.setdefault(entry, []).append(LinkLocation(path, _environment_of(path)))
    return {entry: tuple(sorted(links, key=lambda link: link.path)) for entry, links in found.items()}


def _names(
    top: str, inodes: frozenset[InodeKey], skip: frozenset[str], progress: Callable[[int], None]
) -> Iterator[tuple[str, InodeKey]]:
    """Give path and inode of every file below a directory that is one of the inodes.

    The inode numbers come from the listing and are confirmed by a stat: on an overlay they may be another layer's.
    """
    numbers = {inode for _, inode in inodes}
    pending = [top]
    seen = 0
    while pending:
        progress(seen)
        seen += 1
        try:
            with os.scandir(pending.pop()) as listing:
                for item in listing:
                    if item.is_dir(follow_symlinks=False):
                        if item.path not in skip:
                            pending.append(item.path)
                    elif item.inode() in numbers:
                        status = listed_status(item)
                        if (key := (status.st_dev, status.st_ino)) in inodes:
                            yield item.path, key
        except OSError as error:
            failures.note(error)
            continue  # What can't be seen is not found.


def _environment_of(path: str) -> str | None:
    while (parent := os.path.dirname(path)) != path:
        path = parent
        if failures.isdir(os.path.join(path, META)):
            return path
    return None
