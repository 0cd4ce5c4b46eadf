"""Environments with evidence of their use, and their protection from removal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..model import Result, Root, RootState, Word
from ..notices import Notice
from ..run import Disposal, Run
from ..units import plural
from ..usage.usage_report import EnvironmentUsage
from .own_files import OwnFiles

#: The kinds of pointers that run something in an environment by themselves, so that it is always in use.
_BY_ITSELF = ("cron", "systemd")

#: conda takes the time of creation from a file, rounded to microseconds, so it may be later than the file's. Times that
#: differ by less than this, in seconds, are the same.
_PRECISION = 1e-5


class EvidenceKind(Word):
    """The kind of evidence of an environment's last use."""

    ACTIVE = "active"
    RUNNING = "running"
    CRON = "cron"
    SYSTEMD = "systemd"
    USED = "used"
    CHANGED = "changed"
    CREATED = "created"


class ProtectionKind(Word):
    """Why an environment is not removed. Those in `ABSOLUTE` hold even with --force."""

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
    """A file that refers to an environment; `kind`: kernel, editor, direnv, shell, cron, systemd, script."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Running:
    """A process that uses an environment; `how`: the strongest sign of it, as the end of a sentence."""

    pid: int
    command: str
    how: str = "is running from it"

    @property
    def words(self) -> str:
        """The whole sentence."""
        return f"process {self.pid} ({self.command}) {self.how}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with an environment.

    ``unreadable``, ``corrupt``, ``half-removed``, ``interrupted``, ``no-history``, ``missing-interpreter``.
    """

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment and the evidence of its use; times in seconds since the epoch.

    own_files: the user's own work in it.
    registered: a registry of this user lists it.
    listed_by: the registry of another user, if no other one lists it. frozen: it has the marker of CEP 22.
    active: it is activated in the shell that this program was started from.
    holds: paths inside of it that are not its own: another environment, a cache, a home, or this interpreter.
    alike: the paths of all environments with exactly the same packages, this one included; they share one tuple.
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
    """The newest evidence of use: it decides how long an environment has been unused."""

    kind: EvidenceKind
    time: float
    detail: str


@dataclass(frozen=True, slots=True)
class Protection:
    """Why an environment is not removed."""

    kind: ProtectionKind
    detail: str


def last_evidence(environment: Environment, now: float) -> LastEvidence | None:
    """Return the newest evidence of use, None if there is none.

    An environment that is active, running, or run by the system is in use now. A kernel specification, a script or an
    editor's setting protects it from removal, but doesn't show when it was used.
    """
    found: list[LastEvidence] = []
    if environment.active:
        found.append(LastEvidence(EvidenceKind.ACTIVE, now, "active in this shell"))
    if environment.running:
        detail = f"process {environment.running[0].pid} {environment.running[0].how}"
        found.append(LastEvidence(EvidenceKind.RUNNING, now, detail))
    found += [
        LastEvidence(EvidenceKind(pointer.kind), now, f"{pointer.path} runs a program in it")
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
    # Of two at the same time the first says more.
    first = next((item for item in found if newest - item.time < _PRECISION), None)
    return first and replace(first, time=newest)


def is_unused_for(environment: Environment, age: float, now: float) -> bool:
    """Return whether all evidence is at least `age` seconds old; False if there is none."""
    last = last_evidence(environment, now)
    return last is not None and now - last.time >= age


def protections(environment: Environment, *, by_age: bool, named: bool = True) -> tuple[Protection, ...]:
    """Return the reasons not to remove an environment.

    by_age: it was chosen for its age. named: the user named it.
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
        *(Protection(kind.RUNNING, process.words) for process in environment.running),
        *(
            Protection(kind.POINTER, f"{pointer.path} refers to it ({pointer.kind})")
            for pointer in environment.pointers
        ),
        *(Protection(kind.OWN_FILES, detail) for detail in _work(environment.own_files)),
    )


def _work(found: OwnFiles | None) -> Iterable[str]:
    """Give the signs of the user's own work in an environment."""
    if found is None:
        return
    for directory in found.repositories:
        yield f"it contains a git repository ({directory})"
    if found.older:
        yield f"it contains {plural(len(found.older), 'file')} older than the environment (such as {found.older[0]})"
    if found.many:
        yield f"it contains {plural(len(found.files), 'file')} that belong to no package (such as {found.files[0]})"


def alike(roots: Iterable[Root]) -> Mapping[str, tuple[str, ...]]:
    """Return the paths of the environments with exactly the same packages, by the path of each of them.

    The environments of a group share one tuple: one each would take memory by the square of the group's size.
    """
    same: dict[frozenset[str], list[str]] = {}
    for root in roots:
        if root.packages and root.state is RootState.OK:
            same.setdefault(root.packages, []).append(root.path)
    return {path: group for group in map(tuple, same.values()) for path in group}


@dataclass(frozen=True, slots=True)
class Losses:
    """What a rebuild can't bring back; sizes in bytes on disk.

    packages: name, reason and size of those that can't be installed again.
    files: how many files belong to no package; `largest`: some of them, by path below the prefix.
    kept: the user's own files and directories, by path below the prefix: not lost, but kept in the run's folder.
    """

    packages: tuple[tuple[str, str, int], ...] = ()
    files: int = 0
    size: int = 0
    largest: tuple[tuple[str, int], ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovedEnvironment:
    """The outcome for one environment; `freed` in bytes, `exports` is the path of the folder, if there is one."""

    path: str
    result: Result
    freed: int = 0
    error: str | None = None
    exports: str | None = None
    warning: str | None = None
    freed_inodes: int = 0


@dataclass(frozen=True, slots=True)
class EnvsResult:
    """The environments, the planned removals and their outcomes; sizes in bytes.

    shown: the selected environments, of `count`. now: seconds since the epoch.
    unused_for: the AGE as the user typed it. kept: by path, the bytes in the caches that only an environment keeps.
    stale: by registry, the prefixes that are no environments, and why. fix: those to remove from it, None without
        --fix-registry. copies: the files with the registries as they were before.
    remove: the environments to remove, and what a rebuild can't bring back. released: the bytes that this frees.
    reclaimable, reclaimable_then: what a prune of the caches frees now, and after the removal. Inodes likewise.
    failed: something failed. interrupted: the user stopped the removal.
    """

    shown: tuple[Environment, ...]
    count: int
    stale: Mapping[str, Sequence[tuple[str, str]]]
    now: float
    unused_for: str | None = None
    kept: Mapping[str, int] = field(default_factory=dict)
    remove: tuple[tuple[Environment, Losses], ...] = ()
    disposal: Disposal | None = None
    released: int = 0
    reclaimable: int = 0
    reclaimable_then: int = 0
    run: Run | None = None
    outcomes: Sequence[RemovedEnvironment] = ()
    fix: Mapping[str, Sequence[str]] | None = None
    copies: tuple[str, ...] = ()
    notices: tuple[Notice, ...] = ()
    failed: bool = False
    interrupted: bool = False
    released_inodes: int = 0
    reclaimable_inodes: int = 0
    reclaimable_inodes_then: int = 0
