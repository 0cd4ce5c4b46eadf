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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

from ... import failures
from ...core.layout import INDEX, META, STATE
from ...core.model import Cache, PartKind, Root, RootState
from ...core.notices import Notice
from ...failures import suppress
from ..clients.installations import is_root_prefix
from ..packages.installed_files import InstalledFile, compiled_source, is_same, names_in_package
from .conda_meta import missing_notice

#: The directories that packages are installed into. Others are not looked into for a proof.
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
    try:
        names = frozenset(os.listdir(path))
    except OSError as error:
        failures.note(error)
        return False
    return not names.isdisjoint(_LAYOUT) and _VENV not in names


def settled(roots: Iterable[Root], caches: tuple[Cache, ...]) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
    """Decide on the roots that were read without records: half removed, or no environment and then `MISSING`.

    A half-removed one references the packages that its files are of: links need them, and copies are its proof.
    """
    found, notices = [], []
    packages = CachedPackages(caches)
    for root in roots:
        decided = _settled(root, packages) if root.state is RootState.HALF_REMOVED else root
        found.append(decided)
        # An empty directory may be where a disk is to be mounted.
        if decided is not root and decided.state is RootState.MISSING and _names(root.path) == frozenset():
            notices.append(missing_notice(root.path))
    return tuple(found), tuple(notices)


def _settled(root: Root, packages: CachedPackages) -> Root:
    has_meta = root.signature is not None
    # micromamba makes its base without a history.
    if has_meta and is_root_prefix(root.path):
        return replace(root, state=RootState.OK)
    if _is_other(root.path, packages) or not _is_proven(root.path, packages, has_meta=has_meta):
        return replace(root, state=RootState.MISSING)
    return replace(root, dists=packages.dists(root.path))


def _is_other(path: str, packages: CachedPackages) -> bool:
    """Return whether a directory is certainly something else: part of a cache, a home, a virtual environment."""
    real = failures.realpath(path)
    home = os.path.join(failures.realpath(os.path.expanduser("~")), "")
    if home.startswith(os.path.join(real, "")) or packages.holds(real):
        return True
    return not may_be_remains(real) or failures.lexists(os.path.join(real, INDEX))


def _is_proven(prefix: str, packages: CachedPackages, *, has_meta: bool) -> bool:
    files: list[InstalledFile] = []
    for file in _files(prefix, below=_LAYOUT, limit=_LISTED):
        if _TRASH.fullmatch(os.path.basename(file.name)) or packages.target(file) in names_in_package(file.name):
            return True
        if stat.S_ISREG(file.status.st_mode):
            files.append(file)
    linked = [file for file in files if file.status.st_nlink > 1]
    if any(packages.is_linked(file) for file in _spread(linked)):
        return True
    copies = [file for file in files if file.status.st_nlink == 1 and file.status.st_size >= _TELLING]
    alike = [alike for file in _spread(copies) if (alike := packages.is_copy(file)) is not None]
    if len(alike) >= _COPIES and all(alike):
        return True
    return has_meta and not files and not any(_files(prefix))


