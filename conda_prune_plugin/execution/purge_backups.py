"""Delete what runs left for good: backups, archives elsewhere, receipts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..core.accounting import Ledger, with_common
from ..core.evidence import Measurement
from ..core.run import Disposal
from ..core.units import NO_SPACE, Space
from ..errors import reason
from .files.dir_fd import Directory
from .files.remove_tree import remove
from .quarantine.archive import purge_folder
from .state.receipt import FILES, withdraw_receipt
from .state.state_dir import DOOMED, LockedCache, remove_empty, remove_marked
from .state.stored_runs import StoredRun, require_unchanged_run
from .state.unfinished_rebuild import drop_note

_Measure = Callable[[str, int | None], Measurement]


@dataclass(frozen=True, slots=True)
class Purged:
    """What became of one run in one cache; `freed` is in the cache and where its archives were."""

    freed: Space
    error: str | None = None


def purge(locked: LockedCache, stored: StoredRun, measure: _Measure, progress: Callable[[int], None]) -> Purged:
    """Delete what one run has left in one cache. Raises `StateError`.

    Each part is marked for deletion first, so that the next run completes an interrupted purge.
    """
    run = require_unchanged_run(locked, stored)
    ledger = Ledger()
    with locked.state.child(run.id) as folder:
        freed, errors = _delete_parts(folder, sorted(run.present, key=int), measure, ledger, progress)
        try:
            if run.receipt is not None and not run.own and run.receipt.run.disposal is Disposal.ARCHIVE:
                raise ValueError(f"the receipt that names their place is another user's (uid {run.owner})")
            if run.receipt is not None:
                freed += purge_folder(run.receipt)
        except (OSError, ValueError) as error:
            errors.append(f"its archives stay: {error}")
        try:
            if not errors:
                if run.keeps_files:
                    freed += ledger.remove(measure(*folder.at(FILES)))
                remove_marked(folder, FILES)
                # An environment that the user has worked in is theirs now; `recover` has removed any other.
                drop_note(folder)
                withdraw_receipt(folder)
        except OSError as error:  # In a sticky directory only its owner may.
            errors.append(f"its receipt stays: {reason(error)}")
    remove_empty(locked.state, run.id)
    return Purged(freed, "; ".join(errors) or None)


def _delete_parts(
    folder: Directory, numbers: Sequence[str], measure: _Measure, ledger: Ledger, progress: Callable[[int], None]
) -> tuple[Space, list[str]]:
    """Delete the parts of a run; return the space that this frees, and what went wrong."""
    measured, errors, freed = {}, [], NO_SPACE
    for number in numbers:
        try:
            measured[number] = _measured(folder, number, measure)
        except OSError as error:
            errors.append(reason(error))
    for number, measurement in zip(measured, with_common(tuple(measured.values()))):
        try:
            folder.move(number, folder, number + DOOMED)
            remove(folder, number + DOOMED, progress)
            freed += ledger.remove(measurement)
        except OSError as error:
            errors.append(reason(error))
    return freed, errors


def _measured(folder: Directory, number: str, measure: _Measure) -> Measurement:
    measurement = measure(*folder.at(number))
    if measurement.obstacle is not None:
        raise OSError(f"{os.path.join(folder.path, number)}: {measurement.obstacle}")
    return measurement
