"""Prepare a prune: complete interrupted runs, discover, plan, and check for obstacles. Also what a prune results in."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace

from ... import failures
from ...core.layout import STATE
from ...core.model import Cache, Inventory, RootKind
from ...core.notices import SOFT_LINKS_POSSIBLE, Notice
from ...core.plan import Keep, OtherOutcome, Outcome, Plan, Remove
from ...core.rules.planner import with_links
from ...core.run import Check, Run, Shrinkage
from ...discovery.clients.conda import Settings, conda_settings
from ...discovery.inventory import Discovery, discover
from ...discovery.packages.cache_listing import held
from ...discovery.roots.watch import RootWatch
from ...discovery.system.processes import can_look
from ...errors import exit_code
from ..interaction import Interaction, Output
from ..options import PruneOptions
from .integrity_check import damaged_in_use
from .planning import make_prune_plan
from .preflight import refuse_destination, refuse_hidden_roots, refuse_running, running_notices

#: The exit code of a check if more can be freed.
_EXCEEDED = 3


@dataclass(frozen=True, slots=True)
class PruneResult:
    """The result of a prune.

    run: what was carried out, None if nothing was; left: the same if `restore` or `purge` knows it. outcomes: of
    packages; others: of everything else. shrinkage: of a preset. failed: not all of it could be done. interrupted: by
    the user.
    """

    plan: Plan
    dry_run: bool
    check: Check | None
    notices: tuple[Notice, ...]
    shrinkage: Shrinkage | None
    failed: bool
    run: Run | None = None
    left: Run | None = None
    outcomes: tuple[Outcome, ...] = ()
    others: tuple[OtherOutcome, ...] = ()
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0, 1 if something failed, 3 if a check found that more can be freed, or 130 if the user interrupted it."""
        if self.check is not None and self.check.exceeded(self.plan.reclaimable):
            return _EXCEEDED
        return exit_code(failed=self.failed, interrupted=self.interrupted)


@dataclass(frozen=True, slots=True)
class PreparedPrune:
    """A prune that can be carried out.

    watch: checks whether what is to be removed is still unreferenced. shrinkage: the size of the caches before a preset
    shrinks them. failed: an earlier run could not be finished.
    """

    options: PruneOptions
    interaction: Interaction
    plan: Plan
    watch: RootWatch
    notices: tuple[Notice, ...]
    shrinkage: Shrinkage | None = None
    failed: bool = False

    @property
    def output(self) -> Output:
        """The output that was asked for, adapted to the options."""
        return self.interaction.output

    @property
    def changes(self) -> bool:
        """Whether there is something to change, and it is no dry run."""
        return self.plan.changes and not self.output.dry_run

    @property
    def ignore_running(self) -> bool:
        """Whether to continue while another program installs packages. A question is never answered that way."""
        return self.options.ignore_running and self.output.yes

    @property
    def unchanged(self) -> PruneResult:
        """The result if nothing is carried out."""
        check, dry_run = self.options.check, self.output.dry_run
        return PruneResult(self.plan, dry_run, check, self.notices, self.shrinkage, self.failed)


def output_of(options: PruneOptions, output: Output) -> Output:
    """Return the output, adapted to the options: a preset doesn't ask, and a check changes nothing."""
    return replace(
        output,
        yes=output.yes or options.preset is not None,
        dry_run=output.dry_run or options.check is not None,
    )


