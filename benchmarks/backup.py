"""A backup against one bare rename a directory: what moving aside, checking and writing the receipt take.

Both move the same entries and back again, in turns. Timed is our own work, from a finished plan to the finished backup,
with locks, receipt and syncs; planning is not. A rename takes the same time however much lies below it.
"""

from __future__ import annotations

import math
import os
import time
from itertools import count
from typing import TYPE_CHECKING

from .install import Install
from .timing import Compared, Contender, Took, alternate

if TYPE_CHECKING:
    from collections.abc import Callable

    from conda_prune_plugin.core.plan import Plan


def compare(install: Install, rounds: int) -> list[Compared]:
    """Return the comparisons. Raises `ValueError` if not every entry was moved each time."""
    os.environ |= install.environ()
    from conda_prune_plugin.embedded import activate

    activate()
    plan = _plan()
    numbers = count()
    contenders: dict[str, Contender] = {
        "backup": lambda: _backup(plan, next(numbers)),
        "restore": lambda: _timed(_restore),
        "renames": lambda: _timed(lambda: _rename(install, plan)),
    }
    runs = alternate(contenders, rounds)
    print(f"backup: {len(plan.remove)} entries with {plan.files:,} files")
    goal = len(plan.remove) / 600 * 0.1
    return [
        Compared("prune --backup", "0.1 s for 600 entries", runs["backup"], [Took(goal, goal)], 1.0),
        Compared("prune --backup", "renames, both ways", runs["backup"], runs["renames"], math.inf),
        Compared("prune restore", "renames, both ways", runs["restore"], runs["renames"], math.inf),
    ]


def _timed(do: Callable[[], object]) -> Took:
    wall, processor = time.perf_counter(), time.process_time()
    do()
    return Took(time.perf_counter() - wall, time.process_time() - processor)


def _plan() -> Plan:
    from conda.base.context import reset_context

    from conda_prune_plugin.core.rules.planner import make_plan
    from conda_prune_plugin.core.rules.policy import Policy
    from conda_prune_plugin.core.rules.reachability import candidates, references
    from conda_prune_plugin.discovery.inventory import Request, discover
    from conda_prune_plugin.discovery.packages.removal_evidence import gather_evidence

    reset_context()
    inventory = discover(Request(), lambda seen: None).inventory
    entries = candidates(inventory, references(inventory.roots))
    evidence = gather_evidence(inventory.caches, entries, lambda done: None)
    return make_plan(inventory, evidence, Policy(include_irreplaceable=True), time.time())


def _backup(plan: Plan, number: int) -> Took:
    from conda_prune_plugin.core.model import Result
    from conda_prune_plugin.core.run import Disposal, Run
    from conda_prune_plugin.discovery.inventory import Request, discover
    from conda_prune_plugin.discovery.system.measure import measure
    from conda_prune_plugin.execution.locks.run_lock import Patience
    from conda_prune_plugin.execution.ports import Ports
    from conda_prune_plugin.execution.sweep import execute

    watch = discover(Request(), lambda seen: None).watch
    tools = Ports(
        watch.references, watch.soft_links, lambda path, fd: measure(path, dir_fd=fd), lambda files: None, Patience()
    )
    run = Run(f"benchmark-{number:04}", time.time(), Disposal.BACKUP)
    executions = []
    took = _timed(lambda: executions.append(execute(plan, run, tools)))
    if any(outcome.result is not Result.BACKED_UP for outcome in executions[0].outcomes):
        raise ValueError("not every entry was backed up")
    return took


def _restore() -> None:
    from conda_prune_plugin.execution.locks.run_lock import Patience
    from conda_prune_plugin.execution.restore_backups import restore
    from conda_prune_plugin.operations.conda_fetch import fetch
    from conda_prune_plugin.operations.run_as_owner import Voices, runs_locked
    from conda_prune_plugin.operations.runs.run_store import named_run, take_stock

    runs = named_run(take_stock(()), "last")
    with runs_locked(runs, Voices(lambda done: None, Patience())) as locked:
        for stored in runs:
            restore(locked.held[stored.cache.path], stored, lambda entry: True, fetch(), lambda done: None)


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
