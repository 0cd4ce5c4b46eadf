"""Files that are stored more than once, and what sharing their storage frees, as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console

from ..core.model import Result
from ..core.units import format_size, plural
from ..core.usage.sharing import Gain, ShareOutcome, SharePlan, WhyNot, gains
from .plan_text import LINES
from .terminal.console import listed, print_line, print_problem, print_rest
from .terminal.tables import Row, show_table

_LEFT = {
    WhyNot.FILE_SYSTEM: "on file systems that can't share storage (XFS and btrfs can)",
    WhyNot.OTHER_USER: "of other users",
}


def show_shares(out: Console, plan: SharePlan, *, whole: bool) -> None:
    """Print where files are to share storage, the largest gain first, and what is left alone.

    `whole` lists each package.
    """
    if plan.shares:
        by_place = gains(plan.shares, by_package=whole)
        shown = by_place if whole else by_place[:LINES]
        show_table(out, "STORED MORE THAN ONCE", ("FILES", "FREES"), [_row(gain) for gain in shown])
        print_rest(out, len(by_place) - len(shown))
        print_line(out, "")
    for why, (files, size) in plan.left.items():
        print_line(out, f"Left alone: {plural(files, 'file')} ({format_size(size)}) {_LEFT[why]}.")


def _row(gain: Gain) -> Row:
    name = f"{gain.place.name}  {gain.package}" if gain.package else gain.place.name
    return Row(name, (f"{gain.files:,}", format_size(gain.frees)))


def summary(plan: SharePlan) -> str:
    """Return what carrying out the plan does, in a sentence."""
    if not plan.shares:
        return "Nothing to share."
    bound = "" if plan.exact else "at most "
    return f"Sharing the storage of {plural(len(plan.shares), 'file')} frees {bound}{format_size(plan.frees)}."


def show_outcomes(out: Console, err: Console, outcomes: Sequence[ShareOutcome], *, quiet: bool) -> None:
    """Print how many files share storage now, and why others don't."""
    causes: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.error is not None:
            causes.setdefault(outcome.error, []).append(outcome.path)
    for cause, paths in causes.items():
        print_problem(err, Result.SKIPPED.value, f"{plural(len(paths), 'file')}: {cause} ({listed(paths, 1)})")
    if not quiet:
        shared = [outcome for outcome in outcomes if outcome.result is Result.SHARED]
        print_line(out, f"Shared {plural(len(shared), 'file')}, freed {format_size(_freed(shared))}.")


def _freed(outcomes: Iterable[ShareOutcome]) -> int:
    return sum(outcome.freed for outcome in outcomes)
