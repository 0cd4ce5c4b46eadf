"""The plan of a prune, as text."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf

from rich.console import Console
from rich.table import Table

from ..core.accounting import hedge
from ..core.model import Cache, Client, LastUsedFrom, LinkKind, OtherKind, PartKind, ReasonKind, Verdict
from ..core.notices import Notice
from ..core.plan import Keep, Plan, Reason, Remove, what_goes
from ..core.run import Check, Disposal
from ..core.units import NO_SPACE, format_age, format_amount, format_size, format_space, plural
from .terminal.console import and_more, print_command, print_line, print_problem, print_rest
from .terminal.notice_groups import grouped, mark_as_shown
from .terminal.printable import printable
from .terminal.tables import Row, show_table

#: A column of reasons narrower than this is no help.
_NARROWEST_REASON = 24

#: How many removals are listed without -v, and how many packages that can't be downloaded again are named.
LINES, _NAMED = 20, 5

#: The orders of ``--sort``: the largest, the one with most inodes, the longest unused, or the first in the alphabet
#: comes first.
SORTS: Mapping[str, Callable[[Remove], tuple[float, str]]] = {
    "size": lambda decision: (-decision.reclaimable, decision.entry.dist),
    "inodes": lambda decision: (-decision.reclaimable_inodes, decision.entry.dist),
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
    ReasonKind.NEWEST: "newest versions (--keep-newest)",
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
_NO_PERMISSION = "no permission to remove"

#: What goes though its package stays in use.
_OF_PACKAGES_IN_USE = frozenset({ReasonKind.UNLINKED, ReasonKind.TARBALL, ReasonKind.EXTRACTED})

#: An option that the detail of a reason names.
_OPTION = re.compile(r"--[a-z-]+")

#: Whose a cache is, where it is not conda's.
_CLIENTS: dict[str, str] = {Client.MAMBA: "mamba", Client.RATTLER: "pixi, rattler"}

#: How an environment holds the files of an entry.
_LINKED = {
    LinkKind.HARD: "hard-linked",
    LinkKind.SOFT: "soft-linked",
    LinkKind.COPY: "copied",
    LinkKind.RECORDED: "recorded only",
}

#: What goes besides packages can't be restored, and need not be: the table says so.
_OTHER = {
    OtherKind.INDEX_CACHE: "Index caches (conda downloads them again)",
    OtherKind.TEMPFILES: "Temporary files",
    OtherKind.LOGFILES: "Log files",
}


def cache_name(cache: Cache) -> str:
    """Return a cache's path, and whose it is, if it is not conda's."""
    return f"{cache.path} ({_CLIENTS[cache.client]})" if cache.client in _CLIENTS else cache.path


def show_plan(
    out: Console,
    plan: Plan,
    *,
    now: float,
    verbosity: int,
    sort: str = "size",
    disposal: Disposal = Disposal.DELETE,
    inodes: bool = False,
    notices: Callable[[], None] = lambda: None,
) -> None:
    """Print what goes, then a summary that fits on a screen: what stays and why, what goes, and what that frees.

    With a verbosity of 1 all that goes is listed, and what stays with what keeps it; with 2 also why what goes may go.
    inodes: show these too, as any verbosity does. notices: prints warnings between the two, so that nothing comes
    between the summary and a question.
    """
    ranked = sorted(plan.remove, key=SORTS[sort])
    shown = ranked if verbosity else ranked[:LINES]
    inodes = inodes or verbosity > 0 or sort == "inodes"
    for cache in plan.inventory.caches:
        going = [decision for decision in shown if decision.entry.cache == cache.path]
        staying = [decision for decision in plan.keep if decision.entry.cache == cache.path]
        read_only = "" if cache.writable else " (read-only)"
        print_line(out, f"{cache_name(cache)}{read_only}: {plural(len(cache.entries), 'package')}", style="bold")
        if going:
            rows = [_row(decision, now, inodes=inodes) for decision in going]
            left = ("parts", "unused for")
            headings = (*left, "files", "frees", *(("inodes",) if inodes else ()))
            show_table(out, "  remove", headings, rows, drop=("files", "parts"), left=left)
        if verbosity and staying:
            _show_reasons(out, "keep", staying, whole=verbosity > 1)
        if verbosity > 1 and going:
            _show_reasons(out, "remove", going, whole=True)
    rest = sum((decision.frees for decision in ranked[len(shown) :]), NO_SPACE)
    print_rest(out, len(ranked) - len(shown), f": {format_space(rest, inodes=inodes)}")
    for line in _remarks(shown):
        print_line(out, line, style="dim")
    if ranked:
        out.print()
    _show_others(out, plan)
    notices()
    _show_summary(out, plan, disposal, verbosity, inodes=inodes)


def _show_others(out: Console, plan: Plan) -> None:
    """Print what is extracted again, and what goes besides packages."""
    for item in plan.repair:
        print_line(out, f"Repair {item.removal.entry.dist}: {item.removal.reasons[0].detail}.")
        print_line(out, f"  {item.removal.paths[0]} is extracted again from {item.archive}", style="dim")
    for kind, words in _OTHER.items():
        if items := [item for item in plan.other if item.kind is kind]:
            print_line(out, f"{words}:", style="bold")
            for other in items:
                print_line(out, f"  {other.path}: {plural(other.files, 'file')}, {format_size(other.reclaimable)}")
            out.print()


def _row(decision: Remove, now: float, *, inodes: bool) -> Row:
    """Return what goes: its parts, or what it is of a leftover, how long it was unused, and what it frees."""
    parts = [part for part in decision.parts if part.kind is not PartKind.LOCK]
    dist = decision.entry.dist
    what = " ".join("dir" if part.kind is not PartKind.ARCHIVE else part.name.removeprefix(dist) for part in parts)
    # The star leads to a remark; so that ages stay below each other, the others have a space in its place.
    unused = "unknown " if decision.last_used is None else f"{format_age(now - decision.last_used)}*"
    if is_in_use(decision):
        unused = "in use "
    elif decision.last_used_from is LastUsedFrom.LINK:
        unused = f"{unused[:-1]} "
    what = decision.reasons[0].kind.value if decision.leftover else what
    cells = (what, unused, f"{decision.files:,}", format_size(decision.reclaimable))
    return Row(f"  {dist}", (*cells, f"{decision.reclaimable_inodes:,}") if inodes else cells)


def _remarks(going: Sequence[Remove]) -> Iterator[str]:
    """Give the lines that explain marks in the table, and what goes though its package is in use."""
    if any(decision.last_used_from is LastUsedFrom.EXTRACTION and not is_in_use(decision) for decision in going):
        yield "  * since its download; a later use is not known"
    kinds = Counter(decision.reasons[0].kind for decision in going)
    if lone := kinds[ReasonKind.UNLINKED]:
        yield f"  {lone:,} of these in use by environments that share no file with them, or keep what they share"
    if doubled := kinds[ReasonKind.EXTRACTED]:
        yield f"  {doubled:,} of these in use, with an archive that stays"


def is_in_use(decision: Remove) -> bool:
    """Return whether something goes of a package that stays in use."""
    return any(reason.kind in _OF_PACKAGES_IN_USE for reason in decision.reasons)


def _show_summary(out: Console, plan: Plan, disposal: Disposal, verbosity: int, *, inodes: bool) -> None:
    """Print what stays and why, what goes, and what that frees."""
    if plan.keep:
        _show_kept(out, plan, verbosity)
    withheld = show_withheld(out, plan)
    if plan.remove or plan.other:
        freed = hedge(plan.inventory.notices) + format_space(plan.frees, inodes=inodes)
        purged = " once purged" if disposal is Disposal.BACKUP and plan.remove else ""
        apparent = f" ({format_size(plan.apparent)} apparent)" if verbosity else ""
        line = f"Remove {what_goes(plan)}: {plural(plan.files, 'file')}, frees {freed}{purged}{apparent}."
        print_line(out, line, style="bold")
    elif plan.inventory.caches and not plan.repair and not withheld:
        out.print("Nothing to remove.")


def _show_kept(out: Console, plan: Plan, verbosity: int) -> None:
    """Print how many packages stay, by the strongest reason of each."""
    writable = {cache.path: cache.writable for cache in plan.inventory.caches}
    counts: Counter[str] = Counter()
    for decision in plan.keep:
        kind = decision.reasons[0].kind
        closed = kind is ReasonKind.READ_ONLY and not writable[decision.entry.cache]
        options = dict.fromkeys(_OPTION.findall(decision.reasons[0].detail))
        if kind is ReasonKind.NOT_SELECTED and options:
            counts[f"unused, but excluded by {', '.join(options)}"] += 1
        else:
            counts[_NO_PERMISSION if closed else _KEPT_BECAUSE[kind]] += 1
    leftovers = sum(decision.verdict is Verdict.LEFTOVER and not _is_used(decision) for decision in plan.keep)
    nouns = {"package": len(plan.keep) - leftovers, "leftover": leftovers}
    kept = " and ".join(plural(count, noun) for noun, count in nouns.items() if count)
    if len(counts) == 1:
        out.print(f"Keep {kept}: {next(iter(counts))}.")
    else:
        out.print(f"Keep {kept}:")
        width = len(f"{max(counts.values()):,}")
        for words, count in counts.most_common():
            print_line(out, f"  {count:>{width},} {words}")
    lone = [decision for decision in plan.keep if decision.reasons[0].kind is ReasonKind.IRREPLACEABLE]
    if lone and not verbosity:
        # They exist nowhere else, so they are named even where nothing else is.
        for decision in lone[:_NAMED]:
            print_line(out, f"    {decision.entry.dist}: {_reason_text(decision.reasons[0])}")
        if len(lone) > _NAMED:
            print_line(out, f"    {and_more(len(lone) - _NAMED)}")


def _is_used(decision: Keep) -> bool:
    """Return True for a package that environments use, damaged or not."""
    is_package = decision.entry.parts[0].kind is PartKind.EXTRACTED
    return is_package and any(reason.kind is ReasonKind.ENVIRONMENT for reason in decision.reasons)


def show_withheld(out: Console, plan: Plan) -> bool:
    """Print how much of each cache only a lack of permission keeps, and who can free it; return whether any is."""
    withheld = False
    for cache in plan.inventory.caches:
        size = sum(decision.reclaimable for decision in plan.keep if decision.entry.cache == cache.path)
        if cache.writable or not size:
            continue
        withheld, where = True, f"{format_size(size)} in {cache.path}"
        if cache.owner is None:
            print_line(out, f"{where} can't be freed: no permission to change this cache.")
        else:
            conda = shlex.quote(os.environ.get("CONDA_EXE", "conda"))
            print_line(out, f"{where} can be freed by its owner ({cache.owner}):")
            user = "" if cache.owner == "root" else f"-u {shlex.quote(cache.owner)} "
            print_command(out, f"sudo {user}{conda} prune --pkgs-dir {shlex.quote(cache.path)}")
    return withheld


def show_check(out: Console, check: Check, plan: Plan) -> None:
    """Print the answer of ``--check``."""
    relation = "more than" if check.exceeded(plan.frees) else "not more than"
    out.print(
        f"--check: {format_amount(plan.frees.of(check.unit), check.unit)} can be freed, {relation} {check.shown}."
    )


def show_verified(out: Console, plan: Plan) -> None:
    """Print that ``--verify`` has found no damage, if so."""
    damaged = {ReasonKind.CORRUPT, ReasonKind.INCOMPLETE_EXTRACTION}
    decisions: tuple[Keep | Remove, ...] = (*plan.keep, *plan.remove)
    kinds = {reason.kind for decision in decisions for reason in decision.reasons}
    if not plan.repair and not kinds & damaged:
        entries = sum(len(cache.entries) for cache in plan.inventory.caches)
        out.print(f"Verified {plural(entries, 'package')}: no damage found.")


def show_notices(err: Console, notices: Iterable[Notice]) -> None:
    """Print warnings, those of one kind that are many as one."""
    notices = tuple(notices)
    mark_as_shown(notices)
    for warning in grouped(notices):
        print_problem(err, "warning", warning.message)
        if warning.command:
            print_command(err, warning.command)


def _show_reasons(out: Console, verb: str, decisions: Sequence[Keep | Remove], *, whole: bool) -> None:
    """Print each package with the reasons to keep or to remove it."""
    rows = []
    for decision in decisions:
        reasons = list(reason_texts(decision.reasons, whole=whole, more="-vv"))
        if isinstance(decision, Remove):
            reasons.append(f"comes from {decision.source}" if decision.source else "of unknown origin")
        rows.append((printable(f"  {decision.entry.dist}"), printable("; ".join(reasons))))
    if max(len(name) for name, _ in rows) + _NARROWEST_REASON > out.width:
        for name, reason in rows:
            print_line(out, f"{name}: {reason}")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="dim")
    table.add_column(f"  {verb}", no_wrap=True)
    table.add_column("because", overflow="fold")
    for row in rows:
        table.add_row(*row)
    out.print(table)


#: So many environments that use a package are named; how a reason names one.
_ENVIRONMENTS, _USED_BY = 3, "used by "


def reason_texts(reasons: Sequence[Reason], *, whole: bool, more: str = "-v") -> Iterator[str]:
    """Give reasons in words; many environments that use a package are one, unless the `whole` is wanted.

    more: the option that shows the whole.
    """
    alike = [reason for reason in reasons if reason.detail.startswith(_USED_BY)]
    if len(alike) < 2:
        yield from map(_reason_text, reasons)
        return
    shown = len(alike) if whole else _ENVIRONMENTS
    names = ", ".join(reason.detail.removeprefix(_USED_BY) for reason in alike[:shown])
    links = Counter(_LINKED[reason.link] for reason in alike if reason.link)
    how = [words if count == len(alike) else f"{count:,} {words}" for words, count in links.most_common()]
    if len(alike) > shown:
        hint = ", ".join([*how, f"{more} shows all"])
        yield f"{_USED_BY}{names} {and_more(len(alike) - shown, hint=hint)}"
    else:
        linked = f" ({', '.join(how)})" if how else ""
        yield f"{_USED_BY}{names}{linked}"
    yield from (_reason_text(reason) for reason in reasons if reason not in alike)


def _reason_text(reason: Reason) -> str:
    """Return a reason in words, with the link kind where it was measured."""
    return f"{reason.detail} ({_LINKED[reason.link]})" if reason.link else reason.detail
