"""Half-removed environments: directories without records that still hold files of packages.

An interrupted ``conda remove --all`` or ``rm -rf`` leaves one, since a directory is removed in the order of its listing
and ``conda-meta`` may go first; so does an interrupted creation. Nothing but the files tells it from a directory of the
user, who may have registered that by accident. These count as proof, in a directory that looks like a prefix:

- a hard or soft link to a file of a cached package, at the place where that package is installed;
- two copies of such files, or modules compiled from them, as long as no file differs from its package;
- a file that conda or mamba has renamed to delete it later;
- no file at all, beside a ``conda-meta``.

In doubt it is no environment: nothing counts it, walks it, or offers to remove it.
"""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ... import failures
from ...core.layout import INDEX, META, STATE
from ...core.model import Cache, PartKind, Root, RootState
from ...core.notices import Notice
from ...failures import suppress
from ..clients.installations import is_root_prefix
from ..packages.installed_files import InstalledFile, compiled_source, is_same, names_in_package
from ..system.tree_walk import below, walk
from .conda_meta import missing_notice

#: The directories that packages are installed into. Others are not searched for a proof.
_LAYOUT = frozenset({"bin", "etc", "include", "lib", "libexec", "sbin", "share", "Lib", "Library", "Scripts"})

#: A virtual environment may link an interpreter that lies in a cache.
_VENV = "pyvenv.cfg"

#: conda (``gateways/disk/delete.py``) and mamba (``core/util_os.cpp``) rename what they can't delete at once.
_TRASH = re.compile(r".+\.(?:conda|mamba)_trash.*")

#: How many names are listed for a proof, and how many files are compared, each with all cached packages.
_LISTED, _COMPARED = 4096, 32

#: A shorter file may be the same by chance; in bytes.
_TELLING = 64

#: How many copies prove it.
_COPIES = 2


def may_be_remains(path: str) -> bool:
    """Return whether a directory looks like a prefix whose ``conda-meta`` is missing; it takes one listing."""
    if os.path.basename(path) == STATE or failures.islink(path):
        return False
    names = _names(path) or frozenset()
    return not names.isdisjoint(_LAYOUT) and _VENV not in names


def settled(roots: Iterable[Root], caches: tuple[Cache, ...]) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
    """Decide on the roots that were read without records: half removed, or no environment and then `MISSING`.

    A half-removed one references the packages that its files are of: links need them, and copies are its proof.
    """
    found, notices = [], []
    packages = CachedPackages(caches)
    for root in roots:
        decided = root
        has_meta = root.signature is not None
        if root.state is RootState.HALF_REMOVED:
            # micromamba makes its base without a history.
            if has_meta and is_root_prefix(root.path):
                decided = replace(root, state=RootState.OK)
            elif _is_other(root.path, packages) or not _is_proven(root.path, packages, has_meta=has_meta):
                decided = replace(root, state=RootState.MISSING)
                # An empty directory may be where a disk is to be mounted.
                if _names(root.path) == frozenset():
                    notices.append(missing_notice(root.path))
            else:
                dists = frozenset(dist for _, dist in packages.matches(root.path, one_each=True))
                decided = replace(root, dists=dists)
        found.append(decided)
    return tuple(found), tuple(notices)


def _is_other(path: str, packages: CachedPackages) -> bool:
    """Return whether a directory is certainly something else: part of a cache, a home, a virtual environment."""
    real = failures.realpath(path)
    home = failures.realpath(os.path.expanduser("~"))
    if failures.is_below(home, (real,)) or failures.is_below(real, packages.tops):
        return True
    return not may_be_remains(real) or failures.lexists(os.path.join(real, INDEX))


def _is_proven(prefix: str, packages: CachedPackages, *, has_meta: bool) -> bool:
    files: list[InstalledFile] = []
    for file in _files(prefix, only=sorted(_LAYOUT), limit=_LISTED):
        target = packages.target(file)
        if _TRASH.fullmatch(os.path.basename(file.name)) or (target and target[1] in names_in_package(file.name)):
            return True
        if stat.S_ISREG(file.status.st_mode):
            files.append(file)
    if any(map(packages.is_linked, _spread([file for file in files if file.status.st_nlink > 1]))):
        return True
    copies = _spread([file for file in files if file.status.st_nlink == 1 and file.status.st_size >= _TELLING])
    alike = [alike for alike in map(packages.is_copy, copies) if alike is not None]
    if len(alike) >= _COPIES and all(alike):
        return True
    return has_meta and not files and not any(_files(prefix))


