"""Walk all caches and environments once, for their disk usage."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ... import failures
from ...core.evidence import Measurement
from ...core.file_status import allocated
from ...core.layout import META
from ...core.model import Cache, Inventory, Root, RootKind, RootState
from ...core.notices import UNREADABLE, Notice
from ...core.plan import Plan
from ...core.usage.disk_usage import Inodes, Tree, account, joined, occupied, shares
from ...core.usage.usage_report import (
    CacheUsage,
    EnvironmentUsage,
    FileSystem,
    PipPackages,
    Usage,
    kept_by_age,
    reclaimable_in,
)
from ..system.measure import identity, measure
from ..system.mounts import Mount, mount_of, mounted_in, mounts
from .pip_files import PipPackage, pip_packages, sizes
from .walker import Task, Walker

#: File systems of which listings give the inode numbers that stat gives. An overlay may give those of a layer, and
#: where there are subvolumes (btrfs, bcachefs) a directory's may be that of a file.
_TRUSTED = frozenset({"ext2", "ext3", "ext4", "xfs", "tmpfs", "f2fs", "zfs"})

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
    """All trees, the inodes that their rows point into, and what was not installed by conda, by environment."""

    inodes: Inodes
    caches: tuple[CacheScan, ...]
    environments: tuple[tuple[Root, Tree], ...]
    mounts: tuple[Mount, ...]
    boundaries: frozenset[tuple[int, int]]
    pip: Mapping[Root, tuple[PipPackage, ...]]
    pip_sizes: Mapping[Root, PipPackages]

    @property
    def notices(self) -> Iterator[Notice]:
        """What could not be read."""
        for tree in (*(joined(item.parts.values()) for item in self.caches), *(tree for _, tree in self.environments)):
            for path, why in tree.unreadable:
                message = f"Can't read {path} ({why}), so it isn't counted."
                yield Notice("unreadable-directory", message, path)


class Survey:
    """Walks the caches, then the environments; what the caches hold can be asked for in between."""

    def __init__(self, inventory: Inventory, progress: Callable[[int], None]) -> None:
        places = tops(inventory)
        self._caches = [place for place in places.values() if isinstance(place, Cache)]
        self._roots = sorted(
            (place for place in places.values() if isinstance(place, Root)), key=lambda root: -len(root.dists)
        )
        self._boundaries = frozenset(places)
        self._mounts = mounts()
        self._points = frozenset(mount.point for mount in self._mounts)
        paths = {real_path(place) for place in places.values()}
        thorough = any(mounted_in(path, None, self._points - {path}) for path in paths)
        self._inodes = Inodes()
        self._walker = Walker(self._inodes, self._boundaries, thorough=thorough, progress=progress)
        self._scanned: tuple[CacheScan, ...] = ()

    def walk_caches(self) -> None:
        """Walk all caches. Everything is asked for there, since the times of its files count."""
        self._scanned = tuple(
            CacheScan(cache, {**_directory(cache.real_path), **self._walker.work(_cache_task(cache))})
            for cache in self._caches
        )

    def measured(self, path: str) -> Measurement:
        """Return what lies at a path of a cache, as `measure.measure` does. Raises `OSError` as it does."""
        directory, name = os.path.split(path)
        item = next((item for item in self._scanned if item.cache.real_path == directory), None)
        tree = item.parts.get(name) if item else None
        if tree is None:
            return measure(path, mounts=self._points)
        for unreadable, why in tree.unreadable:
            raise OSError(0, why, unreadable)
        return _measurement(path, tree, self._inodes, self._points)

    def walk_environments(self) -> Scan:
        """Walk all environments, and return everything."""
        # As long as the inodes are those of the caches only.
        pip = {root: pip_packages(root, self._inodes) for root in self._roots}
        pip_sizes = {root: sizes(root, packages) for root, packages in pip.items()}
        paths = map(real_path, self._roots)
        tasks = (Task(path, trusted=_is_trusted(path, self._mounts)) for path in paths)
        environments = tuple((root, self._walker.walk(task.top, task)) for root, task in zip(self._roots, tasks))
        return Scan(self._inodes, self._scanned, environments, self._mounts, self._boundaries, pip, pip_sizes)


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
        EnvironmentUsage(
            root,
            counted,
            scanned.pip_sizes[root],
            *_times(root, tree, scanned.mounts),
        )
        for (root, tree), counted in zip(scanned.environments, of_environments)
    ]
    return Usage(
        environments=tuple(sorted(environments, key=lambda item: (-item.account.own, item.root.path))),
        caches=tuple(sorted(caches, key=lambda item: (-item.account.own, item.cache.path))),
        file_systems=_file_systems(scanned),
        allocated=occupied((tree for kind in trees for tree in kind), scanned.inodes),
        plan=plan,
        complete=_is_complete(scanned, plan.inventory),
    )


def _is_complete(scanned: Scan, inventory: Inventory) -> bool:
    """Return whether everything that is there was counted."""
    counted = {failures.realpath(root.path) for root, _ in scanned.environments}
    return (
        not any(scanned.notices)
        and not any(notice.kind == UNREADABLE for notice in inventory.notices)
        and all(
            root.kind is not RootKind.ENVIRONMENT
            or root.state is RootState.MISSING
            or failures.realpath(root.path) in counted
            for root in inventory.roots
        )
    )


def tops(inventory: Inventory) -> dict[tuple[int, int], Cache | Root]:
    """Return each place once: links and bind mounts give one directory several paths."""
    found: dict[tuple[int, int], Cache | Root] = {}
    # What is no environment is not looked into, be it there.
    roots = (root for root in inventory.roots if root.state is not RootState.MISSING)
    places: tuple[Cache | Root, ...] = (*inventory.caches, *roots)
    for place in places:
        try:
            status = os.stat(real_path(place))
        except OSError as error:
            failures.note(error)
            continue
        found.setdefault((status.st_dev, status.st_ino), place)
    return found


def _cache_task(cache: Cache) -> Task:
    try:
        return Task(cache.real_path, tuple(sorted(os.listdir(cache.real_path))))
    except OSError as error:
        failures.note(error)
        return Task(cache.real_path, ())


def _directory(path: str) -> dict[str, Tree]:
    """Return a cache's directory alone, under the empty name."""
    try:
        status = os.lstat(path)
        os.scandir(path).close()
    except OSError as error:
        failures.note(error)
        return {"": Tree(unreadable=((path, error.strerror or str(error)),))}
    return {"": Tree(directories=1, single=allocated(status))}


