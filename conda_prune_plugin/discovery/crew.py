"""Walking many trees in two processes: most of the time goes into system calls, which one process makes one by one.

The second process is a fresh interpreter that imports this package's walker and nothing of conda. It gets the table of
inodes as it is after the caches have been walked, then one tree after the other through its standard input, and
answers on its standard output. If it can't be started, or dies, this process walks all the trees itself.
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
from typing import Any

from ..core.usage import Inodes, Tree
from .walk import Walker

#: A tree to walk, and whether the inode numbers of its listings may be believed.
Task = tuple[str, bool]

#: The helper has the next tree already while it walks one.
_AHEAD = 2

_SCRIPT = "import sys; sys.path.insert(0, sys.argv[1]); from conda_prune_plugin.discovery.crew import help_out; help_out()"


def walk_all(tasks: Sequence[Task], walker: Walker, progress: Callable[[int], None]) -> tuple[Tree, ...]:
    """Return what the trees hold, in their order; new inodes and unreadable places go where the walker puts them."""
    if len(tasks) < _AHEAD or _processors() < 2 or not hasattr(select, "poll") or walker.thorough:
        return tuple(walker.walk(top, trusted=trusted) for top, trusted in tasks)
    found: dict[int, Tree] = {}
    waiting = list(reversed(range(len(tasks))))
    with _Helper(walker) as helper:
        while waiting or helper.busy:
            while waiting and len(helper.busy) < _AHEAD and helper.alive:
                helper.give(waiting.pop(), tasks)
            if waiting and not helper.has_answer():
                number = waiting.pop()
                top, trusted = tasks[number]
                found[number] = walker.walk(top, trusted=trusted)
            elif helper.busy:
                answer = helper.answer()
                if answer is None:
                    waiting += reversed(helper.busy)
                    helper.busy.clear()
                else:
                    number, found[number] = answer
                    progress(found[number].files)
    return tuple(found[number] for number in range(len(tasks)))


class _Helper:
    """The second process, as the first one sees it. `busy`: the numbers of the trees that it was given."""

    def __init__(self, walker: Walker) -> None:
        self.busy: list[int] = []
        self.alive = True
        self._walker = walker
        self._shared = len(walker.inodes)
        self._rows: list[int] = []

    def __enter__(self) -> _Helper:
        package_s_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        try:
            self._process = subprocess.Popen(
                # Isolated: nothing but the standard library and this package.
                [sys.executable, "-I", "-S", "-c", _SCRIPT, package_s_parent],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            self.alive = False
        else:
            self._send((self._walker.inodes, self._walker.boundaries))
        return self

    def give(self, number: int, tasks: Sequence[Task]) -> None:
        """Hand over a tree."""
        self.busy.append(number)
        self._send(tasks[number])

    def has_answer(self) -> bool:
        """Return whether there is something to read, be it that it died."""
        if not self.busy:
            return False
        poll = select.poll()
        poll.register(self._stream(self._process.stdout), select.POLLIN)
        return bool(poll.poll(0))

    def answer(self) -> tuple[int, Tree] | None:
        """Wait for the next tree and return its number and what it holds; None if the helper died."""
        try:
            tree, added, unreadable = pickle.load(self._stream(self._process.stdout))  # noqa: S301
        except (EOFError, OSError, pickle.UnpicklingError):
            self.alive = False
            return None
        # What it has added to its table may be in ours by now, in another row.
        self._rows += [self._walker.inodes.row(*inode) for inode in added]
        self._walker.unreadable += unreadable
        own = [row if row < self._shared else self._rows[row - self._shared] for row in tree.rows]
        return self.busy.pop(0), replace(tree, rows=type(tree.rows)("I", own))

    def _send(self, message: object) -> None:
        try:
            stream = self._stream(self._process.stdin)
            pickle.dump(message, stream, protocol=pickle.HIGHEST_PROTOCOL)
            stream.flush()
        except OSError:
            self.alive = False

    @staticmethod
    def _stream(stream: Any) -> Any:
        return stream

    def __exit__(self, *error: object) -> None:
        if hasattr(self, "_process"):
            self._process.kill()
            self._process.communicate()


def help_out() -> None:
    """Be the second process: walk what standard input names until it ends."""
    # The user's Ctrl-C reaches both processes; one message is enough.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    inodes, boundaries = pickle.load(questions)  # noqa: S301
    walker = Walker(inodes, boundaries)
    while True:
        try:
            top, trusted = pickle.load(questions)  # noqa: S301
        except EOFError:
            return
        mark = len(inodes)
        tree = walker.walk(top, trusted=trusted)
        pickle.dump((tree, inodes.since(mark), walker.unreadable), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()
        walker.unreadable.clear()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
