"""Disk usage, as text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from ...core.units import format_size, plural
from ...core.usage.usage_report import CacheUsage, EnvironmentUsage, OtherCache, Usage
from ..envs_text import NO_ACCESS_TIMES, REMOVE, ago, last_used
from ..plan_text import LINES, cache_name, show_withheld
from ..terminal.console import print_command, print_line, print_rest
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
    "backups": "backups",
    "other": "other files",
}

#: Receipts alone take less than this, and are no reason to purge.
_WORTH_PURGING = 1024**2


def show_usage(out: Console, usage: Usage, *, now: float, verbosity: int = 0) -> None:
    """Print environments and caches, the largest own bytes first, then what everything takes together."""
    if usage.environments:
        _show_environments(out, usage.environments, now, verbosity)
    if usage.caches:
        _show_caches(out, usage.caches)
    if usage.other_caches:
        _show_others(out, usage.other_caches)
    _show_totals(out, usage, verbosity)


def show_usage_summary(out: Console, usage: Usage) -> None:
    """Print a table of a few lines: what takes the space, and how much of it `conda prune` frees."""
    caches = sum(item.account.allocated for item in usage.caches)
    sizes = {kind: sum(item.kinds[kind] for item in usage.caches) for kind in _KINDS}
    packages = sizes["extracted"] + sizes["archives"]
    entries = sum(len(item.cache.entries) for item in usage.caches)
    rows = [("Packages in caches", entries, packages, usage.reclaimable)]
    rows += [("Environments, beyond caches", len(usage.environments), usage.allocated - caches, 0)]
    if sizes["index_cache"]:
        rows.append(("Index caches", len(usage.caches), sizes["index_cache"], 0))
    if sizes["backups"]:
        rows.append(("Backups and receipts of runs", len(usage.caches), sizes["backups"], 0))
    # What two caches share counts once in the total, so the rest is what is left of it.
    if rest := caches - packages - sizes["index_cache"] - sizes["backups"]:
        rows.append(("Logs and other files", len(usage.caches), rest, 0))
    rows.append(("Total", 0, usage.allocated, usage.reclaimable))
    cells = [
        Row(
            words,
            (
                f"{count:,}" if count else "",
                format_size(size),
                f"{format_size(free)} ({free / size if size else 0:.0%})",
            ),
        )
        for words, count, size, free in rows
    ]
    show_table(out, "type", ("count", "size", "reclaimable"), cells)
    show_withheld(out, usage.plan)
    _show_backups(out, usage)


def _show_backups(out: Console, usage: Usage) -> None:
    """Print how to free the space of backups."""
    size = sum(item.kinds["backups"] for item in usage.caches)
    if size >= _WORTH_PURGING:
        out.print(f"Backups take {format_size(size)}. To free it:")
        print_command(out, "conda prune purge --all")


def bar(own: int, shared: int, largest: int, width: int, marks: tuple[str, str]) -> list[tuple[str, str]]:
    """Return a bar of two parts as text and styles; what is not nothing has at least one mark, if there is room."""
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


def _show_environments(out: Console, environments: Sequence[EnvironmentUsage], now: float, verbosity: int) -> None:
    shown = environments if verbosity else environments[:LINES]
    marks = glyphs(out)
    largest = max(item.account.allocated for item in environments)
    apparent = ("apparent",) if verbosity else ()
    rows = [
        Row(
            f"  {item.root.name or item.root.path}",
            (
                format_size(item.account.own),
                format_size(item.account.shared),
                f"{len(item.root.packages):,}",
                f"{item.account.files:,}",
                *(format_size(item.account.apparent) for _ in apparent),
                format_size(item.pip.allocated) if item.pip.names else "-",
                ago(item.changed, now),
                last_used(item.used, item.changed, now, keeps_access=item.keeps_access),
            ),
        )
        for item in shown
    ]

    drew = False

    def drawn(number: int, room: int) -> list[tuple[str, str]]:
        nonlocal drew
        account = shown[number].account
        parts = bar(account.own, account.shared, largest, min(room, _WIDEST_BAR), marks)
        drew |= bool(parts)
        return parts

    headings = ("own", "shared", "packages", "files", *apparent, "pip", "changed", "last used")
    show_table(out, "  environment", headings, rows, drop=("files", "apparent", "pip", "changed"), tail=drawn)
    rest = sum(item.account.own for item in environments[len(shown) :])
    print_rest(out, len(environments) - len(shown), f", own {format_size(rest)}")
    own, shared = (f" {mark}" for mark in marks) if drew else ("", "")
    legend = f"  own{own} is freed by removing the environment; shared{shared} is hard-linked elsewhere"
    print_line(out, legend, style="dim")
    print_line(out, "  a prune afterwards frees more: `conda prune envs` shows how much", style="dim")
    if any(not item.keeps_access for item in shown):
        print_line(out, NO_ACCESS_TIMES, style="dim")
    out.print()


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
    show_table(out, "  cache", ("packages", "on disk", "shared", "can be freed"), rows, drop=("shared", "packages"))
    for item in caches:
        sizes = [(words, item.kinds[kind]) for kind, words in _KINDS.items()]
        kinds = ", ".join(f"{words} {format_size(size)}" for words, size in sizes if size) or "empty"
        where = f"{item.cache.path}: " if len(caches) > 1 else ""
        print_line(out, f"  {where}{kinds}", style="dim")
    out.print()


def _show_others(out: Console, others: Sequence[OtherCache]) -> None:
    """Print what other tools have cached; the command is part of the name's column, to be copied whole."""
    rows = [
        Row(
            f"  {item.path}",
            (item.kind.value, f"{'' if item.complete else 'at least '}{format_size(item.allocated)}"),
            below=(f"    to clean it: {item.command}",),
        )
        for item in others
    ]
    show_table(out, "  caches of other tools, not touched", ("tool", "on disk"), rows)
    if not all(item.complete for item in others):
        print_line(out, "  at least: not everything was measured (--other-caches measures it all)", style="dim")
    out.print()


def _show_totals(out: Console, usage: Usage, verbosity: int) -> None:
    at_most = "at most " if usage.reflinks else ""
    environments = plural(len(usage.environments), "environment")
    apparent = f" ({format_size(usage.apparent)} apparent)" if verbosity else ""
    size = f"{at_most}{format_size(usage.allocated)}{apparent}"
    out.print(f"{environments} and {plural(len(usage.caches), 'cache')} take {size}.")
    frees = f"{at_most}{format_size(usage.reclaimable)}" if usage.reclaimable else "nothing"
    out.print(f"`conda prune` frees {frees} now.")
    if usage.environments:
        print_line(out, REMOVE)
    show_withheld(out, usage.plan)
    _show_backups(out, usage)
    if recent := sum(item.recent for item in usage.caches):
        packages = plural(recent, "more unused package is", "more unused packages are")
        out.print(f"{packages} too recent to remove (include them with --min-age 0).")
    for system in usage.file_systems:
        line = f"Free on {system.point}: {format_size(system.free)} of {format_size(system.size)}."
        if system.reflinks:
            line += f" Files on {system.type} may share blocks, so its figures are upper bounds."
        print_line(out, line)
