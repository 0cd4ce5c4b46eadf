"""Share the storage of files that are stored more than once: plan it, and carry the plan out."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ...core.model import Result, RootKind
from ...core.usage.sharing import ShareOutcome, SharePlan, plan_shares
from ...discovery.dedupe.duplicates import find_duplicates
from ...discovery.inventory import discover
from ...presentation.terminal.progress import Reporter
from ..interaction import Interaction
from ..options import DedupeOptions
from ..prune.measure_usage import find_environment
from ..run_as_owner import Voices, share_as_owners


@dataclass(frozen=True, slots=True)
class DedupeResult:
    """A plan and what became of it: no `outcomes` if nothing was changed."""

    plan: SharePlan
    outcomes: tuple[ShareOutcome, ...] = ()
    interrupted: bool = False

    @property
    def freed(self) -> int:
        """The bytes that were freed."""
        return sum(outcome.freed for outcome in self.outcomes)

    @property
    def failed(self) -> bool:
        """Whether a file could not share."""
        return any(outcome.result is Result.FAILED for outcome in self.outcomes)


def plan_dedupe(options: DedupeOptions, reporter: Reporter) -> SharePlan:
    """Find files that are stored more than once, and what sharing their storage frees. Nothing is written.

    Raises `PruneError`, such as `NoSuchEnvironmentError`.
    """
    inventory = discover(options, reporter.phase("Looking for environments")).inventory
    environments = [root for root in inventory.roots if root.kind is RootKind.ENVIRONMENT]
    chosen = frozenset(find_environment(environments, name, inventory.caches) for name in options.environments)
    duplicates = find_duplicates(inventory, os.environ, reporter.phase("Reading records"))
    reporter.clear()
    return plan_shares(duplicates.groups, duplicates.left, chosen or None, inventory.notices)


def carry_out_dedupe(plan: SharePlan, interaction: Interaction) -> DedupeResult:
    """Let files share their storage as planned. Raises `StateError` if root can't become another user."""
    progress = interaction.reporter.counter("Sharing files", len(plan.shares))
    # No lock is waited for: the kernel has those that matter.
    voices = Voices(progress, interaction.patience(0))
    result = share_as_owners(plan.shares, voices)
    interaction.reporter.clear()
    return DedupeResult(plan, result.outcomes, result.interrupted)
