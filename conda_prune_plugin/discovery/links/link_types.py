"""The links to an entry's files, measured on the files: in the environments that name it, and below a directory.

``link.type`` of a record is the type that was requested for the package, not that of each file; mamba always writes 1.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ... import failures
from ...core.accounting import InodeKey
from ...core.evidence import Measurement
from ...core.layout import META
from ...core.model import Cache, Entry, Inventory, LinkKind, PartKind, ReasonKind
from ...core.plan import Keep, Remove
from ...core.rules.planner import Links
from ...errors import NoSuchDirectoryError
from ...failures import suppress
from ..packages.package_identity import Names
from ..system.extents import UNASKED, FileSystems
from ..system.measure import Statuses, measure
from ..system.safe_read import read_object
from ..system.tree_walk import names_of_inodes

#: The reasons that are about an environment's files.
_OF_ENVIRONMENTS = (ReasonKind.ENVIRONMENT, ReasonKind.UNLINKED)


@dataclass(frozen=True, slots=True)
class LinkLocation:
    """A file outside of the caches that is the same as one of an entry, and the environment that it lies in."""

    path: str
    environment: str | None


def measure_links(inventory: Inventory, decisions: Iterable[Keep | Remove]) -> Links:
    """Return the link kind for every entry and environment that names it: hard or soft if any file is so.

    `RECORDED` if there are no files to tell it from: the package has none, or entry or record can't be read.
    """
    by_path = {cache.path: cache for cache in inventory.caches}
    names = Names(inventory.roots)
    found: dict[tuple[Entry, str], LinkKind] = {}
    for decision in decisions:
        entry = decision.entry
        cache = by_path[entry.cache]
        prefixes = [reason.root for reason in decision.reasons if reason.kind in _OF_ENVIRONMENTS and reason.root]
        parts = (part for part in entry.parts if part.kind is PartKind.EXTRACTED and not part.is_link)
        part = next(parts, None)
        statuses: Statuses = {}
        directory = os.path.join(cache.real_path, part.name) if part else ""
        if part and prefixes:
            with suppress(OSError):
                measure(directory, systems=UNASKED, statuses=statuses)
        files = {name: status for name, status in statuses.items() if not stat.S_ISDIR(status.st_mode)}
        inodes = frozenset((status.st_dev, status.st_ino) for status in files.values())
        for prefix in prefixes:
            installed = _installed_files(prefix, names.of(cache, entry), files) if part else ()
            found[entry, prefix] = _link_kind(prefix, installed, directory, inodes)
    return found


def _installed_files(prefix: str, names: Iterable[str], files: Iterable[str]) -> Iterable[str]:
    """Return the files of the record that an environment has by one of some names.

    Without one (half-removed environments) those of the package.
    """
    for dist in names:
        try:
            recorded = read_object(os.path.join(prefix, META, f"{dist}.json")).get("files")
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            failures.note(error)
            return ()
        return [name for name in recorded if isinstance(name, str)] if isinstance(recorded, list) else ()
    return files


def _link_kind(prefix: str, names: Iterable[str], directory: str, inodes: frozenset[InodeKey]) -> LinkKind:
    found = LinkKind.RECORDED
    for name in names:
        path = os.path.join(prefix, name)
        # ValueError: a record may have names that no file can have.
        with suppress(OSError, ValueError):
            status = os.lstat(path)
            if (status.st_dev, status.st_ino) in inodes:
                return LinkKind.HARD
            if stat.S_ISLNK(status.st_mode) and failures.realpath(path).startswith(os.path.join(directory, "")):
                return LinkKind.SOFT
            found = LinkKind.COPY
    return found


def measure_entries(caches: Iterable[Cache], entries: Iterable[Entry]) -> dict[Entry, tuple[Measurement, ...]]:
    """Return the measurements of the parts of entries; unreadable entries are left out."""
    by_path = {cache.path: cache for cache in caches}
    systems = FileSystems()
    found: dict[Entry, tuple[Measurement, ...]] = {}
    for entry in entries:
        directory = by_path[entry.cache].real_path
        with suppress(OSError):
            found[entry] = tuple(measure(os.path.join(directory, part.name), systems=systems) for part in entry.parts)
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
    for path, key in sorted(names_of_inodes(of_entry.keys(), top, skip=skip, progress=progress)):
        for entry in of_entry[key]:
            found.setdefault(entry, []).append(LinkLocation(path, _environment_of(path)))
    return {entry: tuple(links) for entry, links in found.items()}


def _environment_of(path: str) -> str | None:
    while (parent := os.path.dirname(path)) != path:
        path = parent
        if failures.isdir(os.path.join(path, META)):
            return path
    return None
