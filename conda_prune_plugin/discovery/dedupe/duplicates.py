"""Find files that are stored more than once: what records say is the same, and lies on the disk more than once.

No file is read. Each costs a status, and an open and one call for its extents if there is another one like it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ... import failures
from ...core.file_status import allocated
from ...core.model import Inventory, RootKind, RootState
from ...core.usage.sharing import FileCopy, Place, PlaceKind, WhyNot
from ...core.usage.usage_report import ToolKind
from ..system.extents import FileSystems, SharingFileSystem
from ..system.privileges import own_user
from ..usage.other_tools import tool_caches
from .recorded_files import Recorded, extracted, files_of_environment, files_of_package, files_of_uv_cache

#: Smaller files are left out, in bytes: file systems store them with their metadata, or in one block each, so that
#: sharing them frees little or nothing.
SMALLEST = 4096


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Files with duplicates.

    groups: copies of one content each, on one file system that can share, and of one owner. left: for each reason why
    others are left alone how many there are, and their bytes on disk.
    """

    groups: tuple[tuple[FileCopy, ...], ...]
    left: Mapping[WhyNot, tuple[int, int]]


def find_duplicates(
    inventory: Inventory,
    environ: Mapping[str, str],
    progress: Callable[[int], None],
    systems: FileSystems | None = None,
) -> Duplicates:
    """Find duplicate files in environments, package caches and uv's caches.

    `progress` is called with the number of directories read so far.
    """
    systems = systems or FileSystems()
    by_content: dict[tuple[int, int, int, bytes], list[FileCopy]] = {}
    seen: set[tuple[int, int]] = set()
    for number, (place, files) in enumerate(_places(inventory, environ)):
        progress(number)
        system = systems.on(place.device, place.path)
        # Subvolumes of one file system have devices of their own.
        disk = place.device if system is None else system.number
        for package, name, digest in files:
            copy = _copy(place, name, package)
            if copy is not None and (place.device, copy.inode) not in seen:
                seen.add((place.device, copy.inode))
                by_content.setdefault((disk, place.owner, copy.size, digest), []).append(copy)
    groups: list[tuple[FileCopy, ...]] = []
    left: dict[WhyNot, tuple[int, int]] = {}
    for (_, owner, _, _), copies in by_content.items():
        if len(copies) == 1:
            continue
        system = systems.on(copies[0].place.device, copies[0].place.path)
        why = WhyNot.OTHER_USER if own_user() not in (0, owner) else None
        if why is None and (system is None or not system.shares(copies[0].path)):
            why = WhyNot.FILE_SYSTEM
        if why is None and system is not None:
            groups.append(tuple(_with_content(copy, system) for copy in copies))
        elif why is not None:
            count, size = left.get(why, (0, 0))
            left[why] = count + len(copies) - 1, size + sum(copy.own for copy in copies[1:])
    return Duplicates(tuple(groups), left)


def _with_content(copy: FileCopy, system: SharingFileSystem) -> FileCopy:
    """Return a file with its own and its shared bytes."""
    try:
        found = system.content(copy.path, os.lstat(copy.path))
    except OSError as error:
        failures.note(error)
        return replace(copy, exact=False)
    return replace(copy, own=found.own, extents=found.extents, exact=found.exact)


def _places(inventory: Inventory, environ: Mapping[str, str]) -> Iterator[tuple[Place, Iterable[Recorded]]]:
    """Yield each directory that has records, with the files they name; packages first."""
    for dist, path in extracted(inventory.caches):
        if (place := _place(PlaceKind.PACKAGE, path, dist)) is not None:
            yield place, files_of_package(path, dist)
    for root in inventory.roots:
        if root.kind is RootKind.ENVIRONMENT and root.state in (RootState.OK, RootState.CORRUPT):
            path = failures.realpath(root.path)
            if (place := _place(PlaceKind.ENVIRONMENT, path, root.name or path)) is not None:
                yield place, files_of_environment(replace(root, path=path))
    for kind, path, _ in tool_caches(environ):
        if kind is ToolKind.UV and (place := _place(PlaceKind.TOOL_CACHE, path, path)) is not None:
            yield place, files_of_uv_cache(path)


def _place(kind: PlaceKind, path: str, name: str) -> Place | None:
    try:
        status = os.stat(path)
    except OSError as error:
        failures.note(error)
        return None
    return Place(kind, path, name, status.st_dev, status.st_uid)


def _copy(place: Place, name: str, package: str) -> FileCopy | None:
    """Return a recorded file as it is now; None if it can't share: missing, small, sparse, or someone else's."""
    try:
        status = os.lstat(os.path.join(place.path, name))
    except OSError as error:
        failures.note(error)
        return None
    fits = stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_uid) == (place.device, place.owner)
    if not fits or status.st_size < SMALLEST:
        return None
    return FileCopy(place, name, package, status.st_ino, status.st_size, allocated(status))
