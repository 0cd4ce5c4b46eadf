"""Runs, and the outcomes of restoring or purging them, as text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from ..core.model import Result
from ..core.plan import Outcome
from ..core.run import Disposal, PurgeOutcome, RunSummary
from ..core.units import Space, format_age, format_size, format_space, plural
from .outcome_text import nouns, show_failures
from .plan_text import LINES
from .terminal.console import listed, print_command, print_line, print_problem, print_rest
from .terminal.tables import Row, show_table

#: How a listing puts how a run is restored.
_KINDS = {Disposal.DELETE: "download", Disposal.BACKUP: "backup", Disposal.ARCHIVE: "archive"}


def show_runs(out: Console, runs: Sequence[RunSummary], now: float, *, purging: bool = False) -> None:
    """Print a line for each run, the newest last: what it removed, its size and its age.

    Those of which everything is back are left out, unless they are to be purged.
    """

    def row(summary: RunSummary) -> Row:
        names = ("environment", "environments") if summary.environments else ("package", "packages")
        size = summary.stored if purging else summary.size
        cells = (
            format_age(now - summary.run.started) if summary.run else "unknown",
            plural(len(summary.dists), *names) if summary.dists else "-",
            format_size(size) if size else "-",
            _kind(summary),
        )
        return Row(summary.id, cells, (f"    {listed(summary.dists)}",) if summary.dists else ())

    def is_shown(summary: RunSummary) -> bool:
        backup = summary.run is None or summary.run.disposal is Disposal.BACKUP
        return purging or summary.restorable or backup

    if rows := [row(summary) for summary in runs if is_shown(summary)]:
        headings = ("age", "removed", "on disk" if purging else "size", "restore by")
        show_table(out, "run", headings, rows, drop=("restore by",))
        if not purging and any(summary.restorable for summary in runs):
            out.print("To undo a run: conda prune restore RUN")
    else:
        out.print("Nothing left to restore." if runs else "No run to restore.")
    if purging and (lost := sum(summary.restorable and not summary.stored for summary in runs)):
        which = "This run holds" if len(runs) == 1 else f"{lost:,} of these runs {'holds' if lost == 1 else 'hold'}"
        it, they = ("it", "it") if lost == 1 else ("them", "they")
        print_line(out, f"{which} no backup: deleting {it} frees nothing, and {they} can no longer be undone then.")
    restored = [summary for summary in runs if not is_shown(summary)]
    if stored := sum(summary.stored for summary in restored):
        have = "run still has" if len(restored) == 1 else "runs still have"
        out.print(f"{len(restored):,} restored {have} archives. Delete them to free {format_size(stored)}:")
        print_command(out, f"conda prune purge {' '.join(summary.id for summary in restored)}")


def _kind(summary: RunSummary) -> str:
    if summary.unexplained:
        return "unreadable"
    if not summary.complete or summary.run is None:
        return "unfinished"
    if summary.in_place and not summary.own_files:
        return "already undone"
    disposal = summary.run.disposal
    if not summary.environments:
        return _KINDS[disposal]
    if disposal is Disposal.DELETE and not summary.rebuildable:
        return "your files only" if summary.own_files else "can't be rebuilt"
    kind = "rebuild" if disposal is Disposal.DELETE else _KINDS[disposal]
    return kind + (", your files" if summary.own_files else "")


def show_restored(
    out: Console,
    err: Console,
    run: str,
    outcomes: Sequence[Outcome],
    *,
    quiet: bool,
    before: RunSummary | None = None,
) -> None:
    """Print what did not come back and why, then what did (not if `quiet`).

    before: the run before this one, if it removed environments that are not back.
    """
    restored = [outcome for outcome in outcomes if outcome.result is Result.RESTORED]
    show_failures(err, outcomes)
    if not quiet:
        of = f" of {len(outcomes):,}" if len(restored) < len(outcomes) else ""
        what = f"{len(restored):,}{of} {nouns(outcomes)[len(outcomes) != 1]}"
        count = sum(outcome.files for outcome in restored)
        files = f": {plural(count, 'file')}" if count else ""
        print_line(out, f"Restored {what} from run {run}{files}.")
        if before is not None:
            print_line(
                out, f"The run before it removed {plural(len(before.dists), 'environment')}: {listed(before.dists)}"
            )
            print_line(out, f"To restore {'it' if len(before.dists) == 1 else 'them'}: conda prune restore {before.id}")


def show_restorable(out: Console, run: RunSummary, dists: Sequence[str], size: Space, *, whole: bool = True) -> None:
    """Print what a restore would put back, and its size."""
    what = plural(len(dists), "environment" if run.environments else "package")
    # Receipts of earlier versions have no inodes.
    of = f" ({format_space(size, inodes=whole and size.inodes > 0)})" if size.bytes else ""
    out.print(f"Would restore {what}{of} from run {run.id}:")
    shown = dists if whole else dists[:LINES]
    for dist in shown:
        print_line(out, f"  {dist}")
    print_rest(out, len(dists) - len(shown))


def show_purged(out: Console, err: Console, outcomes: Sequence[PurgeOutcome], *, quiet: bool) -> None:
    """Print what was not purged and why, then what was (not if `quiet`)."""
    purged = sum(outcome.result is Result.PURGED for outcome in outcomes)
    for outcome in outcomes:
        if outcome.result is Result.FAILED:
            print_problem(err, "failed", f"{outcome.summary.id}: {outcome.error}")
    if not quiet:
        freed = sum(outcome.freed for outcome in outcomes)
        out.print(f"Purged {plural(purged, 'run')}{f', freed {format_size(freed)}' if freed else ''}.")
