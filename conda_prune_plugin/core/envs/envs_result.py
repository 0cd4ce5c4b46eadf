"""The result of ``conda prune envs``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..notices import Notice
from ..run import Disposal, Run
from .environment_use import Environment, Losses, RemovedEnvironment


@dataclass(frozen=True, slots=True)
class EnvsResult:
    """The environments that were found, what is to be done with them, and what was done; sizes in bytes.

    shown: the environments that were asked for, of `count`. now: seconds since the epoch.
    unused_for: the AGE that was asked for, as it was typed.
    stale: for each registry the prefixes that are no environments, and why. fix: those that are taken out, None if
        that was not asked for. copies: the files that hold what the registries were before.
    remove: what is to be removed, and what no rebuild brings back. released: the bytes that come back with it.
    reclaimable, reclaimable_then: what a prune of the caches gives back now, and when these are removed.
    failed: something did not work. interrupted: the user stopped the removal.
    """

    shown: tuple[Environment, ...]
    count: int
    stale: Mapping[str, Sequence[tuple[str, str]]]
    now: float
    unused_for: str | None = None
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
