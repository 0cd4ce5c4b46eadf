"""Soft links from environments into the caches: the only links that nothing but the environment itself tells of."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from conda.base.context import context

from ..core.model import Cache, Root, RootKind, RootState
from ..core.soft_links import SoftLinks
from .environments import KERNEL
from .installations import settings_files

#: conda's and mamba's settings by which they make soft links.
_SETTINGS = ("allow_softlinks", "always_softlink")


@dataclass(frozen=True, slots=True)
class SoftLink:
    """A symbolic link of an environment that leads into an entry: the name of that in its cache's directory."""

    path: str
    cache: str
    name: str


def soft_links(roots: Iterable[Root], caches: tuple[Cache, ...], progress: Callable[[int], None]) -> SoftLinks:
    """Look for soft links into the caches in every file of every environment.

    `progress` is called with the number of directories seen so far.
    """
    entries: set[tuple[str, str]] = set()
    unseen: set[str] = set()
    walk = _Walk(_prefixes(roots), caches, progress)
    for prefix, path in walk.prefixes.items():
        entries |= {(link.cache, link.name.casefold()) for link in walk.links(prefix)}
        if walk.unreadable:
            unseen.add(path)
            walk.unreadable = False
    return SoftLinks(frozenset(entries), frozenset(unseen))


def why_soft_links(roots: Iterable[Root], caches: tuple[Cache, ...], progress: Callable[[int], None]) -> str | None:
    """Return why environments that are not known may soft-link from the caches, None if nothing speaks for it.

    Looked at are the settings of the conda that runs, the configuration files in the home and of the installations
    in the usual places, and every file of every environment that is known, up to the first soft link.
    """
    for setting in _SETTINGS:
        if getattr(context, setting):
            return f"conda's setting {setting} is on"
    for path, values in settings_files(os.environ):
        for setting in _SETTINGS:
            if values.get(setting) is True:
                return f"{path} sets {setting}"
    walk = _Walk(_prefixes(roots), caches, progress)
    for prefix, path in walk.prefixes.items():
        for link in walk.links(prefix):
            return f"the environment {path} has soft links ({link.path} leads to {link.name})"
    return None


def _prefixes(roots: Iterable[Root]) -> dict[str, str]:
    """Return the real paths of the environments, each with the path that it is known by."""
    # A registered directory that is no environment may be anything, the top directory even.
    environments = (root for root in roots if root.kind is RootKind.ENVIRONMENT and root.state is not RootState.MISSING)
    return {os.path.realpath(root.path): root.path for root in environments}


class _Walk:
    """Looks through environments; `unreadable` is set when something in one can't be listed."""

    def __init__(self, prefixes: dict[str, str], caches: tuple[Cache, ...], progress: Callable[[int], None]) -> None:
        self.prefixes = prefixes
        self.unreadable = False
        self._caches, self._progress = caches, progress
        # Caches, and environments that lie inside of others, are looked through on their own.
        self._skip = {*prefixes, *(cache.real_path for cache in caches), *KERNEL}
        self._places = _Places(caches)
        self._seen = 0

    def links(self, prefix: str) -> Iterator[SoftLink]:
        """Give the soft links of an environment, given by its real path, that lead into a cache.

        Directories that lie elsewhere, on a larger disk say, and are linked from there are looked through too.
        """
        pending = [prefix]
        # Links may lead round in circles, so no directory is looked through twice; all these paths are real ones.
        known = {prefix}
        while pending:
            directory = pending.pop()
            self._seen += 1
            self._progress(self._seen)
            try:
                with os.scandir(directory) as listing:
                    for item in listing:
                        if item.is_symlink():
                            links, found = self._followed(item.path, prefix)
                            yield from links
                        elif item.is_dir(follow_symlinks=False) and item.path not in self._skip:
                            found = item.path
                        else:
                            continue
                        if found is not None and found not in known:
                            known.add(found)
                            pending.append(found)
            except FileNotFoundError:
                continue
            except OSError:
                self.unreadable = True

    def _followed(self, link: str, prefix: str) -> tuple[list[SoftLink], str | None]:
        """Return the soft links that a link makes, and the directory behind it that is to be looked through."""
        try:
            return list(_into(link, prefix, self._caches, self._places)), self._moved(link, prefix)
        except RecursionError:
            # The `realpath` of older Pythons calls itself for each link of a chain; the kernel follows forty.
            self.unreadable = True
            return [], None

    def _moved(self, link: str, prefix: str) -> str | None:
        """Return the real path of the directory that a link leads to, if that is looked through in no other way."""
        try:
            if not stat.S_ISDIR(os.stat(link).st_mode):
                return None
        except OSError:
            # What leads to nowhere may lead to a disk that is not mounted.
            tops = (prefix, *(cache.real_path for cache in self._caches))
            self.unreadable |= not _within(os.path.realpath(link), tops)
            return None
        path = os.path.realpath(link)
        return None if _within(path, (prefix, *self._skip)) else path


def _within(path: str, tops: Iterable[str]) -> bool:
    """Return whether a path is one of some directories, or lies in one."""
    return any(path == top or _below(path, top) is not None for top in tops)


class _Places:
    """Finds the cache that a path lies in, be it spelled otherwise: by another mount, by letters of another case."""

    def __init__(self, caches: tuple[Cache, ...]) -> None:
        self._caches = dict(filter(None, map(_identified, caches)))
        self._found: dict[str, tuple[Cache, str] | None] = {}

    def place(self, real_path: str) -> tuple[Cache, str] | None:
        """Return the cache, and the name in it that a path lies below or bears."""
        paths = [real_path]
        # No recursion: a link may name a thousand directories, none of which has to be there.
        while (above := os.path.dirname(paths[-1])) != paths[-1] and above not in self._found:
            paths.append(above)
        found = self._found.get(above)
        while True:
            path = paths.pop()
            found = found and (found[0], found[1] or os.path.basename(path))
            if not paths:
                return found
            found = self._found[path] = self._itself(path) or found

    def _itself(self, directory: str) -> tuple[Cache, str] | None:
        """Return the cache that a directory is, with no name in it."""
        with suppress(OSError):
            status = os.stat(directory)
            if cache := self._caches.get((status.st_dev, status.st_ino)):
                return cache, ""
        return None


def _identified(cache: Cache) -> tuple[tuple[int, int], Cache] | None:
    with suppress(OSError):
        status = os.stat(cache.real_path)
        return (status.st_dev, status.st_ino), cache
    return None


def _into(path: str, top: str, caches: tuple[Cache, ...], places: _Places) -> Iterator[SoftLink]:
    try:
        target = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    except FileNotFoundError:
        return  # Gone since it was listed.
    # Most links lead from one file of an environment to another; where such a one leads further, that is seen there.
    direct = [(cache, _below(target, cache.path) or _below(target, cache.real_path)) for cache in caches]
    if target.startswith(os.path.join(top, "")) and not any(name for _, name in direct):
        return
    real_path = os.path.realpath(path)
    if place := places.place(real_path):
        yield SoftLink(path, place[0].path, place[1])
    for cache, name in direct:
        for found in {name, _below(real_path, cache.real_path)} - {None}:
            yield SoftLink(path, cache.path, str(found))


def _below(path: str, directory: str) -> str | None:
    """Return the first name of a path behind a directory that it lies in."""
    top = os.path.join(directory, "")
    return path[len(top) :].split(os.sep, 1)[0] if path.startswith(top) else None
