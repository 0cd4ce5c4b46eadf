"""What the keys of the browser do. Nothing is changed here: what the user wants done is what the app returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

from textual import events
from textual.binding import Binding, BindingType

from .browse_base import BrowseBase
from .browse_keys import KEYS, help_text
from .browse_source import Action, Intent
from .rows import Marked, Row, Sort, View
from .text_screen import TextScreen

_T = TypeVar("_T")

_WAIT = "Still measuring. Try again in a moment."


class BrowseApp(BrowseBase):
    """The browser."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        *(Binding(key.names, key.action, show=False) for key in KEYS),
    ]

    def on_row_list_moved(self) -> None:
        """Say something of the row under the cursor."""
        self._message = ""
        self._draw_lines()

    def on_row_list_chosen(self) -> None:
        """Open the row that was clicked."""
        self.action_open()

    def on_row_list_ticked(self) -> None:
        """Mark the row of which the mark was clicked."""
        self.action_mark()

    def action_open(self) -> None:
        """Open the row, or close it."""
        row = self.list.current
        if row is None or not row.opens:
            return
        if not self.source.scanned:
            self.say(_WAIT)
            return
        if row.key in self._opened:
            self._opened -= {row.key}
        else:
            self._opened |= {row.key}
            if row.key not in self._below:
                self._in_background(lambda: self.source.below(row), lambda rows: self._take_in(row, rows))
        self._draw()

    def _take_in(self, row: Row, rows: tuple[Row, ...]) -> None:
        self._below[row.key] = rows
        self._draw()

    def action_shut(self) -> None:
        """Close the row, or go to the one above."""
        row = self.list.current
        if row is not None and row.key in self._opened:
            self._opened -= {row.key}
            self._draw()
        elif row is not None and not row.top:
            above = next(one for one in reversed(self.list.rows[: self.list.cursor]) if one.depth < row.depth)
            self._draw(above.key)

    def action_mark(self) -> None:
        """Mark the row, or remove its mark."""
        row = self.list.current
        if row is None:
            return
        if not self.source.scanned:
            self.say(_WAIT)
        elif not row.top:
            self.say("Only whole environments, packages and leftovers can be marked.")
        elif row.key in self.place.marked:
            self.mark(self.place.marked - {row.key})
        elif row.refusal is None or (row.users and row.users <= self.place.marked):
            self.mark(self.place.marked | {row.key})
            self.list.action_move(1)
        else:
            self.say(f"Protected: {row.refusal}")

    def action_dry_run(self) -> None:
        """Show the plan for the marks; Enter there carries it out."""
        if not self._anything_marked():
            return
        screen = TextScreen("The plan for what is marked", "Planning ...")

        def closed(accepted: bool | None) -> None:
            if accepted:
                self.action_remove()

        self.push_screen(screen, closed)
        width = self.size.width - 3
        self._with_marks(
            lambda marks: self.source.plan(marks, width), lambda text: screen.fill(text, "remove it (asks first)")
        )

    def action_remove(self) -> None:
        """Leave, to remove what is marked."""
        self._leave(Action.REMOVE)

    def action_backup(self) -> None:
        """Leave, to remove what is marked with a backup."""
        self._leave(Action.BACKUP)

    def action_undo(self) -> None:
        """Leave, to restore the last run."""
        self.exit(Intent(Action.RESTORE, Marked()))

    def _leave(self, action: Action) -> None:
        if self._anything_marked():
            self._with_marks(lambda marks: marks, lambda marks: self.exit(Intent(action, marks)))

    def _with_marks(self, work: Callable[[Marked], _T], then: Callable[[_T], None]) -> None:
        """Do work with what is marked at this moment."""
        keys = self.place.marked
        self._in_background(lambda: work(self.source.marked(keys)), then)

    def _anything_marked(self) -> bool:
        if not self.place.marked:
            self.say("Nothing is marked." if self.source.scanned else _WAIT)
        return bool(self.place.marked)

    def action_why(self) -> None:
        """Explain the row."""
        row = self.list.current
        if row is None:
            return
        while not row.top:
            row = next(one for one in reversed(self.list.rows[: self.list.rows.index(row)]) if one.depth < row.depth)
        asked = row
        screen = TextScreen(asked.name, "Looking ...")
        if self.source.scanned:
            self.push_screen(screen)
            width = self.size.width - 3
            self._in_background(lambda: self.source.why(asked, width), lambda text: screen.fill(text, ""))
        else:
            self.say(_WAIT)

    def action_help(self) -> None:
        """Show the help."""
        screen = TextScreen("Help", help_text())
        self.push_screen(screen)

    def action_sort(self) -> None:
        """Sort by the next order."""
        orders = list(Sort)
        self.place.sort = orders[(orders.index(self.place.sort) + 1) % len(orders)]
        self._draw()

    def action_view(self, step: int) -> None:
        """Go to the next list."""
        self.action_view_at((list(View).index(self.place.view) + step) % len(View))

    def action_view_at(self, number: int) -> None:
        """Go to a list."""
        if self.list.current is not None:
            self.place.keys[self.place.view] = self.list.current.key
        self.place.view = list(View)[number]
        self._message = ""
        self._draw(self.place.keys.get(self.place.view, ""))

    def action_filter(self) -> None:
        """Take the keys that follow as text that rows have to contain."""
        self.typing, self._message = True, ""
        self._draw()

    def action_escape(self) -> None:
        """Show all rows again."""
        self.typing, self.words = False, ""
        self._draw()

    async def on_event(self, event: events.Event) -> None:
        """Take a key as text while the filter is typed.

        Here all keys arrive in their order, forwarded. With a field of its own for the filter, keys that follow the
        slash at once would reach the list.
        """
        if self.typing and isinstance(event, events.Key) and event.is_forwarded:
            self._type(event)
        else:
            await super().on_event(event)

    def _type(self, event: events.Key) -> None:
        if event.key == "escape":
            self.action_escape()
        elif event.key == "enter":
            self.typing = False
        elif event.key == "backspace":
            self.words = self.words[:-1]
        elif event.is_printable:
            self.words += event.character or ""
        self._draw()

    def action_interrupt(self) -> None:
        """End at Ctrl-C."""
        self.interrupted = True
        self.exit()
