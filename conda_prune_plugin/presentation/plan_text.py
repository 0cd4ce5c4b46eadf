"""The plan of a prune, as text."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf

from rich.console import Console

from ..core.accounting import hedge
from ..core.dist_names import archive_dist
from ..core.model import Cache, Client, LastUsedFrom, OtherKind, PartKind, ReasonKind, RootKind
from ..core.notices import MISSING, REPAIR, Notice
from ..core.plan import Keep, Plan, Remove, what_goes
from ..core.run import Check, Disposal
from ..core.units import NO_SPACE, format_age, format_size, format_space, plural
from .reasons_text import DAMAGED, is_leftover, show_kept, show_reasons
from .terminal.console import listed, print_command, print_line, print_problem, print_rest
from .terminal.notice_groups import grouped, mark_as_shown
from .terminal.tables import Row, show_table

#: How many removals are listed without -v.
LINES = 20

#: The orders of ``--sort``: the largest, the one with most inodes, the longest unused, or the first in the alphabet
#: comes first.
SORTS: Mapping[str, Callable[[Remove], tuple[float, str]]] = {
    "size": lambda decision: (-decision.reclaimable, decision.entry.dist),
    "inodes": lambda decision: (-decision.reclaimable_inodes, decision.entry.dist),
    "age": lambda decision: (inf if decision.last_used is None else decision.last_used, decision.entry.dist),
    "name": lambda decision: (0, decision.entry.dist),
}

#: What goes though its package stays in use.
_OF_PACKAGES_IN_USE = frozenset({ReasonKind.UNLINKED, ReasonKind.TARBALL, ReasonKind.EXTRACTED})

#: Whose a cache is, where it is not conda's.
_CLIENTS: dict[str, str] = {Client.MAMBA: "mamba", Client.RATTLER: "pixi, rattler"}

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
    nothing: str = "Nothing to remove.",
    dry_run: bool = False,
    notices: Callable[[], None] = lambda: None,
) -> None:
    """Print what goes, then a summary that fits on a screen: what stays and why, what goes, and what that frees.

    With a verbosity of 1 all that goes is listed, and what stays with what keeps it; with 2 also why what goes may go.
    inodes: show these too, as any verbosity does. nothing: says that the plan changes nothing. dry_run: the plan is
    only shown. notices: prints warnings between the two, so that nothing comes between the summary and a question.
    """
    ranked = sorted(plan.remove, key=SORTS[sort])
    shown = ranked if verbosity else ranked[:LINES]
    inodes, packages = inodes or verbosity > 0 or sort == "inodes", _packages(plan)
    for cache in plan.inventory.caches:
        going = [decision for decision in shown if decision.entry.cache == cache.path]
        staying = [decision for decision in plan.keep if decision.entry.cache == cache.path]
        read_only = "" if cache.writable else " (read-only)"
        print_line(out, f"{cache_name(cache)}{read_only}: {plural(packages[cache.path], 'package')}", style="bold")
        if going:
            rows = [_row(decision, now, inodes=inodes) for decision in going]
            left = ("parts", "unused for")
            headings = (*left, "files", "frees", *(("inodes",) if inodes else ()))
            show_table(out, "  remove", headings, rows, drop=("files", "parts"), left=left)
        if verbosity and staying:
            show_reasons(out, "keep", staying, whole=verbosity > 1)
        if verbosity > 1 and going:
            show_reasons(out, "remove", going, whole=True)
    rest = sum((decision.frees for decision in ranked[len(shown) :]), NO_SPACE)
    print_rest(out, len(ranked) - len(shown), f": {format_space(rest, inodes=inodes)}")
    for line in _remarks(shown):
        print_line(out, line, style="dim")
    if ranked:
        out.print()
    _show_others(out, plan)
    notices()
    _show_summary(out, plan, disposal, verbosity, inodes=inodes, nothing=nothing, dry_run=dry_run)


def _packages(plan: Plan) -> Counter[str]:
    """Return how many packages each cache has; what is left of a damaged one counts once."""
    kept = {(decision.entry.cache, decision.entry.dist) for decision in plan.keep if not is_leftover(decision)}
    going = {(decision.entry.cache, decision.entry.dist) for decision in plan.remove if not decision.leftover}
    return Counter(cache for cache, _ in kept | going)


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
        unused = "- "
    elif decision.last_used_from is LastUsedFrom.LINK:
        unused = f"{unused[:-1]} "
    what = decision.reasons[0].kind.value.replace("-", " ") if decision.leftover else what
    cells = (what, unused, f"{decision.files:,}", format_size(decision.reclaimable))
    return Row(f"  {dist}", (*cells, f"{decision.reclaimable_inodes:,}") if inodes else cells)


def _remarks(going: Sequence[Remove]) -> Iterator[str]:
    """Give the lines that explain marks in the table, and what goes though its package is in use."""
    if any(decision.last_used_from is LastUsedFrom.EXTRACTION and not is_in_use(decision) for decision in going):
        yield "  * age on disk; last use unknown"
    if any(map(is_in_use, going)):
        yield "  - in use by environments that don't need these parts"
    kinds = Counter(decision.reasons[0].kind for decision in going)
    if lone := kinds[ReasonKind.UNLINKED]:
        are = "is in use, but its" if lone == 1 else "are in use, but the"
        yield f"  {lone:,} of these {are} environments have their own copies"
    if doubled := kinds[ReasonKind.EXTRACTED]:
        yield f"  {doubled:,} of these in use, with an archive that stays"


def is_in_use(decision: Remove) -> bool:
    """Return whether something goes of a package that stays in use: a part, or damaged files that were copied."""
    copied = decision.entry.parts[0].kind is PartKind.EXTRACTED and decision.leftover
    return any(reason.kind in _OF_PACKAGES_IN_USE for reason in decision.reasons) or (
        copied and any(root.kind is RootKind.ENVIRONMENT for root in decision.accepted)
    )


def _show_summary(
    out: Console, plan: Plan, disposal: Disposal, verbosity: int, *, inodes: bool, nothing: str, dry_run: bool
) -> None:
    """Print what stays and why, what goes, and what that frees."""
    if plan.keep:
        show_kept(out, plan, verbosity)
    withheld = show_withheld(out, plan, inodes=inodes)
    if plan.remove or plan.other:
        freed = hedge(plan.inventory.notices) + format_space(plan.frees, inodes=inodes)
        what, purged = f"{'Would remove' if dry_run else 'Remove'} {what_goes(plan)}", ""
        if disposal is Disposal.BACKUP and plan.remove:
            what = f"{'Would move' if dry_run else 'Move'} {what_goes(plan, backup=True)}"
            purged = " once purged"
        apparent = f" ({format_size(plan.apparent)} apparent)" if verbosity else ""
        line = f"{what}: {plural(plan.files, 'file')}, frees {freed}{purged}{apparent}."
        print_line(out, line, style="bold")
    elif plan.inventory.caches and not plan.repair and not withheld:
        out.print(nothing)


def show_withheld(out: Console, plan: Plan, *, inodes: bool = False) -> bool:
    """Print how much of each cache only a lack of permission keeps, and who can free it; return whether any is."""
    withheld = False
    for cache in plan.inventory.caches:
        size = sum((decision.frees for decision in plan.keep if decision.entry.cache == cache.path), NO_SPACE)
        if cache.writable or not size.bytes:
            continue
        withheld, where = True, f"{format_space(size, inodes=inodes)} in {cache.path}"
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
    relation = "more than" if check.exceeded(plan.frees) else "within"
    out.print(f"--check: {check.amount(plan.frees)} can be freed, {relation} the limit of {check.shown}.")


def show_verified(out: Console, plan: Plan, *, contents: bool) -> None:
    """Print how many packages were checked and are damaged; `contents`: their contents were compared too."""
    decisions: tuple[Keep | Remove, ...] = (*plan.keep, *plan.remove)
    damaged = {
        archive_dist(item.entry.dist) or item.entry.dist
        for item in decisions
        if any(reason.kind in DAMAGED for reason in item.reasons)
    }
    # A damaged archive bears its file name.
    checked = plural(
        len({(item.entry.cache, archive_dist(item.entry.dist) or item.entry.dist) for item in decisions}), "package"
    )
    found = f"{len(damaged):,} damaged ({listed(sorted(damaged))})" if damaged else "no damage found"
    if contents:
        print_line(out, f"Verified {checked}: {found}.")
    else:
        print_line(out, f"Checked {checked}, names and sizes of files only: {found}. To compare contents too:")
        print_command(out, REPAIR)


def show_notices(err: Console, notices: Iterable[Notice]) -> None:
    """Print warnings, those of one kind that are many as one."""
    notices = tuple(notices)
    mark_as_shown(notices)
    for warning in grouped(notices):
        print_problem(err, "warning", warning.message)
        if warning.command:
            print_command(err, warning.command)


def show_risk(err: Console, notices: Iterable[Notice]) -> None:
    """Print what a yes to the question that follows does to missing environments, if there are any."""
    if any(notice.kind == MISSING for notice in notices):
        print_line(err, "If you go on, the packages above are removed even if a missing environment uses them.")
