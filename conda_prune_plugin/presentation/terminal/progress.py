"""Progress on standard error, for anything longer than a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: What is over sooner needs no progress, in seconds.
DELAY = 1.0


class Reporter:
    """One line a phase, on a terminal only; a context manager that clears what it drew.

    The line comes after `delay` seconds, whether the phase has told of any progress by then or not: what hangs on a
    slow disk must not do so in silence. A phase ends with the next one, or with `clear`; nothing else may be written
    before that.
    """

    def __init__(self, stream: TextIO, *, enabled: bool, delay: float = DELAY) -> None:
        self._stream = stream
        self._enabled = enabled and stream.isatty()
        self._delay = delay
        self._started = time.monotonic()
        # The line is drawn by whichever comes first: the one who does the work, or the timer.
        self._drawing = threading.RLock()
        self._timer: threading.Timer | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        # Nobody but us refreshes the line: no more threads were to be had.
        self._threadless = False

    def phase(self, words: str, total: int | None = None) -> Callable[[int], None]:
        """Begin a phase; the function returned takes how much of it is done so far."""
        self.clear()
        self._started = time.monotonic()
        if self._enabled:
            timer = threading.Timer(self._delay, lambda: self._draw_late(timer, words, total))
            timer.daemon = True
            self._timer = timer
            # With no more threads to be had, the line comes with the first progress.
            with suppress(RuntimeError):
                timer.start()

        def update(done: int) -> None:
            if self._enabled and time.monotonic() - self._started > self._delay:
                with self._drawing:
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
        """End the phase: remove what was drawn, and draw nothing more unless there is further progress."""
        with self._drawing:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._bar is not None:
                self._bar.stop()
                self._bar = self._task = None

    def _draw_late(self, timer: threading.Timer, words: str, total: int | None) -> None:
        with self._drawing:
            # Cancelled too late to be stopped, it belongs to a phase that is over.
            if timer is self._timer and self._bar is None:
                self._draw(words, total, 0)

    def _draw(self, words: str, total: int | None, done: int) -> None:
        if self._bar is None or self._task is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            from .printable import printable

            console = Console(file=self._stream)
            # A path in the words may hold what looks like markup.
            words_and_count = (TextColumn("{task.description}", markup=False), TextColumn("{task.fields[count]}"))
            # Without a total there is no end to tell of.
            rest = () if total is None else (BarColumn(), TextColumn("left:"), TimeRemainingColumn(compact=True))
            self._bar = Progress(*words_and_count, *rest, console=console, transient=True)
            self._task = self._bar.add_task(printable(words), total=total, count="")
            try:
                self._bar.start()
            except RuntimeError:
                self._threadless = True
        count = f"{done:,}" if total is None else f"{done:,}/{total:,}"
        text = count if done or total else ""
        self._bar.update(self._task, completed=done, count=text, refresh=self._threadless)

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()
