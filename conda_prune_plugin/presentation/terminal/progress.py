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

#: Phases shorter than this, in seconds, show no progress.
DELAY = 1.0


class Reporter:
    """A line for each phase, on a terminal only; a context manager that clears it.

    The line appears after `delay` seconds, even without any progress: a slow disk must not cause silence. A phase ends
    with the next one, or with `clear`; nothing else may be written before that.
    """

    def __init__(self, stream: TextIO, *, enabled: bool, delay: float = DELAY) -> None:
        self._stream = stream
        self._enabled = enabled and stream.isatty()
        self._delay = delay
        self._started = time.monotonic()
        # The line is drawn by the timer or by the first progress after the delay.
        self._drawing = threading.RLock()
        self._timer: threading.Timer | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        # No thread could be started to refresh the line.
        self._threadless = False

    def phase(self, words: str, total: int | None = None) -> Callable[[int], None]:
        """Begin a phase; the returned function takes how much of it is done so far."""
        self.clear()
        self._started = time.monotonic()
        if self._enabled:
            timer = threading.Timer(self._delay, lambda: self._draw_late(timer, words, total))
            timer.daemon = True
            self._timer = timer
            # Without a thread for the timer, the line appears with the first progress.
            with suppress(RuntimeError):
                timer.start()

        def update(done: int) -> None:
            if self._enabled and time.monotonic() - self._started > self._delay:
                with self._drawing:
                    self._draw(words, total, done)

        return update

    def counter(self, words: str, total: int | None = None) -> Callable[[int], None]:
        """Begin a phase; the returned function takes how much was done since its last call."""
        update = self.phase(words, total)
        done = 0

        def add(more: int) -> None:
            nonlocal done
            done += more
            update(done)

        return add

    def clear(self) -> None:
        """End the phase and remove its line."""
        with self._drawing:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._bar is not None:
                self._bar.stop()
                self._bar = self._task = None

    def _draw_late(self, timer: threading.Timer, words: str, total: int | None) -> None:
        with self._drawing:
            # A timer that was cancelled too late belongs to an earlier phase.
            if timer is self._timer and self._bar is None:
                self._draw(words, total, 0)

    def _draw(self, words: str, total: int | None, done: int) -> None:
        if self._bar is None or self._task is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            from .printable import printable

            console = Console(file=self._stream)
            # A path in the words may look like markup.
            words_and_count = (TextColumn("{task.description}", markup=False), TextColumn("{task.fields[count]}"))
            # Without a total there is no remaining time.
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
