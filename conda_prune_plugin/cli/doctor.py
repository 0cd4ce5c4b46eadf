"""The health check for ``conda doctor``, and the fix for ``conda doctor --fix``."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from typing import Any

from .. import failures
from ..core.plan import Plan, what_goes
from ..core.rules.targets import Target
from ..core.units import format_size, plural
from ..discovery.leftovers.leftover_search import Search
from ..operations.interaction import forget_typed, interacting, may_ask, require_answer
from ..operations.options import PruneOptions
from ..operations.prune.planning import discover_and_plan, kept_though_damaged
from ..presentation.terminal.notice_groups import unreported_failures
from ..presentation.terminal.printable import printable
from .failure_report import report_failures
from .parsing.arguments import configured_options
from .parsing.output_options import conda_output
from .prune import prune_with

#: conda's marks. Their names differ between versions of conda.
_OK, _BAD = "\N{WHITE HEAVY CHECK MARK}", "\N{CROSS MARK}"

#: The name in ``conda doctor --fix NAME``.
NAME = "package-caches"


def health_check(kind: Callable[..., Any]) -> Any:
    """Return the health check, with a fixer if conda's class `kind` supports fixers (from 26.1)."""
    more = {
        "fixer": fix,
        "summary": "Find leftovers and damaged packages in the package caches",
        "fix": "Remove the leftovers and extract damaged packages again (conda prune --leftovers --repair)",
    }
    known = signature(kind).parameters
    return kind(name=NAME, action=check, **{name: value for name, value in more.items() if name in known})


def check(prefix: str, verbose: bool) -> None:
    """Print the problems of the package caches, for any environment. Writes nothing."""
    failures.begin()
    plan = _plan(configured_options())
    leftovers = [decision for decision in plan.remove if decision.leftover]
    findings = [notice.message for notice in kept_though_damaged(plan)]
    for kind, count in Counter(decision.reasons[0].kind for decision in leftovers).items():
        size = format_size(sum(decision.reclaimable for decision in leftovers if decision.reasons[0].kind is kind))
        findings.append(f"{plural(count, 'leftover')} ({kind}), {size}: `conda prune --leftovers` frees that")
    if verbose:
        findings += [f"{decision.paths[0]}: {decision.reasons[0].detail}" for decision in leftovers]
    findings += [notice.message for notice in unreported_failures()]
    if findings:
        print(f"{_BAD} Package caches:\n")
        for line in findings:
            print(f"  {printable(line)}")
    else:
        print(f"{_OK} The package caches hold no leftovers and no damaged packages.")
    rest = sum(decision.reclaimable for decision in plan.remove if not decision.leftover)
    print(f"  Unused packages take {format_size(rest)}. To free it: conda prune\n" if rest else "")


def fix(prefix: str, arguments: argparse.Namespace, confirm: Callable[[str], None]) -> int:
    """Remove leftovers and repair damaged packages after conda's confirmation; return the exit code.

    Raises `ConfirmationError` with ``--json``, which conda would take for a yes.
    """
    output = conda_output()
    failures.begin()
    # As `conda prune --leftovers --repair`.
    targets = Target.LEFTOVERS | Target.TEMPFILES
    options = configured_options(targets=targets, search=Search(everything=True, repair=True))
    plan = _plan(options)
    if not plan.changes:
        print("Nothing in the package caches can be removed or repaired now.")
        return report_failures(0)
    if not output.dry_run:
        changes = [f"remove {what_goes(plan)}"] if plan.remove else []
        changes += [f"extract {plural(len(plan.repair), 'damaged package')} again"] if plan.repair else []
        if output.json:
            require_answer(output)
        if may_ask(output):
            forget_typed()
        confirm(f"{' and '.join(changes).capitalize()}?")
    result = prune_with(options, replace(output, json=False, yes=True))
    return report_failures(1 if result is None else result.exit_code)


def _plan(options: PruneOptions) -> Plan:
    """Return the plan of ``conda prune`` with these options, with packages in use checked too."""
    options = replace(options, search=replace(options.search, everything=True))
    with interacting(conda_output()) as interaction:
        return discover_and_plan(options, interaction.reporter)[0]
