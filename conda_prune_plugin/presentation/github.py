"""Output for GitHub Actions: annotations, and a table in the job summary.

The runner reads annotations from both streams (actions/runner, ScriptHandler.cs). Ours go to standard error: standard
output is for results.
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
    """Return the line for an annotation; `level` is ``error``, ``warning`` or ``notice``."""
    # Imported here, because it takes long and few runs need it.
    from .terminal.printable import on_one_line

    # As ActionCommand.cs parses it, with other control characters escaped too.
    lines = "\n".join(on_one_line(line) for line in message.splitlines())
    data = lines.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return f"::{level} title={_TITLE}::{data}"


def annotate(notices: Iterable[Notice], outcomes: Sequence[Outcome] = ()) -> None:
    """Print an annotation of each warning, and of what was skipped or failed."""
    # As in `annotation`.
    from .terminal.notice_groups import grouped

    notices = tuple(notices)
    mark_as_shown(notices)
    lines = [annotation("warning", f"{warning.message} {warning.command}".rstrip()) for warning in grouped(notices)]
    for outcome in outcomes:
        if outcome.result in (Result.SKIPPED, Result.FAILED):
            level = "error" if outcome.result is Result.FAILED else "warning"
            where = f"{outcome.entry.dist} in {outcome.entry.cache}"
            lines.append(annotation(level, f"{outcome.result}: {where}: {outcome.error}"))
    for line in lines:
        print(line, file=sys.stderr, flush=True)


def summarize(
    plan: Plan, outcomes: Sequence[Outcome], *, dry_run: bool, check: Check | None, shrinkage: Shrinkage | None
) -> None:
    """Append a table in Markdown to the job summary; if that fails, warn."""
    path = os.environ.get(SUMMARY)
    if not path:
        return
    lines = ["### conda prune", "", *_table(plan, outcomes), ""]
    if shrinkage is not None:
        after = "" if shrinkage.after is None else f" and hold {format_size(shrinkage.after)} now"
        lines += [f"`--ci {shrinkage.preset}`: the caches held {format_size(shrinkage.before)}{after}.", ""]
    if check is not None:
        relation = "more than" if check.exceeded(plan.frees) else "within"
        lines.append(f"`--check`: {check.amount(plan.frees)} reclaimable, {relation} the limit of {check.shown}.")
    elif dry_run:
        lines.append(f"A dry run: nothing was changed; {plural(len(plan.keep), 'entry', 'entries')} would stay.")
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write("\n".join([*lines, ""]))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        annotate([Notice("summary", f"Can't write the job summary {path}: {why}.", path)])


def _table(plan: Plan, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Give a row for every cache: what went, or else what is to go."""
    import html

    from .terminal.printable import on_one_line

    removed, freed = ("removed", "freed") if outcomes else ("to remove", "reclaimable")
    yield f"| package cache | entries | {removed} | {freed} |"
    yield "|---|---:|---:|---:|"
    for cache in plan.inventory.caches:
        going = [decision for decision in plan.remove if decision.entry.cache == cache.path]
        count, size = len(going), sum(decision.reclaimable for decision in going)
        if outcomes:
            inside = [outcome for outcome in outcomes if outcome.entry.cache == cache.path]
            count = sum(outcome.result in (Result.REMOVED, Result.BACKED_UP) for outcome in inside)
            size = sum(outcome.freed for outcome in inside)
        # Whatever is in the path must not end the cell.
        path = html.escape(on_one_line(cache.path)).replace("|", "&#124;")
        yield f"| <code>{path}</code> | {len(cache.entries):,} | {count:,} | {format_size(size)} |"
    if plan.other:
        size = sum(other.reclaimable for other in plan.other)
        yield f"| index caches, temporary and log files | | {len(plan.other):,} | {format_size(size)} |"
