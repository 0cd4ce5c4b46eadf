"""Output for GitHub Actions: annotations, and a table in the job's summary.

An annotation is a line of output that the runner takes for a command. It does so on both streams (actions/runner,
ScriptHandler.cs), so ours go to standard error: standard output is for results.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence

from ..core.model import Result
from ..core.notices import Notice
from ..core.plan import Outcome, Plan
from ..core.run import Check, Shrinkage
from ..core.units import format_size, plural
from .terminal.notice_groups import mark_as_shown

SUMMARY = "GITHUB_STEP_SUMMARY"

_TITLE = "conda prune"


def annotation(level: str, message: str) -> str:
    """Return the line that makes an annotation; `level` is ``error``, ``warning`` or ``notice``."""
    # Only now, as in `_code`: this takes longer to import than most of a run, and GitHub runs few of them.
    from .terminal.printable import on_one_line

    # As ActionCommand.cs takes it apart; other control characters are no business of a log either.
    lines = "\n".join(on_one_line(line) for line in message.splitlines())
    data = lines.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{level} title={_TITLE}::{data}"


def annotated(notices: Iterable[Notice], outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Give the annotations on what a run has to tell: warnings, and what was skipped or failed."""
    # Only now, as in `annotation`.
    from .terminal.notice_groups import grouped

    for warning in grouped(notices):
        yield annotation("warning", f"{warning.message} {warning.command}".rstrip())
    for outcome in outcomes:
        if outcome.result in (Result.SKIPPED, Result.FAILED):
            level = "error" if outcome.result is Result.FAILED else "warning"
            where = f"{outcome.entry.dist} in {outcome.entry.cache}"
            yield annotation(level, f"{outcome.result}: {where}: {outcome.error}")


def summary(
    plan: Plan, outcomes: Sequence[Outcome], *, dry_run: bool, check: Check | None, shrinkage: Shrinkage | None
) -> str:
    """Return the run in Markdown: a row for every cache."""
    done = bool(outcomes)
    lines = [
        "### conda prune",
        "",
        f"| package cache | entries | {'removed' if done else 'to remove'} | {'freed' if done else 'reclaimable'} |",
        "|---|---:|---:|---:|",
    ]
    for cache in plan.inventory.caches:
        going = [decision for decision in plan.remove if decision.entry.cache == cache.path]
        gone = [item for item in outcomes if item.entry.cache == cache.path and item.result in _DONE]
        size = sum(item.freed for item in outcomes if item.entry.cache == cache.path)
        size = size if done else sum(decision.reclaimable for decision in going)
        number = len(gone) if done else len(going)
        lines.append(f"| {_code(cache.path)} | {len(cache.entries):,} | {number:,} | {format_size(size)} |")
    if plan.other:
        size = sum(other.reclaimable for other in plan.other)
        lines.append(f"| index caches, temporary and log files | | {len(plan.other):,} | {format_size(size)} |")
    if shrinkage is not None:
        after = "" if shrinkage.after is None else f" and hold {format_size(shrinkage.after)} now"
        lines += ["", f"`--ci {shrinkage.preset}`: the caches held {format_size(shrinkage.before)}{after}."]
    lines += ["", *_remarks(plan, dry_run=dry_run, check=check)]
    return "\n".join(lines) + "\n"


_DONE = (Result.REMOVED, Result.BACKED_UP)


def _remarks(plan: Plan, *, dry_run: bool, check: Check | None) -> Iterator[str]:
    if check is not None:
        relation = "more than" if check.exceeded(plan.reclaimable) else "not more than"
        yield f"`--check`: {format_size(plan.reclaimable)} reclaimable, {relation} {check.shown}."
    elif dry_run:
        yield f"A dry run: nothing was changed; {plural(len(plan.keep), 'entry', 'entries')} would stay."


def _code(text: str) -> str:
    """Return text for a cell of a table, whatever is in it."""
    import html

    from .terminal.printable import on_one_line

    return f"<code>{html.escape(on_one_line(text)).replace('|', '&#124;')}</code>"


def annotate(notices: Iterable[Notice], outcomes: Sequence[Outcome] = ()) -> None:
    """Make an annotation of each warning, and of what was skipped or failed."""
    notices = tuple(notices)
    mark_as_shown(notices)
    for line in annotated(notices, outcomes):
        print(line, file=sys.stderr, flush=True)


def summarize(
    plan: Plan, outcomes: Sequence[Outcome], *, dry_run: bool, check: Check | None, shrinkage: Shrinkage | None
) -> None:
    """Append a table to the summary of the job; that it can't be written is a warning and no more."""
    path = os.environ.get(SUMMARY)
    if not path:
        return
    text = summary(plan, outcomes, dry_run=dry_run, check=check, shrinkage=shrinkage)
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        annotate([Notice("summary", f"The job's summary {path} can't be written: {why}.", path)])