def _measurement(path: str, tree: Tree, inodes: Inodes, points: frozenset[str]) -> Measurement:
    mounted = mounted_in(path, None, points)
    obstacle = f"another file system is mounted on {mounted}" if mounted else None
    if obstacle is None and tree.foreign is not None:
        obstacle = f"the directory {tree.foreign} belongs to somebody else"
    return Measurement(
        identity=identity(os.lstat(path)),
        files=tree.files,
        apparent=tree.lengths + sum(inodes.sizes[row] for row in tree.rows),
        single=tree.single,
        shared=tuple(inodes.shared(row, inside) for row, inside in Counter(tree.rows).items()),
        payload_ctime=tree.changed,
        obstacle=obstacle,
    )


def _kinds(scanned: CacheScan, inodes: Inodes) -> Mapping[str, int]:
    kind_of = {part.name: part.kind.value for entry in scanned.cache.entries for part in entry.parts}
    singular = {"archive": "archives", "lock": "other"}
    trees: dict[str, list[Tree]] = {kind: [] for kind in KINDS}
    for name, tree in scanned.parts.items():
        kind = kind_of.get(name) or _KIND_OF_NAME.get(name, "other")
        trees[singular.get(kind, kind)].append(tree)
    return dict(zip(KINDS, shares(map(joined, trees.values()), inodes)))


def _times(root: Root, tree: Tree, mounted: tuple[Mount, ...]) -> tuple[float | None, float | None, bool]:
    """Return when an environment was changed and used, and whether a use would show."""
    changed = None
    for name in (os.path.join(META, "history"), META):
        try:
            changed = os.stat(os.path.join(root.path, name)).st_mtime
            break
        except OSError as error:
            failures.note(error)
            continue
    mount = mount_of(failures.realpath(root.path), mounted)
    keeps_access = mount is not None and not mount.options & {"noatime", "ro"}
    used = tree.accessed if keeps_access else None
    if used is not None and changed is not None and used <= changed + _SETTLING:
        used = None
    return changed, used, keeps_access


def _file_systems(scanned: Scan) -> tuple[FileSystem, ...]:
    places = [item.cache.real_path for item in scanned.caches]
    places += [failures.realpath(root.path) for root, _ in scanned.environments]
    found: dict[int, FileSystem] = {}
    for place in places:
        try:
            device = os.stat(place).st_dev
            if device not in found:
                space = shutil.disk_usage(place)
                mount = mount_of(place, scanned.mounts)
                point, kind = (mount.point, mount.type) if mount else (place, "")
                found[device] = FileSystem(point, kind, space.total, space.free, kind in _REFLINKS)
        except OSError as error:
            failures.note(error)
            continue
    return tuple(found.values())


def real_path(place: Cache | Root) -> str:
    """Return where a cache or an environment really lies."""
    return place.real_path if isinstance(place, Cache) else failures.realpath(place.path)


def _is_trusted(path: str, mounted: Iterable[Mount]) -> bool:
    mount = mount_of(path, tuple(mounted))
    return mount is not None and mount.type in _TRUSTED
