"""Tables and sentences for people."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..core.model import Cache, Keep, LastUsedFrom, LinkKind, Notice, Outcome, Part, Plan, ReasonKind, Remove, Result
from ..core.names import ARCHIVE_SUFFIXES, archive_dist
from ..core.units import format_age, format_size, plural

#: Wide enough for every line when nobody looks at a terminal: `grep` wants a row to be one line.
_UNBOUNDED = 10_000

#: How the summary puts each reason to keep an entry.
_KEPT_BECAUSE = {
    ReasonKind.ENVIRONMENT: "in use by environments",
    ReasonKind.LINKED: "hard-linked from somewhere unknown",
    ReasonKind.RECENT: "fetched or extracted a moment ago",
    ReasonKind.UNREADABLE: "unreadable",
    ReasonKind.READ_ONLY: "in a read-only cache or somebody else's",
    ReasonKind.NOT_SELECTED: "unreferenced, but not of the selected kind",
    ReasonKind.UNKNOWN: "not understood",
}

#: How an environment holds the files of an entry.
_LINKED = {
    LinkKind.HARD: "hard-linked",
    LinkKind.SOFT: "soft-linked",
    LinkKind.COPY: "copied",
    LinkKind.RECORDED: "recorded only",
}


def console(stream: TextIO) -> Console:
    """Return a console that never guesses: no markup, no highlighting, no wrapping outside of a terminal."""
    width = None if stream.isatty() else _UNBOUNDED
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def printable(text: str) -> str:
    """Return text that fits on one line of any terminal: control characters and odd bytes are escaped."""
    escaped = "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )
    return escaped.encode(sys.stdout.encoding or "utf-8", "backslashreplace").decode(sys.stdout.encoding or "utf-8")


def show_plan(out: Console, plan: Plan, *, now: float, kept: bool) -> None:
    """Print what goes, what that gives back, and what stays and why; `kept` lists that one by one."""
    for cache in plan.inventory.caches:
        going = [decision for decision in plan.remove if decision.entry.cache == cache.path]
        staying = [decision for decision in plan.keep if decision.entry.cache == cache.path]
        _show_cache(out, cache, going, staying, now, kept)
    if plan.remove:
        entries = plural(len(plan.remove), "entry", "entries")
        out.print(
            f"{entries} to remove: {plural(plan.files, 'file')}, "
            f"{format_size(plan.reclaimable)} reclaimable ({format_size(plan.apparent)} apparent)."
        )
    elif plan.inventory.caches:
        out.print("Nothing to remove.")


def show_notices(err: Console, notices: Iterable[Notice]) -> None:
    """Print warnings."""
    for notice in notices:
        err.print(Text.assemble(("warning: ", "yellow"), printable(notice.message)))


def show_outcomes(out: Console, err: Console, outcomes: Sequence[Outcome], *, quiet: bool) -> None:
    """Print what was removed (not if `quiet`), and what was not and why."""
    removed = [outcome for outcome in outcomes if outcome.result is Result.REMOVED]
    files = sum(outcome.files for outcome in removed)
    freed = sum(outcome.freed for outcome in outcomes)
    entries = plural(len(removed), "entry", "entries")
    if not quiet:
        out.print(f"Removed {entries}, {plural(files, 'file')}; {format_size(freed)} freed.")
    for result, style in ((Result.SKIPPED, "yellow"), (Result.FAILED, "red")):
        for outcome in outcomes:
            if outcome.result is result:
                line = f": {outcome.entry.dist} in {outcome.entry.cache}: {outcome.error}"
                err.print(Text.assemble((result.value, style), printable(line)))


def _show_cache(
    out: Console, cache: Cache, going: Sequence[Remove], staying: Sequence[Keep], now: float, kept: bool
) -> None:
    read_only = "" if cache.writable else " (read-only)"
    entries = plural(len(cache.entries), "entry", "entries")
    out.print(Text(f"{printable(cache.path)}{read_only}: {entries}", style="bold"))
    if going:
        out.print(_removals(going, now))
        if any(decision.last_used_from is LastUsedFrom.EXTRACTION for decision in going):
            out.print("  * it was never linked: the time since it was fetched or extracted")
    for kind, count in Counter(decision.reasons[0].kind for decision in staying).most_common():
        out.print(f"  keeps {count:,}: {_KEPT_BECAUSE[kind]}")
    if kept and staying:
        out.print(_kept(staying))
    out.print()


def _removals(decisions: Sequence[Remove], now: float) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("  remove", no_wrap=True)
    table.add_column("parts")
    table.add_column("unused for", no_wrap=True)
    table.add_column("files", justify="right", no_wrap=True)
    table.add_column("reclaimable", justify="right", no_wrap=True)
    for decision in decisions:
        table.add_row(
            f"  {printable(decision.entry.dist)}",
            " ".join(_part(part) for part in decision.parts),
            _last_used(decision, now),
            f"{decision.files:,}",
            format_size(decision.reclaimable),
        )
    return table


def _kept(decisions: Sequence[Keep]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column("  keep", overflow="fold")
    table.add_column("because", overflow="fold")
    for decision in decisions:
        reasons = "; ".join(
            f"{reason.detail} ({_LINKED[reason.link]})" if reason.link else reason.detail for reason in decision.reasons
        )
        table.add_row(f"  {printable(decision.entry.dist)}", printable(reasons))
    return table


def _part(part: Part) -> str:
    if archive_dist(part.name) is None:
        return "dir"
    return next(suffix for suffix in ARCHIVE_SUFFIXES if part.name.endswith(suffix))


def _last_used(decision: Remove, now: float) -> str:
    if decision.last_used is None:
        return "unknown"
    age = format_age(max(now - decision.last_used, 0.0))
    return f"{age} " if decision.last_used_from is LastUsedFrom.LINK else f"{age}*"