def _spread(files: Sequence[InstalledFile]) -> Sequence[InstalledFile]:
    return files[:: max(1, -(-len(files) // _COMPARED))]


def _names(path: str) -> frozenset[str] | None:
    try:
        return frozenset(os.listdir(path))
    except OSError as error:
        failures.note(error)
        return None


def _files(
    prefix: str,
    *,
    below: frozenset[str] | None = None,
    limit: int | None = None,
    skip: frozenset[str] = frozenset(),
) -> Iterator[InstalledFile]:
    """Give the files of a prefix outside of its ``conda-meta``, breadth first; no link is followed.

    below: only in these directories. limit: how many names are listed at most. skip: real paths that are left out.
    Environments that lie inside are left out too.
    """
    top = failures.realpath(prefix)
    pending = [""] if below is None else sorted(below)
    seen = 0
    while pending:
        following: list[str] = []
        for directory in pending:
            with suppress(OSError), os.scandir(os.path.join(top, directory)) as listing:
                items = list(listing)
                if directory and any(item.name == META for item in items):
                    continue
                for item in items:
                    seen += 1
                    if limit is not None and seen > limit:
                        return
                    name = f"{directory}/{item.name}" if directory else item.name
                    if item.is_dir(follow_symlinks=False):
                        if name != META and item.path not in skip:
                            following.append(name)
                    else:
                        with suppress(OSError):
                            yield InstalledFile(top, name, os.lstat(item.path))
        pending = following


@dataclass(frozen=True)
class CachedPackages:
    """The extracted packages of caches, by the files in them."""

    caches: tuple[Cache, ...]

    def holds(self, real: str) -> bool:
        """Return whether a real path is a cache or lies in one."""
        return any(real == path or real.startswith(os.path.join(path, "")) for path in self._tops)

    def target(self, file: InstalledFile) -> str | None:
        """Return the name of what a soft link leads to in its package, None if it leads to none."""
        found = self._target(file)
        return found and found[1]

    def is_linked(self, file: InstalledFile) -> bool:
        """Return whether a package has this very file at this place."""
        sources = self._sources(names_in_package(file.name))
        return any(file.is_linked_to(os.path.join(directory, name)) for directory, name in sources)

    def is_copy(self, file: InstalledFile) -> bool | None:
        """Return whether a file is what a package has at its place, or compiled from it; None if none has any."""
        names = names_in_package(compiled_source(file.name) or file.name)
        answers = [is_same(file, directory, name) for directory, name in self._sources(names)]
        return any(answers) if answers else None

    def dists(self, prefix: str) -> frozenset[str]:
        """Return the dists that files of a prefix are of; of each one file is enough."""
        found: set[str] = set()
        found.update(dist for _, dist in self._matches(prefix, found.__contains__))
        return frozenset(found)

    def owners(self, prefix: str) -> dict[str, str]:
        """Return the dist of each file of a prefix that is of any."""
        return dict(self._matches(prefix, lambda dist: False))

    def _matches(self, prefix: str, is_known: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
        """Give files of a prefix with their dists, by link or by content; of known dists no content is read."""
        inodes: dict[int, list[InstalledFile]] = {}
        copies: dict[str, list[InstalledFile]] = {}
        for file in _files(prefix, skip=self._tops):
            if target := self._target(file):
                yield file.name, target[0]
            elif stat.S_ISREG(file.status.st_mode):
                if file.status.st_nlink > 1:
                    inodes.setdefault(file.status.st_ino, []).append(file)
                for name in names_in_package(compiled_source(file.name) or file.name):
                    copies.setdefault(name, []).append(file)
        yield from self._regular_matches(inodes, copies, is_known)

    def _regular_matches(
        self,
        inodes: Mapping[int, Sequence[InstalledFile]],
        copies: Mapping[str, Sequence[InstalledFile]],
        is_known: Callable[[str], bool],
    ) -> Iterator[tuple[str, str]]:
        """Compare regular files, by inode number and by name in their package, with all packages."""
        matched: set[str] = set()
        for dist, directory, name, inode in self._walk() if copies else ():
            linked = (file for file in inodes.get(inode, ()) if file.is_linked_to(os.path.join(directory, name)))
            copied = (
                file
                for file in copies.get(name, ())
                if file.name not in matched and not is_known(dist) and is_same(file, directory, name)
            )
            for file in chain(linked, copied):
                matched.add(file.name)
                yield file.name, dist

    def _target(self, file: InstalledFile) -> tuple[str, str] | None:
        """Return the dist that a soft link leads into, and the name there."""
        if not stat.S_ISLNK(file.status.st_mode):
            return None
        with suppress(OSError):
            path = os.path.join(os.path.dirname(file.path), os.readlink(file.path))
            for target in dict.fromkeys((os.path.normpath(path), failures.realpath(path))):
                for cache in self.caches:
                    for top in dict.fromkeys((cache.path, cache.real_path)):
                        if target.startswith(os.path.join(top, "")):
                            entry, _, name = target[len(os.path.join(top, "")) :].partition(os.sep)
                            if dist := self._dists.get((cache.real_path, entry)):
                                return dist, name.replace(os.sep, "/")
        return None

    def _sources(self, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Give each package's directory in which there is a file of one of these names, and the name."""
        for name in names:
            top = name.split("/", 1)[0]
            for _, directory, tops in self._packages:
                if top in tops and failures.lexists(os.path.join(directory, name)):
                    yield directory, name

    def _walk(self) -> Iterator[tuple[str, str, str, int]]:
        """Give every file of every package that is installed: dist, directory, name and inode number."""
        for dist, top, _ in self._packages:
            pending = [""]
            while pending:
                directory = pending.pop()
                with suppress(OSError), os.scandir(os.path.join(top, directory)) as listing:
                    for item in listing:
                        name = f"{directory}/{item.name}" if directory else item.name
                        if not item.is_dir(follow_symlinks=False):
                            yield dist, top, name, item.inode()
                        elif name != "info":
                            pending.append(name)

    @cached_property
    def _tops(self) -> frozenset[str]:
        return frozenset(cache.real_path for cache in self.caches)

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
