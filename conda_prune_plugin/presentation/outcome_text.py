"""Print what became of a plan: what was done, what failed and why."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console

from ..core.accounting import hedge
from ..core.model import PartKind, Result
from ..core.plan import OtherOutcome, Outcome, Plan, Remove, counted
from ..core.run import Disposal, Run, Shrinkage
from ..core.units import NO_SPACE, Space, format_space, plural
from .terminal.console import print_line, print_problem, print_steps

#: So many failures with one cause are shown one by one.
_FEW = 3


def show_shrinkage(out: Console, shrinkage: Shrinkage, *, inodes: bool = False) -> None:
    """Print how much the caches hold, and held."""
    before = format_space(Space(shrinkage.before, shrinkage.before_inodes), inodes=inodes)
    if shrinkage.after is None:
        out.print(f"--ci {shrinkage.preset}: the caches hold {before}.")
    else:
        after = format_space(Space(shrinkage.after, shrinkage.after_inodes or 0), inodes=inodes)
        out.print(f"--ci {shrinkage.preset}: the caches shrank from {before} to {after}.")


def show_outcomes(
    out: Console,
    err: Console,
    plan: Plan,
    run: Run,
    outcomes: Sequence[Outcome],
    others: Sequence[OtherOutcome],
    *,
    quiet: bool,
    undoable: bool = True,
    inodes: bool = False,
) -> None:
    """Print what was done and how to undo it (not if `quiet`), then what was not done and why.

    inodes: show how many were freed.
    """
    show_failures(err, outcomes)
    for outcome in others:
        if outcome.error is not None:
            word = Result.SKIPPED if outcome.result is Result.SKIPPED else Result.FAILED
            print_problem(err, word.value, f"{outcome.other.path}: {outcome.error}")
    if not quiet:
        if outcomes:
            print_steps(out, _results(plan, run, outcomes, undoable=undoable, inodes=inodes))
        if others:
            print_line(out, _other_results(others, inodes=inodes))


def show_failures(err: Console, outcomes: Sequence[Outcome]) -> None:
    """Print what was skipped and what failed, and why; many with the same cause are one line."""
    for result in (Result.SKIPPED, Result.FAILED):
        causes: dict[str, list[Outcome]] = {}
        for outcome in outcomes:
            if outcome.result is result:
                causes.setdefault(_cause(outcome), []).append(outcome)
        for alike in causes.values():
            if len(alike) > _FEW:
                names = ", ".join(outcome.entry.dist for outcome in alike[:_FEW])
                similar = "" if len({outcome.error for outcome in alike}) == 1 else " (and similar)"
                what = f"{plural(len(alike), *nouns(alike))} ({names}, ...)"
                print_problem(err, result.value, f"{what}: {alike[0].error}{similar}")
                continue
            for outcome in alike:
                text, path = outcome.error or "", os.path.join(outcome.entry.cache, outcome.entry.dist)
                what = "" if text.startswith(f"{path} ") else f"{outcome.entry.dist} in {outcome.entry.cache}: "
                print_problem(err, result.value, what + text)


def _cause(outcome: Outcome) -> str:
    """Return why something failed, without what only tells it from others of its kind."""
    text = outcome.error or ""
    for name in (outcome.entry.dist, *(part.name for part in outcome.entry.parts)):
        text = text.replace(name, "*")
    return re.sub(r"\S*\*\S*", "*", text)


def nouns(outcomes: Iterable[Outcome]) -> tuple[str, str]:
    """Return what outcomes are about: environments or packages."""
    kinds = {part.kind for outcome in outcomes for part in outcome.entry.parts}
    return ("environment", "environments") if PartKind.ENVIRONMENT in kinds else ("package", "packages")


def _results(plan: Plan, run: Run, outcomes: Sequence[Outcome], *, undoable: bool, inodes: bool) -> Iterator[str]:
    done = [outcome for outcome in outcomes if outcome.result in (Result.REMOVED, Result.BACKED_UP)]
    repaired = sum(outcome.result is Result.REPAIRED for outcome in outcomes)
    if repaired:
        yield f"Repaired {plural(repaired, 'package')}."
    if repaired and repaired == len(outcomes):
        return
    gone = {outcome.entry for outcome in done}
    what = counted(decision for decision in plan.remove if decision.entry in gone) or "nothing"
    files = plural(sum(outcome.files for outcome in done), "file")
    freed = hedge(plan.inventory.notices) + _freed(outcomes, inodes=inodes)
    if run.disposal is Disposal.BACKUP:
        yield f"Moved {what} aside: {files}. This frees nothing until you purge it."
        yield f"To free the space: conda prune purge {run.id}"
    elif run.disposal is Disposal.ARCHIVE:
        yield f"Archived {what} in {run.destination or ''} and removed them: {files}, freed {freed}."
    else:
        yield f"Removed {what}: {files}, freed {freed}."
    if done and undoable:
        yield from _undo(run, [decision for decision in plan.remove if decision.entry in gone])


def _undo(run: Run, removed: Sequence[Remove]) -> Iterator[str]:
    """Give the line on how to undo a removal, unless nothing of it can be downloaded again."""
    how = "To undo"
    if run.disposal is Disposal.DELETE:
        lost = sum(decision.irreplaceable is not None for decision in removed)
        if lost == len(removed):
            return
        how += f" (downloads all but {lost:,} again)" if lost else " (downloads them again)"
    yield f"{how}: conda prune restore {run.id}"


def _other_results(others: Sequence[OtherOutcome], *, inodes: bool) -> str:
    done = [outcome for outcome in others if outcome.result is Result.REMOVED]
    what = counted(outcome.other for outcome in done) or "no index caches, temporary files or logs"
    files = plural(sum(outcome.files for outcome in done), "file")
    return f"Removed {what}: {files}, freed {_freed(done, inodes=inodes)}."


def _freed(outcomes: Sequence[Outcome | OtherOutcome], *, inodes: bool) -> str:
    space = sum((Space(outcome.freed, outcome.freed_inodes) for outcome in outcomes), NO_SPACE)
    return format_space(space, inodes=inodes)
