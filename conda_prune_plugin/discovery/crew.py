"""Walking many trees in two processes: most of the time goes into system calls, which one process makes one by one.

The second process is a fresh interpreter that imports this package's walker and nothing of conda. Through its standard
input it gets a `Walker` with the table of inodes as it is at that time, then one `Task` after the other, and answers on
its standard output. If it can't be started, or dies, the first process does all the work itself.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, Any

from ..core.usage import Inodes, Tree
from .walk import Task, Walker

#: The helper has the next task already while it does one.
_AHEAD = 2

_SCRIPT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from conda_prune_plugin.discovery.crew import help_out; help_out()"
)
_BESIDE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

_Trees = dict[str, Tree]


class Crew:
    """Does tasks in this process and, where that pays, in another one; a context manager that ends the other one.

    The other one starts at once: make a crew before there is anything to walk, so that it is ready by then.
    """

    def __init__(self) -> None:
        self._tasks: Sequence[Task] = ()
        self._waiting: list[int] = []
        self._helper = None if _processors() < 2 or not hasattr(select, "poll") else _start()

    def begin(self, walker: Walker, tasks: Sequence[Task]) -> None:
        """Take on tasks for a walker; the helper begins to work on them."""
        self._walker = walker
        self._tasks = tasks
        self._waiting = list(reversed(range(len(tasks))))
        if walker.thorough:
            # What is mounted inside makes a tree depend on what was met in the others.
            self._dismiss()
        if self._helper and len(tasks) > 1:
            self._helper.learn(walker)
            self._hand_over()

    def finish(self, progress: Callable[[int], None]) -> list[_Trees]:
        """Return what the tasks have found, in their order; `progress` is told what files the helper has counted."""
        found: dict[int, _Trees] = {}
        while len(found) < len(self._tasks):
            helper = self._helper
            if self._waiting and not (helper and helper.has_answer()):
                number = self._waiting.pop()
                found[number] = self._walker.work(self._tasks[number])
            elif helper:
                try:
                    number, trees = helper.answer(self._walker.inodes)
                except (EOFError, OSError, pickle.UnpicklingError):
                    self._waiting += reversed(helper.busy)
                    self._dismiss()
                    continue
                found[number] = trees
                self._hand_over()
                progress(sum(tree.files for tree in trees.values()))
        return [found[number] for number in range(len(self._tasks))]

    def _hand_over(self) -> None:
        while self._waiting and self._helper and len(self._helper.busy) < _AHEAD:
            number = self._waiting.pop()
            self._helper.give(number, self._tasks[number])

    def _dismiss(self) -> None:
        if self._helper:
            self._helper.end()
            self._helper = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        self._dismiss()


class _Helper:
    """The second process, as the first one sees it. `busy`: the numbers of the tasks that it was given."""

    def __init__(self, process: subprocess.Popen[bytes], questions: IO[bytes], answers: IO[bytes]) -> None:
        self.busy: list[int] = []
        self._process = process
        self._questions = questions
        self._answers = answers
        self._shared = 0
        self._rows: list[int] = []

    def learn(self, walker: Walker) -> None:
        """Tell it all inodes that are known by now."""
        self._shared = len(walker.inodes)
        self._rows = []
        self._send((walker.inodes, walker.boundaries))

    def give(self, number: int, task: Task) -> None:
        """Hand over a task."""
        self.busy.append(number)
        self._send(task)

    def has_answer(self) -> bool:
        """Return whether there is something to read, be it that it died."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        return bool(self.busy and poll.poll(0))

    def answer(self, inodes: Inodes) -> tuple[int, _Trees]:
        """Wait for the next result, put new inodes into the table, and return the task's number and its trees.

        Raises `EOFError`, `OSError` or `UnpicklingError` if the helper died.
        """
        trees, added = pickle.load(self._answers)  # noqa: S301
        # What the helper has added to its table may be in ours by now, in another row.
        self._rows += [inodes.row(*inode) for inode in zip(*added)]
        return self.busy.pop(0), {name: self._in_our_rows(tree) for name, tree in trees.items()}

    def _in_our_rows(self, tree: Tree) -> Tree:
        if not self._rows:
            return tree
        first, rows = self._shared, self._rows
        ours = (row if row < first else rows[row - first] for row in tree.rows)
        return replace(tree, rows=type(tree.rows)("I", ours))  # type: ignore[call-arg]

    def _send(self, message: Any) -> None:
        try:
            pickle.dump(message, self._questions, protocol=pickle.HIGHEST_PROTOCOL)
            self._questions.flush()
        except OSError:
            pass  # It died: reading its answer says so.

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()


def help_out() -> None:
    """Be the second process: do what standard input asks for until it ends."""
    # The user's Ctrl-C reaches both processes; one message is enough.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    walker = Walker(Inodes(), frozenset())
    while True:
        try:
            question = pickle.load(questions)  # noqa: S301
        except EOFError:
            return
        if not isinstance(question, Task):
            walker = Walker(*question)
            continue
        mark = len(walker.inodes)
        trees = walker.work(question)
        pickle.dump((trees, walker.inodes.since(mark)), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _start() -> _Helper | None:
    # Isolated: nothing but the standard library and this package.
    command = [sys.executable, "-I", "-S", "-c", _SCRIPT, _BESIDE]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return _Helper(process, process.stdin, process.stdout) if process.stdin and process.stdout else None


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
