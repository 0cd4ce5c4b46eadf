"""What the setting ``prune_purge_after`` asks for: what older runs have left is purged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from ...cli.purge import chosen_runs, purge_runs
from ...core.model import Notice
from ...core.units import format_size
from ...execution.locks.run_lock import Patience
from .run_store import summary, take_stock


def purge_old(
    pkgs_dirs: Iterable[str], age: float, patience: Patience, progress: Callable[[int], None], sparing: str | None
) -> tuple[tuple[Notice, ...], bool]:
    """Purge the runs that are at least so many seconds old, but the one with the id `sparing`.

    Those with the user's own files stay: a setting is no decision about these.

    Returns what was done, and whether all of it could be.

    Raises `StateError` or `LockTimeoutError`.
    """
    chosen = chosen_runs(take_stock(pkgs_dirs), (), age, time.time())
    old = [runs for runs in chosen if runs[0].id != sparing and not summary(runs).own_files]
    outcomes = purge_runs(old, patience, progress)
    notices = []
    for outcome in outcomes:
        run_id, freed = outcome.summary.id, format_size(outcome.freed)
        message = f"The run {run_id} is older than the setting prune_purge_after and was purged; {freed} freed."
        if outcome.error is not None:
            message = f"The run {run_id} could not be purged: {outcome.error}"
        notices.append(Notice("purged", message, outcome.summary.caches[0]))
    return tuple(notices), all(outcome.error is None for outcome in outcomes)
