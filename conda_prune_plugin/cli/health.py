"""What ``conda doctor`` says of the package caches, and what ``conda doctor --fix`` does about it."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

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
    findings, reclaimable = _findings(verbose)
    if findings:
        print(f"{_BAD} Package caches:\n")
        for line in findings:
            print(f"  {line}")
    else:
        print(f"{_OK} The package caches hold no leftovers and no damaged packages.")
    print(f"  {reclaimable}\n")


def fix(prefix: str, arguments: argparse.Namespace, confirm: Callable[[str], None]) -> int:
    """Remove leftovers and repair damaged packages once conda has asked; return the exit code."""
    from .options import Output
    from .run import run

    if not _findings(False)[0]:
        print("There are no leftovers and no damaged packages in the package caches.")
        return 0
    confirm("Remove the leftovers, and extract damaged packages anew?")
    output = replace(Output.from_context(), dry_run=False, yes=True)
    return run(_options("--leftovers", "--repair"), output)


def _findings(verbose: bool) -> tuple[list[str], str]:
    """Return what is wrong, line by line, and what could be had by a prune besides."""
    from ..core.units import format_size, plural
    from ..discovery.inventory import discover
    from ..discovery.leftovers import Search
    from ..presentation.progress import Reporter
    from ..presentation.text import printable
    from .damage import kept_though_damaged
    from .policies import Choice, request

    arguments = _options()
    with Reporter(sys.stderr, enabled=False) as reporter:
        inventory = discover(request(arguments), lambda seen: None).inventory
        choice = Choice(arguments, search=Search(everything=True))
        plan, _ = choice.plan(inventory, reporter, time.time())
    leftovers = [decision for decision in plan.remove if decision.leftover]
    lines = [notice.message for notice in kept_though_damaged(plan)]
    for kind, count in Counter(decision.reasons[0].kind for decision in leftovers).items():
        size = sum(decision.reclaimable for decision in leftovers if decision.reasons[0].kind is kind)
        lines.append(
            f"{plural(count, 'leftover')} ({kind}), {format_size(size)}: `conda prune --leftovers` removes that"
        )
    if verbose:
        lines += [f"{decision.paths[0]}: {decision.reasons[0].detail}" for decision in leftovers]
    rest = plan.reclaimable - sum(decision.reclaimable for decision in leftovers)
    return list(map(printable, lines)), f"{format_size(rest)} in packages that nothing needs: `conda prune` frees that."


def _options(*options: str) -> argparse.Namespace:
    """Return what ``conda prune`` is given with these options."""
    from .prune import configure_parser

    parser = argparse.ArgumentParser()
    configure_parser(parser)
    return parser.parse_args(options)
