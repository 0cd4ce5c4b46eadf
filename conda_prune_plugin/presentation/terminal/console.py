"""A console on a stream without markup or guesses, and lines of it: commands, problems, lists with a limit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TextIO

from rich.console import Console
from rich.text import Text

from .printable import printable
from .wrapping import wrapped

#: Wide enough for every line when nobody looks at a terminal: ``grep`` wants a row to be one line.
_UNBOUNDED = 10_000

_STYLES = {"warning": "yellow", "skipped": "yellow", "failed": "red", "error": "red"}

#: The indentation of a command or path on a line of its own.
STEP = "    "

#: How to see the rest of a list.
SHOWS_ALL = "-v shows all"


def console(stream: TextIO) -> Console:
    """Return a console that never guesses: no markup, no highlighting, no wrapping outside of a terminal."""
    guess = Console(file=stream)
    # A terminal that says it has no columns has some all the same.
    width = (guess.width or 80) if guess.is_terminal else _UNBOUNDED
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def table_width(out: Console) -> int:
    """Return the columns for a table: in a pipe at a terminal, those of the terminal."""
    if out.width == _UNBOUNDED:
        with suppress(OSError, ValueError, AttributeError):
            return os.get_terminal_size(sys.stderr.fileno()).columns or out.width
    return out.width


def print_line(out: Console, text: str, style: str = "", *, hanging: int | None = None) -> None:
    """Print a line with control characters escaped.

    A long one goes on below (see `wrapped`), two columns further in or at the column `hanging`.
    """
    out.print(Text(_wrapped(out, printable(text), hanging), style=style), soft_wrap=True)


def _wrapped(out: Console, text: str, hanging: int | None = None) -> str:
    words = text.lstrip()
    indent = text[: len(text) - len(words)]
    return "\n".join(wrapped(words, out.width, indent, f"{indent}  " if hanging is None else " " * hanging))


def print_steps(out: Console, lines: Iterable[str]) -> None:
    """Print lines of text; indented ones are paths and commands to copy, which are not broken."""
    for line in lines:
        (print_unbroken if line.startswith(STEP) else print_line)(out, line)


def print_command(out: Console, command: str) -> None:
    """Print a command on a line of its own, which is not broken, so that it can be copied whole."""
    print_unbroken(out, f"{STEP}{command}")


def print_unbroken(out: Console, text: str) -> None:
    """Print a line for a path or command to copy, which is not broken anywhere."""
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
    # A single one more takes no more room than its count.
    limit += len(names) == limit + 1
    rest = f" {and_more(len(names) - limit, hint=hint)}" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
