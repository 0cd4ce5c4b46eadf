"""Deleting many trees: a few threads, each with a tree of its own, since the kernel's part runs without Python's lock.

Every deletion is one call of `removal.remove`, as where there is one thread only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

#: How many trees are deleted at a time. More gain nothing: the file system orders what changes one directory.
THREADS = 4

#: So few files are deleted sooner than threads are started.
FEW = 1_000

#: Deletes one tree; is given what to tell how many files it has removed.
Job = Callable[[Callable[[int], None]], None]


class _StoppedError(Exception):
    """The deletion was ended elsewhere."""


def delete_all(jobs: Iterable[Job], files: int, progress: Callable[[int], None]) -> None:
    """Run the jobs, which remove about so many `files` together.

    What a job or `progress` raises, or Ctrl-C, stops the other jobs at their next directory, and is raised when they
    have stopped.
    """
    if files < FEW:
        for job in jobs:
            job(progress)
        return
    # Not needed by most runs.
    from concurrent.futures import ThreadPoolExecutor

    stop = threading.Event()
    turn = threading.Lock()

    def tell(removed: int) -> None:
        if stop.is_set():
            raise _StoppedError
        with turn:
            progress(removed)

    def run(job: Job) -> None:
        if stop.is_set():
            return
        try:
            job(tell)
        except _StoppedError:
            return  # Who has stopped it has more to say.
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(run, job) for job in jobs]
        try:
            for future in futures:
                future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
