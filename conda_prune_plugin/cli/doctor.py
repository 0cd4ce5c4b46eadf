"""The health check for ``conda doctor``, and the fix for ``conda doctor --fix``."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import failures

if TYPE_CHECKING:
    from ..core.plan import Plan
    from ..operations.options import PruneOptions

#: conda's marks. Their names differ between versions of conda.
_OK, _BAD = "\N{WHITE HEAVY CHECK MARK}", "\N{CROSS MARK}"

#: The name in ``conda doctor --fix NAME``.
NAME = "package-caches"


def health_check(kind: Callable[..., Any]) -> Any:
    """Return the health check, with a fixer if conda's class `kind` supports fixers (from 26.1)."""
    from inspect import signature

    known = signature(kind).parameters
    more = {
        "fixer": fix,
        "summary": "Find leftovers and damaged packages in the package caches",
        "fix": "Remove the leftovers and extract damaged packages anew (conda prune --leftovers --repair)",
    }
    return kind(name=NAME, action=check, **{name: value for name, value in more.items() if name in known})


def check(prefix: str, verbose: bool) -> None:
    """Print the problems of the package caches, for any environment. Writes nothing."""
    from ..core.units import format_size
    from .parsing.arguments import configured_options

    failures.begin()
    plan = _plan(configured_options())
    findings = _findings(plan, verbose)
    if findings:
        print(f"{_BAD} Package caches:\n")
        for line in findings:
            print(f"  {line}")
    else:
        print(f"{_OK} The package caches hold no leftovers and no damaged packages.")
    rest = sum(decision.reclaimable for decision in plan.remove if not decision.leftover)
    print(f"  {format_size(rest)} in packages that nothing needs: `conda prune` frees that.\n")


def fix(prefix: str, arguments: argparse.Namespace, confirm: Callable[[str], None]) -> int:
    """Remove leftovers and repair damaged packages after conda's confirmation; return the exit code.

    Raises `ConfirmationError` with ``--json``, which conda would take for a yes.
    """
    from ..core.plan import what_goes
    from ..core.units import plural
    from ..operations.interaction import forget_typed, may_ask, require_answer
    from .failure_report import report_failures
    from .parsing.output_options import conda_output
    from .prune import prune_with

    output = conda_output()
    failures.begin()
    options = _fixing()
    plan = _plan(options)
    if not plan.changes:
        print("There is nothing in the package caches that can be removed or repaired now.")
        return report_failures(0)
    if not output.dry_run:
        mended = plural(len(plan.repair), "damaged package") if plan.repair else ""
        done = [f"remove {what_goes(plan)}" if plan.remove else "", f"extract {mended} anew" if mended else ""]
        question = f"{' and '.join(filter(None, done)).capitalize()}?"
        if output.json:
            require_answer(output)
        if may_ask(output):
            forget_typed()
        confirm(question)
    result = prune_with(options, replace(output, json=False, yes=True))
    return report_failures(1 if result is None else result.exit_code)


def _findings(plan: Plan, verbose: bool) -> list[str]:
    """Return the problems, one line each."""
    from ..core.units import format_size, plural
    from ..operations.prune.integrity_check import kept_though_damaged
    from ..presentation.terminal.notice_groups import unreported_failures
    from ..presentation.terminal.printable import printable

    leftovers = [decision for decision in plan.remove if decision.leftover]
    lines = [notice.message for notice in kept_though_damaged(plan)]
    for kind, count in Counter(decision.reasons[0].kind for decision in leftovers).items():
        size = sum(decision.reclaimable for decision in leftovers if decision.reasons[0].kind is kind)
        lines.append(
            f"{plural(count, 'leftover')} ({kind}), {format_size(size)}: `conda prune --leftovers` removes that"
        )
    if verbose:
        lines += [f"{decision.paths[0]}: {decision.reasons[0].detail}" for decision in leftovers]
    lines += [notice.message for notice in unreported_failures()]
    return list(map(printable, lines))


def _plan(options: PruneOptions) -> Plan:
    """Return the plan of ``conda prune`` with these options, with packages in use checked too."""
    from ..operations.interaction import interacting
    from ..operations.prune.planning import discover_and_plan
    from .parsing.output_options import conda_output

    options = replace(options, search=replace(options.search, everything=True))
    with interacting(conda_output()) as interaction:
        return discover_and_plan(options, interaction.reporter)[0]


def _fixing() -> PruneOptions:
    """Return the options of ``conda prune --leftovers --repair``. Raises `SettingError`."""
    from ..core.rules.targets import Target
    from ..discovery.leftovers.leftover_search import Search
    from .parsing.arguments import configured_options

    targets = Target.LEFTOVERS | Target.TEMPFILES
    return configured_options(targets=targets, search=Search(everything=True, repair=True))
