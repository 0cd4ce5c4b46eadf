"""The program's own state below a cache: ``<cache>/.conda-prune/<run>/``, with a receipt and quarantined parts.

conda ignores the directory. The parts in a run's folder have numbers as names, and backups are hidden from clients that
look for packages in all directories (`disguise`). A number followed by `DOOMED` is being deleted or made: only that may
be incomplete; everything else is whole and can be put back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ...core.file_status import ON_WINDOWS
from ...core.layout import STATE
from ...core.model import Cache, Client
from ...errors import NoRoomError, StateError
from ...failures import suppress
from ..files.dir_fd import Directory, lacks_space
from ..files.remove_tree import remove
from ..locks.client_locks import cache_locks
from ..locks.run_lock import NAME as LOCK
from ..locks.run_lock import Patience, exclusive, exclusive_in_place

DOOMED = ".deleting"

#: The directory in a run's folder where a restore makes what it then moves to its place.
MAKING = "restoring" + DOOMED

#: Beside the receipt: which environment is being rebuilt (`unfinished`).
REBUILDING = "rebuilding.json"

#: Beside the receipt: exports of removed environments, each in a directory of its name; and while they are deleted.
EXPORTS = "environment-exports"
DOOMED_EXPORTS = EXPORTS + DOOMED

#: In ``info`` of a package, and the same in a backup (see `disguise`).
_INDEX = "index.json"
_DISGUISED = "index.json.conda-prune"

#: How many other runs may end just while this one begins.
_TRIES = 50


def state_path(cache: Cache) -> str:
    """Return the path of the state directory of a cache, whether or not it exists."""
    return os.path.join(cache.real_path, STATE)


@contextmanager
def _opened(cache: Cache) -> Iterator[Directory]:
    """Open a cache. Raises `StateError`."""
    try:
        directory = Directory.open(cache.real_path)
    except OSError as error:
        raise unusable(cache.path, error) from error
    with directory:
        yield directory


@dataclass(frozen=True, slots=True)
class LockedCache:
    """A cache and our state in it, held open with all locks on it.

    lock: the descriptor of our own lock, None where it has none; a process that holds it open holds the lock.
    """

    cache: Cache
    directory: Directory
    state: Directory
    lock: int | None = None


@contextmanager
def locked(cache: Cache, patience: Patience) -> Iterator[LockedCache]:
    """Open a cache and its state directory with all locks on the cache held, and leave no empty directory behind.

    Raises `StateError` if one of them is no directory or can't be used, `LockTimeoutError`.
    """
    with _opened(cache) as directory, ExitStack() as stack:
        state, lock = stack.enter_context(_own_lock(directory, patience))
        try:
            if cache.client != Client.ENVIRONMENTS:
                stack.enter_context(cache_locks(directory, state, cache, patience))
        except OSError as error:
            raise unusable(cache.path, error) from error
        yield LockedCache(cache, directory, state, lock)


@contextmanager
def _own_lock(directory: Directory, patience: Patience) -> Iterator[tuple[Directory, int | None]]:
    """Make the state directory of a cache if need be, and open it with our own lock on it held.

    Gives the lock's descriptor too, None where it has none.

    A process that ends meanwhile removes the directory between two of the steps. Then they are taken anew.
    """
    path = os.path.join(directory.path, STATE)
    for tries_left in reversed(range(_TRIES)):
        with ExitStack() as stack:
            stack.callback(remove_empty, directory, STATE)
            try:
                state = stack.enter_context(directory.make_own(STATE))
                try:
                    lock = stack.enter_context(exclusive(state, directory, patience))
                    # The lock must be in the directory that has the name now, which no run removes while it is held.
                    with directory.child(STATE) as named:
                        named.status(LOCK)
                    stack.callback(_remove_lock, state)
                except OSError as error:
                    if not lacks_space(error):
                        raise
                    lock = stack.enter_context(exclusive_in_place(directory, patience))
            except OSError as error:
                if isinstance(error, FileNotFoundError) and tries_left:
                    continue
                raise unusable(path, error) from error
            yield state, lock
            return


def _remove_lock(state: Directory) -> None:
    with suppress(OSError):
        state.unlink(LOCK)


@contextmanager
def locked_in_place(cache: Cache, patience: Patience) -> Iterator[Directory]:
    """Open a cache with those locks on it held that need no space on a full disk.

    Raises `StateError` or `LockTimeoutError`.
    """
    with _opened(cache) as directory, exclusive_in_place(directory, patience), ExitStack() as stack:
        try:
            if cache.client != Client.ENVIRONMENTS:
                stack.enter_context(cache_locks(directory, None, cache, patience))
        except OSError as error:
            raise unusable(cache.path, error) from error
        yield directory


def unusable(path: str, error: OSError) -> StateError:
    """Return the error for state that can't be written: of a kind of its own when it is for lack of space."""
    message = f"{path} can't be used: {error.strerror or error}."
    if lacks_space(error):
        hint = "Free a few kilobytes there, for instance by deleting one archive (.conda, .tar.bz2) from the cache."
        return NoRoomError(message, hint=hint, path=path)
    return StateError(
        message, hint="It has to be a directory that you may write to; nothing was changed there.", path=path
    )


