"""Complete or roll back interrupted runs.

The receipt of an interrupted run lists what was moved to quarantine. A deletion that had begun is completed; everything
else is complete and is put back, and the next plan decides on it again. Where conda has installed the same package in
the meantime nothing is overwritten: the copy in quarantine, which was to be removed anyway, is deleted, and one that
was to be a backup becomes one. What was deleted stays in the receipt, to be restored from where it came.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from .. import failures
from ..core.model import Cache, PartKind
from ..core.notices import Notice
from ..core.run import Disposal
from ..core.units import plural
from ..errors import reason
from ..failures import suppress
from .files.dir_fd import Directory, lacks_space
from .files.remove_tree import reduce, remove
from .locks.run_lock import NAME as LOCK
from .locks.run_lock import Patience
from .quarantine.archive import purge_folder
from .state.receipt import (
    DOOMED_FILES,
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
from .state.saved_own_files import move_out
from .state.state_dir import (
    DOOMED,
    DOOMED_EXPORTS,
    EXPORTS,
    MAKING,
    LockedCache,
    locked,
    remove_empty,
    run_names,
    state_path,
    undisguise,
)
from .state.stored_runs import StoredRun, is_ours, read_run, stored_runs, unlisted_names
from .state.unfinished_rebuild import ChangedAfter, OwnWorkError, clear

#: At most so many changed files are named.
_NAMED = 10

#: Called with the number of files removed since the last call.
_Progress = Callable[[int], None]


def cut_off_runs(cache: Cache) -> tuple[StoredRun, ...]:
    """Return the runs in a cache that were interrupted, or are still running. Nothing is written."""
    return tuple(run for run in stored_runs(cache) if not run.complete or run.rebuilding)


def needs_recovery(cache: Cache) -> bool:
    """Return True if anything is left of an interrupted run, be it only a lock or our empty directory."""
    try:
        names = os.listdir(state_path(cache))
    except OSError as error:
        failures.note(error)
        return False
    # Ours is called just that; mamba's is made here before it gets its place (`client_locks`).
    return not names or any(name.endswith(LOCK) for name in names) or bool(cut_off_runs(cache))


def recover(
    cache: Cache,
    patience: Patience,
    progress: _Progress,
    changed_after: ChangedAfter = lambda path, moment: (path,),
) -> tuple[tuple[Notice, ...], bool]:
    """Complete or roll back all interrupted runs of a cache; wait for one that is still running.

    changed_after: returns what the user has changed in an unfinished environment; without it that is kept.

    Returns what was done, and True if everything could be: what is not understood is left alone.

    Raises `StateError` or `LockTimeoutError`.
    """
    notices = []
    complete = True
    with locked(cache, patience) as here:
        for name in run_names(here.state):
            run = read_run(cache, here.state, name)
            if run is None or (run.complete and not run.rebuilding):
                continue
            try:
                message = _recovered(run, here, progress, changed_after)
                remove_empty(here.state, name)
            except (OSError, ValueError) as error:
                message = f"The remains of run {name} in {run.path} could not be cleared ({error})."
                message += f" {run.remedy}" if run.unexplained else ""
                # What only lacks room is done when there is some, which the command that runs now may make.
                complete &= isinstance(error, OSError) and lacks_space(error)
            notices.append(Notice("cut-off-run", message, run.path))
    return tuple(notices), complete


def _recovered(run: StoredRun, here: LockedCache, progress: _Progress, changed_after: ChangedAfter) -> str:
    """Clear up behind one run and return what was done. Raises `OSError` or `ValueError`."""
    messages = []
    with here.state.child(run.id) as folder:
        if run.rebuilding:
            try:
                path = clear(here.directory, folder, changed_after)
                rest = "nothing was left to remove" if path is None else f"removed the incomplete {path}"
                messages.append(f"A restore of the run {run.id} was interrupted: {rest}.")
            except OwnWorkError as work:
                messages.append(own_work_message(work))
        now = read_run(run.cache, here.state, run.id)
        if now is not None and not now.complete:
            messages.append(_recover_run(run.id, folder, here.directory, progress))
    return " ".join(messages)


def own_work_message(work: OwnWorkError) -> str:
    """Return why an unfinished environment was kept, and what to do."""
    more = ", ..." if len(work.changed) > _NAMED else ""
    return (
        f"The restore of {work.path} was interrupted, and {plural(len(work.changed), 'file')} in it changed since, so "
        f"it was kept: {', '.join(work.changed[:_NAMED])}{more}. Move your files elsewhere, delete {work.path}, and "
        "restore it again."
    )


def _recover_run(run: str, folder: Directory, cache: Directory, progress: _Progress) -> str:
    """Finish one run and return what was done; what fails stops nothing else of it.

    Raises `OSError`, or `ValueError` if the receipt can't be understood: the run stays an interrupted one.
    """
    names = {name for name, _ in folder.names() if is_ours(name)}
    if not names - {UNFINISHED, EXPORTS, DOOMED_EXPORTS}:
        # It was interrupted before it had even a receipt.
        withdraw_receipt(folder)
        return f"The run {run} was interrupted before it changed anything."
    receipt = read_receipt(folder)
    unlisted = unlisted_names(names, receipt)
    restored = 0
    doomed: dict[str, tuple[ReceiptEntry, Held] | None] = {}
    errors: list[str] = []
    for entry in receipt.entries:
        try:
            count, marked = _put_back_or_mark(entry, names, receipt, folder, cache)
        except OSError as error:
            errors.append(reason(error))
            continue
        restored += count
        doomed |= {part.number + DOOMED: (entry, part) for part in marked}
    for directory in (cache, folder):
        directory.sync()
    for name, marked_part in (doomed | dict.fromkeys(names & {MAKING, DOOMED_FILES})).items():
        try:
            _delete(folder, name, cache, marked_part, progress)
        except OSError as error:
            errors.append(f"{name}: {reason(error)}")
    folder.sync()
    if errors:
        raise OSError("; ".join(errors))
    if DOOMED_EXPORTS in names:
        # Everything else of the run was gone when their deletion began.
        withdraw_receipt(folder)
    else:
        _settle(receipt, folder, cache)
    message = (
        f"The run {run} was interrupted: {plural(restored, 'file or directory', 'files and directories')} put back, "
        f"the deletion of {len(doomed)} finished."
    )
    if unlisted:
        message += f" {folder.path} holds {plural(len(unlisted), 'item')} more, not listed in its receipt: kept."
    return message


def _delete(
    folder: Directory, name: str, cache: Directory, of: tuple[ReceiptEntry, Held] | None, progress: _Progress
) -> None:
    if of is not None and of[0].remainder and of[1].kind is PartKind.EXTRACTED:
        reduce(folder, name, cache, of[1].name, of[0].remainder, progress)
    else:
        remove(folder, name, progress)


def _put_back_or_mark(
    entry: ReceiptEntry, names: AbstractSet[str], receipt: Receipt, folder: Directory, cache: Directory
) -> tuple[int, list[Held]]:
    """Put back the parts of an entry, or mark them for deletion; return how many were put back, and those marked.

    An entry goes whole once something of it has begun to go. Nothing of a run that was done is put back. The user's own
    files are moved out of a marked environment; a backup is purged with all that is in it.

    Raises `OSError` or `ValueError`.
    """
    doomed = [part for part in entry.parts if part.number + DOOMED in names]
    restored = 0
    for part in entry.parts if receipt.state is RunState.BEGUN else ():
        if part.number not in names:
            continue
        try:
            if doomed:
                raise FileExistsError
            undisguise(folder, part.number, cache, part.name)
            restored += 1
        except FileExistsError:
            if receipt.run.disposal is not Disposal.BACKUP:
                folder.move(part.number, folder, part.number + DOOMED)
                doomed.append(part)
    for part in doomed if receipt.run.disposal is Disposal.DELETE else ():
        if part.kind is PartKind.ENVIRONMENT:
            move_out(folder, part.number + DOOMED, entry)
    return restored, doomed


def _settle(receipt: Receipt, folder: Directory, cache: Directory) -> None:
    """Leave a receipt of what is out of the cache, so that it can be restored; none if nothing is."""
    entries = receipt.entries
    if receipt.run.disposal is Disposal.BACKUP:
        entries = tuple(entry for entry in entries if any(folder.exists(part.number) for part in entry.parts))
    elif receipt.state is RunState.BEGUN:
        gone = (entry for entry in entries if not all(cache.exists(part.name) for part in entry.parts))
        # A deleted leftover is nothing to be restored (see `Executor`).
        deleted = receipt.run.disposal is Disposal.DELETE
        entries = tuple(entry for entry in gone if not (deleted and entry.leftover))
    if entries:
        write_receipt(folder, receipt.done(entries))
        return
    # Everything is in its place, so nobody needs the archives. If they can't be reached now, they do no harm.
    with suppress(OSError, ValueError):
        purge_folder(receipt)
    withdraw_receipt(folder)
    if folder.exists(RECEIPT):
        # Something lies there that it does not list.
        write_receipt(folder, receipt.done(()))
