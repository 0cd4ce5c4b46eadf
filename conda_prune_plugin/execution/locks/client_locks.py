"""The locks that other clients take on a package cache.

mamba and micromamba 2 (``libmamba/src/core/util.cpp``, ``LockFileOwner``): byte 21 of ``pkgs/pkgs.lock``, named after
the directory as it was configured, by ``fcntl(F_SETLK)``, from before the transaction until after it. A process that
finds no such file makes it and removes it at the end. It exists only while it is held, so we take it in any case. A
nested cache is locked as a whole.

rattler and pixi (``rattler_cache/src/package_cache/cache_lock.rs``, ``CacheGlobalLock``): ``.cache.lock`` in the cache,
by ``flock(2)``, during an installation; the file stays. We make it where it is missing in a cache of theirs. Until
November 2025 (rattler_cache 0.4) each entry was locked by itself, by ``flock(2)`` on ``<entry>.lock`` beside it; that
file also holds metadata, so it must not be truncated.

conda takes no lock. Windows has other calls for the same locks; there only our own lock is taken.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

from ... import failures
from ...core.layout import RATTLER_LOCK
from ...core.model import Cache, Client
from ...failures import suppress
from ..files.dir_fd import Directory, lacks_space
from .run_lock import Patience, acquire

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: ``MAMBA_LOCK_POS`` of libmamba.
_MAMBA_BYTE = 21

#: What mamba's lock holds when we have made it; mamba never reads it.
_OURS = b"conda prune\n"


class EntryLockedError(OSError):
    """Another program holds the lock of an entry."""


@contextmanager
def cache_locks(directory: Directory, state: Directory | None, cache: Cache, patience: Patience) -> Iterator[None]:
    """Hold the locks of the other clients on a cache; our own state in it is locked already.

    state: None on a full disk: then no lock file is made, and those that exist are held.

    Raises `LockTimeoutError` when one is still held when the patience is exhausted, `OSError` when a lock file can't
    be used.
    """
    with ExitStack() as stack:
        if fcntl is not None:
            top = stack.enter_context(Directory.open(cache.top)) if cache.top else directory
            for name in _mamba_names(cache):
                if state is not None and state.exists(name):
                    state.unlink(name)  # Of a run that was killed while it made it.
                _lock_for_mamba(stack, top, state, name, patience)
            exists = directory.exists(RATTLER_LOCK)
            if (cache.client == Client.RATTLER and state is not None) or exists:
                # For reading is enough, as the file may be another user's.
                flags = os.O_RDONLY if exists else os.O_RDONLY | os.O_CREAT
                holder = "pixi or another program that uses rattler"
                fd = _locked(directory, RATTLER_LOCK, flags, _flock, holder, patience)
                if fd is not None:
                    stack.callback(os.close, fd)
        yield


@contextmanager
def entry_locks(directory: Directory, names: Iterable[str]) -> Iterator[None]:
    """Hold the locks beside these names, or with these names, where they exist. Raises `EntryLockedError`.

    mamba's are only tested: it works on an archive while it holds the lock of the cache, which is ours now.
    """
    with ExitStack() as stack:
        for lock in {name.removesuffix(".lock") + ".lock" for name in names}:
            if fcntl is None or not directory.exists(lock) or not stat.S_ISREG(directory.status(lock).st_mode):
                continue
            fd = directory.open_file(lock, os.O_RDONLY)
            stack.callback(os.close, fd)
            try:
                fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                fcntl.lockf(fd, fcntl.LOCK_UN)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                raise EntryLockedError(f"another program holds {os.path.join(directory.path, lock)}") from error
        yield


def _mamba_names(cache: Cache) -> list[str]:
    if cache.client == Client.RATTLER:
        return []
    paths = [cache.path, cache.real_path]
    if cache.top:
        # As it was configured, and as it is.
        paths = [cache.path.removesuffix(os.sep + os.path.relpath(cache.real_path, cache.top)), cache.top]
    return [f"{name}.lock" for name in dict.fromkeys(map(os.path.basename, paths)) if name]


#: What this process has locked for mamba: device and inode of the directory, and the name. Such a lock belongs to the
#: process, and closing any descriptor of the file releases it, so it must not be taken twice.
_held: set[tuple[int, int, str]] = set()


def _lock_for_mamba(
    stack: ExitStack, directory: Directory, state: Directory | None, name: str, patience: Patience
) -> None:
    """Hold one of mamba's locks until a stack is closed, unless there is nothing to lock."""
    status = directory.own_status()
    key = (status.st_dev, status.st_ino, name)
    if key in _held:
        return  # Held for another directory of the same cache, whose work began before and ends after this.
    existed = directory.exists(name)
    if (state is None and not existed) or (existed and not stat.S_ISREG(directory.status(name).st_mode)):
        return  # mamba could not lock it either.
    if not existed and state is not None:
        _make_ours(directory, state, name)

    def attempt(fd: int) -> None:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _MAMBA_BYTE, os.SEEK_SET)

    fd = _locked(directory, name, os.O_RDWR | os.O_CREAT, attempt, "mamba", patience)
    if fd is None:
        return
    stack.callback(os.close, fd)

    def remove() -> None:
        # Still locked: a process that waits for it notices that it is gone, and makes a new one.
        with suppress(OSError):
            if not existed or os.pread(fd, len(_OURS), 0) == _OURS:
                directory.unlink(name)

    stack.callback(remove)
    _held.add(key)
    stack.callback(_held.remove, key)


def _make_ours(directory: Directory, state: Directory, name: str) -> None:
    """Make mamba's lock file, with our mark in it from its first moment on, so that a leftover of a kill is recognised.

    Where that can't be (a full disk, no hard links, or another process has made it in this moment), `_locked` makes it.
    """
    try:
        fd = state.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            os.write(fd, _OURS)
        finally:
            os.close(fd)
        state.link(name, directory, name)
    except OSError as error:
        failures.note(error)
    finally:
        with suppress(OSError):
            state.unlink(name)


def _flock(fd: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _locked(
    directory: Directory, name: str, flags: int, attempt: Callable[[int], None], holder: str, patience: Patience
) -> int | None:
    """Return a descriptor of a lock file that is locked; closing it releases the lock.

    None if there is no space to make one, or after a message if permission to lock it is denied: a cache that we may
    change otherwise is not given up for that.

    Raises `LockTimeoutError` or `OSError`.
    """
    try:
        return acquire(directory, name, lambda: directory.open_file(name, flags, 0o666), attempt, holder, patience)
    except PermissionError:
        patience.notify(f"{os.path.join(directory.path, name)} can't be locked: permission denied. Continuing without.")
    except OSError as error:
        if not lacks_space(error):
            raise
    return None
