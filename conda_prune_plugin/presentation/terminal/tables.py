"""Tables that fit the terminal: the least important columns are dropped where it is too narrow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from .console import print_line, table_width
from .printable import printable

_GAP = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what it is about, and a text for each heading; `below` are lines that belong to it."""

    name: str
    cells: tuple[str, ...]
    below: tuple[str, ...] = ()


#: Names get at least so many columns before other columns are dropped for them.
_NAMES = 24

#: A tail of a row, such as a bar: takes the row's number and the room for it.
Tail = Callable[[int, int], Sequence[tuple[str, str]]]


def show_table(
    out: Console,
    first: str,
    headings: Sequence[str],
    rows: Sequence[Row],
    *,
    drop: Sequence[str] = (),
    left: Collection[str] = (),
    tail: Tail | None = None,
) -> None:
    """Print a table that fits: headings in `drop` go first, in this order, where it doesn't.

    Columns are aligned on the right, but for the names and those in `left`. A name too long to stand beside its numbers
    has a line of its own above them. `tail` fills the room that is left.
    """
    names = [printable(row.name) for row in rows]
    widths = [max(map(_width, column)) for column in zip(headings, *(row.cells for row in rows))]
    longest = max(map(_width, (first, *names)))
    kept = list(range(len(headings)))
    order = [headings.index(heading) for heading in drop if heading in headings]
    width = table_width(out)
    # Without all of them there would be no table.
    order += [index for index in reversed(range(1, len(headings))) if index not in order]
    for index in order:
        if min(longest, _NAMES) + sum(widths[number] + _GAP for number in kept) > width:
            kept.remove(index)
    right = sum(widths[number] + _GAP for number in kept)
    room = min(longest, max(out.width - right, 0))

    def line(name: str, cells: Sequence[str]) -> str:
        padded = [name + " " * (room - _width(name)) if _width(name) <= room else set_cell_size(name, room)]
        for index in kept:
            space = " " * (widths[index] - _width(cells[index]))
            padded.append(cells[index] + space if headings[index] in left else space + cells[index])
        return (" " * _GAP).join(padded).rstrip()

    # What fits is printed at once: for hundreds of rows rich would take longer than making the plan.
    out.out(line(first, headings), style="dim", highlight=False)
    if tail is None and longest <= room and not any(row.below for row in rows):
        out.out("\n".join(line(name, row.cells) for name, row in zip(names, rows)), highlight=False)
        return
    for number, (name, row) in enumerate(zip(names, rows)):
        if _width(name) > room:
            print_line(out, name)
        text = line(name if _width(name) <= room else "", row.cells)
        end = tail(number, width - room - right - 1) if tail else ()
        out.print(Text.assemble(text, " " if end else "", *end))
        for below in row.below:
            print_line(out, below, style="dim")


def _width(text: str) -> int:
    """Return how many columns a text takes that has no control characters; rich needs longer for that."""
    return len(text) if text.isascii() else cell_len(text)
