"""``prune_auto``: what happens after conda's own commands, at most once a day.

conda does not guard what a plugin does there: an exception would become the outcome of the user's command. So none
leaves this module. Without the setting, and for the rest of the day, it costs a look at the setting and at one file.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ... import settings
from ...cli.options import Output

if TYPE_CHECKING:
    from ...core.plan import Plan
    from ...presentation.terminal.progress import Reporter

#: Set by conda-build while it runs: it may have extracted what no environment references yet.
_BUILDING = "CONDA_BUILD"


def after_command() -> None:
    """Do what the setting says, if it is time to. Raises nothing."""
    output = Output.from_context()
    silent = output.json or output.quiet
    try:
        if line := _due(output, silent):
            _say(line, silent)
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001
        # Whatever it is, the user's command has succeeded.
        message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        hint = getattr(error, "hint", "Nothing of your own command is lost by that.")
        _say(f"conda prune (setting prune_auto) gave up: {message} {hint}", silent)


def _due(output: Output, silent: bool) -> str | None:
    """Return what there is to say, if it is time for anything."""
    mode = settings.AUTO.value()
    if mode == "off" or output.dry_run or os.environ.get(_BUILDING) or (silent and mode == "hint"):
        return None
    threshold = settings.AUTO_THRESHOLD.value()
    from conda.base.context import context

    from ...execution.state.last_check import claim

    if not claim(context.pkgs_dirs, time.time()):
        return None
    from ...presentation.terminal.progress import Reporter

    with Reporter(sys.stderr, enabled=not silent) as reporter:
        plan = _plan(reporter)
    if plan.reclaimable > threshold:
        return _hint(plan) if mode == "hint" else _prune()
    # However little there is to prune, what was moved aside must not stay for good.
    return None if mode == "hint" else _purge()


def _arguments(*options: str) -> argparse.Namespace:
    from ...cli import prune

    parser = argparse.ArgumentParser()
    prune.configure_parser(parser)
    return parser.parse_args(options)


def _plan(reporter: Reporter) -> Plan:
    from ...discovery.inventory import discover
    from .plan_prune import Choice, request

    arguments = _arguments()
    inventory = discover(request(arguments), reporter.phase("Looking for environments")).inventory
    return Choice(arguments).plan(inventory, reporter, time.time())[0]


def _hint(plan: Plan) -> str:
    from ...core.units import format_size

    return (
        f"{format_size(plan.reclaimable)} could be reclaimed from conda's package caches: see `conda prune` "
        "(setting prune_auto: hint)."
    )


def _prune() -> str | None:
    """Prune with a backup, unless somebody else is at work, and return what was done."""
    from ...core.model import Result
    from ...core.units import format_size, plural
    from ...errors import LockTimeoutError, RunningError
    from .run_prune import run

    documents: list[Mapping[str, Any]] = []
    quiet = Output(json=True, dry_run=False, yes=True, quiet=True, verbosity=0)
    try:
        run(_arguments("--backup", "--lock-timeout", "0"), quiet, documents.append)
    except (LockTimeoutError, RunningError):
        return None
    (document,) = documents
    moved = {item["dist"] for item in document["outcomes"] if item["result"] == Result.BACKED_UP}
    purged = [warning["message"] for warning in document["warnings"] if warning["kind"] == "purged"]
    if not moved:
        return " ".join(purged) or None
    size = sum(item["reclaimable"] for item in document["remove"] if item["dist"] in moved)
    line = (
        f"conda prune moved {plural(len(moved), 'entry', 'entries')} aside (setting prune_auto): "
        f"`conda prune purge {document['run']}` frees {format_size(size)}, "
        f"`conda prune restore {document['run']}` puts them back."
    )
    return " ".join((line, *purged))


def _purge() -> str | None:
    """Purge what is old enough by the setting ``prune_purge_after``, and return what was done."""
    from ...errors import LockTimeoutError
    from ...execution.locks.run_lock import Patience
    from ..runs.old_runs import purge_old

    if (age := settings.PURGE_AFTER.value()) is None:
        return None
    try:
        notices, _ = purge_old((), age, Patience(0.0), lambda files: None, None)
    except LockTimeoutError:
        return None
    return " ".join(notice.message for notice in notices) or None


def _say(line: str, silent: bool) -> None:
    from ...presentation.plan_text import printable

    if not silent and sys.stderr is not None:
        try:
            print(printable(line), file=sys.stderr, flush=True)
        except OSError:
            return
