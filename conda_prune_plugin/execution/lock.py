"""One run at a time on a cache.

The protocol. Whoever changes a cache holds an exclusive lock on ``<cache>/.conda-prune/lock`` from before its first
change until after its last. The file is removed by its holder at the end (`state.locked_state`), so that nothing stays
behind; one who waited for the removed file notices (its link count is 0, checked by filelock from 3.24 on) and tries
again with a new one.

What it does not do: conda takes no lock on a package cache at all, so this one keeps only runs of `conda prune` apart.
An install by conda is protected by other means: the minimum age, the check just before and after each move, and the
move being a single rename.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..errors import LockTimeoutError

NAME = "lock"

#: Longer than a removal of tens of gigabytes usually takes; shorter than a CI job's patience. In seconds.
PATIENCE = 300.0


@contextmanager
def exclusive(state_path: str, notify: Callable[[str], None], patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock in a cache's state directory; after a moment `notify` is told what we wait for.

    Raises `LockTimeoutError` when another run still holds it after `patience` seconds, `OSError` when the file can't
    be used.
    """
    # Only a run that writes needs it, and importing it takes a while.
    from filelock import FileLock, Timeout

    path = os.path.join(state_path, NAME)
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            notify(f"Waiting for another conda prune that holds {path}, at most {patience:.0f} seconds ...")
            lock.acquire(timeout=patience)
    except Timeout as error:
        raise LockTimeoutError(
            f"Another conda prune holds {path} for more than {patience:.0f} seconds.",
            hint="Wait for it to end and try again; nothing was changed.",
            path=path,
        ) from error
    try:
        yield
    finally:
        lock.release()
