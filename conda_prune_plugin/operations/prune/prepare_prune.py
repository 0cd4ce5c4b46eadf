"""Prepare a prune: complete interrupted runs, discover, plan, and check for obstacles."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ... import failures
from ...core.layout import STATE
from ...core.model import Cache, Inventory, RootKind
from ...core.notices import SOFT_LINKS_POSSIBLE, Notice
from ...core.plan import Plan
from ...core.rules.planner import with_links
from ...core.run import Shrinkage
from ...discovery.clients.conda import Settings
from ...discovery.inventory import Beginning, Discovery, begin, discover
from ...discovery.packages.cache_listing import held
from ...discovery.roots.watch import RootWatch
from ...discovery.system.processes import can_look
from ...discovery.system.worker import WorkerPool
from ..interaction import Interaction, Output
from ..options import PruneOptions
from .integrity_check import damaged_in_use
from .planning import make_prune_plan
from .preflight import refuse_destination, refuse_hidden_roots, refuse_running, running_notices


@dataclass(frozen=True, slots=True)
class PreparedPrune:
    """A prune that can be carried out.

    watch: looks whether what goes is still unreferenced. shrinkage: how much a preset has found in the caches. failed:
    an earlier run could not be finished.
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
        """The output that was asked for, with what the options make of it."""
        return self.interaction.output

    @property
    def changes(self) -> bool:
        """Whether there is something to change, and that is wanted."""
        return self.plan.changes and not self.output.dry_run

    @property
    def ignore_running(self) -> bool:
        """Whether to go on though another program installs packages; never because of a question."""
        return self.options.ignore_running and self.output.yes


def output_of(options: PruneOptions, output: Output) -> Output:
    """Return the output with what the options make of it: a preset asks nobody, and a check changes nothing."""
    return replace(
        output,
        yes=output.yes or options.preset is not None,
        dry_run=output.dry_run or options.check is not None,
    )


def prepare(
    options: PruneOptions,
    interaction: Interaction,
    beginning: Beginning | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> PreparedPrune:
    """Discover and plan. Raises `PruneError`.

    beginning: of the discovery, if it has begun. meanwhile: something to do while a second process is at work.
    """
    interaction = replace(interaction, output=output_of(options, interaction.output))
    beginning = beginning or begin(WorkerPool(at_once=False))
    workers = beginning.reader.workers
    # Nobody is to wait for an answer with a second process at hand.
    with workers:
        discovery, recovered, complete = _discover(options, interaction, beginning)
        refuse_destination(options.destination, discovery.inventory.caches)
        if meanwhile is not None:
            workers.meanwhile(meanwhile)
        plan, remarks = _plan(options, interaction, discovery, workers)
        shrinkage = None
        if options.preset is not None:
            shrinkage = Shrinkage(options.preset, measure_caches(plan, interaction))
        prepared = PreparedPrune(
            options,
            interaction,
            plan,
            discovery.watch,
            (*recovered, *_with_refusal(options, plan), *remarks),
            shrinkage,
            failed=not complete,
        )
        prepared = replace(prepared, notices=(*prepared.notices, *_warnings(prepared, workers)))
        if options.ignore_unreadable:
            failures.accept(notice.path for notice in prepared.notices if notice.hides_roots)
        return prepared


def _with_refusal(options: PruneOptions, plan: Plan) -> tuple[Notice, ...]:
    """Return the notices of discovery; the one on soft links says that nothing is removed because of them, if so."""
    stops = bool(plan.remove) and not options.ignore_unreadable
    return tuple(
        replace(notice, message=f"{notice.message} Nothing is removed without --ignore-unreadable.")
        if stops and notice.kind == SOFT_LINKS_POSSIBLE
        else notice
        for notice in plan.inventory.notices
    )


def check_may_run(prepared: PreparedPrune) -> None:
    """Refuse while an unknown environment may use what goes, or another program installs packages.

    Raises `UnreadableEnvironmentError` or `RunningError`.
    """
    if prepared.plan.remove and not prepared.options.ignore_unreadable:
        refuse_hidden_roots(prepared.plan.inventory, prepared.notices)
    if not prepared.ignore_running:
        refuse_running(prepared.plan.inventory.caches)


def measure_caches(plan: Plan, interaction: Interaction) -> int:
    """Return how many bytes the caches hold."""
    size = held(plan.inventory.caches, interaction.reporter.phase("Measuring the caches"))
    interaction.reporter.clear()
    return size


def _discover(
    options: PruneOptions, interaction: Interaction, beginning: Beginning
) -> tuple[Discovery, tuple[Notice, ...], bool]:
    """Look around, and once more if an earlier run left something that could be finished.

    Return also what to say of it, and whether all is finished.
    """
    words = "Looking for environments"
    discovery = discover(options.request, interaction.reporter.phase(words), beginning)
    settings = beginning.settings
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
    """Return where runs may have left something: caches, and directories of environments; none if there is no trace."""
    environments = (root.path for root in inventory.roots if root.kind is RootKind.ENVIRONMENT)
    directories = {
        *(cache.real_path for cache in inventory.caches),
        *settings.noting,
        *map(os.path.dirname, environments),
    }
    if not any(failures.lexists(os.path.join(directory, STATE)) for directory in directories):
        return ()
    from ..runs.state_dirs import places

    # Who names caches means nothing else.
    return inventory.caches if options.pkgs_dirs else inventory.caches + places(settings, inventory.caches)


def _plan(
    options: PruneOptions, interaction: Interaction, discovery: Discovery, workers: WorkerPool
) -> tuple[Plan, tuple[Notice, ...]]:
    inventory, reporter = discovery.inventory, interaction.reporter
    plan, remarks = make_prune_plan(options, inventory, reporter, time.time(), workers=workers)
    if interaction.output.verbosity:
        from ...discovery.links.link_types import measure_links

        reporter.phase("Looking how environments link")
        plan = with_links(plan, measure_links(inventory, (*plan.keep, *plan.remove)))
        reporter.clear()
    return plan, remarks


def _warnings(prepared: PreparedPrune, workers: WorkerPool) -> tuple[Notice, ...]:
    """Return what the user should know before the plan is carried out."""
    plan, dry_run = prepared.plan, prepared.output.dry_run
    notices: tuple[Notice, ...] = ()
    if plan.changes and (dry_run or prepared.ignore_running or not can_look()):
        notices += running_notices(plan.inventory.caches)
    if plan.remove and not dry_run and not prepared.options.search.everything:
        notices += damaged_in_use(plan.inventory, prepared.interaction.reporter, workers)
    return notices
