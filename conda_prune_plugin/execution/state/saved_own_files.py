"""The user's own files of removed environments, in ``<run>/environment-files/<name>/``.

They are moved out of the environment after its deletion is decided (its name ends in `DOOMED`) and before any of it is
deleted. The receipt lists them, so the run that completes an interrupted deletion moves out the rest first. Each moves
by one rename, so it is always either in the environment or in the run's folder.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack

from ...core.dist_names import is_file_name
from ...failures import suppress
from ..files.dir_fd import Directory
from .receipt import FILES, ReceiptEntry
from .stored_runs import StoredRun

#: In a receipt's details the paths of these files, below the prefix and with slashes.
OWN_FILES = "own_files"

#: The errors of a path on which something else is in the place of a directory.
_IN_THE_WAY = (errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.EEXIST, errno.EXDEV)


def own_paths(entry: ReceiptEntry) -> tuple[tuple[str, ...], ...]:
    """Return the paths of the user's own files of an environment, as names. Raises `ValueError` for an invalid path."""
    paths = (entry.record or {}).get(OWN_FILES) or ()
    if not isinstance(paths, (list, tuple)):
        raise ValueError(f"it has {paths!r} for a list of files")  # noqa: TRY004
    found = tuple(tuple(str(path).split("/")) for path in paths)
    if odd := next((names for names in found if not all(map(is_file_name, names))), None):
        raise ValueError(f"it has {'/'.join(odd)!r} for the path of a file")
    return found


def move_out(folder: Directory, number: str, entry: ReceiptEntry) -> bool:
    """Move the user's own files out of an environment in a run's folder; return whether there are any.

    What was moved before is left. Raises `OSError` or `ValueError`: nothing of the environment may be deleted then.
    """
    paths = own_paths(entry)
    if not paths:
        return False
    with folder.child(number) as prefix, folder.make_own(FILES) as files, files.make_own(entry.dist) as target:
        for path in paths:
            _move(prefix, path, target)
    _sync(folder)
    return True


def bring_back(folder: Directory, entry: ReceiptEntry, parent: Directory) -> tuple[int, tuple[str, ...]]:
    """Move the user's own files back into their environment in `parent`, where nothing is in their place.

    Returns how many were moved, and the paths of those that stay in the run's folder. Raises `OSError` or `ValueError`.
    """
    moved, left = 0, []
    files = folder.directory(FILES)
    if files is None:
        return 0, ()
    with files:
        source = files.directory(entry.dist)
        if source is not None:
            paths = own_paths(entry)
            with source, parent.child(entry.dist) as prefix:
                for path in paths:
                    try:
                        moved += _move(source, path, prefix)
                    except OSError as error:
                        if not isinstance(error, FileExistsError) and error.errno not in _IN_THE_WAY:
                            raise
                        left.append(os.path.join(source.path, *path))
                for path in paths:
                    _remove_empty(source, path[:-1])
            with suppress(OSError):
                files.rmdir(entry.dist)
    with suppress(OSError):
        folder.rmdir(FILES)
    _sync(folder)
    return moved, tuple(left)


def _move(top: Directory, path: Sequence[str], target: Directory) -> bool:
    """Move a path from below one directory to the same path below another; return False if it doesn't exist.

    Missing directories on the way are created. Raises `OSError`.
    """
    with ExitStack() as stack:
        source, place = stack.enter_context(top.again()), stack.enter_context(target.again())
        for name in path[:-1]:
            below = source.directory(name)
            if below is None:
                return False
            source = stack.enter_context(below)
        if not source.exists(path[-1]):
            return False
        for name in path[:-1]:
            place = stack.enter_context(place.make_own(name))
        source.move(path[-1], place, path[-1])
        return True


def _remove_empty(top: Directory, names: Sequence[str]) -> None:
    """Remove the directories on a path that are empty, the innermost first."""
    with ExitStack() as stack:
        opened = [top]
        for name in names:
            below = opened[-1].directory(name)
            if below is None:
                break
            opened.append(stack.enter_context(below))
        for directory, name in reversed(list(zip(opened[:-1], names))):
            with suppress(OSError):
                directory.rmdir(name)


def _sync(folder: Directory) -> None:
    """Make all renames outlast a crash before anything is deleted."""
    if hasattr(os, "sync"):
        os.sync()
    folder.sync()


def count_own_files(stored: StoredRun) -> int:
    """Return how many files and directories of the user's own work a run still holds, in its folder or in a backup."""
    if stored.receipt is None:
        return 0
    count = 0
    for entry in stored.receipt.entries:
        if stored.keeps_files or stored.held(entry):
            # This program didn't write an invalid path, and will not touch it either.
            with suppress(ValueError):
                count += len(own_paths(entry))
    return count
