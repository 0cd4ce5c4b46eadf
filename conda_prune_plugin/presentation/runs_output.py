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
from .plan_json import SCHEMA, iso_time, outcome_document, warnings_document
from .plan_text import show_failures
from .terminal.printable import printable
from .terminal.tables import show_columns

#: How a listing puts what can be done with a run.
_KINDS = {
    Disposal.DELETE: "fetch again",
    Disposal.BACKUP: "backup in the cache",
    Disposal.ARCHIVE: "archives elsewhere",
}
#: The same for environments.
_KINDS_OF_ENVIRONMENTS = {Disposal.DELETE: "rebuild environments", Disposal.BACKUP: "environments set aside"}


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


def show_runs(out: Console, runs: Sequence[RunSummary], now: float) -> None:
    """Print a line for each run, the newest last."""
    if not runs:
        out.print("There is nothing to restore.")
        return
    rows = [
        (
            printable(summary.id),
            _age(summary, now),
            f"{len(summary.dists):,}",
            format_size(summary.stored) if summary.stored else "-",
            _kind(summary),
        )
        for summary in runs
    ]
    if show_columns(out, ("run", "age", "entries", "on disk", "how to restore"), rows, ("entries", "on disk")):
        return
    for run, age, entries, size, kind in rows:
        out.print(Text(run, overflow="fold"))
        out.print(Text(f"    {age} old, entries: {entries}, on disk: {size}, {kind}", overflow="fold"))


def show_restored(out: Console, err: Console, run: str, outcomes: Sequence[Outcome], *, quiet: bool) -> None:
    """Print what came back (not if `quiet`), and what did not and why."""
    restored = [outcome for outcome in outcomes if outcome.result is Result.RESTORED]
    if not quiet:
        of_environments = any(part.kind is PartKind.ENVIRONMENT for item in outcomes for part in item.entry.parts)
        nouns = ("environment", "environments") if of_environments else ("entry", "entries")
        entries = plural(len(restored), *nouns)
        files = plural(sum(outcome.files for outcome in restored), "file")
        out.print(f"Restored {entries} of the run {run}, {files}.")
    show_failures(err, outcomes)


def show_restorable(out: Console, run: str, dists: Sequence[str]) -> None:
    """Print what a restore would put back."""
    out.print(f"Would restore {len(dists):,} of the run {run}:")
    for dist in dists:
        out.print(f"  {printable(dist)}")


def show_purged(out: Console, err: Console, outcomes: Sequence[PurgeOutcome], *, quiet: bool) -> None:
    """Print what was purged (not if `quiet`), and what was not and why."""
    purged = [outcome for outcome in outcomes if outcome.result is Result.PURGED]
    if not quiet:
        freed = sum(outcome.freed for outcome in outcomes)
        out.print(f"Purged {plural(len(purged), 'run')}; {format_size(freed)} freed.")
    for outcome in outcomes:
        if outcome.result is Result.FAILED:
            err.print(Text.assemble(("failed", "red"), printable(f": {outcome.summary.id}: {outcome.error}")))


def _kind(summary: RunSummary) -> str:
    if summary.unexplained:
        return "not understood"
    if not summary.complete or summary.run is None:
        return "cut off or going on"
    kinds = _KINDS_OF_ENVIRONMENTS if summary.environments else _KINDS
    own = ", with your own files" if summary.own_files else ""
    return kinds.get(summary.run.disposal, _KINDS[summary.run.disposal]) + own


def _age(summary: RunSummary, now: float) -> str:
    return format_age(now - summary.run.started) if summary.run else "unknown"