def remove_empty(parent: Directory, name: str) -> None:
    """Remove a directory if it is empty; the next run completes what is in it."""
    with suppress(OSError):
        parent.rmdir(name)


def write_file(directory: Directory, name: str, content: bytes, mode: int = 0o666) -> None:
    """Create a file and write its content through to the disk; the directory is for the caller to sync.

    It belongs to the directory's owner, and other users may read it as far as they may list the directory and `mode`
    allows. Raises `OSError`, also if there is a file of this name.
    """
    with os.fdopen(directory.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(content)
        stream.flush()
        if mode & 0o077:
            directory.share(stream.fileno())
        os.fsync(stream.fileno())


def remove_marked(folder: Directory, name: str) -> None:
    """Delete a directory in a run's folder, marked first so that an interrupted deletion is known. Raises `OSError`."""
    if folder.exists(name):
        folder.move(name, folder, name + DOOMED)
    remove_if_there(folder, name + DOOMED)


def remove_if_there(folder: Directory, name: str) -> None:
    """Delete a directory in a run's folder if it exists. Raises `OSError`."""
    if folder.exists(name):
        remove(folder, name)


def run_names(state: Directory) -> list[str]:
    """Return the names of the folders of runs, the oldest first."""
    return sorted(name for name, is_directory in state.names() if is_directory)


def write_exports(folder: Directory, name: str, files: Mapping[str, bytes]) -> None:
    """Write the exports of an environment and make them outlast a crash. Raises `OSError`.

    They may contain passwords (environment variables, urls), so no other user may read them.
    """
    with folder.make_own(EXPORTS) as exports, exports.make_own(name) as place:
        exports.chmod(0o700)
        place.chmod(0o700)
        for file, content in files.items():
            write_file(place, file, content, 0o600)
        place.sync()
        exports.sync()


def disguise(folder: Directory, numbers: Iterable[str]) -> None:
    """Make parts in a run's folder look like no packages; where that is impossible they are backups all the same.

    ``mamba clean --packages`` from 2.6 on looks into every directory below a cache, hidden ones too, and deletes each
    that has an ``info/index.json`` and that no environment has by the directory's name
    (``libmamba/src/api/clean.cpp``). In a backup that file bears another name, and it gets its own again before the
    package goes back to its place; all times but the inode's own stay what they are.

    In a cache that several users change it is not done: not each of them could undo it.
    """
    if not ON_WINDOWS and folder.own_status().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    for number in numbers:
        with suppress(OSError):
            _rename(folder, number, _INDEX, _DISGUISED)


def undisguise(folder: Directory, number: str, cache: Directory, name: str) -> None:
    """Move a part from a run's folder to its name in the cache, as it was.

    Raises `FileExistsError` if that is taken, or another `OSError`; it is in the folder then.
    """
    if cache.exists(name):
        raise FileExistsError(f"{name} exists in {cache.path}")
    _rename(folder, number, _DISGUISED, _INDEX)
    folder.move(number, cache, name)


def _rename(folder: Directory, number: str, old: str, new: str) -> None:
    with ExitStack() as stack:
        info = folder
        for name in (number, "info"):
            below = info.directory(name)
            if below is None:
                return
            info = stack.enter_context(below)
        status = info.own_status()
        ours = not hasattr(os, "geteuid") or os.geteuid() in (0, status.st_uid)
        if not ours and new == _DISGUISED:
            return  # Its times could not be set again.
        try:
            try:
                info.move(old, info, new)
            except PermissionError:
                with info.writable():
                    info.move(old, info, new)
        except (FileNotFoundError, FileExistsError):
            return  # A package that has a file of the other name too is left as it is.
        if ours:  # Otherwise only its owner could set its times.
            info.restore_times(status)
