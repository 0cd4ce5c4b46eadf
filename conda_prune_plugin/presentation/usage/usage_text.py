"""Disk usage, as text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from rich.console import Console

from ...core.accounting import hedge
from ...core.units import NO_SPACE, Space, Unit, format_amount, format_size, format_space, plural
from ...core.usage.usage_report import CacheUsage, EnvironmentUsage, FileSystem, OtherCache, QuotaKind, Usage
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


def show_usage(
    out: Console, usage: Usage, *, now: float, recent: Space = NO_SPACE, verbosity: int = 0, inodes: bool = False
) -> None:
    """Print environments and caches in their order, then what everything takes together.

    recent: what packages take that only their age keeps. inodes: show these first; with a verbosity they follow the
    bytes.
    """
    if usage.environments:
        _show_environments(out, usage.environments, now, verbosity, inodes=inodes)
    if usage.caches:
        _show_caches(out, usage.caches, verbosity, inodes=inodes)
    if usage.other_caches:
        _show_others(out, usage.other_caches, inodes=inodes or verbosity > 0)
    _show_totals(out, usage, recent, verbosity, inodes=inodes or verbosity > 0)


def show_usage_summary(out: Console, usage: Usage, *, recent: Space = NO_SPACE, inodes: bool = False) -> None:
    """Print a table of a few lines: what takes the space or the inodes, and how much of it `conda prune` frees."""
    unit = Unit.INODES if inodes else Unit.BYTES
    caches = sum(item.account.takes.of(unit) for item in usage.caches)
    sizes = {kind: sum(item.kinds_in(unit)[kind] for item in usage.caches) for kind in _KINDS}
    packages, everything, frees = (
        sizes["extracted"] + sizes["archives"],
        usage.takes.of(unit),
        usage.plan.frees.of(unit),
    )
    entries = sum(len(item.cache.entries) for item in usage.caches)
    rows = [("Packages in caches", entries, packages, frees)]
    rows += [("Environments, beyond caches", len(usage.environments), everything - caches, 0)]
    if sizes["index_cache"]:
        rows.append(("Index caches", len(usage.caches), sizes["index_cache"], 0))
    if sizes["backups"]:
        rows.append(("Backups and receipts of runs", len(usage.caches), sizes["backups"], 0))
    # What two caches share counts once in the total, so the rest is what is left of it.
    if rest := caches - packages - sizes["index_cache"] - sizes["backups"]:
        rows.append(("Logs and other files", len(usage.caches), rest, 0))
    rows.append(("Total", 0, everything, frees))
    show: Callable[[int], str] = "{:,}".format if inodes else format_size
    cells = [
        Row(words, (f"{count:,}" if count else "", show(size), f"{show(free)} ({free / size if size else 0:.0%})"))
        for words, count, size, free in rows
    ]
    show_table(out, "type", ("count", "inodes" if inodes else "size", "reclaimable"), cells)
    if young := _recent(usage, recent, inodes=inodes):
        print_line(out, young)
    show_withheld(out, usage.plan, inodes=inodes)
    _show_backups(out, usage)


def _recent(usage: Usage, space: Space, *, inodes: bool) -> str:
    """Return how many packages only their age keeps, what they take, and how to include them; empty without any."""
    count = sum(item.recent for item in usage.caches)
    if not count:
        return ""
    size = f" ({format_space(space, inodes=inodes)})" if space.bytes else ""
    are = "is" if count == 1 else "are"
    return f"{plural(count, 'unused package')}{size} {are} too recent. To include them: conda prune --min-age 0"


def _show_backups(out: Console, usage: Usage) -> None:
    """Print how to free the space of backups."""
    size = sum(item.kinds["backups"] for item in usage.caches)
    if size >= _WORTH_PURGING:
        out.print(f"Backups take {format_size(size)}. To free the space:")
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


def _show_environments(
    out: Console, environments: Sequence[EnvironmentUsage], now: float, verbosity: int, *, inodes: bool
) -> None:
    shown = environments if verbosity else environments[:LINES]
    unit = Unit.INODES if inodes else Unit.BYTES
    marks = glyphs(out)
    largest = max(item.account.takes.of(unit) for item in environments)
    drew = False

    def drawn(number: int, room: int) -> list[tuple[str, str]]:
        nonlocal drew
        account = shown[number].account
        own, everything = account.own_of(unit), account.takes.of(unit)
        parts = bar(own, everything - own, largest, min(room, _WIDEST_BAR), marks)
        drew |= bool(parts)
        return parts

    counts = ("own inodes", "shared inodes") if inodes or verbosity else ()
    sizes = (*counts, "own", "shared") if inodes else ("own", "shared", *counts)
    more = ("apparent",) if verbosity else ()
    headings = (*sizes, "packages", "files", *more, "pip", "changed", "last used")
    rows = [Row(f"  {item.root.name or item.root.path}", _cells(item, now, headings)) for item in shown]
    second = ("own", "shared") if inodes else counts
    dropped = ("files", "apparent", "pip", *reversed(second), "changed")
    show_table(out, "  environment", headings, rows, drop=dropped, tail=drawn)
    rest = sum(item.account.own_of(unit) for item in environments[len(shown) :])
    print_rest(out, len(environments) - len(shown), f", own {format_amount(rest, unit)}")
    own, shared = (f" {mark}" for mark in marks) if drew else ("", "")
    legend = f"  own{own} is freed by removing the environment; shared{shared} is hard-linked elsewhere"
    print_line(out, legend, style="dim")
    print_line(out, "  a prune afterwards frees more: `conda prune envs` shows how much", style="dim")
    if any(not item.keeps_access for item in shown):
        print_line(out, NO_ACCESS_TIMES, style="dim")
    out.print()


def _cells(item: EnvironmentUsage, now: float, headings: Iterable[str]) -> tuple[str, ...]:
    """Return what a table shows of an environment below some headings."""
    account = item.account
    cells = {
        "own": format_size(account.own),
        "shared": format_size(account.shared),
        "own inodes": f"{account.own_inodes:,}",
        "shared inodes": f"{account.shared_inodes:,}",
        "packages": f"{len(item.root.packages):,}",
        "files": f"{account.files:,}",
        "apparent": format_size(account.apparent),
        "pip": format_size(item.pip.allocated) if item.pip.names else "-",
        "changed": ago(item.changed, now),
        "last used": last_used(item.used, item.changed, now, keeps_access=item.keeps_access),
    }
    return tuple(cells[heading] for heading in headings)


def _show_caches(out: Console, caches: Sequence[CacheUsage], verbosity: int, *, inodes: bool) -> None:
    sizes, counts = ("on disk", "shared", "can be freed"), ("inodes", "shared inodes", "inodes freed")
    second = sizes if inodes else counts
    headings = ("packages", *(counts if inodes else sizes), *(second if inodes or verbosity else ()))
    rows = []
    for item in caches:
        account = item.account
        cells = {
            "packages": f"{len(item.cache.entries):,}",
            "on disk": format_size(account.allocated),
            "shared": format_size(account.shared),
            "can be freed": format_size(item.reclaimable),
            "inodes": f"{account.inodes:,}",
            "shared inodes": f"{account.shared_inodes:,}",
            "inodes freed": f"{item.reclaimable_inodes:,}",
        }
        rows.append(Row(f"  {cache_name(item.cache)}", tuple(cells[heading] for heading in headings)))
    show_table(out, "  cache", headings, rows, drop=("shared", "shared inodes", *second, "packages"))
    unit = Unit.INODES if inodes else Unit.BYTES
    for item in caches:
        held = [(words, item.kinds_in(unit)[kind]) for kind, words in _KINDS.items()]
        kinds = ", ".join(f"{words} {format_amount(amount, unit)}" for words, amount in held if amount) or "empty"
        where = f"{item.cache.path}: " if len(caches) > 1 else ""
        print_line(out, f"  {where}{kinds}", style="dim")
    out.print()


def _show_others(out: Console, others: Sequence[OtherCache], *, inodes: bool) -> None:
    """Print what other tools have cached; the command is part of the name's column, to be copied whole."""
    rows = []
    for item in others:
        at_least = "" if item.complete else "at least "
        counts = (f"{at_least}{item.inodes:,}",) if inodes else ()
        cells = (item.kind.value, f"{at_least}{format_size(item.allocated)}", *counts)
        rows.append(Row(f"  {item.path}", cells, below=(f"    to clean it: {item.command}",)))
    headings = ("tool", "on disk", *(("inodes",) if inodes else ()))
    show_table(out, "  caches of other tools, not touched", headings, rows)
    if not all(item.complete for item in others):
        print_line(out, "  at least: not everything was measured (--other-caches measures it all)", style="dim")
    out.print()


