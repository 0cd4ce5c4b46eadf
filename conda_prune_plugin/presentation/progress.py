"""Progress on standard error, for what takes longer than a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: What is over sooner needs no progress, in seconds.
_DELAY = 1.0


class Reporter:
    """One line a phase, on a terminal only; a context manager that clears what it drew."""

    def __init__(self, stream: TextIO, *, enabled: bool) -> None:
        self._stream = stream
        self._enabled = enabled and stream.isatty()
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def phase(self, words: str, total: int | None = None) -> Callable[[int], None]:
        """Begin a phase; the function returned takes how much of it is done so far."""
        self.clear()
        self._started = time.monotonic()

        def update(done: int) -> None:
            if self._enabled and time.monotonic() - self._started > _DELAY:
                self._draw(words, total, done)

        return update

    def counter(self, words: str, total: int | None = None) -> Callable[[int], None]:
        """Begin a phase; the function returned takes how much was done since it was called last."""
        update = self.phase(words, total)
        done = 0

        def add(more: int) -> None:
            nonlocal done
            done += more
            update(done)

        return add

    def clear(self) -> None:
        """Remove what was drawn."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None

    def _draw(self, words: str, total: int | None, done: int) -> None:
        if self._bar is None or self._task is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            console = Console(file=self._stream)
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
            )
            self._task = self._bar.add_task(words, total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done)

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
