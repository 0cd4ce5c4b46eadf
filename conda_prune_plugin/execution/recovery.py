"""Finishing what an earlier run left when it was cut off.

The receipt of a cut-off run tells what was moved aside. What was being deleted is deleted to the end; everything else
is whole and goes back to its place, where the next plan decides on it anew. Where conda has put the same package again
in the meantime nothing is overwritten: the copy set aside, which was to be deleted anyway, is deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ..core.model import Cache, Notice
from ..core.units import plural
from .directory import Directory
from .removal import remove
from .state import DOOMED, RECEIPT, STATE, Moved, locked_state, read_receipt, remove_empty, unusable, withdraw_receipt


def cut_off_runs(cache: Cache) -> tuple[str, ...]:
    """Return the runs that have a folder in a cache: cut off, or going on right now. Nothing is written."""
    try:
        with os.scandir(os.path.join(cache.real_path, STATE)) as listing:
            return tuple(sorted(item.name for item in listing if item.is_dir(follow_symlinks=False)))
    except OSError:
        return ()


def recover(
    cache: Cache, notify: Callable[[str], None], progress: Callable[[int], None]
) -> tuple[tuple[Notice, ...], bool]:
    """Finish all cut-off runs of a cache; a run that goes on right now is waited for.

    Returns what was done, and whether everything could be: what is not understood is left alone.

    Raises `StateError` or `LockTimeoutError`.
    """
    notices = []
    complete = True
    try:
        directory = Directory.open(cache.real_path)
    except OSError as error:
        raise unusable(cache.path, error) from error
    with directory, locked_state(directory, notify) as state:
        for run in sorted(name for name, is_directory in state.names() if is_directory):
            path = os.path.join(cache.path, STATE, run)
            try:
                with state.child(run) as folder:
                    message = _recover_run(run, folder, directory, progress)
                remove_empty(state, run)
            except (OSError, ValueError) as error:
                message = f"What the run {run} left in {path} could not be cleared ({error}) and was left alone."
                complete = False
            notices.append(Notice("cut-off-run", message, path))
    return tuple(notices), complete


def _recover_run(run: str, folder: Directory, cache: Directory, progress: Callable[[int], None]) -> str:
    names = {name for name, _ in folder.names()}
    left = names - {RECEIPT}
    receipt = read_receipt(folder) if left else []
    numbers = {moved.number for moved in receipt}
    if unknown := left - numbers - {number + DOOMED for number in numbers}:
        raise ValueError(f"its receipt does not explain {min(unknown)!r}")
    given_back = deleted = 0
    for moved in receipt:
        if moved.number in names:
            if _give_back(moved, folder, cache):
                given_back += 1
            else:
                folder.move(moved.number, folder, moved.number + DOOMED)
                names.add(moved.number + DOOMED)
        if moved.number + DOOMED in names:
            remove(folder, moved.number + DOOMED, progress)
            deleted += 1
    withdraw_receipt(folder)
    return (
        f"The run {run} was cut off: {plural(given_back, 'file or directory', 'files and directories')} put back, "
        f"the deletion of {deleted} finished."
    )


def _give_back(moved: Moved, folder: Directory, cache: Directory) -> bool:
    if not moved.number.isdecimal():
        raise ValueError(f"its receipt has {moved.number!r} for a number")
    try:
        folder.move(moved.number, cache, moved.name)
    except FileExistsError:
        return False
    return True
