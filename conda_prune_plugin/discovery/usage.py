"""Everything on disk that belongs to caches and environments, walked once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..core.model import Cache, Inventory, Notice, Plan, Root, RootState
from ..core.report import CacheUsage, EnvironmentUsage, FileSystem, PipPackages, Usage, kept_by_age, reclaimable_in
from ..core.usage import Inodes, Tree, account, joined, occupied
from .crew import walk_all
from .mounts import Mount, mount_of, mounted_in, mounts
from .pip_packages import pip_packages, sizes
from .records import META
from .walk import Walker

#: File systems of which listings give the inode numbers that stat gives (an overlay may give those of a layer).
_TRUSTED = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "f2fs", "zfs", "bcachefs"})

#: Those that can share blocks between files without a link: ``cp --reflink``, deduplication.
_REFLINKS = frozenset({"xfs", "btrfs", "bcachefs", "zfs", "ocfs2", "apfs"})

#: What a directory entry of a cache is for, in the order in which an inode is counted.
KINDS = ("extracted", "archives", "index_cache", "logs", "other")
_KIND_OF_NAME = {"cache": "index_cache", ".logs": "logs"}

#: conda itself reads what it has just installed, to compile and to link: for so long an access is no use, in seconds.
_SETTLING = 60.0


@dataclass(frozen=True, slots=True)
class CacheScan:
    """A cache, and the trees that it is made of by the names of what lies in it; the empty name for itself."""

    cache: Cache
    parts: Mapping[str, Tree]


@dataclass(frozen=True, slots=True)
class Scan:
    """All trees, and the inodes that their rows point into."""

    inodes: Inodes
    caches: tuple[CacheScan, ...]
    environments: tuple[tuple[Root, Tree], ...]
    pip: tuple[PipPackages, ...]
    mounts: tuple[Mount, ...]
    notices: tuple[Notice, ...]


def scan(inventory: Inventory, progress: Callable[[int], None]) -> Scan:
    """Walk everything in an inventory; `progress` is called with how many files were counted since it was last."""
    tops: dict[tuple[int, int], Cache | Root] = {}
    for place in (*inventory.caches, *inventory.roots):
        # By inode: links and bind mounts give one directory several paths.
        key = _identity(_real_path(place))
        if key is not None and not (isinstance(place, Root) and place.state is RootState.MISSING):
            tops.setdefault(key, place)
    mounted = mounts()
    points = frozenset(mount.point for mount in mounted)
    inodes = Inodes()
    thorough = any(mounted_in(_real_path(place), None, points - {_real_path(place)}) for place in tops.values())
    walker = Walker(inodes, frozenset(tops), thorough=thorough, progress=progress)
    caches = tuple(_scan_cache(place, walker) for place in tops.values() if isinstance(place, Cache))
    roots = sorted(
        (place for place in tops.values() if isinstance(place, Root)), key=lambda root: len(root.dists), reverse=True
    )
    tasks = [(path, _is_trusted(path, mounted)) for path in map(_real_path, roots)]
    trees = walk_all(tasks, walker, progress)
    return Scan(
        inodes,
        caches,
        tuple(zip(roots, trees)),
        tuple(sizes(root, pip_packages(root, inodes)) for root in roots),
        mounted,
        tuple(_unreadable(path, why) for path, why in walker.unreadable),
    )


def make_usage(scanned: Scan, plan: Plan) -> Usage:
    """Return where the disk goes: the largest own bytes first."""
    trees = [joined(item.parts.values()) for item in scanned.caches], [tree for _, tree in scanned.environments]
    of_caches, of_environments = account(*trees, scanned.inodes)
    caches = [
        CacheUsage(
            item.cache,
            counted,
            _kinds(item, scanned.inodes),
            reclaimable_in(plan, item.cache),
            kept_by_age(plan, item.cache),
        )
        for item, counted in zip(scanned.caches, of_caches)
    ]
    environments = [
        EnvironmentUsage(root, counted, pip, *_times(root, tree, scanned.mounts))
        for (root, tree), counted, pip in zip(scanned.environments, of_environments, scanned.pip)
    ]
    return Usage(
        environments=tuple(sorted(environments, key=lambda item: (-item.account.own, item.root.path))),
        caches=tuple(sorted(caches, key=lambda item: (-item.account.own, item.cache.path))),
        file_systems=_file_systems(scanned),
        allocated=occupied((tree for kind in trees for tree in kind), scanned.inodes),
        plan=plan,
    )


def _scan_cache(cache: Cache, walker: Walker) -> CacheScan:
    """Walk what lies in a cache one by one; everything is asked for, since the times of its files count."""
    parts = walker.walk_each(cache.real_path)
    return CacheScan(cache, parts)


def _kinds(scanned: CacheScan, inodes: Inodes) -> Mapping[str, int]:
    kind_of = {part.name: part.kind.value for entry in scanned.cache.entries for part in entry.parts}
    singular = {"archive": "archives"}
    trees: dict[str, list[Tree]] = {kind: [] for kind in KINDS}
    for name, tree in scanned.parts.items():
        kind = kind_of.get(name) or _KIND_OF_NAME.get(name, "other")
        trees[singular.get(kind, kind)].append(tree)
    found, before, counted = {}, 0, []
    for kind in KINDS:
        counted += trees[kind]
        total = occupied(counted, inodes)
        found[kind], before = total - before, total
    return found


def _times(root: Root, tree: Tree, mounted: tuple[Mount, ...]) -> tuple[float | None, float | None, bool]:
    """Return when an environment was changed and used, and whether a use would show."""
    changed = None
    for name in (os.path.join(META, "history"), META):
        try:
            changed = os.stat(os.path.join(root.path, name)).st_mtime
            break
        except OSError:
            continue
    mount = mount_of(os.path.realpath(root.path), mounted)
    keeps_access = mount is not None and not mount.options & {"noatime", "ro"}
    used = tree.accessed if keeps_access else None
    if used is not None and changed is not None and used <= changed + _SETTLING:
        used = None
    return changed, used, keeps_access


def _file_systems(scanned: Scan) -> tuple[FileSystem, ...]:
    places = [item.cache.real_path for item in scanned.caches]
    places += [os.path.realpath(root.path) for root, _ in scanned.environments]
    found: dict[int, FileSystem] = {}
    for place in places:
        try:
            device = os.stat(place).st_dev
            if device not in found:
                space = shutil.disk_usage(place)
                mount = mount_of(place, scanned.mounts)
                point, kind = (mount.point, mount.type) if mount else (place, "")
                found[device] = FileSystem(point, kind, space.total, space.free, kind in _REFLINKS)
        except OSError:
            continue
    return tuple(found.values())


def _real_path(place: Cache | Root) -> str:
    return place.real_path if isinstance(place, Cache) else os.path.realpath(place.path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_trusted(path: str, mounted: Iterable[Mount]) -> bool:
    mount = mount_of(path, tuple(mounted))
    return mount is not None and mount.type in _TRUSTED


def _unreadable(path: str, why: str) -> Notice:
    return Notice("unreadable-directory", f"{path} can't be read ({why}) and is not counted.", path)
