"""Rows of the browser as lines of text that fit the terminal; colours only repeat what the text says."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size

from ...core.units import format_size
from ..terminal.printable import visible
from .rows import Row

#: The cursor, the mark, and whether the row is open.
_BEFORE = 8

#: The columns of the mark: from the first on, up to the second.
MARK = (2, 5)

_MARKED, _MARKABLE, _PROTECTED = "[x]", "[ ]", "[-]"


class Column(NamedTuple):
    """A column at the right of the names; `least`: the terminal's width from which on it is shown."""

    heading: str
    width: int
    text: Callable[[Row], str]
    least: int = 0


#: From left to right.
COLUMNS = (
    Column("frees", 10, lambda row: "" if row.size is None else format_size(row.size.own)),
    Column("shared", 10, lambda row: "" if row.size is None else format_size(row.size.shared), 60),
    Column("inodes", 9, lambda row: "" if row.size is None or not row.size.inodes else f"{row.size.inodes:,}", 96),
    Column("last used", 14, lambda row: row.used_text, 80),
    Column("state", 12, lambda row: row.state, 44),
)


def heading(width: int, sort: str) -> str:
    """Return the line above the rows; the column that they are sorted by has a mark."""
    titles = [f"{column.heading}*" if column.heading == sort else column.heading for column in _shown(width)]
    return _line(" " * _BEFORE, "name*" if sort == "name" else "name", titles, width)


def line(row: Row, width: int, *, current: bool, marked: Collection[str], opened: Collection[str]) -> str:
    """Return a row as one line, exactly as wide as the terminal."""
    mark = "   "
    if row.top:
        mark = _MARKED if row.key in marked else _MARKABLE if row.refusal is None else _PROTECTED
    sign = " " if not row.opens else "-" if row.key in opened else "+"
    before = f"{'>' if current else ' '} {mark} {sign} " + "  " * row.depth
    name = visible(row.name)
    if not row.top and row.size is None:
        return set_cell_size(f"{before}{name}", width)
    return _line(before, name, [column.text(row) for column in _shown(width)], width)


def _shown(width: int) -> list[Column]:
    return [column for column in COLUMNS if width >= column.least]


def _line(before: str, name: str, cells: list[str], width: int) -> str:
    columns = _shown(width)
    right = "".join(
        f" {cell:<{column.width}}" if column.heading == "state" else f" {cell:>{column.width}}"
        for column, cell in zip(columns, cells)
    )
    room = max(width - len(before) - len(right), 1)
    if cell_len(name) > room:
        # The end of a dist is its version, so the middle goes.
        head = max(room // 2 - 1, 1)
        name = f"{name[:head]}..{name[len(name) - max(room - head - 2, 0) :]}"
    return set_cell_size(f"{before}{set_cell_size(name, room)}{right}", width)
