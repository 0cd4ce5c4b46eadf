"""Deleting for good what runs have left: backups, archives elsewhere, receipts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from ..core.accounting import Ledger
from ..core.model import Measurement
from ..errors import StateError
from .archive import purge_folder
from .aside import reason
from .directory import Directory
from .lock import Patience
from .receipt import withdraw_receipt
from .removal import remove
from .runs import StoredRun, read_run
from .state import DOOMED, locked_state, opened, remove_empty


@dataclass(frozen=True, slots=True)
class Purged:
    """What became of one run in one cache; `freed` in bytes, in the cache only."""

    stored: StoredRun
    freed: int
    error: str | None = None


def purge(
    stored: StoredRun,
    measure: Callable[[str, int | None], Measurement],
    progress: Callable[[int], None],
    patience: Patience,
) -> Purged:
    """Delete what one run has left in one cache. Raises `StateError` or `LockTimeoutError`.

    Each part gets the mark of what is being deleted first, so that a purge that is cut off is finished by the next run.
    """
    with opened(stored.cache) as cache, locked_state(cache, stored.cache, patience) as state:
        run = read_run(stored.cache, state, stored.id)
        if run.receipt is None or not run.complete:
            raise StateError(
                f"The run {stored.id} in {stored.cache.path} was changed by somebody else in the meantime.",
                hint="`conda prune restore` lists what there is now.",
                path=stored.path,
            )
        freed = 0
        errors = []
        with state.child(run.id) as folder:
            ledger = Ledger()
            for number in sorted(run.present, key=int):
                try:
                    freed += ledger.remove(_delete(folder, number, measure, progress))
                except OSError as error:
                    errors.append(reason(error))
            try:
                purge_folder(run.receipt)
            except (OSError, ValueError) as error:
                errors.append(f"its archives stay: {error}")
            if not errors:
                withdraw_receipt(folder)
        remove_empty(state, run.id)
    return Purged(stored, freed, "; ".join(errors) or None)


def _delete(
    folder: Directory,
    number: str,
    measure: Callable[[str, int | None], Measurement],
    progress: Callable[[int], None],
) -> Measurement:
    measurement = measure(*folder.at(number))
    if measurement.obstacle is not None:
        raise OSError(f"{os.path.join(folder.path, number)}: {measurement.obstacle}")
    folder.move(number, folder, number + DOOMED)
    remove(folder, number + DOOMED, progress)
    return measurement
