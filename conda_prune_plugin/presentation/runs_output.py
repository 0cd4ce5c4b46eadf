"""Runs, and the outcomes of restoring or purging them, as text and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from ..core.model import PartKind, Result
from ..core.notices import Notice
from ..core.plan import Outcome
from ..core.run import Disposal, PurgeOutcome, RunSummary
from ..core.units import format_age, format_size, plural
from .outcome_text import show_failures
from .plan_json import SCHEMA, iso_time, outcome_document, warnings_document
from .plan_text import LINES
from .terminal.console import print_command
from .terminal.printable import printable
from .terminal.tables import Row, show_table

#: How a listing puts how a run is restored.
_KINDS = {Disposal.DELETE: "download", Disposal.BACKUP: "backup", Disposal.ARCHIVE: "archive"}
_KINDS_OF_ENVIRONMENTS = {**_KINDS, Disposal.DELETE: "rebuild"}

#: So many of what a run removed are named.
_NAMED = 3


def runs_document(
    runs: Iterable[dict[str, Any]],
    notices: Iterable[Notice],
    *,
    success: bool,
    dry_run: bool,
    outcomes: Sequence[Outcome] = (),
) -> dict[str, Any]:
    """Return the document of ``restore`` and ``purge``."""
    return {
        "schema": SCHEMA,
        "success": success,
        "dry_run": dry_run,
        "runs": list(runs),
        "outcomes": [outcome_document(outcome) for outcome in outcomes],
        "warnings": warnings_document(notices),
    }


def run_document(summary: RunSummary) -> dict[str, Any]:
    """Return what JSON tells of one run: sizes in bytes, the time in ISO 8601 and UTC."""
    run = summary.run
    return {
        "run": summary.id,
        "time": iso_time(run.started) if run else None,
        "disposal": run.disposal.value if run else None,
        "destination": run.destination if run else None,
        "caches": list(summary.caches),
        "entries": len(summary.dists),
        "dists": list(summary.dists),
        "files": summary.files,
        "bytes": summary.stored,
        "complete": summary.complete,
        "environments": summary.environments,
        "own_files": summary.own_files,
    }


def purged_document(outcome: PurgeOutcome) -> dict[str, Any]:
    """Return what JSON tells of a run that was to be purged."""
    result = {"result": outcome.result.value, "freed": outcome.freed, "error": outcome.error}
    return {**run_document(outcome.summary), **result}


def restored_document(summary: RunSummary, dists: Sequence[str], files: int) -> dict[str, Any]:
    """Return what JSON tells of a run of which some entries, with so many files, were to be restored."""
    return {**run_document(summary), "dists": list(dists), "entries": len(dists), "files": files}


def show_runs(out: Console, runs: Sequence[RunSummary], now: float, *, purging: bool = False) -> None:
    """Print a line for each run, the newest last: what it removed, its size and its age.

    Those of which everything is back are left out, unless they are to be purged.
    """
    shown = runs if purging else [summary for summary in runs if summary.restorable or _is_backup(summary)]
    if not shown:
        out.print("Nothing to restore.")
    else:
        rows = [
            Row(
                printable(summary.id),
                (
                    _age(summary, now),
                    _removed(summary),
                    _size(summary.stored if purging else summary.size),
                    _kind(summary),
                ),
                tuple(_below(summary)),
            )
            for summary in shown
        ]
        size = "on disk" if purging else "size"
        show_table(out, "run", ("age", "removed", size, "restore by"), rows, drop=("restore by",))
    _show_restored(out, [summary for summary in runs if summary not in shown])


def _is_backup(summary: RunSummary) -> bool:
    return summary.run is None or summary.run.disposal is Disposal.BACKUP


def _removed(summary: RunSummary) -> str:
    if not summary.dists:
        return "-"
    nouns = ("environment", "environments") if summary.environments else ("package", "packages")
    return plural(len(summary.dists), *nouns)


def _size(size: int) -> str:
    return format_size(size) if size else "-"


def _below(summary: RunSummary) -> Iterable[str]:
    """Give the line with the first names of what a run removed."""
    if summary.dists:
        more = len(summary.dists) - _NAMED
        names = ", ".join(map(printable, summary.dists[:_NAMED]))
        yield f"    {names}" + (f" and {more:,} more" if more > 0 else "")


def _show_restored(out: Console, runs: Sequence[RunSummary]) -> None:
    """Print what runs still take of which everything is back."""
    if stored := sum(summary.stored for summary in runs):
        have = "run still has" if len(runs) == 1 else "runs still have"
        out.print(f"{len(runs):,} restored {have} archives. Delete them to free {format_size(stored)}:")
        print_command(out, f"conda prune purge {' '.join(summary.id for summary in runs)}")


def show_restored(out: Console, err: Console, run: str, outcomes: Sequence[Outcome], *, quiet: bool) -> None:
    """Print what did not come back and why, then what did (not if `quiet`)."""
    restored = [outcome for outcome in outcomes if outcome.result is Result.RESTORED]
    show_failures(err, outcomes)
    if not quiet:
        of_environments = any(part.kind is PartKind.ENVIRONMENT for item in outcomes for part in item.entry.parts)
        nouns = ("environment", "environments") if of_environments else ("package", "packages")
        of = f" of {len(outcomes):,}" if len(restored) < len(outcomes) else ""
        what = f"{len(restored):,}{of} {nouns[0] if len(outcomes) == 1 else nouns[1]}"
        files = plural(sum(outcome.files for outcome in restored), "file")
        out.print(f"Restored {what} from run {run}: {files}.")


def show_restorable(out: Console, run: str, dists: Sequence[str], *, whole: bool = True) -> None:
    """Print what a restore would put back."""
    out.print(f"Would restore {len(dists):,} from run {run}:")
    shown = dists if whole else dists[:LINES]
    for dist in shown:
        out.print(Text(f"  {printable(dist)}", overflow="fold"))
    if len(dists) > len(shown):
        out.print(f"  and {len(dists) - len(shown):,} more (-v lists all)")


def show_purged(out: Console, err: Console, outcomes: Sequence[PurgeOutcome], *, quiet: bool) -> None:
    """Print what was not purged and why, then what was (not if `quiet`)."""
    purged = [outcome for outcome in outcomes if outcome.result is Result.PURGED]
    for outcome in outcomes:
        if outcome.result is Result.FAILED:
            err.print(Text.assemble(("failed", "red"), printable(f": {outcome.summary.id}: {outcome.error}")))
    if not quiet:
        freed = sum(outcome.freed for outcome in outcomes)
        out.print(f"Purged {plural(len(purged), 'run')}, freed {format_size(freed)}.")


def _kind(summary: RunSummary) -> str:
    if summary.unexplained:
        return "unreadable"
    if not summary.complete or summary.run is None:
        return "unfinished"
    if summary.in_place and not summary.own_files:
        return "already back"
    disposal = summary.run.disposal
    if not summary.environments:
        return _KINDS[disposal]
    if disposal is Disposal.DELETE and not summary.rebuildable:
        return "your files only" if summary.own_files else "can't be rebuilt"
    return _KINDS_OF_ENVIRONMENTS[disposal] + (", your files" if summary.own_files else "")


def _age(summary: RunSummary, now: float) -> str:
    return format_age(now - summary.run.started) if summary.run else "unknown"
