"""Directories of environments with runs in them, each standing in for a cache."""

from __future__ import annotations

import os
from contextlib import suppress

from ..core.model import Cache, Client
from ..core.names import STATE
from ..discovery.environments import registered_prefixes
from ..discovery.set_aside import with_noted_places
from ..discovery.settings import Settings


def place_of(prefix: str) -> Cache:
    """Return the directory that an environment lies in."""
    return _place(os.path.dirname(prefix))


def places(settings: Settings) -> tuple[Cache, ...]:
    """Return the directories of environments that have state of ours."""
    parents: list[str] = []
    for registry in settings.registries:
        with suppress(OSError):
            parents += map(os.path.dirname, registered_prefixes(registry))
    found: dict[str, Cache] = {}
    for path in (*with_noted_places(settings.envs_dirs), *parents):
        if os.path.isdir(os.path.join(path, STATE)):
            place = _place(os.path.abspath(path))
            found.setdefault(place.real_path, place)
    return tuple(found.values())


def _place(path: str) -> Cache:
    real_path = os.path.realpath(path)
    return Cache(path, real_path, Client.ENVIRONMENTS, os.access(real_path, os.W_OK | os.X_OK), ())
