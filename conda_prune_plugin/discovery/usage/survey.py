"""Walk all caches and environments once, for their disk usage."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ... import failures
from ...core.accounting import InodeKey
from ...core.evidence import Measurement, SharedExtents
from ...core.file_status import allocated
from ...core.layout import META, STATE
from ...core.model import Cache, Inventory, Root, RootKind, RootState
from ...core.notices import UNREADABLE, Notice
from ...core.plan import Plan
from ...core.units import Space, Unit
from ...core.usage.disk_usage import Inodes, Tree, account, joined, occupied, shares
from ...core.usage.usage_report import (
    CacheUsage,
    EnvironmentUsage,
    FileSystem,
    Usage,
    kept_by_age,
    reclaimable_in,
)
from ...failures import suppress
from ..system.extents import FileSystems
from ..system.measure import identity, measure
from ..system.mounts import Mount, mount_of, mounted_in, mounts
from .pip_packages import PipPackage, pip_packages, sizes
from .walker import Walker

#: File systems whose listings give the inode numbers that stat gives. An overlay may give those of a layer, and with
#: subvolumes (btrfs, bcachefs) a directory may have the number of a file.
_TRUSTED = frozenset({"ext2", "ext3", "ext4", "xfs", "tmpfs", "f2fs", "zfs"})

#: The purposes of directory entries of a cache, in the order in which an inode is counted.
KINDS = ("extracted", "archives", "index_cache", "logs", "backups", "other")
_KIND_OF_NAME = {"cache": "index_cache", ".logs": "logs", STATE: "backups"}

#: conda itself reads what it has just installed, to compile and to link: an access so many seconds
#: later is no use.
_SETTLING = 60.0


@dataclass(frozen=True, slots=True)
class CacheScan:
    """A cache, and its trees by the names in its directory; the empty name is the directory itself."""

    cache: Cache
    parts: Mapping[str, Tree]


@dataclass(frozen=True, slots=True)
class Scan:
    """All trees, the inodes that their rows point into, and pip's packages by environment.

    boundaries: device and inode of each cache and environment. systems, thorough: as for `Walker`.
    """

    inodes: Inodes
    caches: tuple[CacheScan, ...]
    environments: tuple[tuple[Root, Tree], ...]
    mounts: tuple[Mount, ...]
    systems: FileSystems
    boundaries: frozenset[tuple[int, int]]
    thorough: bool
    pip: Mapping[Root, tuple[PipPackage, ...]]

    @property
    def tops(self) -> frozenset[str]:
        """The real paths of all caches and environments."""
        environments = (failures.realpath(root.path) for root, _ in self.environments)
        return frozenset((*(item.cache.real_path for item in self.caches), *environments))

    @property
    def notices(self) -> Iterator[Notice]:
        """Warnings about what could not be read."""
        for tree in (*(joined(item.parts.values()) for item in self.caches), *(tree for _, tree in self.environments)):
            for path, why in tree.unreadable:
                yield Notice("unreadable-directory", f"Can't read {path} ({why}), so it isn't counted.", path)

    @property
    def sharing(self) -> tuple[SharedExtents, ...]:
        """The inodes that share content without a link."""
        inodes = self.inodes
        return tuple(
            SharedExtents(inodes.devices[row], inodes.numbers[row], inodes.links[row], 0, extents)
            for row, extents in inodes.extents.items()
        )

    def links(self, trees: Iterable[Tree]) -> Counter[InodeKey]:
        """Return how many links trees have to each inode that has several, and to content that inodes share."""
        links: Counter[InodeKey] = Counter()
        for tree in trees:
            links.update((self.inodes.devices[row], self.inodes.numbers[row]) for row in tree.rows)
        return links

    def measured(self, path: str) -> Measurement:
        """Return the measurement of a path in a cache, as `measure.measure` does. Raises `OSError` as it does."""
        directory, name = os.path.split(path)
        item = next((item for item in self.caches if item.cache.real_path == directory), None)
        tree = item.parts.get(name) if item else None
        if tree is None:
            return measure(path, systems=self.systems)
        for unreadable, why in tree.unreadable:
            raise OSError(0, why, unreadable)
        mounted = mounted_in(path, None, self.systems.points)
        obstacle = f"another file system is mounted on {mounted}" if mounted else None
        if obstacle is None and tree.foreign is not None:
            obstacle = f"the directory {tree.foreign} belongs to another user"
        links = Counter(tree.rows)
        inodes, common = (
            tuple(self.inodes.shared(row, links[row]) for row in links if self.inodes.is_common(row) is kind)
            for kind in (False, True)
        )
        return Measurement(
            identity=identity(os.lstat(path)),
            files=tree.files,
            apparent=tree.lengths + sum(self.inodes.sizes[row] for row in tree.rows),
            single=tree.single,
            shared=inodes,
            payload_ctime=tree.changed,
            obstacle=obstacle,
            directories=tree.directories,
            common=common,
            at_most=tree.at_most,
        )


def survey(
    inventory: Inventory,
    progress: Callable[[int], None],
    measured: Callable[[Root, Tree, Inodes], None] = lambda root, tree, inodes: None,
    *,
    pips: bool = True,
) -> Scan:
    """Walk all caches and environments of an inventory; `progress` is called with the files since its last call.

    measured: called with each environment when it was walked, before it is known which files share their content. pips:
    look for packages that pip has installed.
    """
    places = tops(inventory)
    mounted = mounts()
    systems = FileSystems(mounted)
    inodes = Inodes()
    walker = _walker(places, inodes, systems, progress)
    caches = tuple(
        CacheScan(cache, _parts(cache.real_path, walker)) for cache in places.values() if isinstance(cache, Cache)
    )
    roots = sorted((root for root in places.values() if isinstance(root, Root)), key=lambda root: -len(root.dists))
    # As long as the inodes are those of the caches only.
    pip = {root: pip_packages(root, inodes) for root in roots} if pips else {}
    environments = []
    for root in roots:
        path = real_path(root)
        mount = mount_of(path, mounted)
        tree = walker.walk(path, trusted=mount is not None and mount.type in _TRUSTED)
        environments.append((root, tree))
        measured(root, tree, inodes)
    inodes.join()
    caches = tuple(
        CacheScan(item.cache, {name: inodes.with_common(tree) for name, tree in item.parts.items()}) for item in caches
    )
    joined_up = tuple((root, inodes.with_common(tree)) for root, tree in environments)
    return Scan(inodes, caches, joined_up, mounted, systems, walker.boundaries, walker.thorough, pip)


def held(caches: Iterable[Cache], progress: Callable[[int], None]) -> Space:
    """Return the space of all that lies in caches, counted once; backups left out. `progress`: as for `survey`."""
    places: dict[tuple[int, int], Cache | Root] = {}
    for cache in caches:
        with suppress(OSError):
            status = os.stat(cache.real_path)
            places.setdefault((status.st_dev, status.st_ino), cache)
    inodes = Inodes()
    walker = _walker(places, inodes, FileSystems(), progress)
    found = (_parts(real_path(cache), walker, without=STATE).values() for cache in places.values())
    trees = [tree for parts in found for tree in parts]
    inodes.join()
    return Space(*(occupied(map(inodes.with_common, trees), inodes, unit) for unit in Unit))


def _walker(
    places: Mapping[tuple[int, int], Cache | Root],
    inodes: Inodes,
    systems: FileSystems,
    progress: Callable[[int], None],
) -> Walker:
    paths = {real_path(place) for place in places.values()}
    thorough = any(mounted_in(path, None, systems.points - {path}) for path in paths)
    return Walker(inodes, frozenset(places), thorough=thorough, progress=progress, systems=systems)


def _parts(cache: str, walker: Walker, without: str = "") -> dict[str, Tree]:
    """Return the trees in a cache's directory. Every file takes a stat there, since the times of all count."""
    try:
        directory = Tree(directories=1, single=allocated(os.lstat(cache)))
        names = sorted(name for name in os.listdir(cache) if name != without)
    except OSError as error:
        failures.note(error)
        return {"": Tree(unreadable=((cache, error.strerror or str(error)),))}
    return {"": directory, **{name: walker.walk(os.path.join(cache, name), part=True) for name in names}}


