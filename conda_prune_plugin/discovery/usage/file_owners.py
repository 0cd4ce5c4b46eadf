"""Assign each file of an environment to its package, by the records of conda and pip.

Here the records are opened, which `usage` does only where somebody asks for packages.
"""

from __future__ import annotations

import heapq
import os
import stat
from array import array
from collections.abc import Iterable, Mapping

from ... import failures
from ...core.file_status import EntryState, allocated
from ...core.layout import META
from ...core.model import Root, RootState
from ...core.usage.disk_usage import Inodes, Tree
from ...core.usage.package_usage import Cached, Contents, Owner, OwnerKind
from ...failures import suppress
from ..packages.installed_files import compiled_source
from ..packages.package_identity import Names
from ..roots.half_removed import CachedPackages
from ..system.safe_read import read_object
from .pip_packages import PipPackage
from .survey import Scan
from .tree_entries import entries

#: So many of the files of no package are named.
_STRANGERS = 10


def contents(root: Root, scanned: Scan, without: frozenset[str] = frozenset()) -> Contents:
    """Return whose the files of an environment are; what can't be read is left out.

    without: paths below the prefix of files and directories that don't count.
    """
    of_packages = owners(root, scanned.pip[root])
    if root.state is RootState.HALF_REMOVED:
        packages = CachedPackages(tuple(item.cache for item in scanned.caches))
        of_packages |= {name: Owner(OwnerKind.CONDA, dist) for name, dist in packages.owners(root.path).items()}
    portions: dict[Owner, _Portion] = {}
    strangers: list[tuple[int, str]] = []
    for name, status, state in entries(failures.realpath(root.path), scanned.boundaries, without):
        if status is None or state is EntryState.ELSEWHERE:
            continue
        owner = owner_of(name, status, of_packages)
        portion = portions.get(owner)
        if portion is None:
            portion = portions[owner] = _Portion(scanned.inodes)
        portion.add(status)
        if owner.kind is OwnerKind.OTHER:
            heapq.heappush(strangers, (allocated(status), name))
            if len(strangers) > _STRANGERS:
                heapq.heappop(strangers)
    return Contents(
        root,
        {owner: portion.tree() for owner, portion in portions.items()},
        tuple((name, size) for size, name in sorted(strangers, reverse=True)),
    )


def cached_parts(scanned: Scan, names: Names | None = None) -> Cached:
    """Return what the caches hold of each entry; with `names`, of each dist that conda knows entries by."""
    found: dict[str, list[tuple[str, Tree]]] = {}
    for item in scanned.caches:
        for entry in item.cache.entries:
            for part in entry.parts:
                if part.name in item.parts:
                    dist = entry.dist if names is None else names.of(item.cache, entry)[0]
                    found.setdefault(dist, []).append((item.cache.path, item.parts[part.name]))
    return Cached({dist: tuple(parts) for dist, parts in found.items()})


def owners(root: Root, pip: Iterable[PipPackage]) -> dict[str, Owner]:
    """Return the owner of each file that a package of conda or of pip lists, by its path below the prefix."""
    found: dict[str, Owner] = {}
    for package in pip:
        found.update(dict.fromkeys((_slashed(name) for name in package.files), Owner(OwnerKind.PIP, package.name)))
    for dist in root.packages:
        with suppress(OSError, ValueError):
            files = read_object(os.path.join(root.path, META, f"{dist}.json")).get("files")
            names = (name for name in files if isinstance(name, str)) if isinstance(files, list) else ()
            found.update(dict.fromkeys(names, Owner(OwnerKind.CONDA, dist)))
    return found


def owner_of(name: str, status: os.stat_result, of_packages: Mapping[str, Owner]) -> Owner:
    """Return whose something in an environment is, by what packages list (`owners`)."""
    if stat.S_ISDIR(status.st_mode):
        return Owner(OwnerKind.DIRECTORIES)
    if name.startswith(f"{META}/"):
        return Owner(OwnerKind.RECORDS)
    owner = of_packages.get(name)
    if owner is None and (source := compiled_source(name)) is not None:
        owner = of_packages.get(source)
    return owner or Owner(OwnerKind.OTHER)


class _Portion:
    """The running sums of one owner."""

    __slots__ = ("_directories", "_files", "_inodes", "_lengths", "_rows", "_single")

    def __init__(self, inodes: Inodes) -> None:
        self._inodes = inodes
        self._files = self._directories = self._lengths = self._single = 0
        self._rows = array("I")

    def add(self, status: os.stat_result) -> None:
        blocks = allocated(status)
        if stat.S_ISDIR(status.st_mode):
            self._directories += 1
            self._single += blocks
            return
        self._files += 1
        links = max(status.st_nlink, 1)
        if links > 1 or status.st_ino in self._inodes.rows_of(status.st_dev):
            self._rows.append(self._inodes.row(status.st_dev, status.st_ino, status.st_size, blocks, links))
        else:
            self._lengths += status.st_size
            self._single += blocks

    def tree(self) -> Tree:
        return Tree(self._files, self._directories, self._lengths, self._single, self._rows)


def _slashed(name: str) -> str:
    """Return a path as conda's records write it on every system."""
    return name.replace(os.sep, "/")
