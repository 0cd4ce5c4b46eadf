"""Delete many trees in a few threads: the kernel's part runs without Python's lock.

Each tree is deleted by one call of `remove_tree.remove`, as with a single thread.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType

from ...failures import suppress

#: How many trees are deleted at a time. More gain nothing: the file system orders what changes one directory.
THREADS = 4

#: Fewer files than this are deleted sooner than threads are started.
FEW = 1_000

#: Each thread keeps as many directories open as its tree is deep (`remove_tree.DEEPEST`). A process that may open fewer
#: files than this deletes one tree at a time.
_FILES_FOR_ALL = 256

#: Deletes one tree; it is given a function to report how many files it has removed.
Job = Callable[[Callable[[int], None]], None]


class _StoppedError(Exception):
    """Another thread failed, or the user interrupted the deletion."""


def delete_all(jobs: Iterable[Job], files: int, progress: Callable[[int], None]) -> None:
    """Run the jobs, which together remove about `files` files.

    What a job or `progress` raises, or Ctrl-C, stops the other jobs at their next directory, and is raised when they
    have stopped.
    """
    if files < FEW or not _may_open(_FILES_FOR_ALL):
        for job in jobs:
            job(progress)
    else:
        _delete_in_threads(jobs, progress)


def _delete_in_threads(jobs: Iterable[Job], progress: Callable[[int], None]) -> None:
    remaining, turn, stopped = iter(jobs), threading.Lock(), threading.Event()
    errors: list[BaseException] = []

    def report(removed: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        with turn:
            progress(removed)

    def work() -> None:
        try:
            while not stopped.is_set():
                with turn:
                    job = next(remaining, None)
                if job is None:
                    return
                job(report)
        except _StoppedError:
            return
        except BaseException as error:  # noqa: BLE001
            errors.append(error)
            stopped.set()

    with _interruption_deferred(stopped), ThreadPoolExecutor(THREADS) as pool:
        with suppress(RuntimeError):  # The system can't start another thread: those that there are do the work.
            for _ in range(THREADS - 1):
                pool.submit(work)
        work()
    if errors:
        raise errors[0]


def _may_open(files: int) -> bool:
    """Return True if this process may have that many files open, as far as the system says."""
    try:
        limit = os.sysconf("SC_OPEN_MAX")
    except (AttributeError, ValueError, OSError):
        return True
    return not 0 <= limit < files


@contextmanager
def _interruption_deferred(stopped: threading.Event) -> Iterator[None]:
    """Let Ctrl-C stop the work, but raise it only after the block: no thread may still delete by then.

    Python itself gives up waiting for a thread at a second Ctrl-C. Raises `KeyboardInterrupt`.
    """
    usual = signal.default_int_handler
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not usual:
        yield
        return
    interrupted = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        stopped.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if interrupted.is_set():
        raise KeyboardInterrupt
