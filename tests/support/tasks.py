"""Work for a worker pool, for tests. The second process imports this too: it takes only the standard library."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any


class Repeating:
    """Repeats what it gets, so that answers are larger than tasks; `taken`: how often the second process did."""

    taken = 0

    def do(self, task: bytes) -> bytes:
        """Return ten times the task."""
        return task * 10

    do_in_worker = do

    def take(self, answer: Any) -> Any:
        """Return the answer."""
        self.taken += 1
        return answer


class Stopping(Repeating):
    """Stops the second process, half-way through an answer if the task says so."""

    def do_in_worker(self, task: bytes) -> bytes:
        """Stop this process at its first task."""
        if task.startswith(b"half"):
            os.write(1, b"\xff\0\0")
        os.kill(os.getpid(), signal.SIGSTOP)
        return self.do(task)


class Encoding(Repeating):
    """Tells whether the process that does a task takes UTF-8 for what paths are written in, whatever the locale."""

    def do(self, task: bytes) -> int:  # type: ignore[override]
        """Return 1 or 0."""
        return sys.flags.utf8_mode

    do_in_worker = do  # type: ignore[assignment]
