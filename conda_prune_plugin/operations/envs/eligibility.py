"""Decide which environments may be removed: chosen, not protected, and exported; list what would be lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...core.accounting import Ledger
from ...core.envs.environment_use import (
    ABSOLUTE,
    Environment,
    Losses,
    Protection,
    ProtectionKind,
    last_evidence,
    protections,
)
from ...core.model import RootState
from ...core.usage.disk_usage import occupied
from ...core.usage.package_usage import OwnerKind
from ...discovery.envs.export import Export
from ...discovery.envs.running import running
from ...discovery.system.measure import identity, measure
from ...discovery.usage.file_owners import contents
from ...discovery.usage.survey import Scan
from ...errors import ProtectedEnvironmentError
from ...execution.environment_preflight import LOST, EnvironmentRemoval
from ...execution.state.saved_own_files import OWN_FILES
from ...execution.state.stored_runs import OWN_BYTES
from ..run_as_owner import export_as_owner
from ..runs.state_dirs import place_of


@dataclass(frozen=True, slots=True)
class PlannedRemoval:
    """An environment that goes, its removal, and what no rebuild brings back.

    kept: the bytes on disk of the user's own files, which don't come back.
    """

    environment: Environment
    removal: EnvironmentRemoval
    export: Export
    losses: Losses
    kept: int = 0


def allowed(
    chosen: Iterable[Environment], *, by_age: bool, named: bool, force: bool
) -> tuple[tuple[Environment, ...], tuple[tuple[Environment, tuple[Protection, ...]], ...]]:
    """Return the environments that may go, and of the others what protects them.

    by_age: they were chosen for that. named: the user has named them.
    """
    going, staying = [], []
    for environment in chosen:
        found = protections(environment, by_age=by_age, named=named)
        holding = tuple(item for item in found if not force or item.kind in ABSOLUTE)
        if holding:
            staying.append((environment, holding))
        else:
            going.append(environment)
    return tuple(going), tuple(staying)


def refuse_protected(staying: Iterable[tuple[Environment, Sequence[Protection]]]) -> None:
    """Refuse to remove environments that were named and are protected. Raises `ProtectedEnvironmentError`."""
    staying = list(staying)
    if not staying:
        return
    reasons = " ".join(f"{environment.path}: {why_protected(found)}." for environment, found in staying)
    absolute = any(item.kind in ABSOLUTE for _, found in staying for item in found)
    hint = "Leave it out." if absolute else "If it is to go all the same, add --force."
    if not absolute and any(item.kind is ProtectionKind.OWN_FILES for _, found in staying for item in found):
        hint += " The files it names as yours are kept then, and `conda prune restore` brings them back."
    raise ProtectedEnvironmentError(
        f"Not everything that was named may be removed. {reasons}",
        hint=f"{hint} Nothing was removed.",
        path=staying[0][0].path,
    )


def why_protected(found: Iterable[Protection]) -> str:
    """Return what protects an environment, in words."""
    return "; ".join(item.detail for item in found)


def planned_removals(environment: Environment, scan: Scan, now: float) -> PlannedRemoval:
    """Return an environment with all that its removal needs. Raises `OSError` if it is gone."""
    # What remains of a half-removed one does not tell how to rebuild it.
    half = environment.root.state is RootState.HALF_REMOVED
    exported = Export(environment.root, {}, (), (), ()) if half else export_as_owner(environment.root)
    usage = environment.usage
    last = last_evidence(environment, now)
    losses = _losses(environment, exported, scan)
    kept = _held(environment.path, losses.kept)
    removal = EnvironmentRemoval(
        place=place_of(environment.path),
        name=os.path.basename(environment.path),
        identity=identity(os.lstat(environment.path)),
        signature=environment.root.signature,
        exports=exported.files,
        details={
            "prefix": environment.path,
            "registered": environment.registered,
            "packages": len(environment.root.packages),
            "python": environment.python,
            LOST: losses.files,
            OWN_FILES: list(losses.kept),
            OWN_BYTES: kept,
        },
        own=usage.account.own,
        apparent=usage.account.apparent,
        files=usage.account.files,
        last_used=last.time if last else None,
        reasons=((last.kind.value, last.detail),) if last else (),
    )
    return PlannedRemoval(environment, removal, exported, losses, kept)


def objection(path: str) -> str | None:
    """Return why an environment must not be removed at this very moment."""
    found = running((path,)).get(path)
    return f"process {found[0].pid} runs from it now ({found[0].command})" if found else None


def _losses(environment: Environment, exported: Export, scan: Scan) -> Losses:
    kept = environment.own_files.kept if environment.own_files else ()
    found = contents(environment.root, scan, frozenset(kept))
    others = [tree for owner, tree in found.owners.items() if owner.kind is OwnerKind.OTHER]
    packages = [
        (f"{package.name} {package.version}".strip(), package.why or "", package.size)
        for package in exported.python
        if package.requirement is None
    ]
    packages += [(dist, "no url is known to fetch it from again", 0) for dist in exported.sourceless]
    packages += [(dist, "its record can't be read", 0) for dist in exported.unreadable]
    if environment.root.state is RootState.HALF_REMOVED:
        name, why = os.path.basename(environment.path), "its records are missing; add --backup to keep its files"
        packages.append((name, why, environment.usage.account.own))
    files, size = sum(tree.files for tree in others), occupied(others, scan.inodes)
    return Losses(tuple(packages), files, size, found.strangers, kept)


def _held(prefix: str, kept: Iterable[str]) -> int:
    """Return the bytes that a deletion of these files and directories would give back. Raises `OSError`."""
    ledger = Ledger()
    return sum(ledger.remove(measure(os.path.join(prefix, *path.split("/")))) for path in kept)
