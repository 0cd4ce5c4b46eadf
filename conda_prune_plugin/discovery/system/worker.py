"""A worker process that shares the scan, which is bound by system calls.

The second process (`worker_main`) is a fresh interpreter that imports the work's module and nothing of conda. Through
its standard input it gets the `Work` as it is at that time, then one task after the other, and answers on its standard
output. If it can't be started, or dies, the first process does all the work itself.
"""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any, Protocol

from ... import failures
from ...failures import suppress
from .worker_main import LENGTH

#: The helper has the next task already while it does one; at first several, for as long as the first process does
#: something else.
_AHEAD, _AHEAD_AT_FIRST = 2, 5

#: Answers wait in the pipe while the first process is at a task of its own: in bytes, what everybody may have on Linux.
_PIPE = 1 << 20

#: How long to wait for an answer before asking whether the second process was stopped, in milliseconds.
_PATIENCE = 1000

_SCRIPT = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from conda_prune_plugin.discovery.system.worker_main import serve; serve()"
)
_PACKAGE_PARENT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))


class Work(Protocol):
    """What a worker pool does with each task. It is pickled for the second process, as are tasks and answers."""

    def do(self, task: Any) -> Any:
        """Do a task in the first process."""

    def do_in_worker(self, task: Any) -> Any:
        """Do a task in the second process, and return the answer.

        On `ImportError` the first process does the task; whatever else is raised ends this one.
        """

    def take(self, answer: Any) -> Any:
        """Return in the first process the result that an answer of the second one gives."""


#: What lies in caches of which a second process saves more time than its start takes.
_MANY = 400


class WorkerPool:
    """Does tasks in this process and, where that pays, in another one; a context manager that ends the other one.

    at_once: start the other one now. Do that, or call `start`, before there is anything to do, so that it is ready.
    """

    def __init__(self, *, at_once: bool = True) -> None:
        self._tasks: Sequence[Any] = ()
        self._waiting: list[int] = []
        self._worker: _Worker | None = None
        self._meanwhile: Callable[[], object] | None = None
        if at_once:
            self.start()

    def start(self, module: str | None = None) -> None:
        """Start the other process, which imports the module of the work that it is to do, if that is known."""
        if self._worker is None and _processors() > 1 and hasattr(select, "poll"):
            self._worker = _start()
        if self._worker and module:
            self._worker.learn(module)

    @property
    def helped(self) -> bool:
        """Whether there is another process."""
        return self._worker is not None

    def begin(self, work: Work, tasks: Sequence[Any], *, alone: bool = False, ahead: int = _AHEAD_AT_FIRST) -> None:
        """Take on tasks; the helper begins with `ahead` of them, unless they are to be done `alone`."""
        self._work = work
        self._tasks = tasks
        self._waiting = list(reversed(range(len(tasks))))
        if alone:
            self._dismiss()
        if self._worker and len(tasks) > 1:
            self._worker.learn(work)
            self._hand_over(ahead)

    def meanwhile(self, do: Callable[[], object]) -> None:
        """Do something that takes this process a while, and might be done later as well, when the helper has tasks."""
        self._meanwhile = do

    def finish(self) -> list[Any]:
        """Return the results in the order of the tasks."""
        if self._meanwhile and self._worker and self._worker.busy:
            self._meanwhile()
            self._meanwhile = None
        found: dict[int, Any] = {}
        while len(found) < len(self._tasks):
            worker = self._worker
            if self._waiting and not (worker and worker.has_answer()):
                number = self._waiting.pop()
                found[number] = self._work.do(self._tasks[number])
            elif worker:
                try:
                    number, answer = worker.answer()
                except (EOFError, pickle.UnpicklingError):
                    self._waiting += reversed(worker.busy)
                    self._dismiss()
                    continue
                self._hand_over()
                if answer is None:
                    found[number] = self._work.do(self._tasks[number])
                else:
                    found[number] = self._work.take(answer)
        return [found[number] for number in range(len(self._tasks))]

    def _hand_over(self, ahead: int = _AHEAD) -> None:
        while self._waiting and self._worker and len(self._worker.busy) < ahead:
            number = self._waiting.pop()
            self._worker.give(number, self._tasks[number])

    def _dismiss(self) -> None:
        if self._worker:
            self._worker.end()
            self._worker = None

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *error: object) -> None:
        self._dismiss()