def make_usage(scanned: Scan, plan: Plan, file_systems: tuple[FileSystem, ...] = (), unit: Unit = Unit.BYTES) -> Usage:
    """Return disk usage, sorted by own bytes or inodes, the largest first. `file_systems` are those of the trees."""
    in_caches = [joined(item.parts.values()) for item in scanned.caches]
    in_environments = [tree for _, tree in scanned.environments]
    of_caches, of_environments = account(in_caches, in_environments, scanned.inodes)
    caches = []
    for item, counted in zip(scanned.caches, of_caches):
        freed, recent = reclaimable_in(plan, item.cache), kept_by_age(plan, item.cache)
        kinds, kinds_inodes = (_kinds(item, scanned.inodes, unit) for unit in Unit)
        caches.append(CacheUsage(item.cache, counted, kinds, freed.bytes, recent, kinds_inodes, freed.inodes))
    environments = [
        EnvironmentUsage(root, counted, sizes(root, scanned.pip[root]), *_times(root, tree, scanned.mounts))
        for (root, tree), counted in zip(scanned.environments, of_environments)
    ]
    return Usage(
        environments=tuple(sorted(environments, key=lambda item: (-item.account.own_of(unit), item.root.path))),
        caches=tuple(sorted(caches, key=lambda item: (-item.account.own_of(unit), item.cache.path))),
        file_systems=file_systems,
        allocated=occupied((*in_caches, *in_environments), scanned.inodes),
        inodes=occupied((*in_caches, *in_environments), scanned.inodes, Unit.INODES),
        plan=plan,
        complete=_is_complete(scanned, plan.inventory),
    )


