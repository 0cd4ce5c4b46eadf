"""Environments with evidence of their use, and their protection from removal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from ..model import Result, Root, RootState, Word
from ..units import plural
from ..usage.usage_report import EnvironmentUsage
from .own_files import OwnFiles

#: Those of what points into an environment that start something in it by themselves: it is in use all the time.
_BY_ITSELF = ("cron", "systemd")

#: conda notes the time of a creation from that of a file, rounded to microseconds and so perhaps to a later time.
#: Times that differ by less are the same; in seconds.
_PRECISION = 1e-5


class EvidenceKind(Word):
    """What tells when an environment was last used."""

    ACTIVE = "active"
    RUNNING = "running"
    CRON = "cron"
    SYSTEMD = "systemd"
    USED = "used"
    CHANGED = "changed"
    CREATED = "created"


class ProtectionKind(Word):
    """Why an environment is not removed. Those of `ABSOLUTE` hold whatever the user says."""

    BASE = "base"
    HOLDS = "holds"
    LINK = "link"
    STATE = "state"
    ACTIVE = "active"
    FROZEN = "frozen"
    RUNNING = "running"
    POINTER = "pointer"
    OWN_FILES = "own-files"
    UNKNOWN_USE = "unknown-use"
    OTHER_REGISTRY = "other-registry"


ABSOLUTE = frozenset(
    {
        ProtectionKind.BASE,
        ProtectionKind.HOLDS,
        ProtectionKind.LINK,
        ProtectionKind.STATE,
        ProtectionKind.OTHER_REGISTRY,
    }
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A file whose content leads into an environment; `kind`: kernel, editor, direnv, shell, cron, systemd, script."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Running:
    """A process that runs from an environment, or has it activated."""

    pid: int
    command: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with an environment.

    ``unreadable``, ``corrupt``, ``half-removed``, ``interrupted``, ``no-history``, ``missing-interpreter``.
    """

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment and all that is known of its use; times in seconds since the epoch.

    own_files: the user's own work in it.
    registered: a registry of this user lists it.
    listed_by: the registry of another user, if only such a one leads to it. frozen: it bears the marker of CEP 22.
    active: it is activated in the shell that this program was started from.
    holds: what lies inside of it and is not its own: another environment, a cache, a home, the interpreter that runs
        this.
    alike: the paths of all environments with exactly the same packages, this one included; one tuple for all of them.
    """

    usage: EnvironmentUsage
    python: str | None = None
    created: float | None = None
    running: tuple[Running, ...] = ()
    pointers: tuple[Pointer, ...] = ()
    registered: bool = False
    frozen: bool = False
    active: bool = False
    base: bool = False
    is_link: bool = False
    holds: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    alike: tuple[str, ...] = ()
    own_files: OwnFiles | None = None
    listed_by: str | None = None

    @property
    def root(self) -> Root:
        """The environment as a root."""
        return self.usage.root

    @property
    def path(self) -> str:
        """Its absolute path."""
        return self.usage.root.path


@dataclass(frozen=True, slots=True)
class LastEvidence:
    """The newest piece of evidence: the one that decides how long an environment has been unused."""

    kind: EvidenceKind
    time: float
    detail: str


@dataclass(frozen=True, slots=True)
class Protection:
    """Why an environment is not removed."""

    kind: ProtectionKind
    detail: str


def last_evidence(environment: Environment, now: float) -> LastEvidence | None:
    """Return the newest evidence of use, None if there is no time at all.

    What is active, running, or started by the system itself is in use now. A kernel specification, a script or a
    setting of an editor says that somebody wants the environment, which protects it from removal, but not when.
    """
    found: list[LastEvidence] = []
    if environment.active:
        found.append(LastEvidence(EvidenceKind.ACTIVE, now, "active in this shell"))
    if environment.running:
        detail = f"process {environment.running[0].pid} runs from it"
        found.append(LastEvidence(EvidenceKind.RUNNING, now, detail))
    found += [
        LastEvidence(EvidenceKind(pointer.kind), now, f"{pointer.path} runs something in it")
        for pointer in environment.pointers
        if pointer.kind in _BY_ITSELF
    ]
    times = (
        (EvidenceKind.USED, environment.usage.used, "one of its files was read"),
        (EvidenceKind.CHANGED, environment.usage.changed, "conda changed it"),
        (EvidenceKind.CREATED, environment.created, "it was created"),
    )
    found += [LastEvidence(kind, time, detail) for kind, time, detail in times if time is not None]
    newest = max((item.time for item in found), default=0.0)
    # Of two at one time the first says more.
    first = next((item for item in found if newest - item.time < _PRECISION), None)
    return first and replace(first, time=newest)


def is_unused_for(environment: Environment, age: float, now: float) -> bool:
    """Return whether all evidence is at least `age` seconds old; without any, nobody knows, so it is not."""
    last = last_evidence(environment, now)
    return last is not None and now - last.time >= age


def protections(environment: Environment, *, by_age: bool, named: bool = True) -> tuple[Protection, ...]:
    """Return what speaks against a removal.

    by_age: the environment was chosen for its age. named: the user has named it, and no other rule chose it.
    """
    state, kind = environment.root.state, ProtectionKind
    unknown = by_age and not environment.usage.keeps_access
    other = environment.listed_by
    foreign = (
        f"only another user's registry lists it ({other}); to remove it, name it: conda prune envs {environment.path}"
    )
    single = (
        (kind.BASE, environment.base, "it is a base environment"),
        (kind.LINK, environment.is_link, "its path is a symbolic link; name the directory it points to"),
        (kind.STATE, state in (RootState.MISSING, RootState.UNREADABLE), f"it is {state}"),
        (kind.ACTIVE, environment.active, "it is active; deactivate it first"),
        (kind.FROZEN, environment.frozen, "it is frozen (conda-meta/frozen)"),
        (kind.OTHER_REGISTRY, not named and other is not None, foreign),
        (kind.UNKNOWN_USE, unknown, "its file system keeps no access times, so its last use is unknown"),
    )
    return (
        *(Protection(what, detail) for what, holds, detail in single if holds),
        *(Protection(kind.HOLDS, f"it contains {path}") for path in environment.holds),
        *(
            Protection(kind.RUNNING, f"process {process.pid} runs from it ({process.command})")
            for process in environment.running
        ),
        *(
            Protection(kind.POINTER, f"{pointer.path} refers to it ({pointer.kind})")
            for pointer in environment.pointers
        ),
        *(Protection(kind.OWN_FILES, detail) for detail in _work(environment.own_files)),
    )


def _work(found: OwnFiles | None) -> Iterable[str]:
    """Give what tells of the user's own work in an environment."""
    if found is None:
        return
    for directory in found.repositories:
        yield f"it contains a git repository ({directory})"
    if found.older:
        yield f"it contains {plural(len(found.older), 'file')} older than the environment (such as {found.older[0]})"
    if found.many:
        yield f"it contains {plural(len(found.files), 'file')} that belong to no package (such as {found.files[0]})"


def alike(roots: Iterable[Root]) -> Mapping[str, tuple[str, ...]]:
    """Return for each environment the paths of those that have exactly the same packages, its own among them.

    Those of one group share one tuple: a tuple each would take memory by the square of the group.
    """
    same: dict[frozenset[str], list[str]] = {}
    for root in roots:
        if root.packages and root.state is RootState.OK:
            same.setdefault(root.packages, []).append(root.path)
    return {path: group for group in map(tuple, same.values()) for path in group}


@dataclass(frozen=True, slots=True)
class Losses:
    """What no rebuild brings back; sizes in bytes on disk.

    packages: name, why, and size of what can't be installed again.
    files: how many lie in the environment that no package has; `largest` of them by path below the prefix.
    kept: the user's own files and directories, by path below the prefix: not lost but kept in the run's folder.
    """

    packages: tuple[tuple[str, str, int], ...] = ()
    files: int = 0
    size: int = 0
    largest: tuple[tuple[str, int], ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovedEnvironment:
    """What became of one environment; `freed` in bytes, `exports` the path of the folder if it is there."""

    path: str
    result: Result
    freed: int = 0
    error: str | None = None
    exports: str | None = None
    warning: str | None = None
