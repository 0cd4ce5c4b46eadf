"""The lists of the browser, what fills them and the lines around them.

The scan and whatever else takes time run in threads of their own, which end with the program: no key ever waits for
them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.message import Message
from textual.widgets import Static

from ...core.units import plural
from ..terminal.printable import visible
from .browse_keys import bottom_line
from .browse_source import Intent, Place, Source
from .row_lines import heading
from .row_list import RowList
from .rows import Marked, Row, Rows, Size, View, ordered
from .scan_reporter import ScanReporter

_T = TypeVar("_T")

#: How often the progress of a scan is drawn, in seconds.
_TICK = 0.1


class BrowseBase(App[Intent]):
    """The lists and the lines around them; the keys are in `BrowseApp`."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #views, #heading, #status, #marks, #keys { height: 1; }
    #views, #keys { text-style: reverse; }
    RowList { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    """

    class Done(Message):
        """A thread has a result; `then` takes it in."""

        def __init__(self, then: Callable[[], None]) -> None:
            super().__init__()
            self.then = then

    def __init__(self, source: Source, place: Place) -> None:
        super().__init__()
        self.source, self.place = source, place
        self.failure: Exception | None = None
        self.interrupted = False
        #: How many threads are at work.
        self.busy = 0
        #: Whether keys are text for the filter, and that text.
        self.typing, self.words = False, ""
        self.marks = Marked()
        self._rows: Rows = dict.fromkeys(View, ())
        self._sizes: dict[str, Size] = {}
        self._drawn_sizes = 0
        self._below: dict[str, tuple[Row, ...]] = {}
        self._opened: frozenset[str] = frozenset()
        self._message = ""
        #: The number of the newest sum, and whether it is awaited.
        self._sum, self._adding = 0, False
        self._reporter = ScanReporter()
        self.list = RowList()

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        yield Static(id="views")
        yield Static(id="heading")
        yield self.list
        yield Static(id="status")
        yield Static(id="marks")
        yield Static(id="keys")

    def on_mount(self) -> None:
        """Show what there is, or start to look."""
        self.list.focus()
        if self.source.scanned:
            self._complete(self.source.rows())
            return
        self.set_interval(_TICK, self._tick)
        self._in_background(lambda: self.source.scan(self._reporter, self._listed, self._measured), self._complete)
        self._draw()

    def on_unmount(self) -> None:
        """End a scan that is under way."""
        self._reporter.abandoned = True

    def _in_background(self, work: Callable[[], _T], then: Callable[[_T], None]) -> None:
        """Run work in a thread, then take in its result. An error ends the app and is in `failure`."""
        self.busy += 1

        def done(result: _T) -> None:
            self.busy -= 1
            then(result)

        def failed(error: Exception) -> None:
            self.busy -= 1
            self.failure = error
            self.exit()

        def run() -> None:
            try:
                result = work()
            except Exception as error:  # noqa: BLE001  # It is raised again when the terminal is as it was.
                reached = error
                self.post_message(self.Done(lambda: failed(reached)))
            else:
                self.post_message(self.Done(lambda: done(result)))

        threading.Thread(target=run, daemon=True).start()

    def on_browse_base_done(self, message: Done) -> None:
        """Take in the result of a thread."""
        message.then()

    def _listed(self, rows: Rows) -> None:
        def show() -> None:
            self._rows = rows
            self._draw()

        self.post_message(self.Done(show))

    def _measured(self, key: str, size: Size) -> None:
        self._sizes[key] = size

    def _complete(self, rows: Rows) -> None:
        self._rows = rows
        self._recount()

    def _tick(self) -> None:
        """Draw the progress of the scan."""
        if not self.source.scanned and self._drawn_sizes != len(self._sizes):
            self._drawn_sizes = len(self._sizes)
            environments = self._rows[View.ENVIRONMENTS]
            sized = tuple(replace(row, size=self._sizes.get(row.key)) for row in environments)
            self._rows = {**self._rows, View.ENVIRONMENTS: sized}
            self._draw()
        self._draw_lines()

    def _visible(self) -> Iterator[Row]:
        words = self.words.casefold()
        for row in ordered(self._rows[self.place.view], self.place.sort):
            if words in row.name.casefold():
                yield from self._with_below(row)

    def _with_below(self, row: Row) -> Iterator[Row]:
        yield row
        if row.key in self._opened:
            for child in self._below.get(row.key, ()):
                yield from self._with_below(child)

    def _draw(self, key: str | None = None) -> None:
        self.list.marked, self.list.opened = self.place.marked, self._opened
        self.list.show(list(self._visible()), key)
        self._draw_lines()

    def _draw_lines(self) -> None:
        """Draw the lines around the list."""
        names = (f"{view.value.capitalize()} {len(self._rows[view]):,}" for view in View)
        views = (f"[{name}]" if view is self.place.view else f" {name} " for view, name in zip(View, names))
        shown = {
            "views": f" {' '.join(views)}  sorted by {self.place.sort.value}",
            "heading": heading(self.list.width or self.size.width, self.place.sort.value),
            "status": self._status(),
            "marks": "" if not self.source.scanned else "Adding up ..." if self._adding else str(self.marks),
            "keys": bottom_line(),
        }
        for name, text in shown.items():
            self.screen_stack[0].query_one(f"#{name}", Static).update(Text(text, no_wrap=True, overflow="ellipsis"))

    def _status(self) -> str:
        row = self.list.current
        words = f"Only rows with {self.words!r}. " if self.words else ""
        if self.typing:
            return f"Show only rows with: {self.words}_"
        if self._message:
            return self._message
        if not self.source.scanned:
            return f"{self._reporter.words} ..."
        if row is not None and row.refusal is not None and row.top:
            return f"{words}Protected: {visible(row.refusal)}"
        return words or (f"{visible(row.key)}" if row is not None and "\n" not in row.key else "")

    def say(self, message: str) -> None:
        """Show a message until the cursor moves."""
        self._message = message
        self._draw_lines()

    def on_resize(self) -> None:
        """Draw lines of the new width."""
        self._draw_lines()

    def mark(self, keys: frozenset[str]) -> None:
        """Mark these rows and no others."""
        self.place.marked = keys
        self._recount()

    def _recount(self) -> None:
        """Add up what the marks free together, and drop those that can't be kept."""
        self._sum += 1
        self._adding = True
        number, keys = self._sum, self.place.marked

        def counted(marks: Marked) -> None:
            if number != self._sum:
                return
            self._adding = False
            self.marks = marks
            self.place.marked = keys - marks.refused.keys()
            if marks.refused:
                dropped = plural(len(marks.refused), "mark")
                self.say(f"Dropped {dropped}: {visible(next(iter(marks.refused.values())))}")
            self._draw()

        self._in_background(lambda: self.source.marked(keys), counted)
        self._draw()
