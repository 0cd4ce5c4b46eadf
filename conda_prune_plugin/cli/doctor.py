"""What ``conda doctor`` says of the package caches, and what ``conda doctor --fix`` does about it."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.plan import Plan

#: The names of conda's marks have moved; the marks are the same in all versions.
_OK, _BAD = "\N{WHITE HEAVY CHECK MARK}", "\N{CROSS MARK}"

#: How it is called in ``conda doctor --fix NAME``.
NAME = "package-caches"


def health_check() -> Any:
    """Return the health check, with a fixer where conda knows of such (from 26.1)."""
    from inspect import signature

    from conda.plugins.types import CondaHealthCheck

    known = signature(CondaHealthCheck).parameters
    more = {
        "fixer": fix,
        "summary": "Find leftovers and damaged packages in the package caches",
        "fix": "Remove the leftovers and extract damaged packages anew (conda prune --leftovers --repair)",
    }
    return CondaHealthCheck(name=NAME, action=check, **{name: value for name, value in more.items() if name in known})


def check(prefix: str, verbose: bool) -> None:
    """Print what is wrong with the package caches, whichever environment is asked about; nothing is written."""
    from ..core.units import format_size

    plan = _plan()
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
    """Remove leftovers and repair damaged packages once conda has asked; return the exit code.

    Raises `ConfirmationError`: conda takes ``--json`` for a yes.
    """
    from ..core.summary import what_goes
    from ..core.units import plural
    from ..operations.interaction import forget_typed, may_ask, require_answer
    from ..operations.prune.run_prune import run
    from .options import Output

    output = Output.from_context()
    plan = _plan(*_FIX)
    if not plan.changes:
        print("There is nothing in the package caches that can be removed or repaired now.")
        return 0
    if not output.dry_run:
        mended = plural(len(plan.repair), "damaged package") if plan.repair else ""
        done = [f"remove {what_goes(plan)}" if plan.remove else "", f"extract {mended} anew" if mended else ""]
        question = f"{' and '.join(filter(None, done)).capitalize()}?"
        if output.json:
            require_answer(output)
        if may_ask(output):
            forget_typed()
        confirm(question)
    return run(_options(*_FIX), replace(output, json=False, yes=True))


_FIX = ("--leftovers", "--repair")


def _findings(plan: Plan, verbose: bool) -> list[str]:
    """Return what is wrong, line by line."""
    from ..core.units import format_size, plural
    from ..operations.prune.integrity_check import kept_though_damaged
    from ..presentation.plan_text import printable

    leftovers = [decision for decision in plan.remove if decision.leftover]
    lines = [notice.message for notice in kept_though_damaged(plan)]
    for kind, count in Counter(decision.reasons[0].kind for decision in leftovers).items():
        size = sum(decision.reclaimable for decision in leftovers if decision.reasons[0].kind is kind)
        lines.append(
            f"{plural(count, 'leftover')} ({kind}), {format_size(size)}: `conda prune --leftovers` removes that"
        )
    if verbose:
        lines += [f"{decision.paths[0]}: {decision.reasons[0].detail}" for decision in leftovers]
    return list(map(printable, lines))


def _plan(*options: str) -> Plan:
    """Return the plan of ``conda prune`` with these options, packages in use looked at in any case."""
    from ..discovery.inventory import discover
    from ..operations.prune.plan_prune import Choice, request
    from ..presentation.terminal.progress import Reporter
    from .arguments import search_of, targets_of
    from .options import Output

    arguments = _options(*options)
    targets = targets_of(arguments)
    search = replace(search_of(arguments, targets), everything=True)
    output = Output.from_context()
    with Reporter(sys.stderr, enabled=not (output.json or output.quiet)) as reporter:
        inventory = discover(request(arguments), reporter.phase("Looking for environments")).inventory
        return Choice(arguments, targets, search).plan(inventory, reporter, time.time())[0]


def _options(*options: str) -> argparse.Namespace:
    """Return what ``conda prune`` is given with these options."""
    from .prune import configure_parser

    parser = argparse.ArgumentParser()
    configure_parser(parser)
    return parser.parse_args(options)
