"""Directories of environments that hold runs, each treated like a cache."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ... import failures
from ...core.layout import STATE
from ...core.model import Cache, Client
from ...core.run import Disposal, Run
from ...discovery.clients.conda import Settings
from ...discovery.roots.backups import with_noted_places
from ...discovery.roots.environments_txt import registered_prefixes
from ...errors import StateError
from ...execution.state import notes
from ...failures import suppress


def place_of(prefix: str) -> Cache:
    """Return the directory that an environment lies in."""
    return _place(os.path.dirname(prefix))


def places(settings: Settings, caches: Iterable[Cache] = ()) -> tuple[Cache, ...]:
    """Return the directories of environments that have state of ours, but for those that are caches."""
    parents: list[str] = []
    for registry in settings.registries:
        with suppress(OSError):
            parents += map(os.path.dirname, registered_prefixes(registry))
    found: dict[str, Cache] = {}
    known = {cache.real_path for cache in caches}
    # The search for roots warns of an unmounted disk.
    for path in with_noted_places((*settings.envs_dirs, *settings.noting, *parents), [], own=True):
        if failures.isdir(os.path.join(path, STATE)):
            place = _place(os.path.abspath(path))
            if place.real_path not in known:
                found.setdefault(place.real_path, place)
    return tuple(found.values())


def note_place(settings: Settings, place: str, run: Run) -> None:
    """Note a run where later ones look. Raises `StateError` if that can be nowhere.

    What was deleted protects nothing, so in a directory of environments its exports are found without a note.
    """
    if run.disposal is Disposal.DELETE and failures.realpath(place) in map(failures.realpath, settings.envs_dirs):
        return
    try:
        notes.remember(settings.noting, place, run.id)
    except (OSError, ValueError) as error:
        why = error.strerror or error if isinstance(error, OSError) else error
        raise StateError(
            f"Backups in {place} could not be found again: no note about them can be written ({why}).",
            hint=f"Make {settings.noting[0]} or a package cache writable. Nothing was removed.",
            path=place,
        ) from error


def forget_places(settings: Settings) -> None:
    """Remove the notes of runs of which nothing is left."""
    notes.forget(settings.noting)


def _place(path: str) -> Cache:
    real_path = failures.realpath(path)
    return Cache(path, real_path, Client.ENVIRONMENTS, failures.may_write(real_path), ())
