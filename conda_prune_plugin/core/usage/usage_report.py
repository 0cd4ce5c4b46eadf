"""The result of ``conda prune usage``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..model import Cache, ReasonKind, Root, Word
from ..plan import Plan
from .disk_usage import Account


@dataclass(frozen=True, slots=True)
class PipPackages:
    """The packages that pip or another installer has put into an environment, by its own records.

    names: ``name==version``. allocated: bytes, each inode once.
    """

    names: tuple[str, ...] = ()
    files: int = 0
    allocated: int = 0


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

    kinds: allocated bytes by purpose; an inode with two purposes counts for the first.
    reclaimable: what `conda prune` would free now.
    recent: how many entries only their age keeps.
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
    """

    kind: ToolKind
    path: str
    allocated: int
    command: str
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Usage:
    """Everything, environments and caches with the largest own bytes first.

    allocated: the bytes of all trees together, as ``du`` counts. apparent: the sum of all lengths.
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

    @property
    def apparent(self) -> int:
        """The lengths of all files and symbolic links, each name counted."""
        accounts = [item.account for item in self.environments] + [item.account for item in self.caches]
        return sum(account.apparent for account in accounts)

    @property
    def reclaimable(self) -> int:
        """The bytes that `conda prune` would free now."""
        return self.plan.reclaimable

    @property
    def exact(self) -> bool:
        """Whether everything was counted, and no blocks are shared by reflinks."""
        return self.complete and not self.reflinks

    @property
    def reflinks(self) -> bool:
        """Whether files may share blocks unseen, so that the bytes are upper bounds."""
        return any(system.reflinks for system in self.file_systems)


def reclaimable_in(plan: Plan, cache: Cache) -> int:
    """Return the bytes that a plan frees in one of its caches."""
    return sum(decision.reclaimable for decision in plan.remove if decision.entry.cache == cache.path)


def kept_by_age(plan: Plan, cache: Cache) -> int:
    """Return how many entries of a cache a plan keeps only for their age."""
    reasons: Sequence[set[ReasonKind]] = [
        {reason.kind for reason in keep.reasons} for keep in plan.keep if keep.entry.cache == cache.path
    ]
    return reasons.count({ReasonKind.RECENT})
