"""Environments that only another user's registry leads to: such a line is data, and no reason to remove anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ...core.model import Root
from ...failures import is_below, suppress
from ..clients.conda import Settings
from ..clients.conda_context import registry
from ..clients.other_users import find_other_users
from ..inventory import Request, known_sources
from ..packages.cache_listing import find_caches
from ..roots.environments import Sources, known_prefixes
from ..roots.environments_txt import registered_prefixes
from ..system.deep_paths import real_path


def only_listed_by_others(roots: Iterable[Root], settings: Settings, request: Request) -> Mapping[str, str]:
    """Return the paths of environments that only other users' files lead to, each with a registry that lists it.

    If an environment belongs to the user whose registry lists it, or lies in that user's home, the line counts. A
    registry is that of the owner of its home, so under a sudo that keeps it even ``~/.conda`` is another user's.
    """
    if not hasattr(os, "geteuid"):
        return {}
    user = os.geteuid()
    caches, _ = find_caches(settings.pkgs_dirs, request.pkgs_dirs, settings.other_caches)
    theirs = (registry(other.home) for other in find_other_users(caches))
    every = dict.fromkeys((*settings.registries, *theirs, *settings.other_registries))
    foreign = [_Foreign.read(path) for path in every if _owner(_home(path)) != user]
    if not any(other.prefixes for other in foreign):
        return {}
    known = frozenset(map(real_path, known_prefixes(_own_sources(settings, request, user))))
    searched = tuple(map(_absolute, request.searches))
    found = {}
    for root in roots:
        path = real_path(root.path)
        if path in known or is_below(root.path, searched):
            continue
        owner = _owner(path, follow=False)
        if not any(other.may_name(path, owner) for other in foreign):
            # What lies beside an environment that is listed is found by that line too.
            lists = (other for other in foreign if path in other.prefixes)
            found[root.path] = next(lists, next(other for other in foreign if other.prefixes)).path
    return found


@dataclass(frozen=True, slots=True)
class _Foreign:
    """A registry of another user: its path, the real paths that it lists, the user's home, and that one's owner."""

    path: str
    prefixes: frozenset[str]
    home: str
    owner: int | None

    @classmethod
    def read(cls, path: str) -> _Foreign:
        prefixes: frozenset[str] = frozenset()
        with suppress(OSError):
            prefixes = frozenset(map(real_path, registered_prefixes(path)))
        return cls(path, prefixes, real_path(_home(path)), _owner(_home(path)))

    def may_name(self, prefix: str, owner: int | None) -> bool:
        """Return whether this user's word counts for an environment with an owner."""
        return self.owner == owner and owner is not None and (prefix in self.prefixes or is_below(prefix, (self.home,)))


def _own_sources(settings: Settings, request: Request, user: int) -> Sources:
    """Return where the caller's own files, conda's settings and the command line say that environments are."""
    sources = known_sources(settings)
    return replace(
        sources,
        registries=tuple(path for path in settings.registries if _owner(_home(path)) == user),
        other_registries=(),
        # Those of tools in other homes may lead anywhere by a link.
        places=tuple(place for place in sources.places if _owner(place.top) == user),
        named=(*map(_absolute, request.roots), *request.configured),
    )


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _home(registry: str) -> str:
    return os.path.dirname(os.path.dirname(registry))


def _owner(path: str, *, follow: bool = True) -> int | None:
    with suppress(OSError):
        return os.stat(path, follow_symlinks=follow).st_uid
    return None
