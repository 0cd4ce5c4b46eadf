"""The plan of a prune and its outcomes, as text."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..core.accounting import hedge
from ..core.file_status import ON_WINDOWS
from ..core.model import (
    Cache,
    Client,
    Entry,
    LastUsedFrom,
    LinkKind,
    OtherKind,
    Part,
    PartKind,
    ReasonKind,
    Verdict,
)
from ..core.notices import Notice
from ..core.plan import Keep, Other, Plan, Reason, Remove, what_goes
from ..core.run import Check, Disposal
from ..core.units import format_age, format_size, plural
from .terminal.console import print_command
from .terminal.notice_groups import grouped, mark_as_shown
from .terminal.printable import printable
from .terminal.tables import show_columns

#: A column of reasons narrower than this is no help.
_NARROWEST_REASON = 24

#: How many removals are listed without -v, and how many packages that can't be downloaded again are named.
LINES, _NAMED = 20, 5

#: The orders of ``--sort``: the largest, the longest unused, or the first in the alphabet comes first.
SORTS: Mapping[str, Callable[[Remove], tuple[float, str]]] = {
    "size": lambda decision: (-decision.reclaimable, decision.entry.dist),
    "age": lambda decision: (inf if decision.last_used is None else decision.last_used, decision.entry.dist),
    "name": lambda decision: (0, decision.entry.dist),
}

#: How the summary puts each reason to keep a package.
_KEPT_BECAUSE = {
    ReasonKind.ENVIRONMENT: "in use by environments",
    ReasonKind.REVISION: "in an earlier revision of an environment (--keep-revisions)",
    ReasonKind.LOCKFILE: "named by a lockfile (--lockfile)",
    ReasonKind.KEEP: "kept by a rule (--keep)",
    ReasonKind.LINKED: "hard-linked by an unknown environment (add it with --root or --search)",
    ReasonKind.NEWEST: "newest version (--keep-newest)",
    ReasonKind.IRREPLACEABLE: "can't be downloaded again (remove them with --include-irreplaceable)",
    ReasonKind.RECENT: "downloaded or changed too recently (include them with --min-age 0)",
    ReasonKind.LOCKED: "in use by a running process",
    ReasonKind.UNREADABLE: "can't be read (-v shows why)",
    ReasonKind.READ_ONLY: "can't be removed (-v shows why)",
    ReasonKind.PARTIAL_DOWNLOAD: "partial downloads",
    ReasonKind.INCOMPLETE_EXTRACTION: "incomplete extractions",
    ReasonKind.TRASH: "trash",
    ReasonKind.CORRUPT: "corrupt",
    ReasonKind.NOT_SELECTED: "unused, but excluded by your options",
    ReasonKind.UNKNOWN: "can't be judged (-v shows why)",
}

#: Why nothing can be removed from a cache that the user can't write to.
_NO_PERMISSION = "you don't have permission to remove them"

#: What goes though its package stays in use.
_OF_PACKAGES_IN_USE = frozenset({ReasonKind.UNLINKED, ReasonKind.TARBALL, ReasonKind.EXTRACTED})

#: Whose a cache is, where it is not conda's.
_CLIENTS: dict[str, str] = {Client.MAMBA: "mamba", Client.RATTLER: "pixi, rattler"}

#: How an environment holds the files of an entry.
_LINKED = {
    LinkKind.HARD: "hard-linked",
    LinkKind.SOFT: "soft-linked",
    LinkKind.COPY: "copied",
    LinkKind.RECORDED: "recorded only",
}


def cache_name(cache: Cache) -> str:
    """Return a cache's path, and whose it is, if it is not conda's."""
    client = f" ({_CLIENTS[cache.client]})" if cache.client in _CLIENTS else ""
    return printable(cache.path) + client


def show_plan(
    out: Console,
    plan: Plan,
    *,
    now: float,
    verbosity: int,
    sort: str = "size",
    disposal: Disposal = Disposal.DELETE,
) -> None:
    """Print what goes, then a summary that fits on a screen: what stays and why, what goes, and what that frees.

    With a verbosity of 1 all that goes is listed, and what stays with what keeps it; with 2 also why what goes may go.
    """
    ranked = sorted(plan.remove, key=SORTS[sort])
    listed = ranked if verbosity else ranked[:LINES]
    for cache in plan.inventory.caches:
        rows = [decision for decision in listed if decision.entry.cache == cache.path]
        staying = [decision for decision in plan.keep if decision.entry.cache == cache.path]
        _show_cache(out, cache, rows, staying, now, verbosity)
    if len(ranked) > len(listed):
        size = format_size(sum(decision.reclaimable for decision in ranked[len(listed) :]))
        out.print(Text(f"  and {len(ranked) - len(listed):,} more: {size} (-v shows all)", style="dim"))
    for line in _remarks(listed):
        out.print(Text(line, style="dim"))
    if ranked:
        out.print()
    for item in plan.repair:
        words = f"{item.removal.paths[0]} is damaged ({item.removal.reasons[0].detail}): extract it again"
        out.print(Text(f"repair: {printable(words)} from {printable(item.archive)}", overflow="fold"))
    _show_other(out, plan.other)
    _show_summary(out, plan, disposal, verbosity)


def _show_summary(out: Console, plan: Plan, disposal: Disposal, verbosity: int) -> None:
    """Print what stays and why, what goes, and what that frees."""
    if plan.keep:
        _show_kept(out, plan, verbosity)
    withheld = show_withheld(out, plan)
    if plan.remove or plan.other:
        freed = hedge(plan.inventory.notices) + format_size(plan.reclaimable)
        purged = " once purged" if disposal is Disposal.BACKUP and plan.remove else ""
        apparent = f" ({format_size(plan.apparent)} apparent)" if verbosity else ""
        line = f"Remove {what_goes(plan)}: {plural(plan.files, 'file')}, frees {freed}{purged}{apparent}."
        out.print(Text(line, style="bold", overflow="fold"))
    elif plan.inventory.caches and not plan.repair and not withheld:
        out.print("Nothing to remove.")


def _show_kept(out: Console, plan: Plan, verbosity: int) -> None:
    """Print how many packages stay, by the strongest reason of each."""
    writable = {cache.path: cache.writable for cache in plan.inventory.caches}

    def why(decision: Keep) -> str:
        kind = decision.reasons[0].kind
        closed = kind is ReasonKind.READ_ONLY and not writable[decision.entry.cache]
        return _NO_PERMISSION if closed else _KEPT_BECAUSE[kind]

    counts = Counter(map(why, plan.keep)).most_common()
    leftovers = sum(decision.verdict is Verdict.LEFTOVER for decision in plan.keep)
    packages = len(plan.keep) - leftovers
    kept = [plural(packages, "package")] * bool(packages) + [plural(leftovers, "leftover")] * bool(leftovers)
    if len(counts) == 1:
        out.print(f"Keep {' and '.join(kept)}: {counts[0][0]}.")
    else:
        out.print(f"Keep {' and '.join(kept)}:")
        width = len(f"{counts[0][1]:,}")
        for words, count in counts:
            out.print(Text(f"  {count:>{width},} {words}", overflow="fold"))
    lone = [decision for decision in plan.keep if decision.reasons[0].kind is ReasonKind.IRREPLACEABLE]
    if lone and not verbosity:
        # They exist nowhere else, so they are named even where nothing else is.
        for decision in lone[:_NAMED]:
            line = f"    {printable(decision.entry.dist)}: {printable(reason_text(decision.reasons[0]))}"
            out.print(Text(line, overflow="fold"))
        if len(lone) > _NAMED:
            out.print(f"    and {len(lone) - _NAMED:,} more (-v shows all)")


def show_withheld(out: Console, plan: Plan) -> bool:
    """Print how much of each cache only a lack of permission keeps, and who can free it; return whether any is."""
    withheld = False
    for cache in plan.inventory.caches:
        size = sum(decision.reclaimable for decision in plan.keep if decision.entry.cache == cache.path)
        if cache.writable or not size:
            continue
        withheld, where = True, f"{format_size(size)} in {printable(cache.path)}"
        if cache.owner is None:
            line = f"{where} can't be freed: you don't have permission to change this cache."
            out.print(Text(line, overflow="fold"))
        else:
            out.print(Text(f"{where} can be freed by its owner ({printable(cache.owner)}):", overflow="fold"))
            print_command(out, _as_owner(cache))
    return withheld


def _as_owner(cache: Cache) -> str:
    """Return the command that frees what the owner of a cache may remove."""
    user = "" if cache.owner == "root" else f"-u {shlex.quote(cache.owner or '')} "
    return f"sudo {user}conda prune --pkgs-dir {shlex.quote(cache.path)}"


def show_check(out: Console, check: Check, plan: Plan) -> None:
    """Print the answer of ``--check``."""
    relation = "more than" if check.exceeded(plan.reclaimable) else "not more than"
    out.print(f"--check: {format_size(plan.reclaimable)} can be freed, {relation} {check.shown}.")


def _show_other(out: Console, other: Sequence[Other]) -> None:
    for kind, words in _OTHER.items():
        items = [item for item in other if item.kind is kind]
        if items:
            out.print(Text(f"{words}:", style="bold"))
        for item in items:
            files = plural(item.files, "file")
            out.print(Text(f"  {printable(item.path)}: {files}, {format_size(item.reclaimable)}", overflow="fold"))
        if items:
            out.print()


#: What goes besides packages can't be restored, and need not be: the table says so.
_OTHER = {
    OtherKind.INDEX_CACHE: "Index caches (conda downloads them again)",
    OtherKind.TEMPFILES: "Temporary files",
    OtherKind.LOGFILES: "Log files",
}


def show_notices(err: Console, notices: Iterable[Notice]) -> None:
    """Print warnings, those of one kind that are many as one."""
    notices = tuple(notices)
    mark_as_shown(notices)
    for warning in grouped(notices):
        err.print(Text.assemble(("warning: ", "yellow"), printable(warning.message)))
        if warning.command:
            print_command(err, warning.command)


def _show_cache(
    out: Console, cache: Cache, going: Sequence[Remove], staying: Sequence[Keep], now: float, verbosity: int
) -> None:
    read_only = "" if cache.writable else " (read-only)"
    out.print(Text(f"{cache_name(cache)}{read_only}: {plural(len(cache.entries), 'package')}", style="bold"))
    if going:
        _show_removals(out, going, now)
    if verbosity and staying:
        _show_decisions(out, ("  keep", "because"), staying, whole=verbosity > 1)
    if verbosity > 1 and going:
        _show_decisions(out, ("  remove", "because"), going, whole=True)


def _remarks(going: Sequence[Remove]) -> Iterator[str]:
    """Give the lines that explain marks in the table, and what goes though its package is in use."""
    if any(decision.last_used_from is LastUsedFrom.EXTRACTION and not is_in_use(decision) for decision in going):
        shows = "links leave no time on this system" if ON_WINDOWS else "no hard link shows a later use"
        yield f"  * age of the files: {shows}"
    kinds = Counter(decision.reasons[0].kind for decision in going)
    if lone := kinds[ReasonKind.UNLINKED]:
        yield f"  {lone:,} of these in use by environments that share no file with them, or keep what they share"
    if doubled := kinds[ReasonKind.EXTRACTED]:
        yield f"  {doubled:,} of these in use, with an archive that stays"


def is_in_use(decision: Remove) -> bool:
    """Return whether something goes of a package that stays in use."""
    return any(reason.kind in _OF_PACKAGES_IN_USE for reason in decision.reasons)


def _show_removals(out: Console, decisions: Sequence[Remove], now: float) -> None:
    rows = [
        (
            f"  {printable(decision.entry.dist)}",
            _what(decision),
            _last_used(decision, now),
            f"{decision.files:,}",
            format_size(decision.reclaimable),
        )
        for decision in decisions
    ]
    numbers = ("files", "frees")
    if show_columns(out, ("  remove", "parts", "unused for", *numbers), rows, numbers):
        return
    # Too narrow for a table: nothing of it may be lost.
    for name, parts, unused, files, frees in rows:
        out.print(Text(name, overflow="fold"))
        out.print(f"    frees {frees}, {parts}, files: {files}, unused for: {unused.strip()}")


def _show_decisions(
    out: Console, headings: tuple[str, str], decisions: Sequence[Keep | Remove], *, whole: bool
) -> None:
    rows = [(f"  {printable(decision.entry.dist)}", printable(_why(decision, whole))) for decision in decisions]
    if max(len(name) for name, _ in rows) + _NARROWEST_REASON > out.width:
        for name, reason in rows:
            out.print(Text(f"{name}: {reason}", overflow="fold"))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column(headings[0], no_wrap=True)
    table.add_column(headings[1], overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _why(decision: Keep | Remove, whole: bool) -> str:
    reasons = list(reason_texts(decision.reasons, whole=whole, more="-vv"))
    if isinstance(decision, Remove):
        reasons.append(f"comes from {decision.source}" if decision.source else "of unknown origin")
    return "; ".join(reasons)


#: So many environments that use a package are named; how a reason names one.
_ENVIRONMENTS, _USED_BY = 3, "used by "


def reason_texts(reasons: Sequence[Reason], *, whole: bool, more: str = "-v") -> Iterator[str]:
    """Give reasons in words; many environments that use a package are one, unless the `whole` is wanted.

    more: the option that shows the whole.
    """
    alike = [reason for reason in reasons if reason.detail.startswith(_USED_BY)]
    if whole or len(alike) <= _ENVIRONMENTS:
        yield from map(reason_text, reasons)
        return
    names = ", ".join(reason.detail.removeprefix(_USED_BY) for reason in alike[:_ENVIRONMENTS])
    links = Counter(_LINKED[reason.link] for reason in alike if reason.link)
    how = [words if count == len(alike) else f"{count:,} {words}" for words, count in links.most_common()]
    rest = f"{len(alike) - _ENVIRONMENTS:,} more"
    yield f"{_USED_BY}{names} and {rest} ({', '.join([*how, f'{more} lists all'])})"
    yield from (reason_text(reason) for reason in reasons if reason not in alike)


def reason_text(reason: Reason) -> str:
    """Return a reason in words, with the link kind where it was measured."""
    return f"{reason.detail} ({_LINKED[reason.link]})" if reason.link else reason.detail


def _what(decision: Remove) -> str:
    """Return the parts of an entry; of a leftover what it is."""
    if decision.leftover:
        return decision.reasons[0].kind.value
    return " ".join(_part(decision.entry, part) for part in decision.parts if part.kind is not PartKind.LOCK)


def _part(entry: Entry, part: Part) -> str:
    return part.name.removeprefix(entry.dist) if part.kind is PartKind.ARCHIVE else "dir"


def _last_used(decision: Remove, now: float) -> str:
    if is_in_use(decision):
        return "in use "
    if decision.last_used is None:
        return "unknown "
    age = format_age(now - decision.last_used)
    return f"{age} " if decision.last_used_from is LastUsedFrom.LINK else f"{age}*"
