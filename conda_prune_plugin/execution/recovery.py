"""Finishing what an earlier run left when it was cut off.

The receipt of a cut-off run tells what was moved aside. What was being deleted is deleted to the end; everything else
is whole and goes back to its place, where the next plan decides on it anew. Where conda has put the same package again
in the meantime nothing is overwritten: the copy set aside, which was to go anyway, is deleted, and one that was to be
a backup becomes one. What is gone stays in the receipt, to be restored from where it came.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress

from ..core.model import Cache, Notice
from ..core.run import Disposal
from ..core.units import plural
from .archive import purge_folder
from .aside import reason
from .conceal import give_back
from .directory import Directory, lacks_room
from .exports import DOOMED_EXPORTS, EXPORTS
from .lock import NAME as LOCK
from .lock import Patience
from .receipt import (
    RECEIPT,
    UNFINISHED,
    Held,
    Receipt,
    ReceiptEntry,
    RunState,
    read_receipt,
    withdraw_receipt,
    write_receipt,
)
from .removal import remove
from .runs import StoredRun, is_ours, read_run, stored_runs
from .state import DOOMED, MAKING, locked, remove_empty, run_names, state_path


def cut_off_runs(cache: Cache) -> tuple[StoredRun, ...]:
    """Return the runs in a cache that were cut off, or are going on right now. Nothing is written."""
    return tuple(run for run in stored_runs(cache) if not run.complete)


def needs_recovery(cache: Cache) -> bool:
    """Return whether anything is left of a run that was cut off, be it only a lock or our empty directory."""
    try:
        names = os.listdir(state_path(cache))
    except OSError:
        return False
    # Ours is called just that; mamba's is made here before it gets its place (`foreign_locks`).
    return not names or any(name.endswith(LOCK) for name in names) or bool(cut_off_runs(cache))


def recover(cache: Cache, patience: Patience, progress: Callable[[int], None]) -> tuple[tuple[Notice, ...], bool]:
    """Finish all cut-off runs of a cache; a run that goes on right now is waited for.

    Returns what was done, and whether everything could be: what is not understood is left alone.

    Raises `StateError` or `LockTimeoutError`.
    """
    notices = []
    complete = True
    with locked(cache, patience) as here:
        for name in run_names(here.state):
            run = read_run(cache, here.state, name)
            if run is None or run.complete:
                continue
            try:
                with here.state.child(name) as folder:
                    message = _recover_run(name, folder, here.directory, progress)
                remove_empty(here.state, name)
            except (OSError, ValueError) as error:
                message = f"What the run {name} left in {run.path} could not be cleared ({error}) and was left alone."
                message += f" {run.remedy}" if run.unexplained else ""
                # What only lacks room is done when there is some, which the command that runs now may make.
                complete &= isinstance(error, OSError) and lacks_room(error)
            notices.append(Notice("cut-off-run", message, run.path))
    return tuple(notices), complete


def _recover_run(run: str, folder: Directory, cache: Directory, progress: Callable[[int], None]) -> str:
    """Finish one run and return what was done; what fails stops nothing else of it.

    Raises `OSError`, or `ValueError` if the receipt can't be understood or does not explain what is there: the run is
    one that was cut off then, as before.
    """
    names = {name for name, _ in folder.names() if is_ours(name)}
    if not names - {UNFINISHED, EXPORTS, DOOMED_EXPORTS}:
        # It was cut off before it had even a receipt.
        withdraw_receipt(folder)
        return f"The run {run} was cut off before it changed anything."
    receipt = read_receipt(folder)
    parts = [part for entry in receipt.entries for part in entry.parts]
    explained = {RECEIPT, UNFINISHED, MAKING, EXPORTS, DOOMED_EXPORTS}.union(
        *({part.number, part.number + DOOMED} for part in parts)
    )
    if unknown := names - explained:
        raise ValueError(f"its receipt does not explain {min(unknown)!r}")
    given_back = 0
    doomed: list[str] = []
    errors: list[str] = []
    for entry in receipt.entries:
        try:
            back, marked = _finish(entry, names, receipt, folder, cache)
        except OSError as error:
            errors.append(reason(error))
            continue
        given_back += back
        doomed += (part.number + DOOMED for part in marked)
    for directory in (cache, folder):
        directory.sync()
    errors += _delete([*doomed, MAKING] if MAKING in names else doomed, folder, progress)
    folder.sync()
    if errors:
        raise OSError("; ".join(errors))
    if DOOMED_EXPORTS in names:
        # Everything else of the run was gone when their deletion began.
        withdraw_receipt(folder)
    else:
        _settle(receipt, folder, cache)
    return (
        f"The run {run} was cut off: {plural(given_back, 'file or directory', 'files and directories')} put back, "
        f"the deletion of {len(doomed)} finished."
    )


def _delete(names: Iterable[str], folder: Directory, progress: Callable[[int], None]) -> list[str]:
    """Delete what is marked for it, as far as that can be done; return what went wrong."""
    errors = []
    for name in names:
        try:
            remove(folder, name, progress)
        except OSError as error:
            errors.append(f"{name}: {reason(error)}")
    return errors


def _finish(
    entry: ReceiptEntry, names: AbstractSet[str], receipt: Receipt, folder: Directory, cache: Directory
) -> tuple[int, list[Held]]:
    """Give back the parts of an entry, or mark them for deletion; return how many were given back and what is marked.

    An entry of which something has begun to go goes whole. Of a run that was done nothing is given back.
    """
    doomed = [part for part in entry.parts if part.number + DOOMED in names]
    given_back = 0
    if receipt.state is RunState.BEGUN:
        for part in entry.parts:
            if part.number not in names:
                continue
            if not doomed and _give_back(part, folder, cache):
                given_back += 1
            elif receipt.run.disposal is not Disposal.BACKUP:
                folder.move(part.number, folder, part.number + DOOMED)
                doomed.append(part)
    return given_back, doomed


def _settle(receipt: Receipt, folder: Directory, cache: Directory) -> None:
    """Leave a receipt of what is out of the cache, so that it can be restored; none if nothing is."""
    entries = receipt.entries
    if receipt.run.disposal is Disposal.BACKUP:
        entries = tuple(entry for entry in entries if any(folder.exists(part.number) for part in entry.parts))
    elif receipt.state is RunState.BEGUN:
        gone = (entry for entry in entries if not all(cache.exists(part.name) for part in entry.parts))
        # A deleted leftover is nothing to be restored, see `execute`.
        deleted = receipt.run.disposal is Disposal.DELETE
        entries = tuple(entry for entry in gone if not (deleted and entry.leftover))
    if entries:
        write_receipt(folder, receipt.done(entries))
        return
    # Everything is at its place: archives of it are for nothing. If they can't be reached now, they harm nobody.
    with suppress(OSError, ValueError):
        purge_folder(receipt)
    withdraw_receipt(folder)


def _give_back(part: Held, folder: Directory, cache: Directory) -> bool:
    try:
        give_back(folder, part.number, cache, part.name)
    except FileExistsError:
        return False
    return True
