"""The result of ``conda prune envs``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..notices import Notice
from ..run import Disposal, Run
from .environment_use import Environment, Losses, RemovedEnvironment


@dataclass(frozen=True, slots=True)
class EnvsResult:
    """The environments, the planned removals and their outcomes; sizes in bytes.

    shown: the selected environments, of `count`. now: seconds since the epoch.
    unused_for: the AGE as the user typed it. kept: by path, the bytes in the caches that only an environment keeps.
    stale: by registry, the prefixes that are no environments, and why. fix: those to remove from it, None without
        --fix-registry. copies: the files with the registries as they were before.
    remove: the environments to remove, and what a rebuild can't bring back. released: the bytes that this frees.
    reclaimable, reclaimable_then: what a prune of the caches frees now, and after the removal.
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