def prepare(options: PruneOptions, interaction: Interaction) -> PreparedPrune:
    """Discover and plan. Raises `PruneError`."""
    interaction = replace(interaction, output=output_of(options, interaction.output))
    reporter = interaction.reporter
    discovery, recovered, complete = _discover(options, interaction)
    inventory = discovery.inventory
    refuse_destination(options.destination, inventory.caches)
    plan, remarks = make_prune_plan(options, inventory, reporter, time.time())
    repaired = {item.removal.entry for item in plan.repair}
    if repaired or interaction.output.verbosity:
        from ...discovery.links.link_types import measure_links

        reporter.phase("Looking for links of environments")
        told: tuple[Keep | Remove, ...] = tuple(keep for keep in plan.keep if keep.entry in repaired)
        if interaction.output.verbosity:
            told = (*plan.keep, *plan.remove)
        plan = with_links(plan, measure_links(inventory, told))
        reporter.clear()
    shrinkage = None
    if options.preset is not None:
        shrinkage = Shrinkage(options.preset, measure_caches(plan, interaction))
    stops = bool(plan.remove) and not options.ignore_unreadable
    found = tuple(
        replace(notice, message=f"{notice.message} Nothing is removed without --ignore-unreadable.")
        if stops and notice.kind == SOFT_LINKS_POSSIBLE
        else notice
        for notice in plan.inventory.notices
    )
    notices = (*recovered, *found, *remarks)
    prepared = PreparedPrune(options, interaction, plan, discovery.watch, notices, shrinkage, failed=not complete)
    prepared = replace(prepared, notices=(*notices, *_warnings(prepared)))
    if options.ignore_unreadable:
        failures.accept(notice.path for notice in prepared.notices if notice.hides_roots)
    return prepared


def check_may_run(prepared: PreparedPrune) -> None:
    """Refuse while an unknown environment may use what is to be removed, or another program installs packages.

    Raises `UnreadableEnvironmentError` or `RunningError`.
    """
    if prepared.plan.remove and not prepared.options.ignore_unreadable:
        refuse_hidden_roots(prepared.plan.inventory, prepared.notices)
    if not prepared.ignore_running:
        refuse_running(prepared.plan.inventory.caches)


def measure_caches(plan: Plan, interaction: Interaction) -> int:
    """Return the size of the caches in bytes."""
    size = held(plan.inventory.caches, interaction.reporter.phase("Measuring the caches"))
    interaction.reporter.clear()
    return size


def _discover(options: PruneOptions, interaction: Interaction) -> tuple[Discovery, tuple[Notice, ...], bool]:
    """Discover, and once more if an earlier run was unfinished and could be finished.

    Also return notices on that run, and whether all of it could be finished.
    """
    words = "Looking for environments"
    settings = conda_settings()
    discovery = discover(options.request, interaction.reporter.phase(words), settings)
    state = places_with_state(options, settings, discovery.inventory)
    if not state:
        return discovery, (), True
    from ..runs.unfinished_runs import finish_runs, unfinished_notices

    if not interaction.may_change:
        return discovery, unfinished_notices(state), True
    patience = interaction.patience(options.lock_timeout)
    finished = finish_runs(settings, state, patience, interaction.reporter.counter("Finishing an earlier run"))
    if finished.changed:
        discovery = discover(options.request, interaction.reporter.phase(words))
    return discovery, finished.notices, finished.complete


def places_with_state(options: PruneOptions, settings: Settings, inventory: Inventory) -> tuple[Cache, ...]:
    """Return the caches and directories of environments where runs may have left something; none without a trace."""
    environments = (root.path for root in inventory.roots if root.kind is RootKind.ENVIRONMENT)
    directories = {
        *(cache.real_path for cache in inventory.caches),
        *settings.noting,
        *map(os.path.dirname, environments),
    }
    if not any(failures.lexists(os.path.join(directory, STATE)) for directory in directories):
        return ()
    from ..runs.state_dirs import places

    # --pkgs-dir limits the command to the named caches.
    return inventory.caches if options.pkgs_dirs else inventory.caches + places(settings, inventory.caches)


def _warnings(prepared: PreparedPrune) -> tuple[Notice, ...]:
    """Return what the user should know before the plan is carried out."""
    plan, dry_run = prepared.plan, prepared.output.dry_run
    notices: tuple[Notice, ...] = ()
    if plan.changes and (dry_run or prepared.ignore_running or not can_look()):
        notices += running_notices(plan.inventory.caches)
    if plan.remove and not dry_run and not prepared.options.search.everything:
        notices += damaged_in_use(plan.inventory, prepared.interaction.reporter)
    return notices
