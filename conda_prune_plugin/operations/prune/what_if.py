"""Estimate what a prune would free if some environments were removed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from ... import failures
from ...core.evidence import Measurement
from ...core.model import Inventory, RootKind
from ...core.plan import Plan
from ...discovery.usage.survey import Scan
from ...presentation.terminal.progress import Reporter
from ..options import PlanOptions
from .planning import make_prune_plan


def plan_without(
    gone: Collection[str], inventory: Inventory, scan: Scan, options: PlanOptions, reporter: Reporter
) -> Plan:
    """Return the plan for the caches as it would be without the environments at some real paths."""
    links: Counter[tuple[int, int]] = Counter()
    for root, tree in scan.environments:
        if failures.realpath(root.path) in gone:
            links.update((scan.inodes.devices[row], scan.inodes.numbers[row]) for row in tree.rows)

    def without_their_links(path: str) -> Measurement:
        measured = scan.measured(path)
        shared = (replace(one, links=one.links - links[one.device, one.inode]) for one in measured.shared)
        return replace(measured, shared=tuple(shared))

    # Their histories go with them, so their revisions do too.
    theirs = (RootKind.ENVIRONMENT, RootKind.REVISION)
    left = (root for root in inventory.roots if root.kind not in theirs or failures.realpath(root.path) not in gone)
    then = replace(inventory, roots=tuple(left))
    plan, _ = make_prune_plan(options, then, reporter, time.time(), without_their_links)
    return plan
