"""Tables that fit the terminal: the least important columns are dropped where it is too narrow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

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
    tail: Tail | None = None,
) -> None:
    """Print a table with right-aligned columns that fits: headings in `drop` go first, in this order, where it doesn't.

    A name too long to stand beside its numbers has a line of its own above them. `tail` fills the room that is left.
    """
    kept = list(range(len(headings)))
    widths = [max(map(cell_len, column)) for column in zip(headings, *(row.cells for row in rows))]
    longest = max(cell_len(first), *(cell_len(row.name) for row in rows))
    order = [headings.index(heading) for heading in drop if heading in headings]
    # Without all of them there would be no table.
    order += [index for index in reversed(range(1, len(headings))) if index not in order]
    for index in order:
        if min(longest, _NAMES) + _taken(widths, kept) > out.width:
            kept.remove(index)
    right = _taken(widths, kept)
    names = min(longest, max(out.width - right, 0))
    room = out.width - names - right - 1
    out.print(Text(set_cell_size(first, names) + _aligned(headings, widths, kept), style="dim"))
    for number, row in enumerate(rows):
        name = row.name
        if cell_len(name) > names:
            out.print(Text(name, overflow="fold"))
            name = ""
        end = tail(number, room) if tail else ()
        # Not cut: what rich would wrap is a line of spaces at most.
        out.print(
            Text.assemble(set_cell_size(name, names) + _aligned(row.cells, widths, kept), " " if end else "", *end)
        )
        for line in row.below:
            out.print(Text(line, style="dim", overflow="fold"))


def _taken(widths: Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[index] + _GAP for index in kept)


def show_columns(out: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> bool:
    """Print a table if it fits; return whether it did. `right` names the columns that are aligned there.

    Not by rich's own table: with the hundreds of rows of a large plan that takes longer than making the plan.
    """
    widths = [max(map(_width, column)) for column in zip(headings, *rows)]
    if sum(widths) + _GAP * (len(widths) - 1) > out.width:
        return False
    before = [heading in right for heading in headings]
    # All of it fits: rich has nothing to wrap, which would take it longer than making the plan.
    out.out(_line(headings, widths, before), style="dim", highlight=False)
    out.out("\n".join(_line(cells, widths, before) for cells in rows), highlight=False)
    return True


def _line(cells: Sequence[str], widths: Sequence[int], before: Sequence[bool]) -> str:
    padded = []
    for cell, width, first in zip(cells, widths, before):
        space = " " * (width - _width(cell))
        padded.append(space + cell if first else cell + space)
    return (" " * _GAP).join(padded).rstrip()


def _width(text: str) -> int:
    """Return how many columns a text takes that has no control characters; rich needs longer for that."""
    return len(text) if text.isascii() else cell_len(text)


def _aligned(cells: Sequence[str], widths: Sequence[int], kept: Sequence[int]) -> str:
    return "".join(" " * (_GAP + widths[index] - cell_len(cells[index])) + cells[index] for index in kept)
