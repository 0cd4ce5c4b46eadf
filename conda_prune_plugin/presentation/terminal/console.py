"""A console on a stream without markup or guesses, and lines of it: commands, problems, lists with a limit."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.text import Text

from .printable import printable

#: Wide enough for every line when nobody looks at a terminal: ``grep`` wants a row to be one line.
_UNBOUNDED = 10_000

_STYLES = {"warning": "yellow", "skipped": "yellow", "failed": "red"}

#: How to see the rest of a list.
SHOWS_ALL = "-v shows all"


def console(stream: TextIO) -> Console:
    """Return a console that never guesses: no markup, no highlighting, no wrapping outside of a terminal."""
    guess = Console(file=stream)
    # A terminal that says it has no columns has some all the same.
    width = (guess.width or 80) if guess.is_terminal else _UNBOUNDED
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def print_line(out: Console, text: str, style: str = "") -> None:
    """Print a line with control characters escaped.

    A long one goes on below, indented; words and paths are never broken, so that they can be copied whole.
    """
    out.print(Text(_wrapped(out, printable(text)), style=style), soft_wrap=True)


def _wrapped(out: Console, text: str) -> str:
    words = text.lstrip()
    first = text[: len(text) - len(words)]
    return textwrap.fill(
        words,
        out.width,
        initial_indent=first,
        subsequent_indent=f"{first}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_command(out: Console, command: str) -> None:
    """Print a command on a line of its own, which is not broken, so that it can be copied whole."""
    print_unbroken(out, f"    {command}")


def print_unbroken(out: Console, text: str) -> None:
    """Print a line that may hold a command or a path to copy: it is not broken."""
    out.print(Text(printable(text)), soft_wrap=True)


def print_problem(err: Console, word: str, text: str) -> None:
    """Print a warning, or what was skipped or failed, behind that word."""
    message = _wrapped(err, printable(f"{word}: {text}"))
    err.print(Text.assemble((word, _STYLES[word]), message.removeprefix(word)), soft_wrap=True)


def and_more(count: int, size: str = "", *, hint: str = SHOWS_ALL) -> str:
    """Return the line that stands for the rest of a list, with its size: ``and 12 more (-v shows all)``."""
    return f"and {count:,} more{size}{f' ({hint})' if hint else ''}"


def print_rest(out: Console, count: int, size: str = "") -> None:
    """Print how much of a list is not shown, if anything."""
    if count > 0:
        print_line(out, f"  {and_more(count, size)}", style="dim")


def listed(names: Sequence[str], limit: int = 3, *, hint: str = "") -> str:
    """Return the first names of a list and how many more there are: ``a, b, c and 2 more``."""
    rest = f" {and_more(len(names) - limit, hint=hint)}" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
