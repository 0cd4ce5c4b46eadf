"""Tables that fit the terminal: names that are too wide get lines of their own."""

from __future__ import annotations

from collections.abc import Sequence
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


def show_table(out: Console, first: str, headings: Sequence[str], rows: Sequence[Row]) -> None:
    """Print a table with right-aligned columns; the names get lines of their own where they don't fit beside them."""
    widths = [max(map(cell_len, column)) for column in zip(headings, *(row.cells for row in rows))]
    right = sum(widths) + _GAP * len(widths)
    names = max(cell_len(first), *(cell_len(row.name) for row in rows))
    fits = names + right <= out.width
    stacked = right + 4 <= out.width
    if fits:
        out.print(Text(first.ljust(names) + _aligned(headings, widths), style="dim"))
    elif stacked:
        out.print(Text(first, style="dim"))
        out.print(Text("    " + _aligned(headings, widths), style="dim"))
    for row in rows:
        if fits:
            out.print(Text(set_cell_size(row.name, names) + _aligned(row.cells, widths)))
        else:
            out.print(Text(row.name, overflow="fold"))
            pairs = ", ".join(f"{heading} {cell}" for heading, cell in zip(headings, row.cells))
            cells = Text(_aligned(row.cells, widths) if stacked else pairs, overflow="fold")
            for part in cells.wrap(out, max(out.width - 4, 1)):
                part.rstrip()
                out.print(Text("    ") + part)
        for line in row.below:
            out.print(Text(line, style="dim", overflow="fold"))


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


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(" " * (_GAP + width - cell_len(cell)) + cell for cell, width in zip(cells, widths))
