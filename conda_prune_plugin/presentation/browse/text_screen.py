"""A screen of text above the browser: help, an explanation, a plan."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static


class TextScreen(ModalScreen[bool]):
    """Shows text until it is closed; returns True if it was closed by Enter and `accepts`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,left", "close"),
        Binding("enter", "accept"),
        Binding("up,k", "scroll(-1)"),
        Binding("down,j,space", "scroll(1)"),
        Binding("pageup", "scroll(-10)"),
        Binding("pagedown", "scroll(10)"),
    ]
    CSS = """
    TextScreen { background: $background; }
    TextScreen VerticalScroll { height: 1fr; padding: 0 1; }
    TextScreen .bar { height: 1; text-style: reverse; }
    """

    def __init__(self, title: str, text: str, *, accepts: str = "") -> None:
        """`accepts`: what Enter does; without it Enter only closes the screen."""
        super().__init__()
        self._title, self._text, self._accepts = title, text, accepts
        self.complete = False

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        yield Static(Text(f" {self._title}"), classes="bar")
        with VerticalScroll(can_focus=False):
            yield Static(Text(self._text), id="text")
        yield Static(Text(self._hint), classes="bar", id="hint")

    @property
    def _hint(self) -> str:
        return f" Enter {self._accepts} · Esc back" if self._accepts else " Esc back"

    def fill(self, text: str, accepts: str) -> None:
        """Show the text that was awaited."""
        self._text, self._accepts, self.complete = text, accepts, True
        if self.is_mounted:
            self.query_one("#text", Static).update(Text(text))
            self.query_one("#hint", Static).update(Text(self._hint))

    def action_scroll(self, lines: int) -> None:
        """Scroll the text."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(False)

    def action_accept(self) -> None:
        """Go on, if there is something to go on to."""
        self.dismiss(bool(self._accepts))
