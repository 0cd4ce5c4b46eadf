"""``prune_auto``: the automatic check after conda's own commands, at most once a day.

conda doesn't catch exceptions of a plugin there: one would make the user's command fail. So none leaves this module.
Without the setting, and for the rest of the day, the check costs a look at the setting and at one file.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from .. import failures, settings
from ..operations.interaction import Output, interacting
from .parsing.output_options import conda_output

if TYPE_CHECKING:
    from ..core.plan import Plan

#: Set by conda-build while it runs: it may have extracted packages that no environment references yet.
_BUILDING = "CONDA_BUILD"


#: So many failures of the disk are named beside the user's own command.
_MOST = 3


def after_command() -> None:
    """Check and prune as the setting says, if a check is due. Raises nothing."""
    output = conda_output()
    silent = output.json or output.quiet
    failures.begin()
    try:
        if line := _due(output, silent):
            _say(line, silent)
        if failures.noted():
            from ..presentation.terminal.notice_groups import unreported_failures

            for notice in unreported_failures()[:_MOST]:
                _say(f"conda prune (setting prune_auto): {notice.message}", silent)
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001
        # Whatever the error, the user's command has succeeded.
        message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        hint = getattr(error, "hint", "Nothing of your own command is lost by that.")
        _say(f"conda prune (setting prune_auto) gave up: {message} {hint}", silent)


def _due(output: Output, silent: bool) -> str | None:
    """Return the line to print, if a check is due and has something to report."""
    mode = settings.AUTO.value()
    if mode == "off" or output.dry_run or os.environ.get(_BUILDING) or (silent and mode == "hint"):
        return None
    threshold = settings.AUTO_THRESHOLD.value()
    from ..discovery.clients.conda_context import pkgs_dirs
    from ..execution.state.last_check import claim

    if not claim(pkgs_dirs(), time.time()):
        return None
    from ..operations.prune.planning import discover_and_plan
    from .parsing.arguments import configured_options

    with interacting(output) as interaction:
        plan, _ = discover_and_plan(configured_options(), interaction.reporter)
    if plan.reclaimable > threshold:
        return _hint(plan) if mode == "hint" else _prune()
    # Purge old backups even if there is nothing to prune.
    return None if mode == "hint" else _purge()


def _hint(plan: Plan) -> str:
    from ..core.units import format_size

    return (
        f"{format_size(plan.reclaimable)} could be reclaimed from conda's package caches: see `conda prune` "
        "(setting prune_auto: hint)."
    )


def _prune() -> str | None:
    """Prune with a backup, unless another program is using the cache, and return a line about it."""
    from ..core.model import Result
    from ..core.run import Disposal
    from ..core.units import format_size, plural
    from ..errors import LockTimeoutError, RunningError
    from .parsing.arguments import configured_options
    from .prune import prune_with

    quiet = Output(json=True, dry_run=False, yes=True, quiet=True, verbosity=0)
    options = configured_options(disposal=Disposal.BACKUP, lock_timeout=0.0)
    try:
        result = prune_with(options, quiet, print_json=False)
    except (LockTimeoutError, RunningError):
        return None
    if result is None:
        return None
    moved = {outcome.entry.dist for outcome in result.outcomes if outcome.result is Result.BACKED_UP}
    purged = [notice.message for notice in result.notices if notice.kind == "purged"]
    if not moved or result.left is None:
        return " ".join(purged) or None
    run = result.left.id
    size = sum(decision.reclaimable for decision in result.plan.remove if decision.entry.dist in moved)
    line = (
        f"conda prune moved {plural(len(moved), 'entry', 'entries')} aside (setting prune_auto): "
        f"`conda prune purge {run}` frees {format_size(size)}, `conda prune restore {run}` puts them back."
    )
    return " ".join((line, *purged))


def _purge() -> str | None:
    """Purge backups older than the setting ``prune_purge_after``, and return a line about it."""
    from ..errors import LockTimeoutError
    from ..execution.locks.run_lock import Patience
    from ..operations.runs.purge_runs import purge_old

    if (age := settings.PURGE_AFTER.value()) is None:
        return None
    try:
        notices, _ = purge_old((), age, Patience(0.0), lambda files: None, None)
    except LockTimeoutError:
        return None
    return " ".join(notice.message for notice in notices) or None


def _say(line: str, silent: bool) -> None:
    from ..presentation.terminal.printable import printable

    if not silent and sys.stderr is not None:
        try:
            print(printable(line), file=sys.stderr, flush=True)
        except OSError:
            return
