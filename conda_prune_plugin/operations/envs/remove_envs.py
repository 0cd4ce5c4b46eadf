"""Remove environments: refuse the protected ones, list what would be lost, forecast what it frees, carry it out."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from errno import EACCES
from os.path import basename, join, realpath

from ...core.accounting import Ledger
from ...core.envs.environment_use import (
    ABSOLUTE,
    Environment,
    EnvsResult,
    Losses,
    Protection,
    ProtectionKind,
    last_evidence,
    protections,
)
from ...core.layout import TRASH
from ...core.model import RootState
from ...core.notices import Notice
from ...core.run import Disposal, Run
from ...core.units import NO_SPACE, Space, Unit, plural
from ...core.usage.disk_usage import occupied, released
from ...core.usage.package_usage import OwnerKind
from ...discovery.envs.export import Export
from ...discovery.envs.external_references import running
from ...discovery.system.measure import identity, measure
from ...discovery.usage.file_owners import contents
from ...discovery.usage.survey import Scan
from ...errors import ProtectedEnvironmentError
from ...execution.environment_preflight import LOST, EnvironmentPorts, EnvironmentRemoval
from ...execution.state.receipt import ReceiptEntry, StoredReason
from ...execution.state.saved_own_files import OWN_FILES
from ...execution.state.stored_runs import OWN_BYTES, OWN_INODES
from ..conda_hooks import unregister
from ..interaction import Interaction
from ..prune.planning import plan_without
from ..prune.prepare_prune import refuse_running
from ..run_as_owner import export_as_owner, removal_hooks_as_owner, remove_environments_as_owners
from ..runs.run_store import new_run_id
from ..runs.state_dirs import forget_places, note_place, place_of
from .list_envs import Listing


@dataclass(frozen=True, slots=True)
class PlannedRemoval:
    """An environment to be removed, its removal, and what no rebuild restores.

    kept: the space of the user's own files, which stay in the run's folder.
    """

    environment: Environment
    removal: EnvironmentRemoval
    losses: Losses
    kept: Space


@dataclass(frozen=True, slots=True)
class PreparedRemoval:
    """The environments to be removed; nothing has been changed yet. result: with what the removal would free."""

    listing: Listing
    removals: tuple[PlannedRemoval, ...]
    disposal: Disposal
    result: EnvsResult

    @property
    def lines(self) -> int:
        """The number of lines to be removed from registries."""
        return sum(map(len, (self.result.fix or {}).values()))


def prepare_removal(listing: Listing, interaction: Interaction) -> PreparedRemoval:
    """Prepare the removal of the chosen environments without the protected ones.

    Raises `ProtectedEnvironmentError` if one of these was named.
    """
    options, shown = listing.options, listing.result.shown
    by_name = bool(options.environments)
    eligible, protected = unprotected(shown, by_age=not by_name, named=by_name, force=options.force)
    if by_name and protected:
        _refuse_protected(protected)
    return with_forecast(listing, *with_details(listing, eligible, protected), options.disposal, interaction)


_Protected = Sequence[tuple[Environment, Sequence[Protection]]]


def unprotected(
    chosen: Iterable[Environment], *, by_age: bool, named: bool, force: bool
) -> tuple[list[Environment], _Protected]:
    """Return the environments that may be removed, and the others with what protects them.

    by_age: they were chosen by age. named: the user has named them.
    """
    eligible, protected = [], []
    for environment in chosen:
        found = protections(environment, by_age=by_age, named=named)
        if holding := tuple(protection for protection in found if not force or protection.kind in ABSOLUTE):
            protected.append((environment, holding))
        else:
            eligible.append(environment)
    return eligible, protected


def _why(found: Iterable[Protection]) -> str:
    return "; ".join(protection.detail for protection in found)


def _refuse_protected(protected: _Protected) -> None:
    """Raise `ProtectedEnvironmentError`, because protected environments were named."""
    reasons = " ".join(
        f"Can't remove {environment.root.name or environment.path}: {_why(found)}." for environment, found in protected
    )
    kinds = {protection.kind for _, found in protected for protection in found}
    hint = "Stop the process, or add --force." if kinds == {ProtectionKind.RUNNING} else "To remove it anyway: --force."
    if ProtectionKind.OWN_FILES in kinds:
        names = " ".join(shlex.quote(environment.root.name or environment.path) for environment, _ in protected)
        own = plural(sum(len(item.own_files.files) for item, _ in protected if item.own_files), "file")
        them = f"{'it' if len(protected) == 1 else 'them'} anyway, keeping your {own} for `conda prune restore`"
        hint = f"To remove {them}: conda prune envs {names} --remove --force"
    hint = "Leave it out." if kinds & set(ABSOLUTE) else hint
    raise ProtectedEnvironmentError(
        reasons,
        hint=f"Nothing was removed. {hint}",
        path=protected[0][0].path,
    )


def with_details(
    listing: Listing, eligible: Iterable[Environment], protected: _Protected
) -> tuple[tuple[PlannedRemoval, ...], EnvsResult]:
    """Return what the removal of each environment needs, and the result with notices on those that are kept.

    An environment that can't be removed is reported and stops no other.
    """
    result = listing.result
    removals: list[PlannedRemoval] = []
    notices = [
        Notice("protected", f"Kept {environment.path}: {_why(found)}.", environment.path)
        for environment, found in protected
    ]
    failed = result.failed
    for environment in eligible:
        try:
            place = place_of(environment.path)
            if not place.writable:
                raise PermissionError(EACCES, f"you don't have permission to change {place.path}")
            removals.append(_planned(environment, listing.scan, result.now))
        except OSError as error:
            failed = True
            message = f"Kept {environment.path}: {error.strerror or error}."
            notices.append(Notice("removal", message, environment.path))
    return tuple(removals), replace(result, failed=failed, notices=(*result.notices, *notices))


def _planned(environment: Environment, scan: Scan, now: float) -> PlannedRemoval:
    """Return an environment with all that its removal needs. Raises `OSError` if it is missing."""
    path, root, account = environment.path, environment.root, environment.usage.account
    # The remains of a half-removed one are not enough to rebuild it.
    half = root.state is RootState.HALF_REMOVED
    exported = Export(root, {}, (), (), ()) if half else export_as_owner(root)
    last = last_evidence(environment, now)
    losses = _losses(environment, exported, scan)
    # A deletion frees so much less.
    ledger = Ledger()
    kept = sum((ledger.remove(measure(join(path, *name.split("/")))) for name in losses.kept), NO_SPACE)
    removal = EnvironmentRemoval(
        place=place_of(path),
        name=basename(path),
        identity=identity(os.lstat(path)),
        signature=root.signature,
        exports=exported.files,
        entry=ReceiptEntry(
            # The name that it had before an interrupted removal made it trash (see `remove_environments`).
            dist=basename(path).removesuffix(TRASH) or basename(path),
            parts=(),
            files=account.files,
            apparent=account.apparent,
            reclaimable=account.own,
            reclaimable_inodes=account.own_inodes,
            last_used=last.time if last else None,
            record={
                "prefix": path,
                "registered": environment.registered,
                "packages": len(root.packages),
                "python": environment.python,
                LOST: losses.files,
                OWN_FILES: list(losses.kept),
                OWN_BYTES: kept.bytes,
                OWN_INODES: kept.inodes,
            },
            reasons=(StoredReason(last.kind.value, last.detail),) if last else (),
        ),
    )
    return PlannedRemoval(environment, removal, losses, kept)


def _losses(environment: Environment, exported: Export, scan: Scan) -> Losses:
    kept = environment.own_files.kept if environment.own_files else ()
    found = contents(environment.root, scan, frozenset(kept))
    others = [tree for owner, tree in found.owners.items() if owner.kind is OwnerKind.OTHER]
    packages = [
        (f"{package.name} {package.version}".strip(), package.why or "", package.size)
        for package in exported.python
        if package.requirement is None
    ]
    packages += [(dist, "no URL is known to download it from", 0) for dist in exported.sourceless]
    packages += [(dist, "its record can't be read", 0) for dist in exported.unreadable]
    if environment.root.state is RootState.HALF_REMOVED:
        why = "its records are missing; add --backup to keep its files"
        packages.append((basename(environment.path), why, environment.usage.account.own))
    files, size = sum(tree.files for tree in others), occupied(others, scan.inodes)
    return Losses(tuple(packages), files, size, found.strangers, kept)


def with_forecast(
    listing: Listing,
    removals: tuple[PlannedRemoval, ...],
    result: EnvsResult,
    disposal: Disposal,
    interaction: Interaction,
) -> PreparedRemoval:
    """Return a removal with what it would free, in the environments and in the caches."""
    paths = frozenset(realpath(removal.environment.path) for removal in removals)
    scan, now = listing.scan, listing.plan.frees
    then = now
    if removals and disposal is Disposal.DELETE:
        then = plan_without(paths, listing.inventory, scan, listing.options, interaction.reporter).frees
    trees = [tree for root, tree in scan.environments if realpath(root.path) in paths]
    kept = sum((removal.kept for removal in removals), NO_SPACE)
    freed = Space(*(released(trees, scan.inodes, unit) for unit in Unit)) - kept
    result = replace(
        result,
        remove=tuple((removal.environment, removal.losses) for removal in removals),
        disposal=disposal,
        released=freed.bytes,
        released_inodes=freed.inodes,
        reclaimable=now.bytes,
        reclaimable_inodes=now.inodes,
        reclaimable_then=then.bytes,
        reclaimable_inodes_then=then.inodes,
    )
    return PreparedRemoval(listing, removals, disposal, result)


def check_may_run(prepared: PreparedRemoval, interaction: Interaction) -> None:
    """Refuse while another conda installs: it may be into one of these environments. Raises `RunningError`."""
    options = prepared.listing.options
    if not (options.force or (options.ignore_running and interaction.output.yes)):
        refuse_running(prepared.listing.inventory.caches)


def carry_out_removal(prepared: PreparedRemoval, interaction: Interaction) -> EnvsResult:
    """Remove the environments and return the result with their outcomes.

    Raises `StateError` or `LockTimeoutError` before any of them is changed.
    """
    options, settings, result = prepared.listing.options, prepared.listing.settings, prepared.result
    started = time.time()
    run = Run(new_run_id(started), started, prepared.disposal)
    removals = [planned.removal for planned in prepared.removals]

    def objection(path: str) -> str | None:
        """Return why an environment must not be removed at this very moment."""
        processes = () if options.force else running((path,)).get(path)
        return processes[0].words if processes else None

    ports = EnvironmentPorts(
        objection=objection,
        removal_hooks=removal_hooks_as_owner,
        unregister=lambda path: unregister(settings.registries, path),
        note=lambda place: note_place(settings, place, run),
        measure=lambda path, dir_fd: measure(path, dir_fd=dir_fd),
        progress=interaction.reporter.counter("Removing files", sum(removal.entry.files for removal in removals)),
        patience=interaction.patience(options.lock_timeout),
    )
    try:
        removed = remove_environments_as_owners(removals, run, ports, prepared.listing.scan.sharing)
    finally:
        forget_places(settings)
    interaction.reporter.clear()
    notices = tuple(
        Notice("removal", f"{outcome.path}: {outcome.warning}.", outcome.path)
        for outcome in removed.outcomes
        if outcome.warning is not None
    )
    return replace(
        result,
        run=run,
        outcomes=removed.outcomes,
        failed=result.failed or removed.failed,
        interrupted=removed.interrupted,
        notices=(*result.notices, *notices),
    )