def _spread(files: Sequence[InstalledFile]) -> Sequence[InstalledFile]:
    return files[:: max(1, -(-len(files) // _COMPARED))]


def _names(path: str) -> frozenset[str] | None:
    with suppress(OSError):
        return frozenset(os.listdir(path))
    return None


def _files(
    prefix: str, *, only: Collection[str] = ("",), limit: int | None = None, skip: Collection[str] = ()
) -> Iterator[InstalledFile]:
    """Yield the files of a prefix outside of its ``conda-meta`` and of environments in it, breadth first.

    only: these directories in it. limit: how many names are listed at most. skip: real paths that are left out.
    """
    top = failures.realpath(prefix)
    tops = (os.path.join(top, name) if name else top for name in only)
    for path, directories, others in walk(*tops, skip=skip, breadth_first=True, limit=limit):
        if path != top and any(entry.name == META for entry in (*directories, *others)):
            directories.clear()
            continue
        directories[:] = [entry for entry in directories if entry.name != META]
        for entry in others:
            with suppress(OSError):
                yield InstalledFile(top, below(top, entry.path), os.lstat(entry.path))


@dataclass(frozen=True)
class CachedPackages:
    """The extracted packages of caches, by the files in them."""

    caches: tuple[Cache, ...]

    def target(self, file: InstalledFile) -> tuple[str, str] | None:
        """Return the dist that a soft link leads into, and the name there; None if it leads into none."""
        if not stat.S_ISLNK(file.status.st_mode):
            return None
        with suppress(OSError):
            path = os.path.join(os.path.dirname(file.path), os.readlink(file.path))
            for target in dict.fromkeys((os.path.normpath(path), failures.realpath(path))):
                for top, real in self._spellings:
                    if target.startswith(top):
                        entry, _, name = target[len(top) :].partition(os.sep)
                        if dist := self._dists.get((real, entry)):
                            return dist, name.replace(os.sep, "/")
        return None

    def is_linked(self, file: InstalledFile) -> bool:
        """Return whether a package has this very file at this place."""
        sources = self._sources(names_in_package(file.name))
        return any(file.is_linked_to(os.path.join(directory, name)) for directory, name in sources)

    def is_copy(self, file: InstalledFile) -> bool | None:
        """Return whether a file is a copy of a package's file, or compiled from it; None if no package has one."""
        names = names_in_package(compiled_source(file.name) or file.name)
        answers = [is_same(file, directory, name) for directory, name in self._sources(names)]
        return any(answers) if answers else None

    def matches(self, prefix: str, *, one_each: bool = False) -> list[tuple[str, str]]:
        """Return files of a prefix with the dists that they are of, by link or by content.

        one_each: one file of each dist is enough, so the content of no other is compared with it.
        """
        found: list[tuple[str, str]] = []
        inodes, copies = defaultdict(list), defaultdict(list)
        for file in _files(prefix, skip=self.tops):
            if target := self.target(file):
                found.append((file.name, target[0]))
            elif stat.S_ISREG(file.status.st_mode):
                if file.status.st_nlink > 1:
                    inodes[file.status.st_ino].append(file)
                for name in names_in_package(compiled_source(file.name) or file.name):
                    copies[name].append(file)
        matched: set[str] = set()
        known = {dist for _, dist in found}
        for dist, directory, name, inode in self._walk() if copies else ():
            source = os.path.join(directory, name)
            matches = [file.name for file in inodes.get(inode, ()) if file.is_linked_to(source)]
            if not (one_each and dist in known):
                unmatched = (file for file in copies.get(name, ()) if file.name not in matched)
                matches += [file.name for file in unmatched if is_same(file, directory, name)]
            if matches:
                matched.update(matches)
                known.add(dist)
                found += [(file, dist) for file in matches]
        return found

    def _sources(self, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield each package's directory with a file of one of these names, and the name."""
        for name in names:
            top = name.split("/", 1)[0]
            for _, directory, tops in self._packages:
                if top in tops and failures.lexists(os.path.join(directory, name)):
                    yield directory, name

    def _walk(self) -> Iterator[tuple[str, str, str, int]]:
        """Yield every file of every package that is installed: dist, directory, name and inode number."""
        for dist, top, _ in self._packages:
            for path, directories, others in walk(top):
                if path == top:
                    directories[:] = [entry for entry in directories if entry.name != "info"]
                yield from ((dist, top, below(top, entry.path), entry.inode()) for entry in others)

    @cached_property
    def tops(self) -> frozenset[str]:
        """The real paths of the caches."""
        return frozenset(cache.real_path for cache in self.caches)

    @cached_property
    def _spellings(self) -> tuple[tuple[str, str], ...]:
        """Each path of each cache, as paths below it begin, with its real path."""
        paths = ((path, cache.real_path) for cache in self.caches for path in (cache.path, cache.real_path))
        return tuple(dict.fromkeys((os.path.join(path, ""), real) for path, real in paths))

    @cached_property
    def _dists(self) -> dict[tuple[str, str], str]:
        """The dist of each extracted directory, by the real path of its cache and its name."""
        return {
            (cache.real_path, part.name): entry.dist
            for cache in self.caches
            for entry in cache.entries
            for part in entry.parts
            if part.kind is PartKind.EXTRACTED and not part.is_link
        }

    @cached_property
    def _packages(self) -> tuple[tuple[str, str, frozenset[str]], ...]:
        """Dist, directory and the names in it of each extracted package."""
        paths = {os.path.join(*place): dist for place, dist in self._dists.items()}
        return tuple((dist, path, _names(path) or frozenset()) for path, dist in paths.items())
