"""A backup against one bare rename a directory: what moving aside, checking and writing the receipt take.

Both move the same entries and back again, in turns. Timed is our own work, from a finished plan to the finished backup,
with locks, receipt and syncs; planning is not. A rename takes the same time however much lies below it.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING

from .install import Install

if TYPE_CHECKING:
    from collections.abc import Callable

    from conda_prune_plugin.core.model import Plan


def compare(install: Install, rounds: int) -> int:
    """Run both in turns and print medians and their ratio; return 0 if every entry was moved each time."""
    environ = install.environ()
    os.environ.clear()
    os.environ.update(environ)
    from conda_prune_plugin.embedded import activate

    activate()
    plan = _plan()
    complete = True
    backups, restores, renames = [], [], []
    for number in range(rounds):
        took, done = _backup(plan, number)
        complete &= done
        backups.append(took)
        restores.append(_timed(_restore))
        renames.append(_timed(lambda: _rename(install, plan)))
    entries = len(plan.remove)
    print(f"{entries} entries with {plan.files:,} files, {rounds} rounds in turns, medians:")
    for what, times in (("backup", backups), ("restore", restores), ("renames, both ways", renames)):
        median = statistics.median(times)
        print(f"  {what:<18} {median:.3f} s   {median / entries * 1e6:.0f} microseconds an entry")
    print(f"  backup / renames: {statistics.median(b / r for b, r in zip(backups, renames)):.1f}")
    return 0 if complete else 1


def _timed(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def _plan() -> Plan:
    from conda.base.context import reset_context

    from conda_prune_plugin.core.planner import make_plan
    from conda_prune_plugin.core.policy import Policy
    from conda_prune_plugin.core.reachability import candidates, references
    from conda_prune_plugin.discovery.candidates import gather_evidence
    from conda_prune_plugin.discovery.inventory import Request, discover

    reset_context()
    inventory = discover(Request(), lambda seen: None).inventory
    entries = candidates(inventory, references(inventory.roots))
    evidence = gather_evidence(inventory.caches, entries, lambda done: None)
    return make_plan(inventory, evidence, Policy(include_irreplaceable=True), time.time())


def _backup(plan: Plan, number: int) -> tuple[float, bool]:
    """Return how long a backup took, in seconds, and whether it was complete."""
    from conda_prune_plugin.core.model import Result
    from conda_prune_plugin.core.run import Disposal, Run
    from conda_prune_plugin.discovery.inventory import Request, discover
    from conda_prune_plugin.discovery.measure import measure
    from conda_prune_plugin.execution.execute import execute
    from conda_prune_plugin.execution.lock import Patience
    from conda_prune_plugin.execution.tools import Tools

    watch = discover(Request(), lambda seen: None).watch
    tools = Tools(
        watch.references, watch.soft_links, lambda path, fd: measure(path, dir_fd=fd), lambda files: None, Patience()
    )
    run = Run(f"benchmark-{number:04}", time.time(), Disposal.BACKUP)
    start = time.perf_counter()
    execution = execute(plan, run, tools)
    took = time.perf_counter() - start
    return took, all(outcome.result is Result.BACKED_UP for outcome in execution.outcomes)


def _restore() -> None:
    from conda_prune_plugin.cli.fetching import fetch
    from conda_prune_plugin.cli.runs import all_locked, named_run, take_stock
    from conda_prune_plugin.execution.lock import Patience
    from conda_prune_plugin.execution.restore import restore

    runs = named_run(take_stock(()), "last")
    with all_locked(runs, Patience()) as locked:
        for stored in runs:
            restore(locked[stored.cache.path], stored, lambda entry: True, fetch(), lambda done: None)


def _rename(install: Install, plan: Plan) -> None:
    """Move every part aside and back, and nothing else."""
    aside = install.cache / ".benchmark"
    aside.mkdir()
    names = [part.name for decision in plan.remove for part in decision.parts]
    for name in names:
        os.rename(install.cache / name, aside / name)
    for name in names:
        os.rename(aside / name, install.cache / name)
    aside.rmdir()
