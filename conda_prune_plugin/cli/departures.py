"""Which environments go: chosen, not protected, exported, and with what would be lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..core.environments import ABSOLUTE, Environment, Losses, Protection, last_evidence, protections
from ..core.packages import OwnerKind
from ..core.usage import occupied
from ..discovery.contents import contents
from ..discovery.exports import Export, export
from ..discovery.measure import identity
from ..discovery.running import running
from ..discovery.usage import Scan
from ..errors import ProtectedEnvironmentError
from ..execution.departure import LOST, Departure
from .places import place_of


@dataclass(frozen=True, slots=True)
class Leaving:
    """An environment that goes, its departure, and what no rebuild brings back."""

    environment: Environment
    departure: Departure
    export: Export
    losses: Losses


def allowed(
    chosen: Iterable[Environment], *, by_age: bool, force: bool
) -> tuple[tuple[Environment, ...], tuple[tuple[Environment, tuple[Protection, ...]], ...]]:
    """Return the environments that may go, and of the others what protects them.

    by_age: they were chosen for that, and not named.
    """
    going, staying = [], []
    for environment in chosen:
        found = protections(environment, by_age=by_age)
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
    raise ProtectedEnvironmentError(
        f"Not everything that was named may be removed. {reasons}",
        hint=f"{hint} Nothing was removed.",
        path=staying[0][0].path,
    )


def why_protected(found: Iterable[Protection]) -> str:
    """Return what protects an environment, in words."""
    return "; ".join(item.detail for item in found)


def leaving(environment: Environment, scan: Scan, now: float) -> Leaving:
    """Return an environment with all that its removal needs. Raises `OSError` if it is gone."""
    exported = export(environment.root)
    usage = environment.usage
    last = last_evidence(environment, now)
    losses = _losses(environment, exported, scan)
    departure = Departure(
        place=place_of(environment.path),
        name=os.path.basename(environment.path),
        identity=identity(os.lstat(environment.path)),
        stamp=environment.root.stamp,
        exports=exported.files,
        details={
            "prefix": environment.path,
            "registered": environment.registered,
            "packages": len(environment.root.dists),
            "python": environment.python,
            LOST: losses.files,
        },
        own=usage.account.own,
        apparent=usage.account.apparent,
        files=usage.account.files,
        last_used=last.time if last else None,
        reasons=((last.kind.value, last.detail),) if last else (),
    )
    return Leaving(environment, departure, exported, losses)


def objection(path: str) -> str | None:
    """Return why an environment must not be removed at this very moment."""
    found = running((path,)).get(path)
    return f"process {found[0].pid} runs from it now ({found[0].command})" if found else None


def _losses(environment: Environment, exported: Export, scan: Scan) -> Losses:
    found = contents(environment.root, scan)
    others = [tree for owner, tree in found.owners.items() if owner.kind is OwnerKind.OTHER]
    packages = [
        (f"{package.name} {package.version}".strip(), package.why or "", package.size)
        for package in exported.python
        if package.requirement is None
    ]
    packages += [(dist, "no url is known to fetch it from again", 0) for dist in exported.sourceless]
    packages += [(dist, "its record can't be read", 0) for dist in exported.unreadable]
    return Losses(tuple(packages), sum(tree.files for tree in others), occupied(others, scan.inodes), found.strangers)
