"""The warning that less can be freed than a limit asks for."""

from __future__ import annotations

import re

from ...core.model import ReasonKind
from ...core.notices import Notice
from ...core.plan import Plan
from ...core.rules.ranking import Budget
from ...core.units import NO_SPACE, Unit, exact_size, format_amount, format_size
from ..options import PlanOptions

#: How a warning puts each of these limits.
_AIMS = {
    **dict.fromkeys(("--max-size", "--max-inodes"), "shrink the caches to"),
    **dict.fromkeys(("--free", "--free-inodes"), "free"),
}


def missed_target(plan: Plan, options: PlanOptions, budget: Budget) -> tuple[Notice, ...]:
    """Return a warning if less can be freed than was asked for."""
    if plan.missed == NO_SPACE or budget.needed is None:
        return ()
    met = budget.needed - plan.missed
    unmet = (goal for goal in budget.goals if goal.needed > met.of(goal.unit))
    given = {goal: getattr(options, goal.option[2:].replace("-", "_")) for goal in unmet}
    limits = {
        goal.option: exact_size(limit) if goal.unit is Unit.BYTES else format_amount(limit, goal.unit)
        for goal, limit in given.items()
    }
    asked = " or ".join(f"{_AIMS[option]} {limit}" for option, limit in limits.items())
    # In decimal units if the limit is, so that the two compare.
    size = format_size(plan.missed.bytes, decimal=not any(limit.endswith("iB") for limit in limits.values()))
    inodes = format_amount(plan.missed.inodes, Unit.INODES)
    short = " and ".join(text for text, count in ((size, plan.missed.bytes), (inodes, plan.missed.inodes)) if count)
    message = f"Can't {asked}: {short} short."
    if recent := sum(decision.reasons[0].kind is ReasonKind.RECENT for decision in plan.keep):
        values = {option: re.sub(r"[, ]|inodes?", "", limit) for option, limit in limits.items()}
        again = " ".join(f"{option} {value}" for option, value in values.items())
        command = f"conda prune {again} --min-age 0"
        are = "package is" if recent == 1 else "packages are"
        message += f" {recent:,} unused {are} too recent; to include them: `{command}`"
        return (Notice("target-missed", message, "", command=command),)
    message += " Run with -v to see what is kept and why."
    return (Notice("target-missed", f"{message} To free more, remove environments: see `conda prune envs`.", ""),)