def _show_totals(out: Console, usage: Usage, recent: Space, verbosity: int, *, inodes: bool) -> None:
    at_most = "at most " if usage.reflinks else ""
    environments = plural(len(usage.environments), "environment")
    apparent = f" ({format_size(usage.apparent)} apparent)" if verbosity else ""
    size = f"{at_most}{format_space(usage.takes, inodes=inodes)}{apparent}"
    out.print(f"{environments} and {plural(len(usage.caches), 'cache')} take {size}.")
    frees = (at_most or hedge(usage.plan.inventory.notices)) + format_space(usage.plan.frees, inodes=inodes)
    young = _recent(usage, recent, inodes=inodes)
    now = f"frees {frees} now." if usage.reclaimable else f"frees nothing now{':' if young else '.'}"
    print_line(out, f"`conda prune` {now} {young}".rstrip())
    if usage.environments:
        print_line(out, REMOVE)
    show_withheld(out, usage.plan, inodes=inodes)
    _show_backups(out, usage)
    for system in usage.file_systems:
        for line in _file_system(system):
            print_line(out, line)


def _file_system(system: FileSystem) -> Iterator[str]:
    """Give the lines on what is free on a file system, conda's part of it, and the quotas that bind this user."""
    free = _of(system.free, system.size, Unit.BYTES)
    taken = f"{_share(system.allocated, system.size)} of its space"
    if system.inodes and system.free_inodes is not None:
        free += f", {_of(system.free_inodes, system.inodes, Unit.INODES)}"
        taken += f" and {_share(system.allocated_inodes, system.inodes)} of its inodes"
    bound = f" Files on {system.type} may share storage or be compressed, so its figures are upper bounds."
    yield f"Free on {system.point}: {free}.{bound if system.reflinks else ''}"
    yield f"Environments and caches take {taken}."
    for quota in system.quotas:
        whose = "Your quota" if quota.kind is QuotaKind.USER else f"The quota of group {quota.owner}"
        limit = quota.soft if quota.hard is None else quota.hard
        soft = ""
        if quota.soft is not None and quota.soft != limit:
            soft = f" (soft limit: {format_amount(quota.soft, quota.unit)})"
        yield f"{whose} on {system.point}: {_of(quota.used, limit or 0, quota.unit)} used{soft}."
    if system.quota_error is not None:
        yield f"Your quota on {system.point} is unknown: {system.quota_error}."


def _of(part: int, whole: int, unit: Unit) -> str:
    """Return so much of so much: ``1.0 GiB of 2.0 GiB``, ``1,000 of 2,000 inodes``."""
    return f"{format_size(part) if unit is Unit.BYTES else f'{part:,}'} of {format_amount(whole, unit)}"


def _share(part: int, whole: int) -> str:
    """Return a part in percent, and no zero for a small one."""
    share = part / whole if whole else 0.0
    return "less than 1%" if 0 < share < 0.01 else f"{share:.0%}"