def worthwhile(caches: Iterable[str]) -> bool:
    """Return whether so much lies in some directories that it pays to look at it in two processes."""
    found = 0
    for cache in caches:
        with suppress(OSError):
            found += len(os.listdir(cache))
    return found >= _MANY


class _Worker:
    """The second process, as the first one sees it. `busy`: the numbers of the tasks that it was given."""

    def __init__(self, process: subprocess.Popen[bytes], questions: int, answers: int) -> None:
        self.busy: list[int] = []
        self._process = process
        self._questions = questions
        self._answers = answers
        self._received = bytearray()
        self._lost = False

    def learn(self, work: Any) -> None:
        """Tell it what to do with tasks."""
        self._send((None, work))

    def give(self, number: int, task: Any) -> None:
        """Hand over a task."""
        self.busy.append(number)
        self._send((number, task))

    def has_answer(self) -> bool:
        """Return whether there is an answer to take, be it that it died."""
        if self.busy and self._answer_size() is None:
            self._exchange(0, select.POLLIN)
        return bool(self.busy and (self._lost or self._answer_size() is not None))

    def answer(self) -> tuple[int, Any]:
        """Wait for the next answer, and return it with the number of its task.

        Raises `EOFError` or `UnpicklingError` if the helper died or was stopped.
        """
        while (size := self._answer_size()) is None:
            if self._lost:
                raise EOFError
            self._exchange(_PATIENCE, select.POLLIN)
        end = LENGTH.size + size
        answer, noted = pickle.loads(self._received[LENGTH.size : end])  # noqa: S301
        failures.note_all(noted)
        del self._received[:end]
        return self.busy.pop(0), answer

    def _answer_size(self) -> int | None:
        """Return how long the next answer is, None if not all of it is here."""
        if len(self._received) < LENGTH.size:
            return None
        (size,) = LENGTH.unpack_from(self._received)
        return size if len(self._received) - LENGTH.size >= size else None

    def _send(self, message: Any) -> None:
        rest = memoryview(pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))
        while rest and not self._lost:
            # Answers are read meanwhile: else both would wait, each for the other one to read.
            if self._exchange(_PATIENCE, select.POLLIN, select.POLLOUT):
                with suppress(BlockingIOError):
                    rest = rest[self._written(rest) :]

    def _written(self, data: memoryview) -> int:
        try:
            return os.write(self._questions, data)
        except BrokenPipeError:
            self._lost = True
            return 0

    def _exchange(self, patience: int, reading: int, writing: int = 0) -> bool:
        """Wait until it answers or reads, take what it answers, and return whether it reads."""
        poll = select.poll()
        poll.register(self._answers, reading)
        if writing:
            poll.register(self._questions, writing)
        ready = {fd for fd, _ in poll.poll(patience)}
        if self._answers in ready:
            more = os.read(self._answers, _PIPE)
            self._received += more
            self._lost = not more
        elif not ready and patience and self._is_stopped():
            self._lost = True
        return self._questions in ready

    def _is_stopped(self) -> bool:
        """Return whether somebody has stopped it, for who knows how long."""
        try:
            pid, _ = os.waitpid(self._process.pid, os.WNOHANG | os.WUNTRACED)
        except ChildProcessError:
            return True
        return pid != 0

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()


def _start() -> _Worker | None:
    # Isolated: nothing but the standard library and this package. Paths are to mean the same to both, whatever the
    # environment, which it does not look at, says of UTF-8.
    command = [sys.executable, "-I", "-S", "-X", f"utf8={sys.flags.utf8_mode}", "-c", _SCRIPT, _PACKAGE_PARENT]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    except OSError as error:
        failures.note(error)
        return None
    if not process.stdin or not process.stdout:
        return None
    _enlarge(process.stdout)
    os.set_blocking(process.stdin.fileno(), False)
    return _Worker(process, process.stdin.fileno(), process.stdout.fileno())


def _enlarge(pipe: IO[bytes]) -> None:
    """Let a pipe hold more, where there is such a call and the user has not got too many of them."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
