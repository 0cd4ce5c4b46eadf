"""Delete many trees in a few threads, since the kernel's part runs without Python's lock.

Every deletion is one call of `remove_tree.remove`, as where there is one thread only.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

#: How many trees are deleted at a time. More gain nothing: the file system orders what changes one directory.
THREADS = 4

#: So few files are deleted sooner than threads are started.
FEW = 1_000

#: Each thread keeps as many directories open as its tree is deep (`remove_tree.DEEPEST`): where a process may open
#: fewer files than this, one tree is deleted at a time.
_FILES_FOR_ALL = 256

#: Deletes one tree; is given what to tell how many files it has removed.
Job = Callable[[Callable[[int], None]], None]


class _StoppedError(Exception):
    """The deletion was ended elsewhere."""


def delete_all(jobs: Iterable[Job], files: int, progress: Callable[[int], None]) -> None:
    """Run the jobs, which remove about so many `files` together.

    What a job or `progress` raises, or Ctrl-C, stops the other jobs at their next directory, and is raised when they
    have stopped.
    """
    if files < FEW or not _may_open(_FILES_FOR_ALL):
        for job in jobs:
            job(progress)
        return
    workers = _Threads(jobs, progress)
    with _interruption_put_off(workers.stopped):
        others = _started(workers.work, THREADS - 1)
        workers.work()
        for thread in others:
            thread.join()
    if workers.error is not None:
        raise workers.error


class _Threads:
    """What the threads share: the jobs that are left, and why they stop before that."""

    def __init__(self, jobs: Iterable[Job], progress: Callable[[int], None]) -> None:
        self.stopped = threading.Event()
        self.error: BaseException | None = None
        self._jobs = iter(jobs)
        self._progress = progress
        self._turn = threading.Lock()

    def work(self) -> None:
        """Do one job after the other until none is left or somebody stops it; raises nothing."""
        try:
            while not self.stopped.is_set() and (job := self._next()) is not None:
                job(self._tell)
        except _StoppedError:
            return  # Who has stopped it has more to say.
        except BaseException as error:  # noqa: BLE001
            self.error = self.error or error
            self.stopped.set()

    def _next(self) -> Job | None:
        with self._turn:
            return next(self._jobs, None)

    def _tell(self, removed: int) -> None:
        if self.stopped.is_set():
            raise _StoppedError
        with self._turn:
            self._progress(removed)


def _may_open(files: int) -> bool:
    """Return whether this process may have so many files open, as far as the system says."""
    try:
        limit = os.sysconf("SC_OPEN_MAX")
    except (AttributeError, ValueError, OSError):
        return True
    return not 0 <= limit < files


def _started(work: Callable[[], None], number: int) -> list[threading.Thread]:
    """Return that many threads at work, or as many as the system lets us have."""
    threads = []
    for _ in range(number):
        # Not to outlive a process that ends by itself; all are waited for as long as it does not.
        thread = threading.Thread(target=work, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            break
        threads.append(thread)
    return threads


@contextmanager
def _interruption_put_off(stopped: threading.Event) -> Iterator[None]:
    """Let Ctrl-C stop the work, and raise it only behind the block: nobody may go on while a thread still deletes.

    Python itself would give up waiting for a thread at a second Ctrl-C. Raises `KeyboardInterrupt`.
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
