"""Lock a cache: one run at a time, and none while another client holds it.

A process that changes a cache (prune, restore, purge, recovery) holds two locks, taken in this order, from before its
first change until after its last:

1. our own lock, ``<cache>/.conda-prune/lock``. Its holder removes the file at the end (`state_dir.locked`); a process
   that waited for the removed file notices (its link count is 0) and tries again with a new one. It is opened below
   directories that are held open, never through a link, and never truncated;
2. mamba's lock and rattler's (`client_locks`), which those take around a whole installation.

On a full disk there may be no inode for our lock file. Then the cache directory itself is locked
(`exclusive_in_place`), so that two runs that both free space don't compete. It doesn't exclude a third run that can
make the file meanwhile: what they have in common they change by single renames and unlinks, and each skips what it no
longer finds as planned. The directory isn't locked otherwise, because every user who may read a cache could then block
its owner.

A reading command takes no lock. Locks are waited for with a message and a limit (`Patience`).

conda takes no lock on a package cache at all. This protects an install by conda:

- before anything is moved, other processes that install are looked for (`system.processes`);
- ``--min-age``: packages that were fetched or extracted a moment ago stay;
- each entry leaves the cache by one rename, so a process that looks for it finds all of it or none;
- each decision is checked just before its rename, and all of them again when everything is moved and before anything
  is deleted: an entry that an environment references by now, or has linked files of, is put back.

Known limits, with ``--ignore-running``, or with a conda that starts in the middle of a prune:

- conda has looked at the cache, we move an old, unreferenced entry out of it, conda comes to link it. With hard links
  and copies conda fails, names the missing file, and rolls back; the next try fetches the package again.
- With soft links (``always_softlink``) conda links files that are gone, and may end with success. This can only happen
  until its records are written; nothing on disk shows the use before that.
- Two machines that share a cache over a network file system without working locks see each other's runs only by the
  checks.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ... import failures
from ...errors import LockTimeoutError
from ..files.dir_fd import Directory

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = "lock"

#: In seconds: longer than a removal of tens of gigabytes usually takes, and shorter than the limit of a CI job.
DEFAULT_PATIENCE = 300.0

#: How long to wait before a message, in seconds.
_MOMENT = 0.2

#: What holds our own lock.
_HOLDER = "another conda prune"

#: Seconds between two tries.
_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds to wait for a lock, and what is called with a message about it."""

    seconds: float = DEFAULT_PATIENCE
    notify: Callable[[str], None] = lambda message: None

    def waits(self, holder: str, path: str) -> Iterator[None]:
        """Wait between two tries to take a lock, each time the next item is asked for; announce more than a moment.

        Raises `LockTimeoutError` when the patience is exhausted.
        """
        begun, announced = time.monotonic(), False
        while True:
            waited = time.monotonic() - begun
            if waited >= self.seconds:
                raise LockTimeoutError(
                    f"The lock {path} is held by {holder} and was not released within {self.seconds:.0f} seconds.",
                    hint="Try again when it has ended, or wait longer with --lock-timeout. Nothing was changed there.",
                    path=path,
                )
            if not announced and (waited >= _MOMENT or self.seconds <= _MOMENT):
                self.notify(f"Waiting for {holder}, at most {self.seconds:.0f} seconds: it holds {path} ...")
                announced = True
            time.sleep(_PAUSE)
            yield


@contextmanager
def exclusive(state: Directory, cache: Directory, patience: Patience) -> Iterator[int | None]:
    """Hold our own lock in the open state directory of a cache, which is open too; gives its descriptor if it has one.

    A process that has inherited the descriptor holds the lock too.

    Raises `LockTimeoutError` when another run still holds it when the patience is exhausted, `OSError` when the file
    can't be used or trusted.
    """
    if fcntl is None:
        # Where files can't be opened relative to a directory (Windows).
        from filelock import FileLock, Timeout

        path = os.path.join(state.path, NAME)
        waits = patience.waits(_HOLDER, path)
        lock = FileLock(path)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0)
            except Timeout:
                next(waits)
        try:
            yield None
        finally:
            lock.release()
        return

    def attempt(fd: int) -> None:
        _require_trusted(fd, state, cache)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    fd = acquire(state, NAME, lambda: _open_own(state), attempt, _HOLDER, patience)
    try:
        yield fd
    finally:
        os.close(fd)


def acquire(
    directory: Directory,
    name: str,
    opened: Callable[[], int],
    attempt: Callable[[int], None],
    holder: str,
    patience: Patience,
) -> int:
    """Return a descriptor of a lock file that is locked; closing it releases the lock.

    opened: opens the file, and makes it if need be. attempt: locks it without waiting.

    Raises `LockTimeoutError`, and the `OSError` of both but for the errors of a lock that is held.
    """
    waits = patience.waits(holder, os.path.join(directory.path, name))
    while True:
        with ExitStack() as stack:
            fd = opened()
            stack.callback(os.close, fd)
            try:
                attempt(fd)
            except (BlockingIOError, PermissionError) as error:
                # Held: POSIX allows both errors for that (fcntl(2)).
                if isinstance(error, UntrustedLockError):
                    raise
                held = True
            else:
                held = False
                # Its holder may have removed it: then it guards nothing any more, and there may be a new one.
                if os.fstat(fd).st_nlink > 0:
                    stack.pop_all()
                    return fd
        if held:
            next(waits)


class UntrustedLockError(PermissionError):
    """A lock file is not one that this program has made."""


def _open_own(state: Directory) -> int:
    """Open our lock file, never truncated. It is private; in a cache that others may change they may lock it too."""
    try:
        fd = state.open_file(NAME, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        try:
            return state.open_file(NAME, os.O_RDWR)
        except PermissionError:
            return state.open_file(NAME, os.O_RDONLY)
    if _is_shared(state):
        state.share(fd)
    return fd


def _is_shared(directory: Directory) -> bool:
    """Return whether others than its owner may change a directory."""
    return bool(directory.own_status().st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _require_trusted(fd: int, state: Directory, cache: Directory) -> None:
    """Refuse a lock file that has another name too, or an owner who may not change the cache.

    Its owner may, and in a shared cache the others. Raises `UntrustedLockError`.
    """
    status = os.fstat(fd)
    ours = hasattr(os, "geteuid") and status.st_uid in (os.geteuid(), cache.own_status().st_uid)
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 and (ours or _is_shared(cache)):
        return
    path = os.path.join(state.path, NAME)
    raise UntrustedLockError(errno.EPERM, "It is not a lock that conda prune has made; delete it", path)


@contextmanager
def exclusive_in_place(directory: Directory, patience: Patience) -> Iterator[int | None]:
    """Lock a directory itself, which takes neither an inode nor a block; gives the descriptor if it has one.

    Some file systems can't (NFS wants a descriptor that may be written to); the caller goes on without a lock there.

    Raises `LockTimeoutError`.
    """
    fd = directory.duplicate()
    if fd is None or fcntl is None:
        yield None
        return
    waits = patience.waits(_HOLDER, directory.path)
    with ExitStack() as stack:
        stack.callback(os.close, fd)
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                next(waits)
            except OSError as error:
                failures.note(error)
                break
            else:
                # By closing it alone it would be released with the last duplicate only.
                stack.callback(fcntl.flock, fd, fcntl.LOCK_UN)
                break
        yield fd
