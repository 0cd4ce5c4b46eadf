"""Assign each file of an environment to its package, by the records of conda and pip.

This opens the records, which `usage` does only if it is asked for packages.
"""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterable, Mapping

from ... import failures
from ...core.file_status import EntryState, allocated
from ...core.layout import META
from ...core.model import Root, RootState
from ...core.usage.disk_usage import Tree
from ...core.usage.package_usage import Cached, Contents, Owner, OwnerKind
from ...failures import suppress
from ..packages.installed_files import compiled_source
from ..packages.package_identity import Names
from ..roots.conda_meta import package_files
from ..roots.half_removed import CachedPackages
from .file_listing import entries
from .pip_packages import PipPackage
from .survey import Scan
from .walker import TreeTally

#: How many of the files of no package are named.
_STRANGERS = 10


def contents(root: Root, scanned: Scan, without: frozenset[str] = frozenset()) -> Contents:
    """Return the owners of an environment's files; unreadable files are left out.

    without: paths below the prefix of files and directories that don't count.
    """
    of_packages = owners(root, scanned.pip[root])
    if root.state is RootState.HALF_REMOVED:
        packages = CachedPackages(tuple(item.cache for item in scanned.caches))
        of_packages |= {name: Owner(OwnerKind.CONDA, dist) for name, dist in packages.matches(root.path)}
    tallies: dict[Owner, TreeTally] = {}
    strangers: list[tuple[int, str]] = []
    for name, status, state in entries(failures.realpath(root.path), scanned.boundaries, without):
        if status is None or state is EntryState.ELSEWHERE:
            continue
        owner = owner_of(name, status, of_packages)
        if (tally := tallies.get(owner)) is None:
            tally = tallies[owner] = TreeTally(scanned.inodes, thorough=scanned.thorough)
        if owner.kind is OwnerKind.DIRECTORIES:
            tally.add_directory(status)
        else:
            tally.add(status)
        if owner.kind is OwnerKind.OTHER:
            heapq.heappush(strangers, (allocated(status), name))
            if len(strangers) > _STRANGERS:
                heapq.heappop(strangers)
    return Contents(
        root,
        {owner: tally.tree() for owner, tally in tallies.items()},
        tuple((name, size) for size, name in sorted(strangers, reverse=True)),
    )


def cached_parts(scanned: Scan, names: Names | None = None) -> Cached:
    """Return the cached parts of each entry; with `names`, of each dist that conda knows entries by."""
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
        # With slashes, as conda's records have them on every system.
        names = (name.replace(os.sep, "/") for name in package.files)
        found.update(dict.fromkeys(names, Owner(OwnerKind.PIP, package.name)))
    for dist in root.packages:
        with suppress(OSError, ValueError):
            found.update(dict.fromkeys(package_files(root.path, dist), Owner(OwnerKind.CONDA, dist)))
    return found


def owner_of(name: str, status: os.stat_result, of_packages: Mapping[str, Owner]) -> Owner:
    """Return the owner of an entry of an environment, by the files that packages list (`owners`)."""
    if stat.S_ISDIR(status.st_mode):
        return Owner(OwnerKind.DIRECTORIES)
    if name.startswith(f"{META}/"):
        return Owner(OwnerKind.RECORDS)
    owner = of_packages.get(name)
    if owner is None and (source := compiled_source(name)) is not None:
        owner = of_packages.get(source)
    return owner or Owner(OwnerKind.OTHER)
