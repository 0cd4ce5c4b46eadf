"""From the command line's words and conda's settings to an inventory, and the watch over its roots."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..core.model import Cache, Inventory, Notice, Root
from ..core.names import package_name
from ..core.reachability import references
from ..errors import UnreadableEnvironmentError
from .caches import find_caches
from .environments import Sources, read_roots, require_environments, search_environments
from .records import META, with_contents
from .settings import conda_settings

#: What each watched path was: inode and modification time, or None where there was nothing.
_Signature = tuple[tuple[str, "tuple[int, int] | None"], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What the user named, as typed.

    configured: absolute paths of environments that a setting names; unlike `roots` they may be missing at the moment.
    """

    pkgs_dirs: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Discovery:
    """An inventory and the watch that tells whether its roots still are what they were."""

    inventory: Inventory
    watch: RootWatch


def discover(request: Request, progress: Callable[[int], None]) -> Discovery:
    """Find caches, entries and roots by listing. Nothing is written.

    `progress` is called with the number of directories seen in a search.

    Raises `PruneError` if something that the user named is not there.
    """
    settings = conda_settings()
    caches, notices = find_caches(settings.pkgs_dirs, request.pkgs_dirs)
    named = [*require_environments(request.roots), *map(os.path.abspath, request.configured)]
    skip = frozenset(cache.real_path for cache in caches)
    for directory in request.searches:
        found, unseen = search_environments(directory, skip, progress)
        named += found
        notices += unseen
    sources = Sources(
        registries=settings.registries,
        other_registries=settings.other_registries,
        envs_dirs=settings.envs_dirs,
        prefixes=settings.prefixes,
        named=tuple(named),
        root_prefix=settings.root_prefix,
    )
    watch = RootWatch(sources, caches)
    if not caches:
        notices += (_no_cache(settings.pkgs_dirs),)
    return Discovery(Inventory(caches, watch.roots, notices + watch.notices), watch)


def with_odd_contents(roots: tuple[Root, ...], caches: tuple[Cache, ...]) -> tuple[Root, ...]:
    """Return the roots with what those records name that bear the name of another dist (`records.with_contents`)."""
    cached = frozenset(entry.dist for cache in caches for entry in cache.entries)
    wanted = frozenset(map(package_name, cached.difference(*(root.dists for root in roots))))
    return tuple(with_contents(root, cached, wanted) for root in roots)


class RootWatch:
    """The roots, read again as soon as a directory or a registry that they come from has changed.

    A stat of each of these is cheap enough to ask before every single removal; a search is not repeated.
    """

    def __init__(self, sources: Sources, caches: tuple[Cache, ...]) -> None:
        self._sources = sources
        self._caches = caches
        self.roots, self.notices = self._read()
        self._hidden = self._hiding(self.notices)
        # Unsigned until somebody asks again: a dry run reads the roots once.
        self._signature: _Signature | None = None
        self._references: Mapping[str, tuple[Root, ...]] = {}

    def references(self) -> Mapping[str, tuple[Root, ...]]:
        """Return for each dist the roots that name it at this moment.

        Raises `UnreadableEnvironmentError` if there is an environment that could be read before and no more.
        """
        if self._signature != (now := self._sign()):
            # Signed before it is read: what changes meanwhile, or is new, is seen the next time.
            self._signature = now
            self.roots, self.notices = self._read()
            if newly_hidden := self._hiding(self.notices) - self._hidden:
                raise UnreadableEnvironmentError(
                    f"{min(newly_hidden)} can't be read any more, so what it references is not known.",
                    hint="What was not deleted yet is at its place. Try again when it can be read.",
                    path=min(newly_hidden),
                )
            self._references = references(self.roots)
        return self._references

    def _read(self) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
        roots, notices = read_roots(self._sources)
        return with_odd_contents(roots, self._caches), notices

    @staticmethod
    def _hiding(notices: Iterable[Notice]) -> frozenset[str]:
        return frozenset(notice.path for notice in notices if notice.hides_roots)

    def _sign(self) -> _Signature:
        # Also of what is no environment yet: a directory of environments changes before its newest has a conda-meta.
        prefixes = {root.path for root in self.roots}.union(*map(_children, self._sources.envs_dirs))
        metas = (os.path.join(prefix, META) for prefix in sorted(prefixes))
        sources = self._sources
        paths = (*sources.registries, *sources.other_registries, *sources.envs_dirs, *metas)
        return tuple((path, _stamp(path)) for path in paths)


def _children(directory: str) -> list[str]:
    try:
        return [os.path.join(directory, name) for name in os.listdir(directory)]
    except OSError:
        return []


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _no_cache(configured: Iterable[str]) -> Notice:
    places = ", ".join(configured)
    message = f"There is no package cache in any of the configured places ({places}); name one with --pkgs-dir."
    return Notice("no-cache", message, "")
