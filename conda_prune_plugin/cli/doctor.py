"""The health check for ``conda doctor``, and the fix for ``conda doctor --fix``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from typing import Any

from .. import failures
from ..core.notices import REPAIR
from ..core.plan import Plan, what_goes
from ..core.rules.targets import Target
from ..core.units import NO_SPACE, format_size, format_space, plural
from ..discovery.leftovers.leftover_search import Search
from ..operations.interaction import forget_typed, interacting, may_ask, require_answer
from ..operations.options import PruneOptions
from ..operations.prune.planning import discover_and_plan, kept_though_damaged
from ..presentation.terminal.console import console, print_command, print_line
from ..presentation.terminal.notice_groups import grouped, unreported_failures
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
        "summary": "Find leftovers in the package caches, and packages in use that lack files",
        "fix": "Remove the leftovers and extract damaged packages again (conda prune --leftovers --repair)",
    }
    known = signature(kind).parameters
    return kind(name=NAME, action=check, **{name: value for name, value in more.items() if name in known})


def check(prefix: str, verbose: bool) -> None:
    """Print the problems of the package caches, for any environment. Writes nothing."""
    failures.begin()
    plan = _plan(configured_options())
    leftovers = [decision for decision in plan.remove if decision.leftover]
    out, damage = console(sys.stdout), kept_though_damaged(plan)
    if damage or leftovers or failures.noted():
        out.print(f"{_BAD} Package caches:\n")
    else:
        found = "no leftovers, and no package in use lacks files or has files of a wrong size"
        print_line(out, f"{_OK} Package caches: {found}.")
        out.print("  To compare their contents too:")
        print_command(out, REPAIR)
    for shown in grouped((*damage, *unreported_failures())):
        print_line(out, f"  {shown.message}")
        if shown.command:
            print_command(out, shown.command)
    for kind, count in Counter(decision.reasons[0].kind for decision in leftovers).items():
        size = format_size(sum(decision.reclaimable for decision in leftovers if decision.reasons[0].kind is kind))
        print_line(out, f"  {plural(count, 'leftover')} ({kind}): {size}")
    for decision in leftovers if verbose else ():
        print_line(out, f"    {decision.paths[0]}: {decision.reasons[0].detail}")
    if leftovers:
        out.print("  To remove leftovers: conda prune --leftovers")
    rest = sum((decision.frees for decision in plan.remove if not decision.leftover), NO_SPACE)
    size = format_space(rest, inodes=verbose)
    print_line(out, f"  Unused packages take {size}. To free the space: conda prune" if rest.bytes else "")
    sys.stdout.flush()


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
