"""Disk usage, as text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from ...core.units import format_age, format_size, plural
from ...core.usage.usage_report import CacheUsage, EnvironmentUsage, OtherCache, Usage
from ..plan_text import cache_name
from ..terminal.printable import printable
from ..terminal.tables import Row, show_table

#: A bar is at most so wide: longer ones say no more.
_WIDEST_BAR = 40
_NARROWEST_BAR = 8

#: Kinds of things in a cache, as the text names them.
_KINDS = {
    "extracted": "packages",
    "archives": "archives",
    "index_cache": "index cache",
    "logs": "logs",
    "other": "other files",
}


def show_usage(out: Console, usage: Usage, *, now: float) -> None:
    """Print environments and caches, the largest own bytes first, then what everything takes together."""
    if usage.environments:
        _show_bars(out, usage.environments)
        _show_environments(out, usage.environments, now)
    if usage.caches:
        _show_caches(out, usage.caches)
    if usage.other_caches:
        _show_others(out, usage.other_caches)
    _show_totals(out, usage)


def _show_bars(out: Console, environments: Sequence[EnvironmentUsage]) -> None:
    own, shared = glyphs(out)
    line = (f"Environments   {own} own: comes back if it is removed   ", f"{shared} shared: hard-linked elsewhere")
    out.print(Text("".join(line), style="bold") if out.width >= len("".join(line)) else Text("\n  ".join(line)))
    names = [f"  {_name(item)}" for item in environments]
    sizes = [
        f"{format_size(item.account.own):>10} {own} {format_size(item.account.shared):>10} {shared}"
        for item in environments
    ]
    space = out.width - max(map(len, sizes)) - 3
    width = min(max(map(cell_len, names)), max(space - _NARROWEST_BAR, 12))
    largest = max(item.account.allocated for item in environments)
    for name, size, item in zip(names, sizes, environments):
        filled = bar(item.account.own, item.account.shared, largest, min(space - width, _WIDEST_BAR), (own, shared))
        if cell_len(name) <= width:
            out.print(Text.assemble(set_cell_size(name, width), size, " ", *filled))
        else:
            out.print(Text(name, overflow="fold"))
            out.print(Text.assemble(" " * width, size, " ", *filled))
    out.print()


def bar(own: int, shared: int, largest: int, width: int, marks: tuple[str, str]) -> list[tuple[str, str]]:
    """Return a bar of two parts as text and styles; what is not nothing has at least one mark, if there is space."""
    if width < _NARROWEST_BAR or not largest:
        return []
    first = max(round(own / largest * width), 1 if own else 0)
    both = max(round((own + shared) / largest * width), first + (1 if shared else 0))
    both = min(both, width)
    first = min(first, both - 1 if shared else both)
    return [(marks[0] * first, "bold cyan"), (marks[1] * (both - first), "dim")]


def glyphs(out: Console) -> tuple[str, str]:
    """Return marks for own and for shared that differ without colour, and that the terminal can print."""
    try:
        "█░".encode(out.encoding)
    except (UnicodeEncodeError, LookupError):
        return "#", "-"
    return "█", "░"


def _show_environments(out: Console, environments: Sequence[EnvironmentUsage], now: float) -> None:
    rows = [
        Row(
            f"  {_name(item)}",
            (
                f"{len(item.root.packages):,}",
                f"{item.account.files:,}",
                format_size(item.account.apparent),
                _pip(item),
                _age(item.changed, now),
                _used(item, now),
            ),
        )
        for item in environments
    ]
    show_table(out, "  environment", ("packages", "files", "apparent", "by pip", "changed", "used"), rows)
    if any(not item.keeps_access for item in environments):
        out.print("  ? its file system keeps no times of access")
    out.print()


def _name(item: EnvironmentUsage) -> str:
    return printable(item.root.name or item.root.path)


def _pip(item: EnvironmentUsage) -> str:
    return format_size(item.pip.allocated) if item.pip.names else "-"


def _age(time: float | None, now: float) -> str:
    return "unknown" if time is None else f"{format_age(now - time)} ago"


def _used(item: EnvironmentUsage, now: float) -> str:
    if not item.keeps_access:
        return "?"
    # Without a time of change it can't be read, or is none of conda's.
    return "not since" if item.used is None and item.changed is not None else _age(item.used, now)


def _show_caches(out: Console, caches: Sequence[CacheUsage]) -> None:
    rows = [
        Row(
            f"  {cache_name(item.cache)}",
            (
                f"{len(item.cache.entries):,}",
                format_size(item.account.allocated),
                format_size(item.account.shared),
                format_size(item.reclaimable),
            ),
        )
        for item in caches
    ]
    show_table(out, "  cache", ("entries", "allocated", "shared", "reclaimable"), rows)
    for item in caches:
        kinds = ", ".join(f"{words} {format_size(item.kinds[kind])}" for kind, words in _KINDS.items())
        where = f"{printable(item.cache.path)}: " if len(caches) > 1 else ""
        out.print(Text(f"  {where}{kinds}", style="dim", overflow="fold"))
    out.print()


def _show_others(out: Console, others: Sequence[OtherCache]) -> None:
    """Print what other tools have cached; the command is part of the name's column, to be copied whole."""
    rows = [
        Row(
            f"  {printable(item.path)}",
            (item.kind.value, f"{'' if item.complete else 'at least '}{format_size(item.allocated)}"),
            below=(f"    clean it with: {printable(item.command)}",),
        )
        for item in others
    ]
    show_table(out, "  cache of another tool, not touched", ("of", "allocated"), rows)
    if not all(item.complete for item in others):
        out.print(
            "  at least: for lack of time, or of permission, not all was looked at; --other-caches takes its time"
        )
    out.print()


def _show_totals(out: Console, usage: Usage) -> None:
    at_most = "at most " if usage.reflinks else ""
    environments = plural(len(usage.environments), "environment")
    out.print(
        f"{environments} and {plural(len(usage.caches), 'cache')} take {at_most}{format_size(usage.allocated)} "
        f"({format_size(usage.apparent)} apparent)."
    )
    out.print(f"`conda prune` would give back {at_most}{format_size(usage.reclaimable)} now.")
    recent = sum(item.recent for item in usage.caches)
    if recent:
        entries = plural(recent, "unreferenced entry", "unreferenced entries")
        out.print(f"{entries} more: too young to be removed now; --min-age 0 counts them too.")
    for system in usage.file_systems:
        line = f"Free on {printable(system.point)}: {format_size(system.free)} of {format_size(system.size)}."
        if system.reflinks:
            line += f" Files on {system.type} may share blocks that no link shows: its figures are upper bounds."
        out.print(Text(line))
