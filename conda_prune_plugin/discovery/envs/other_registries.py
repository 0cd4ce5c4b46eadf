"""Environments that only another user's registry leads to: such a line is data, and no reason to remove anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from ...core.model import Root
from ...failures import is_below, suppress
from ..clients.conda import Settings
from ..clients.installations import find_other_users
from ..inventory import Request
from ..packages.cache_listing import find_caches
from ..roots.environments import known_prefixes
from ..roots.environments_txt import registered_prefixes
from ..system.deep_paths import real_path


def only_listed_by_others(roots: Iterable[Root], settings: Settings, request: Request) -> Mapping[str, str]:
    """Return the paths of environments that only other users' files lead to, each with a registry that lists it.

    A line counts if the environment belongs to the user whose registry has it, and is listed there or lies in that
    user's home. A registry is its home's owner's, so under a sudo that keeps the home even ``~/.conda`` is another
    user's.
    """
    if not hasattr(os, "geteuid"):
        return {}
    user = os.geteuid()
    caches, _ = find_caches(settings.pkgs_dirs, request.pkgs_dirs, settings.other_caches)
    theirs = (registry for _, registry, _ in find_other_users(caches))
    owners = {path: _owner(_home(path)) for path in (*settings.registries, *theirs, *settings.other_registries)}
    listed: dict[str, frozenset[str]] = {}
    for path, owner in owners.items():
        if owner != user:
            listed[path] = frozenset()
            with suppress(OSError):
                listed[path] = frozenset(map(real_path, registered_prefixes(path)))
    if not any(listed.values()):
        return {}
    # Where the caller's own files, conda's settings and the command line say that environments are.
    own = replace(
        settings,
        registries=tuple(path for path in settings.registries if owners[path] == user),
        other_registries=(),
        # Directories of tools in other homes may lead anywhere by a link.
        places=tuple(place for place in settings.places if _owner(place.top) == user),
        named=(*map(_absolute, request.roots), *request.configured_roots),
    )
    homes = {path: real_path(_home(path)) for path in listed}
    known = frozenset(map(real_path, known_prefixes(own)))
    searched = tuple(map(_absolute, request.searches))
    found = {}
    for root in roots:
        prefix = real_path(root.path)
        if prefix in known or is_below(root.path, searched):
            continue
        owner = _owner(prefix, follow=False)
        if not any(
            owner is not None and owner == owners[path] and (prefix in prefixes or is_below(prefix, (homes[path],)))
            for path, prefixes in listed.items()
        ):
            # An environment beside one that is listed was found by that line too.
            by_line = (path for path, prefixes in listed.items() if prefix in prefixes)
            found[root.path] = next(by_line, next(path for path, prefixes in listed.items() if prefixes))
    return found


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def _home(registry: str) -> str:
    return os.path.dirname(os.path.dirname(registry))


def _owner(path: str, *, follow: bool = True) -> int | None:
    with suppress(OSError):
        return os.stat(path, follow_symlinks=follow).st_uid
    return None
