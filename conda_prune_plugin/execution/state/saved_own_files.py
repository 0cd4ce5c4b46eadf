"""The user's own files of removed environments, in ``<run>/environment-files/<name>/``.

They are moved out of the environment when its deletion is decided (it bears the mark `DOOMED`) and before anything of
it is deleted. The receipt lists them, so the run that completes an interrupted deletion moves out the rest first. Each
is moved by one rename: it lies in the environment or in the run's folder, never in both and never in neither.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from ...core.dist_names import is_file_name
from ...failures import suppress
from ..files.dir_fd import Directory
from .receipt import ReceiptEntry
from .receipt_file import FILES
from .stored_runs import StoredRun

#: In a receipt's details the paths of these files, below the prefix and with slashes.
OWN_FILES = "own_files"

#: What can't be gone through on the way to a file: it is something else than the directory that was there.
_IN_THE_WAY = (errno.ENOTDIR, errno.ELOOP, errno.EMLINK, errno.EEXIST, errno.EXDEV)


def own_paths(entry: ReceiptEntry) -> tuple[tuple[str, ...], ...]:
    """Return the paths of the user's own files of an environment, as names. Raises `ValueError` for what is no path."""
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
            with _above(prefix, path) as source:
                if source is not None and source.exists(path[-1]):
                    with _made_above(target, path) as place:
                        source.move(path[-1], place, path[-1])
    _sync(folder)
    return True


def bring_back(folder: Directory, entry: ReceiptEntry, parent: Directory) -> tuple[int, tuple[str, ...]]:
    """Move the user's own files back into their environment in `parent`, where nothing is in their place.

    Returns how many were moved, and the paths of those that stay in the run's folder. Raises `OSError` or `ValueError`.
    """
    found: tuple[int, tuple[str, ...]] = (0, ())
    files = folder.directory(FILES)
    if files is None:
        return found
    with files:
        source_top = files.directory(entry.dist)
        if source_top is not None:
            with source_top, parent.child(entry.dist) as prefix:
                found = _all_back(source_top, own_paths(entry), prefix)
            with suppress(OSError):
                files.rmdir(entry.dist)
    with suppress(OSError):
        folder.rmdir(FILES)
    _sync(folder)
    return found


def _all_back(source_top: Directory, paths: Sequence[Sequence[str]], prefix: Directory) -> tuple[int, tuple[str, ...]]:
    """Move what is there of the paths back; return how many were moved, and the absolute paths of those left."""
    moved, left = 0, []
    for path in paths:
        with _above(source_top, path) as source:
            if source is None or not source.exists(path[-1]):
                continue
            if _moved_back(source, path, prefix):
                moved += 1
            else:
                left.append(os.path.join(source_top.path, *path))
    for path in paths:
        _remove_empty(source_top, path[:-1])
    return moved, tuple(left)


def _moved_back(source: Directory, path: Sequence[str], prefix: Directory) -> bool:
    try:
        with _made_above(prefix, path) as place:
            source.move(path[-1], place, path[-1])
    except OSError as error:
        if isinstance(error, FileExistsError) or error.errno in _IN_THE_WAY:
            return False
        raise
    return True


@contextmanager
def _above(top: Directory, path: Sequence[str]) -> Iterator[Directory | None]:
    """Open the directory that a path lies in; None if it is not there."""
    with ExitStack() as stack:
        directory: Directory | None = stack.enter_context(top.again())
        for name in path[:-1]:
            below = directory.directory(name) if directory is not None else None
            directory = None if below is None else stack.enter_context(below)
        yield directory


@contextmanager
def _made_above(top: Directory, path: Sequence[str]) -> Iterator[Directory]:
    """Open the directory that a path is to lie in, made if need be. Raises `OSError`."""
    with ExitStack() as stack:
        directory = stack.enter_context(top.again())
        for name in path[:-1]:
            directory = stack.enter_context(directory.make_own(name))
        yield directory


def _remove_empty(top: Directory, names: Sequence[str]) -> None:
    """Remove the directories on a path that are empty, the innermost first."""
    for end in range(len(names), 0, -1):
        with _above(top, names[:end]) as directory, suppress(OSError):
            if directory is not None:
                directory.rmdir(names[end - 1])


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
            # What is no path was not written by this program, which will not touch it either.
            with suppress(ValueError):
                count += len(own_paths(entry))
    return count
