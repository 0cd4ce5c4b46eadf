"""Directories of environments that hold runs, each treated like a cache, and interrupted runs in both.

Whatever may write finishes interrupted runs first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ... import failures
from ...core.layout import STATE
from ...core.model import Cache, Client
from ...core.notices import Notice
from ...core.run import Disposal, Run
from ...discovery.clients.conda import Settings
from ...discovery.roots.environments_txt import registered_prefixes, with_noted_places
from ...errors import StateError
from ...execution.locks.run_lock import Patience
from ...execution.recover import cut_off_runs, needs_recovery, recover
from ...execution.state import notes
from ...execution.state.stored_runs import StoredRun
from ...failures import suppress

#: Notices about runs that were interrupted, and whether all of them could be completed.
_Recovered = tuple[tuple[Notice, ...], bool]


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


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of interrupted runs.

    changed: there was something to finish. complete: all of it could be finished.
    """

    changed: bool
    notices: tuple[Notice, ...]
    complete: bool


def cut_off_notice(stored: StoredRun) -> Notice:
    """Return the warning about a run that did not come to its end, or of which nothing tells whether it did."""
    if stored.unexplained:
        message = (
            f"Run {stored.id} in {stored.cache.path} has no readable receipt, so it is left alone. {stored.remedy}"
        )
        return Notice("cut-off-run", message, stored.path)
    message = (
        f"Run {stored.id} in {stored.cache.path} is unfinished: interrupted, or still running. "
        "The next prune, restore or purge completes it."
    )
    return Notice("cut-off-run", message, stored.path)


def unfinished_notices(places: Iterable[Cache]) -> tuple[Notice, ...]:
    """Return a notice for each interrupted run. Nothing is written."""
    return tuple(cut_off_notice(run) for place in places for run in cut_off_runs(place))


def finish_runs(
    settings: Settings, places: Iterable[Cache], patience: Patience, progress: Callable[[int], None]
) -> Finished:
    """Complete or roll back interrupted runs, each as the owner of its place.

    Raises `StateError` or `LockTimeoutError`.
    """
    from ...discovery.envs.own_file_search import changed_after
    from ..conda_hooks import unregister_removed
    from ..run_as_owner import Voices, as_owner

    pending = [place for place in places if place.writable and needs_recovery(place)]
    notices: list[Notice] = []
    complete = True
    for place in pending:

        def work(voices: Voices, place: Cache = place) -> _Recovered:
            return recover(place, voices.patience, voices.progress, changed_after)

        done, finished = as_owner(place.real_path, _Recovered, Voices(progress, patience), work)
        notices += done
        complete &= finished
    # A removal that was killed before this has left the lines of its environments in the registry.
    unregister_removed(settings.registries, (place for place in pending if place.client == Client.ENVIRONMENTS))
    return Finished(bool(pending), tuple(notices), complete)
