"""The result of ``conda prune usage``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..model import Cache, ReasonKind, Root, Word
from ..plan import Plan
from ..units import NO_SPACE, Space, Unit
from .disk_usage import Account


@dataclass(frozen=True, slots=True)
class PipPackages:
    """The packages that pip or another installer has put into an environment, by its own records.

    names: ``name==version``. allocated: bytes, each inode once. inodes: of the files.
    """

    names: tuple[str, ...] = ()
    files: int = 0
    allocated: int = 0
    inodes: int = 0


@dataclass(frozen=True, slots=True)
class EnvironmentUsage:
    """One environment without the caches and environments inside of it.

    changed: when conda changed it last. used: the newest access to one of its own files, if that is later.
    keeps_access: the file system keeps access times, so without `used` nothing was read since.
    """

    root: Root
    account: Account
    pip: PipPackages
    changed: float | None
    used: float | None
    keeps_access: bool


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """One cache.

    kinds, kinds_inodes: bytes and inodes by purpose; an inode with two purposes counts for the first.
    reclaimable, reclaimable_inodes: what `conda prune` would free now.
    recent: how many entries only their age keeps.
    """

    cache: Cache
    account: Account
    kinds: Mapping[str, int]
    reclaimable: int
    recent: int
    kinds_inodes: Mapping[str, int] = field(default_factory=dict)
    reclaimable_inodes: int = 0

    def kinds_in(self, unit: Unit) -> Mapping[str, int]:
        """Return how much of a unit each purpose takes."""
        return self.kinds if unit is Unit.BYTES else self.kinds_inodes


class QuotaKind(Word):
    """Whose use a quota limits."""

    USER = "user"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit on what a user or a group may have on a file system.

    owner: its number. soft, hard: how much of the unit may be used, for a time and ever; None without a limit.
    """

    kind: QuotaKind
    owner: str
    unit: Unit
    used: int
    soft: int | None
    hard: int | None


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system that some of the trees lie on.

    size, free: its bytes. reflinks: its files may share blocks unseen. inodes, free_inodes: how many it has; None if
    it makes them as it needs them. allocated, allocated_inodes: what the trees take of it. quotas: that bind this user.
    quota_error: why these are not known.
    """

    point: str
    type: str
    size: int
    free: int
    reflinks: bool
    inodes: int | None = None
    free_inodes: int | None = None
    allocated: int = 0
    allocated_inodes: int = 0
    quotas: tuple[Quota, ...] = ()
    quota_error: str | None = None


class ToolKind(Word):
    """The tool that a cache belongs to, if it is no package cache."""

    CONDA_BUILD = "conda-build"
    CONDA_PYPI = "conda-pypi"
    SOLVER = "solver"
    PIP = "pip"
    UV = "uv"


@dataclass(frozen=True, slots=True)
class OtherCache:
    """A cache that is only reported.

    allocated: bytes as ``du`` counts; a lower bound if it is not `complete`. command: the command that cleans it.
    inodes: likewise.
    """

    kind: ToolKind
    path: str
    allocated: int
    command: str
    complete: bool = True
    inodes: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Everything, environments and caches with the largest own bytes first.

    allocated, inodes: of all trees together, as ``du`` counts. apparent: the sum of all lengths.
    complete: everything could be read.
    other_caches: not included in these figures, unless they are in an environment.
    """

    environments: tuple[EnvironmentUsage, ...]
    caches: tuple[CacheUsage, ...]
    file_systems: tuple[FileSystem, ...]
    allocated: int
    plan: Plan
    complete: bool = True
    other_caches: tuple[OtherCache, ...] = ()
    inodes: int = 0

    @property
    def apparent(self) -> int:
        """The lengths of all files and symbolic links, each name counted."""
        accounts = [item.account for item in self.environments] + [item.account for item in self.caches]
        return sum(account.apparent for account in accounts)

    @property
    def takes(self) -> Space:
        """The space of all trees together."""
        return Space(self.allocated, self.inodes)

    @property
    def reclaimable(self) -> int:
        """The bytes that `conda prune` would free now."""
        return self.plan.reclaimable

    @property
    def reclaimable_inodes(self) -> int:
        """The inodes that `conda prune` would free now."""
        return self.plan.reclaimable_inodes

    @property
    def exact(self) -> bool:
        """Whether everything was counted, and no blocks are shared by reflinks."""
        return self.complete and not self.reflinks

    @property
    def reflinks(self) -> bool:
        """Whether files may share blocks unseen, so that the bytes are upper bounds."""
        return any(system.reflinks for system in self.file_systems)


def reclaimable_in(plan: Plan, cache: Cache) -> Space:
    """Return the space that a plan frees in one of its caches."""
    return sum((decision.frees for decision in plan.remove if decision.entry.cache == cache.path), NO_SPACE)


def kept_by_age(plan: Plan, cache: Cache) -> int:
    """Return how many entries of a cache a plan keeps only for their age."""
    reasons: Sequence[set[ReasonKind]] = [
        {reason.kind for reason in keep.reasons} for keep in plan.keep if keep.entry.cache == cache.path
    ]
    return reasons.count({ReasonKind.RECENT})
