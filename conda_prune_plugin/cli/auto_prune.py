"""``prune_auto``: the automatic check after conda's own commands, at most once a day.

conda doesn't catch exceptions of a plugin there: one would make the user's command fail. So none leaves this module.
Without the setting, and for the rest of the day, the check costs a look at the setting and at one file.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

from .. import failures, settings
from ..operations.interaction import Output, interacting
from .parsing.output_options import conda_output

#: Set by conda-build while it runs: it may have extracted packages that no environment references yet.
_BUILDING = "CONDA_BUILD"

#: The most disk errors that are reported beside the user's own command.
_MOST = 3


def after_command() -> None:
    """Check and prune as the setting says, if a check is due. Raises nothing."""
    output = conda_output()
    silent = output.json or output.quiet
    failures.begin()
    try:
        if line := _run_due(output, silent):
            _say(line, silent)
        if failures.noted():
            from ..presentation.terminal.notice_groups import unreported_failures

            for notice in unreported_failures()[:_MOST]:
                _say(f"conda prune (setting prune_auto): {notice.message}", silent)
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001
        # Whatever the error, the user's command has succeeded.
        message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        hint = getattr(error, "hint", "Your own command is not affected.")
        _say(f"conda prune (setting prune_auto) failed: {message} {hint}", silent)


def _run_due(output: Output, silent: bool) -> str | None:
    """Check and prune if that is due; return the line to print, None if there is nothing to say."""
    mode = settings.AUTO.value()
    if mode == "off" or output.dry_run or os.environ.get(_BUILDING) or (silent and mode == "hint"):
        return None
    threshold = settings.AUTO_THRESHOLD.value()
    from ..discovery.clients.conda_context import pkgs_dirs
    from ..execution.state.notes import claim

    if not claim(pkgs_dirs(), time.time()):
        return None
    from ..core.units import format_size
    from ..errors import LockTimeoutError, RunningError
    from ..operations.prune.planning import discover_and_plan
    from .parsing.arguments import configured_options

    with interacting(output) as interaction:
        plan, _ = discover_and_plan(configured_options(), interaction.reporter)
    if mode == "hint":
        if plan.reclaimable <= threshold:
            return None
        size = format_size(plan.reclaimable)
        return f"{size} can be freed in conda's package caches: run `conda prune` (setting prune_auto: hint)."
    try:
        # Old backups are purged even if there is nothing to prune.
        return _prune() if plan.reclaimable > threshold else _purge()
    except (LockTimeoutError, RunningError):
        # Another program is using the cache.
        return None


def _prune() -> str | None:
    """Prune with a backup, and return a line about it."""
    from ..core.model import Result
    from ..core.run import Disposal
    from ..core.units import format_size, plural
    from .parsing.arguments import configured_options
    from .prune import prune_with

    quiet = Output(json=True, dry_run=False, yes=True, quiet=True, verbosity=0)
    options = configured_options(disposal=Disposal.BACKUP, lock_timeout=0.0)
    result = prune_with(options, quiet, print_json=False)
    if result is None:
        return None
    moved = {outcome.entry.dist for outcome in result.outcomes if outcome.result is Result.BACKED_UP}
    lines = [notice.message for notice in result.notices if notice.kind == "purged"]
    if moved and result.left is not None:
        run = result.left.id
        size = sum(decision.reclaimable for decision in result.plan.remove if decision.entry.dist in moved)
        lines.insert(
            0,
            f"conda prune moved {plural(len(moved), 'package')} aside (setting prune_auto): "
            f"`conda prune purge {run}` frees {format_size(size)}, `conda prune restore {run}` restores them.",
        )
    return " ".join(lines) or None


def _purge() -> str | None:
    """Purge backups older than the setting ``prune_purge_after``, and return a line about it."""
    from ..execution.locks.run_lock import Patience
    from ..operations.runs.purge_runs import purge_old

    if (age := settings.PURGE_AFTER.value()) is None:
        return None
    notices, _ = purge_old((), age, Patience(0.0), lambda files: None, None)
    return " ".join(notice.message for notice in notices) or None


def _say(line: str, silent: bool) -> None:
    from ..presentation.terminal.printable import printable

    if not silent and sys.stderr is not None:
        with suppress(OSError):
            print(printable(line), file=sys.stderr, flush=True)
