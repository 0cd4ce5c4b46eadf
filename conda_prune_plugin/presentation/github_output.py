"""Telling GitHub Actions of a run, where it runs us."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

from ..core.model import Notice
from ..core.plan import Outcome, Plan
from ..core.run import Check, Shrinkage
from . import github
from .terminal.notice_groups import take_for_told


def annotate(notices: Iterable[Notice], outcomes: Sequence[Outcome] = ()) -> None:
    """Make an annotation of each warning, and of what was skipped or failed."""
    notices = tuple(notices)
    take_for_told(notices)
    for line in github.annotated(notices, outcomes):
        print(line, file=sys.stderr, flush=True)


def summarize(
    plan: Plan, outcomes: Sequence[Outcome], *, dry_run: bool, check: Check | None, shrinkage: Shrinkage | None
) -> None:
    """Append a table to the summary of the job; that it can't be written is a warning and no more."""
    path = os.environ.get(github.SUMMARY)
    if not path:
        return
    text = github.summary(plan, outcomes, dry_run=dry_run, check=check, shrinkage=shrinkage)
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        annotate([Notice("summary", f"The job's summary {path} can't be written: {why}.", path)])