def _is_complete(scanned: Scan, inventory: Inventory) -> bool:
    """Return whether everything that is there was counted."""
    if any(scanned.notices) or any(notice.kind == UNREADABLE for notice in inventory.notices):
        return False
    present = (
        failures.realpath(root.path)
        for root in inventory.roots
        if root.kind is RootKind.ENVIRONMENT and root.state is not RootState.MISSING
    )
    return scanned.tops.issuperset(present)


def tops(inventory: Inventory) -> dict[tuple[int, int], Cache | Root]:
    """Return each place once: links and bind mounts give one directory several paths."""
    found: dict[tuple[int, int], Cache | Root] = {}
    # A directory that is no environment is not searched, even if it exists.
    roots = (root for root in inventory.roots if root.state is not RootState.MISSING)
    places: tuple[Cache | Root, ...] = (*inventory.caches, *roots)
    for place in places:
        with suppress(OSError):
            status = os.stat(real_path(place))
            found.setdefault((status.st_dev, status.st_ino), place)
    return found


def _kinds(scanned: CacheScan, inodes: Inodes, unit: Unit) -> Mapping[str, int]:
    kind_of = {part.name: part.kind.value for entry in scanned.cache.entries for part in entry.parts}
    singular = {"archive": "archives", "lock": "other"}
    trees: dict[str, list[Tree]] = {kind: [] for kind in KINDS}
    for name, tree in scanned.parts.items():
        kind = kind_of.get(name) or _KIND_OF_NAME.get(name, "other")
        trees[singular.get(kind, kind)].append(tree)
    return dict(zip(KINDS, shares(map(joined, trees.values()), inodes, unit)))


def _times(root: Root, tree: Tree, mounted: tuple[Mount, ...]) -> tuple[float | None, float | None, bool]:
    """Return when an environment was changed and used, and whether a use would show."""
    changed = None
    for name in (os.path.join(META, "history"), META):
        with suppress(OSError):
            changed = os.stat(os.path.join(root.path, name)).st_mtime
            break
    mount = mount_of(failures.realpath(root.path), mounted)
    keeps_access = mount is not None and not mount.options & {"noatime", "ro"}
    used = tree.accessed if keeps_access else None
    if used is not None and changed is not None and used <= changed + _SETTLING:
        used = None
    return changed, used, keeps_access


def real_path(place: Cache | Root) -> str:
    """Return where a cache or an environment really lies."""
    return place.real_path if isinstance(place, Cache) else failures.realpath(place.path)
