"""A console on a stream, without markup or guesses."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.text import Text

from .printable import printable

#: Wide enough for every line when nobody looks at a terminal: ``grep`` wants a row to be one line.
_UNBOUNDED = 10_000


def console(stream: TextIO) -> Console:
    """Return a console that never guesses: no markup, no highlighting, no wrapping outside of a terminal."""
    guess = Console(file=stream)
    # A terminal that says it has no columns has some all the same.
    width = (guess.width or 80) if guess.is_terminal else _UNBOUNDED
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def print_command(out: Console, command: str) -> None:
    """Print a command on a line of its own, which is not broken, so that it can be copied whole."""
    out.print(Text(f"    {printable(command)}"), soft_wrap=True)
