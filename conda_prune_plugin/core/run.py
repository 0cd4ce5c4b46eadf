"""Runs: how one execution disposes of packages, and what it has left to restore."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Result, Word
from .units import Space, Unit, format_amount, plural


class Disposal(Word):
    """What a run does with the packages that it removes.

    `BACKUP`: they stay in the cache's quarantine, complete, until they are restored or purged. `ARCHIVE`: each is
    deleted once a compressed archive of it is elsewhere.
    """

    DELETE = "delete"
    BACKUP = "backup"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Run:
    """One execution. `id` sorts by time and names its folders.

    started: seconds since the epoch.
    destination: the absolute path of the directory for archives, with `Disposal.ARCHIVE` only.
    """

    id: str
    started: float
    disposal: Disposal = Disposal.DELETE
    destination: str | None = None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run has left in all caches together.

    run: as in its receipt; None if that can't be understood.
    dists: the names of the entries that can be restored; `files`: the number of their files.
    stored, stored_inodes: what purging it frees. size: the bytes that it removed.
    complete: False for an interrupted run, which has to be completed first.
    environments: it removed environments, and not packages from caches.
    unexplained: a receipt is missing or can't be understood, so the run is left alone.
    own_files: how many of the user's own files and directories it holds, which nothing else brings back.
    in_place: everything that it could bring back exists.
    rebuildable: an environment of it has the exports to be rebuilt from.
    """

    id: str
    run: Run | None
    caches: tuple[str, ...]
    dists: tuple[str, ...]
    files: int
    stored: int
    complete: bool
    environments: bool = False
    unexplained: bool = False
    own_files: int = 0
    size: int = 0
    in_place: bool = False
    rebuildable: bool = True
    stored_inodes: int = 0

    @property
    def restorable(self) -> bool:
        """Whether a restore can bring back something."""
        return not self.in_place or bool(self.own_files)


@dataclass(frozen=True, slots=True)
class PurgeOutcome:
    """The result of purging one run; `freed` in bytes."""

    summary: RunSummary
    result: Result
    freed: int = 0
    error: str | None = None
    freed_inodes: int = 0


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """The bytes and inodes of the caches before and after a run with one of the presets of ``--ci``.

    Every inode counts once; backups and receipts don't count. after: None for a dry run.
    """

    preset: str
    before: int
    after: int | None = None
    before_inodes: int = 0
    after_inodes: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """The question whether more than `limit` of a unit is reclaimable; `typed`: the limit as a user wrote it."""

    limit: int
    typed: str = ""
    unit: Unit = Unit.BYTES

    @property
    def shown(self) -> str:
        """The limit as it is printed."""
        return self.typed or format_amount(self.limit, self.unit)

    def amount(self, reclaimable: Space) -> str:
        """Return what a space has of the unit, under the name that the user typed."""
        if self.unit is Unit.INODES and "file" in self.typed:
            return plural(reclaimable.inodes, "file")
        return format_amount(reclaimable.of(self.unit), self.unit)

    def exceeded(self, reclaimable: Space) -> bool:
        """Return the answer for a space."""
        return reclaimable.of(self.unit) > self.limit
