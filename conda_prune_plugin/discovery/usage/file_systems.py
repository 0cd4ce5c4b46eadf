"""The file systems that caches and environments lie on: their free space, conda's share of it, and quotas."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator

from ...core.units import Unit
from ...core.usage.disk_usage import Tree, occupied
from ...core.usage.usage_report import FileSystem, Quota
from ...failures import suppress
from ..system.mounts import mount_of
from ..system.quotas import QuotaError, quotas
from .survey import Scan, real_path

#: File systems that can share content between files without a link (``cp --reflink``, deduplication), and don't tell.
_UNTOLD = frozenset({"bcachefs", "zfs", "ocfs2", "apfs"})


def file_systems(scanned: Scan) -> tuple[FileSystem, ...]:
    """Return the file systems of all trees, each with what its trees take and this user's limits."""
    trees: dict[int, list[Tree]] = {}
    paths: dict[int, str] = {}
    for path, tree in sorted(_tops(scanned), key=lambda top: top[0]):
        with suppress(OSError):
            device = os.stat(path).st_dev
            trees.setdefault(device, []).append(tree)
            paths.setdefault(device, path)
    found = []
    for device, path in paths.items():
        with suppress(OSError):
            found.append(_file_system(path, trees[device], scanned))
    return tuple(found)


def _tops(scanned: Scan) -> Iterator[tuple[str, Tree]]:
    for item in scanned.caches:
        yield from ((item.cache.real_path, tree) for tree in item.parts.values())
    yield from ((real_path(root), tree) for root, tree in scanned.environments)


def _file_system(path: str, trees: Iterable[Tree], scanned: Scan) -> FileSystem:
    """Return the file system of a path. Raises `OSError`."""
    space = shutil.disk_usage(path)
    mount = mount_of(path, scanned.mounts)
    point, kind = (mount.point, mount.type) if mount else (path, "")
    allocated, count = (occupied(trees, scanned.inodes, unit) for unit in Unit)
    inodes, free_inodes = _inodes(path)
    found: tuple[Quota, ...] = ()
    quota_error = None
    try:
        found = quotas(path, mount) if mount else ()
    except QuotaError as error:
        quota_error = str(error)
    return FileSystem(
        point,
        kind,
        space.total,
        space.free,
        kind in _UNTOLD or not scanned.systems.exact_on(os.stat(path).st_dev),
        inodes,
        free_inodes,
        allocated,
        count,
        found,
        quota_error,
    )


def _inodes(path: str) -> tuple[int | None, int | None]:
    """Return how many inodes there are and how many are free for this user; None where they have no number."""
    if not hasattr(os, "statvfs"):
        return None, None
    space = os.statvfs(path)
    return (space.f_files, space.f_favail) if space.f_files else (None, None)
