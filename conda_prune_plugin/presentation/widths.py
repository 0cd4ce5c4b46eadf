"""Tables that fit: what is too wide for the terminal is stacked, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

_GAP = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what it is about, and a text for each heading."""

    name: str
    cells: tuple[str, ...]


def show_table(out: Console, first: str, headings: Sequence[str], rows: Sequence[Row]) -> None:
    """Print a table with right-aligned columns; the names get lines of their own where they don't fit beside them."""
    widths = [max(map(cell_len, column)) for column in zip(headings, *(row.cells for row in rows))]
    right = sum(widths) + _GAP * len(widths)
    names = max(cell_len(first), *(cell_len(row.name) for row in rows))
    if names + right <= out.width:
        _print(out, first, headings, rows)
    elif right + 4 <= out.width:
        # Only the names are too long: each above its line.
        out.print(Text(first, style="dim"))
        out.print(Text("    " + _aligned(headings, widths), style="dim"))
        for row in rows:
            out.print(Text(row.name, overflow="fold"))
            out.print(Text("    " + _aligned(row.cells, widths)))
    else:
        for row in rows:
            out.print(Text(row.name, overflow="fold"))
            pairs = ", ".join(f"{heading} {cell}" for heading, cell in zip(headings, row.cells))
            out.print(Text(f"    {pairs}", overflow="fold"))


def _print(out: Console, first: str, headings: Sequence[str], rows: Sequence[Row]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(Text(row.name), *map(Text, row.cells))
    out.print(table)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (" " * _GAP).join(" " * (width - cell_len(cell)) + cell for cell, width in zip(cells, widths))
