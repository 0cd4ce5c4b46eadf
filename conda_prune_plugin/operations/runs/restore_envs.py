"""Restore environments: a backup by renaming it, a deleted one by rebuilding it."""

from __future__ import annotations

import os
from collections.abc import Callable

from ... import failures
from ...core.model import Result
from ...core.plan import Outcome
from ...core.run import Disposal
from ...discovery.clients.conda import conda_settings
from ...execution.restore_backups import Restored, restore
from ...execution.state.receipt import ReceiptEntry
from ...execution.state.state_dir import LockedCache
from ...execution.state.stored_runs import StoredRun, require_unchanged_run
from ..conda_hooks import register
from ..env_registration import is_registered, unregister
from .rebuild_env import interrupted, rebuild
from .refetch import fetch


def restore_environments(
    locked: LockedCache,
    stored: StoredRun,
    wanted: Callable[[ReceiptEntry], bool],
    progress: Callable[[int], None],
) -> Restored:
    """Bring back the wanted environments of a run. Raises `StateError`."""
    run = require_unchanged_run(locked, stored)
    entries = [entry for entry in run.entries if wanted(entry)]
    assert run.receipt is not None  # noqa: S101  # `require_unchanged_run` has seen to it.
    if run.receipt.run.disposal is Disposal.BACKUP:
        return _moved_back(locked, run, entries, wanted, progress)
    registries = conda_settings().registries
    outcomes: list[Outcome] = []
    warnings: list[str] = []
    for entry in entries:
        prefix = os.path.join(run.cache.path, entry.dist)
        try:
            rebuilt = rebuild(locked, run, entry)
        except KeyboardInterrupt:
            outcomes += [interrupted(run, left) for left in entries[len(outcomes) :]]
            return Restored(tuple(outcomes), interrupted=True, warnings=tuple(warnings))
        finally:
            if not failures.lexists(prefix):
                unregister(registries, prefix)
        outcomes.append(rebuilt.outcome)
        warnings += rebuilt.warnings
        progress(1)
    return Restored(tuple(outcomes), warnings=tuple(warnings))


def _moved_back(
    locked: LockedCache,
    run: StoredRun,
    entries: list[ReceiptEntry],
    wanted: Callable[[ReceiptEntry], bool],
    progress: Callable[[int], None],
) -> Restored:
    """Rename backups to their places.

    They are registered before that: killed in between, it leaves a line too many, and not an environment that nothing
    leads to.
    """
    registries = conda_settings().registries
    registered = {}
    for entry in entries:
        prefix = os.path.join(run.cache.path, entry.dist)
        if _was_registered(entry) and not is_registered(registries, prefix):
            registered[entry.dist] = prefix
            register(prefix)
    done = restore(locked, run, wanted, fetch(), progress)
    for outcome in done.outcomes:
        prefix = registered.get(outcome.entry.dist, "")
        if prefix and outcome.result is not Result.RESTORED and not failures.lexists(prefix):
            unregister(registries, prefix)
    return done


def _was_registered(entry: ReceiptEntry) -> bool:
    return bool((entry.record or {}).get("registered"))
