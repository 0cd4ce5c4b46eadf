"""Disk usage by package, over caches and environments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..dist_names import package_name
from ..model import Root, Word
from ..units import Space, Unit
from .disk_usage import Inodes, Tree, held_by_several, occupied, released


class OwnerKind(Word):
    """The owner of a file of an environment. `RECORDS`: the environment's ``conda-meta``."""

    CONDA = "conda"
    PIP = "pip"
    RECORDS = "records"
    DIRECTORIES = "directories"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Owner:
    """An owner; `name`: a dist for `CONDA`, a ``name==version`` for `PIP`, else empty."""

    kind: OwnerKind
    name: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of an environment by owner, and the largest of those of no package with their bytes."""

    root: Root
    owners: Mapping[Owner, Tree]
    strangers: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class VersionUsage:
    """One dist: the paths of the environments that it is in, and its bytes and inodes there and in the caches."""

    dist: str
    environments: tuple[str, ...]
    cached: bool
    allocated: int
    inodes: int = 0


@dataclass(frozen=True, slots=True)
class PackageUsage:
    """All dists of one name.

    shared: the allocated bytes that several environments or caches share by hard links.
    duplicated: the allocated bytes of all dists but the largest.
    inodes, shared_inodes, duplicated_inodes: the inodes of these.
    """

    name: str
    versions: tuple[VersionUsage, ...]
    environments: int
    allocated: int
    shared: int
    duplicated: int
    inodes: int = 0
    shared_inodes: int = 0
    duplicated_inodes: int = 0

    @property
    def takes(self) -> Space:
        """The space of all of it."""
        return Space(self.allocated, self.inodes)


@dataclass(frozen=True, slots=True)
class PackageShare:
    """One dist in one environment; `others`: how many other environments have it."""

    dist: str
    files: int
    allocated: int
    own: int
    others: int
    inodes: int = 0
    own_inodes: int = 0

    @property
    def takes(self) -> Space:
        """The space of all of it."""
        return Space(self.allocated, self.inodes)


@dataclass(frozen=True, slots=True)
class Zoom:
    """The contents of one environment.

    kept, kept_inodes: how much more `conda prune` would free if the environment were removed.
    other, records, directories: allocated bytes of no package; those of `other` are in no record.
    """

    packages: tuple[PackageShare, ...]
    kept: int
    other: int
    other_files: int
    records: int
    directories: int
    strangers: tuple[tuple[str, int], ...] = field(default=())
    kept_inodes: int = 0


@dataclass(frozen=True, slots=True)
class Cached:
    """The parts in the caches of each dist."""

    parts: Mapping[str, tuple[tuple[str, Tree], ...]]

    def trees(self, dist: str) -> tuple[Tree, ...]:
        """Return the parts of a dist in all caches."""
        return tuple(tree for _, tree in self.parts.get(dist, ()))


def packages(
    cached: Cached, contents: Iterable[Contents], inodes: Inodes, unit: Unit = Unit.BYTES
) -> tuple[PackageUsage, ...]:
    """Return all packages, the largest first by a unit."""
    holders: dict[str, dict[str, list[Tree]]] = {}
    for dist, parts in cached.parts.items():
        for cache, tree in parts:
            holders.setdefault(dist, {}).setdefault(cache, []).append(tree)
    users: dict[str, list[str]] = {}
    for item in contents:
        for dist in item.root.packages:
            users.setdefault(dist, []).append(item.root.path)
            tree = item.owners.get(Owner(OwnerKind.CONDA, dist), Tree())
            holders.setdefault(dist, {}).setdefault(item.root.path, []).append(tree)
    by_name: dict[str, list[str]] = {}
    for dist in holders:
        by_name.setdefault(package_name(dist), []).append(dist)
    found = [_package(name, sorted(dists), holders, users, cached, inodes) for name, dists in by_name.items()]
    return tuple(sorted(found, key=lambda item: (-item.takes.of(unit), item.name)))


def _package(
    name: str,
    dists: list[str],
    holders: Mapping[str, Mapping[str, list[Tree]]],
    users: Mapping[str, list[str]],
    cached: Cached,
    inodes: Inodes,
) -> PackageUsage:
    versions = []
    held: dict[str, list[Tree]] = {}
    for dist in dists:
        trees = [tree for group in holders[dist].values() for tree in group]
        sizes = (occupied(trees, inodes, unit) for unit in Unit)
        versions.append(VersionUsage(dist, tuple(sorted(users.get(dist, ()))), dist in cached.parts, *sizes))
        for holder, group in holders[dist].items():
            held.setdefault(holder, []).extend(group)
    everything = [tree for group in held.values() for tree in group]
    allocated, count = (occupied(everything, inodes, unit) for unit in Unit)
    shared, shared_inodes = (held_by_several(held.values(), inodes, unit) for unit in Unit)
    return PackageUsage(
        name=name,
        versions=tuple(sorted(versions, key=lambda item: (-item.allocated, item.dist))),
        environments=len({path for dist in dists for path in users.get(dist, ())}),
        allocated=allocated,
        shared=shared,
        duplicated=allocated - max(version.allocated for version in versions),
        inodes=count,
        shared_inodes=shared_inodes,
        duplicated_inodes=count - max(version.inodes for version in versions),
    )


def zoom(item: Contents, roots: Iterable[Root], inodes: Inodes, kept: Space, unit: Unit = Unit.BYTES) -> Zoom:
    """Return the contents of one environment, the packages that are largest by a unit first.

    roots: all environments. kept: as in `Zoom`.
    """
    others: dict[str, int] = {}
    for root in roots:
        for dist in root.packages if root.path != item.root.path else ():
            others[dist] = others.get(dist, 0) + 1
    shares = []
    for dist in item.root.packages:
        tree = item.owners.get(Owner(OwnerKind.CONDA, dist), Tree())
        allocated, count = (occupied((tree,), inodes, unit) for unit in Unit)
        own, own_inodes = (released((tree,), inodes, unit) for unit in Unit)
        shares.append(PackageShare(dist, tree.files, allocated, own, others.get(dist, 0), count, own_inodes))
    of_kind = {kind: [tree for owner, tree in item.owners.items() if owner.kind is kind] for kind in OwnerKind}
    return Zoom(
        packages=tuple(sorted(shares, key=lambda share: (-share.takes.of(unit), share.dist))),
        kept=kept.bytes,
        kept_inodes=kept.inodes,
        other=occupied(of_kind[OwnerKind.OTHER], inodes),
        other_files=sum(tree.files for tree in of_kind[OwnerKind.OTHER]),
        records=occupied(of_kind[OwnerKind.RECORDS], inodes),
        directories=occupied(of_kind[OwnerKind.DIRECTORIES], inodes),
        strangers=item.strangers,
    )
