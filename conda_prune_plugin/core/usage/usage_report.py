"""The result of ``conda prune usage``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..model import Cache, ReasonKind, Root, Word
from ..plan import Plan
from .disk_usage import Account


@dataclass(frozen=True, slots=True)
class PipPackages:
    """What pip, or another installer that is not conda, has put into an environment, by its own records.

    names: ``name==version``. allocated: bytes, each inode once.
    """

    names: tuple[str, ...] = ()
    files: int = 0
    allocated: int = 0


@dataclass(frozen=True, slots=True)
class EnvironmentUsage:
    """One environment without the caches and environments inside of it.

    changed: when conda changed it last. used: the newest access to a file of its own, if later than that.
    keeps_access: the file system keeps times of access, so that no `used` means that nothing was read since.
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

    kinds: allocated bytes by what they are for, an inode that serves two purposes counted for the first.
    reclaimable: what `conda prune` would give back now.
    recent: entries that only their age keeps.
    """

    cache: Cache
    account: Account
    kinds: Mapping[str, int]
    reclaimable: int
    recent: int


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system that some of the trees lie on, with its bytes; `reflinks`: its files may share blocks unseen."""

    point: str
    type: str
    size: int
    free: int
    reflinks: bool


class ToolKind(Word):
    """What a cache is for that is no package cache."""

    CONDA_BUILD = "conda-build"
    CONDA_PYPI = "conda-pypi"
    SOLVER = "solver"
    PIP = "pip"
    UV = "uv"


@dataclass(frozen=True, slots=True)
class OtherCache:
    """A cache that is only told of.

    allocated: bytes, as ``du`` counts; at least these, if it is not `complete`. command: what cleans it.
    """

    kind: ToolKind
    path: str
    allocated: int
    command: str
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Usage:
    """Everything, environments and caches with the largest own bytes first.

    allocated: what ``du`` says of all trees together. apparent: the sum of all lengths.
    complete: nothing of it was unreadable.
    other_caches: what is not in any of these figures, unless it lies in an environment.
    """

    environments: tuple[EnvironmentUsage, ...]
    caches: tuple[CacheUsage, ...]
    file_systems: tuple[FileSystem, ...]
    allocated: int
    plan: Plan
    complete: bool = True
    other_caches: tuple[OtherCache, ...] = ()

    @property
    def apparent(self) -> int:
        """The lengths of all files and symbolic links, each name counted."""
        accounts = [item.account for item in self.environments] + [item.account for item in self.caches]
        return sum(account.apparent for account in accounts)

    @property
    def reclaimable(self) -> int:
        """What `conda prune` would give back now."""
        return self.plan.reclaimable

    @property
    def exact(self) -> bool:
        """Whether everything was counted, and inode numbers tell all there is to know."""
        return self.complete and not self.reflinks

    @property
    def reflinks(self) -> bool:
        """Whether files may share blocks unseen, so that the bytes are upper bounds."""
        return any(system.reflinks for system in self.file_systems)


def reclaimable_in(plan: Plan, cache: Cache) -> int:
    """Return what a plan gives back in one of its caches."""
    return sum(decision.reclaimable for decision in plan.remove if decision.entry.cache == cache.path)


def kept_by_age(plan: Plan, cache: Cache) -> int:
    """Return how many entries of a cache a plan keeps for nothing but their age."""
    reasons: Sequence[set[ReasonKind]] = [
        {reason.kind for reason in keep.reasons} for keep in plan.keep if keep.entry.cache == cache.path
    ]
    return reasons.count({ReasonKind.RECENT})
