"""Interrupted runs, in caches and in directories of environments: whatever may write finishes them first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...core.model import Cache, Client
from ...core.notices import Notice
from ...discovery.clients.conda import Settings
from ...execution.locks.run_lock import Patience
from ...execution.recover import cut_off_runs, needs_recovery
from ...execution.state.stored_runs import StoredRun

#: Notices about runs that were interrupted, and whether all of them could be completed.
_Recovered = tuple[tuple[Notice, ...], bool]


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
    from ...execution.recover import recover
    from ..env_registration import unregister_removed
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
