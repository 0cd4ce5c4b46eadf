"""Prepare a prune: complete interrupted runs, discover, plan, and check for obstacles. Also the result of a prune."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ... import failures
from ...core.layout import STATE
from ...core.model import Cache, Inventory, RootKind
from ...core.notices import MISSING, SOFT_LINKS_POSSIBLE, Notice
from ...core.plan import Keep, OtherOutcome, Outcome, Plan, Remove
from ...core.rules.planner import with_links
from ...core.run import Check, Disposal, Run, Shrinkage
from ...core.units import Space
from ...discovery.clients.conda import UNREGISTERED, Settings, conda_settings
from ...discovery.inventory import Discovery, discover
from ...discovery.roots.watch import RootWatch
from ...discovery.system.processes import Process, can_look, installing
from ...discovery.usage.survey import held
from ...errors import RunningError, UnreadableEnvironmentError, UsageError, exit_code
from ...presentation.terminal.notice_groups import final_removals, first_of
from ..interaction import Interaction, Output
from ..options import PruneOptions
from .planning import damaged_in_use, make_prune_plan

#: The exit code of a check if more can be freed.
_EXCEEDED = 3

#: What to do about hidden environments, by the kind of the notice.
_HINTS = {
    MISSING: "Mount its disk, or name its new place with --root if you moved it, or clean up the registry if you "
    "deleted it",
    UNREGISTERED: "Set register_envs to true once all environments are registered",
}

_OR_IGNORE = (
    ", or continue with --ignore-unreadable: only packages that such environments soft-link can be harmed. "
    "Nothing was removed."
)


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
        if self.check is not None and self.check.exceeded(self.plan.frees):
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
    repaired = {item.entry for item in plan.repair}
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
        before = measure_caches(plan, interaction)
        shrinkage = Shrinkage(options.preset, before.bytes, before_inodes=before.inodes)
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


def measure_caches(plan: Plan, interaction: Interaction) -> Space:
    """Return the space that the caches take."""
    size = held(plan.inventory.caches, interaction.reporter.counter("Measuring the caches"))
    interaction.reporter.clear()
    return size


def _discover(options: PruneOptions, interaction: Interaction) -> tuple[Discovery, tuple[Notice, ...], bool]:
    """Discover, and once more if an earlier run was unfinished and could be finished.

    Also return notices on that run, and whether all of it could be finished.
    """
    words = "Looking for environments"
    settings = conda_settings()
    discovery = discover(options, interaction.reporter.phase(words), settings)
    state = places_with_state(options, settings, discovery.inventory)
    if not state:
        return discovery, (), True
    from ..runs.state_dirs import finish_runs, unfinished_notices

    if not interaction.may_change:
        return discovery, unfinished_notices(state), True
    patience = interaction.patience(options.lock_timeout)
    finished = finish_runs(settings, state, patience, interaction.reporter.counter("Finishing an earlier run"))
    if finished.changed:
        discovery = discover(options, interaction.reporter.phase(words))
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
    if prepared.options.disposal is Disposal.DELETE and prepared.options.preset is None:
        notices += final_removals(plan)
    return notices


def refuse_destination(destination: str | None, caches: Iterable[Cache]) -> None:
    """Refuse a directory for archives that lies in a cache. Raises `UsageError`."""
    if destination is None:
        return
    real = failures.realpath(destination)
    for cache in caches:
        if _lies_in(real, cache.real_path):
            raise UsageError(
                f"--backup-to: {destination} lies in the package cache {cache.path}.",
                hint="Give it a directory elsewhere, ideally on another disk. --backup keeps packages in the cache.",
            )
    if failures.lexists(real) and not failures.isdir(real):
        raise UsageError(f"--backup-to: {destination} is not a directory.", hint="Give it a directory.")


def _lies_in(path: str, directory: str) -> bool:
    """Return True if a path lies in a directory, however both are spelled: through links or mounts, in any case."""
    while True:
        with suppress(OSError):
            if os.path.samefile(path, directory):
                return True
        if (above := os.path.dirname(path)) == path:
            return False
        path = above


def refuse_hidden_roots(inventory: Inventory, notices: Sequence[Notice]) -> None:
    """Refuse if an unknown environment may soft-link packages to be removed, or a root of the options can't be read.

    A removal harms an environment only through soft links. Raises `UnreadableEnvironmentError`.
    """
    for notice in notices:
        if notice.stops:
            raise UnreadableEnvironmentError(
                notice.message,
                hint="Make it readable, or continue with --ignore-unreadable. Nothing was removed.",
                path=notice.path,
            )
    # Missing environments come last: the user can do more about the others.
    for notice in sorted(notices, key=lambda notice: notice.kind == MISSING):
        if notice.hides_roots and inventory.soft_links is not None:
            raise UnreadableEnvironmentError(
                f"{first_of(notices, notice.kind)} It may have soft links: {inventory.soft_links}.",
                hint=_HINTS.get(notice.kind, "Make it readable") + _OR_IGNORE,
                path=notice.path,
            )


def running_notices(caches: Sequence[Cache]) -> tuple[Notice, ...]:
    """Return a warning for each other program that is installing packages, or that such programs can't be seen."""
    if not can_look():
        message = "Other programs can't be seen on this system. Make sure that none is installing packages."
        return (Notice("running", message, ""),)
    return tuple(map(_running, installing(cache.real_path for cache in caches)))


def refuse_running(caches: Sequence[Cache]) -> None:
    """Refuse to remove while another program is installing. Raises `RunningError`."""
    if notices := tuple(map(_running, installing(cache.real_path for cache in caches))):
        raise RunningError(
            " ".join(notice.message for notice in notices),
            hint="Wait until it is done, or continue with --yes --ignore-running, which may remove packages it is "
            "about to link and make it fail. Nothing was removed.",
        )


def _running(process: Process) -> Notice:
    command = process.command if len(process.command) <= 80 else process.command[:77] + "..."
    return Notice("running", f"Another program is installing packages: process {process.pid} ({command}).", "")
