"""The plan of a prune and its outcomes, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..core.accounting import hedge
from ..core.file_status import ON_WINDOWS
from ..core.model import Cache, Client, Entry, LastUsedFrom, LinkKind, OtherKind, Part, PartKind, ReasonKind, Result
from ..core.notices import Notice
from ..core.plan import Keep, Other, OtherOutcome, Outcome, Plan, Reason, Remove, what_goes
from ..core.run import Check, Disposal, Run, Shrinkage
from ..core.units import format_age, format_size, plural
from .terminal.notice_groups import grouped, mark_as_shown
from .terminal.printable import printable
from .terminal.tables import show_columns

#: A column of reasons narrower than this is no help.
_NARROWEST_REASON = 24

#: How the summary puts each reason to keep an entry.
_KEPT_BECAUSE = {
    ReasonKind.ENVIRONMENT: "in use by environments",
    ReasonKind.REVISION: "held by earlier revisions (--keep-revisions)",
    ReasonKind.LOCKFILE: "named by lockfiles (--lockfile)",
    ReasonKind.KEEP: "kept by rules (--keep)",
    ReasonKind.LINKED: "hard-linked from somewhere unknown",
    ReasonKind.NEWEST: "the newest of their names (--keep-newest)",
    ReasonKind.IRREPLACEABLE: "irreplaceable (--include-irreplaceable)",
    ReasonKind.RECENT: "fetched or extracted too recently (--min-age)",
    ReasonKind.LOCKED: "in use by a running process",
    ReasonKind.UNREADABLE: "unreadable",
    ReasonKind.READ_ONLY: "not ours to remove, or with something else inside",
    ReasonKind.PARTIAL_DOWNLOAD: "partial downloads",
    ReasonKind.INCOMPLETE_EXTRACTION: "incomplete extractions",
    ReasonKind.TRASH: "trash",
    ReasonKind.CORRUPT: "corrupt",
    ReasonKind.NOT_SELECTED: "not needed, but not selected",
    ReasonKind.UNKNOWN: "can't be judged (-v says why)",
}

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


def show_plan(out: Console, plan: Plan, *, now: float, verbosity: int) -> None:
    """Print what goes, what that gives back, and what stays.

    With a verbosity of 1 what stays is listed with what keeps it, with 2 also why what goes may go.
    """
    for cache in plan.inventory.caches:
        going = [decision for decision in plan.remove if decision.entry.cache == cache.path]
        staying = [decision for decision in plan.keep if decision.entry.cache == cache.path]
        _show_cache(out, cache, going, staying, now, verbosity)
    for item in plan.repair:
        words = f"{item.removal.paths[0]} is damaged ({item.removal.reasons[0].detail}): extracted anew"
        out.print(Text(f"repair: {printable(words)} from {printable(item.archive)}", overflow="fold"))
    _show_other(out, plan.other)
    if plan.remove or plan.other:
        reclaimable = hedge(plan.inventory.notices) + format_size(plan.reclaimable)
        out.print(
            f"{what_goes(plan)} to remove: {plural(plan.files, 'file')}, "
            f"{reclaimable} reclaimable ({format_size(plan.apparent)} apparent)."
        )
    elif plan.inventory.caches and not plan.repair:
        out.print("Nothing to remove.")


def show_check(out: Console, check: Check, plan: Plan) -> None:
    """Print the answer of ``--check``."""
    relation = "more than" if check.exceeded(plan.reclaimable) else "not more than"
    out.print(f"--check: {format_size(plan.reclaimable)} reclaimable, {relation} {check.shown}.")


def show_shrinkage(out: Console, shrinkage: Shrinkage) -> None:
    """Print how much the caches hold, and held."""
    before = format_size(shrinkage.before)
    if shrinkage.after is None:
        out.print(f"--ci {shrinkage.preset}: the caches hold {before}.")
    else:
        out.print(f"--ci {shrinkage.preset}: the caches held {before} and hold {format_size(shrinkage.after)} now.")


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
    OtherKind.INDEX_CACHE: "Index caches, which conda fetches again",
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
            err.print(f"    {warning.command}")


def show_outcomes(
    out: Console,
    err: Console,
    run: Run,
    outcomes: Sequence[Outcome],
    others: Sequence[OtherOutcome],
    *,
    quiet: bool,
    hedge: str = "",
    undoable: bool = True,
) -> None:
    """Print what was done and how it is undone (not if `quiet`), and what was not done and why.

    hedge: how true the freed bytes are (`size_precision.hedge`).
    """
    if not quiet:
        for line in (*(_done(run, outcomes, hedge, undoable) if outcomes else ()), *_other_results(others)):
            out.print(line)
    show_failures(err, outcomes)
    for outcome in others:
        if outcome.error is not None:
            style = "yellow" if outcome.result is Result.SKIPPED else "red"
            err.print(
                Text.assemble((outcome.result.value, style), printable(f": {outcome.other.path}: {outcome.error}"))
            )


def show_failures(err: Console, outcomes: Sequence[Outcome]) -> None:
    """Print what was skipped and what failed, and why."""
    for result, style in ((Result.SKIPPED, "yellow"), (Result.FAILED, "red")):
        for outcome in outcomes:
            if outcome.result is result:
                line = f": {outcome.entry.dist} in {outcome.entry.cache}: {outcome.error}"
                err.print(Text.assemble((result.value, style), printable(line)))


def _done(run: Run, outcomes: Sequence[Outcome], hedge: str, undoable: bool) -> Iterator[str]:
    done = [outcome for outcome in outcomes if outcome.result in (Result.REMOVED, Result.BACKED_UP)]
    repaired = sum(outcome.result is Result.REPAIRED for outcome in outcomes)
    if repaired:
        yield f"Repaired {plural(repaired, 'package')}."
    if repaired and repaired == len(outcomes):
        return
    entries = plural(len(done), "entry", "entries")
    files = plural(sum(outcome.files for outcome in done), "file")
    freed = hedge + format_size(sum(outcome.freed for outcome in outcomes))
    if run.disposal is Disposal.BACKUP:
        yield f"Moved {entries} aside, {files}. This frees nothing before `conda prune purge {run.id}`."
    elif run.disposal is Disposal.ARCHIVE:
        yield f"Archived {entries} in {printable(run.destination or '')} and removed them, {files}; {freed} freed."
    else:
        yield f"Removed {entries}, {files}; {freed} freed."
    if done and undoable:
        how = " (fetches again what has a known source)" if run.disposal is Disposal.DELETE else ""
        yield f"To undo it: conda prune restore {run.id}{how}"


def _other_results(others: Sequence[OtherOutcome]) -> Iterator[str]:
    done = [outcome for outcome in others if outcome.result is Result.REMOVED]
    if others:
        files = plural(sum(outcome.files for outcome in done), "file")
        freed = format_size(sum(outcome.freed for outcome in done))
        yield f"Removed from index caches, temporary files and logs: {files}; {freed} freed."


def _show_cache(
    out: Console, cache: Cache, going: Sequence[Remove], staying: Sequence[Keep], now: float, verbosity: int
) -> None:
    read_only = "" if cache.writable else " (read-only)"
    entries = plural(len(cache.entries), "entry", "entries")
    out.print(Text(f"{cache_name(cache)}{read_only}: {entries}", style="bold"))
    if going:
        _show_removals(out, going, now)
        for line in _remarks(going):
            out.print(line)
    for kind, count in Counter(decision.reasons[0].kind for decision in staying).most_common():
        out.print(f"  keeps {count:,}: {_KEPT_BECAUSE[kind]}")
        if kind is ReasonKind.IRREPLACEABLE and not verbosity:
            # Nobody else has them: they are named even where nothing else is.
            for decision in staying:
                if decision.reasons[0].kind is kind:
                    out.print(
                        Text(
                            f"    {printable(decision.entry.dist)}: {reason_text(decision.reasons[0])}", overflow="fold"
                        )
                    )
    if verbosity and staying:
        _show_decisions(out, ("  keep", "because"), staying)
    if verbosity > 1 and going:
        _show_decisions(out, ("  remove", "because"), going)
    out.print()


def _remarks(going: Sequence[Remove]) -> Iterator[str]:
    if any(decision.last_used_from is LastUsedFrom.EXTRACTION for decision in going):
        why = "links leave no time on this system" if ON_WINDOWS else "it was never linked"
        yield f"  * {why}: the time since it was fetched or extracted"
    kinds = Counter(decision.reasons[0].kind for decision in going)
    if lone := kinds[ReasonKind.UNLINKED]:
        yield f"  {lone:,} of these in use by environments that share no file with them, or keep what they share"
    if doubled := kinds[ReasonKind.EXTRACTED]:
        yield f"  {doubled:,} of these in use, with an archive that stays"


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
    numbers = ("files", "reclaimable")
    if show_columns(out, ("  remove", "parts", "unused for", *numbers), rows, numbers):
        return
    # Too narrow for a table: nothing of it may be lost.
    for name, parts, unused, files, reclaimable in rows:
        out.print(Text(name, overflow="fold"))
        out.print(f"    {reclaimable}, files: {files}, {parts}, unused for {unused.strip()}")


def _show_decisions(out: Console, headings: tuple[str, str], decisions: Sequence[Keep | Remove]) -> None:
    rows = [(f"  {printable(decision.entry.dist)}", printable(_why(decision))) for decision in decisions]
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


def _why(decision: Keep | Remove) -> str:
    reasons = [reason_text(reason) for reason in decision.reasons]
    if isinstance(decision, Remove):
        reasons.append(f"comes from {decision.source}" if decision.source else "where it comes from is not known")
    return "; ".join(reasons)


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
    if decision.last_used is None:
        return "unknown"
    age = format_age(now - decision.last_used)
    return f"{age} " if decision.last_used_from is LastUsedFrom.LINK else f"{age}*"
