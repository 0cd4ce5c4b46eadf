"""The list of rows: draws only what is on the screen, so that thousands of rows cost no more than a few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from .row_lines import MARK, line
from .rows import Row

_CURRENT, _MARKED, _DIM, _PLAIN = Style(reverse=True), Style(bold=True), Style(dim=True), Style()


class RowList(ScrollView, can_focus=True):
    """Rows with a cursor. marked, opened: keys of rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # The screen has another use for it.
        Binding("tab", "app.view(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000000)", show=False),
        Binding("end", "move(1000000000)", show=False),
    ]

    class Chosen(Message):
        """The row under the cursor was clicked once more."""

    class Ticked(Message):
        """The mark of a row was clicked."""

    class Moved(Message):
        """The cursor is on another row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: Sequence[Row] = ()
        self.marked: frozenset[str] = frozenset()
        self.opened: frozenset[str] = frozenset()
        self.cursor = 0
        self._moved = False

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def show(self, rows: Sequence[Row], key: str | None = None) -> None:
        """Show other rows; the cursor goes to the one with a key, or else stays on its row if it was ever moved."""
        kept = key if key is not None else self.current.key if self.current and self._moved else None
        self.rows = rows
        found = next((number for number, row in enumerate(rows) if row.key == kept), None)
        stays = min(self.cursor, max(len(rows) - 1, 0)) if key is None else 0
        self.cursor = stays if found is None else found
        self._fit()
        self._reveal()

    @property
    def width(self) -> int:
        """The columns that a row has."""
        return self.scrollable_content_region.width

    def _fit(self) -> None:
        self.virtual_size = Size(0, len(self.rows))
        self.refresh()

    def on_resize(self, _: events.Resize) -> None:
        """Draw lines of the new width."""
        self._fit()
        self._reveal()

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self._go(self.cursor + rows)

    def action_page(self, direction: int) -> None:
        """Move the cursor by a screen."""
        self._go(self.cursor + direction * max(self.scrollable_content_region.height - 1, 1))

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to a row; on the row that has it, open that."""
        number = event.y + self.scroll_offset.y
        if number >= len(self.rows):
            return
        again = number == self.cursor
        self._go(number)
        if MARK[0] <= event.x < MARK[1]:
            self.post_message(self.Ticked())
        elif again:
            self.post_message(self.Chosen())

    def _go(self, number: int) -> None:
        self._moved = True
        self.cursor = min(max(number, 0), max(len(self.rows) - 1, 0))
        self._reveal()
        self.refresh()
        self.post_message(self.Moved())

    def _reveal(self) -> None:
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if not top <= self.cursor < top + height:
            y = self.cursor if self.cursor < top else self.cursor - height + 1
            self.scroll_to(y=y, animate=False, force=True, immediate=True)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        number, width = y + self.scroll_offset.y, self.width
        if number >= len(self.rows):
            return Strip.blank(width, self.rich_style)
        row, current = self.rows[number], number == self.cursor
        style = _CURRENT if current else _MARKED if row.key in self.marked else _DIM if row.refusal else _PLAIN
        text = line(row, width, current=current, marked=self.marked, opened=self.opened)
        return Strip([Segment(text, self.rich_style + style)], width)
