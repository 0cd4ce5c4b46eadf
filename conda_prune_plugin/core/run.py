"""Runs: how one execution disposes of packages, and what it left to restore."""

from __future__ import annotations

from dataclasses import dataclass

from .model import Result, Word
from .units import format_size


class Disposal(Word):
    """What becomes of what a run takes out of a cache.

    `BACKUP`: it stays in the cache's quarantine, complete, until it is restored or purged. `ARCHIVE`: it is deleted
    once a compressed archive of it lies elsewhere.
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

    run: what it says of itself; None if that can't be understood.
    entries: how many can be restored; `dists` are their names.
    stored: the bytes that purging it gives back.
    complete: it came to its end; one that was interrupted has to be finished first.
    environments: it took environments away, and not packages out of caches.
    unexplained: there is something of it that nothing explains, so that it is left alone.
    own_files: how many files and directories of the user's own work it holds, which nothing else brings back.
    size: the bytes that it took out. in_place: all that it could bring back is there already.
    rebuildable: what is needed to make its environments again is there.
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

    @property
    def restorable(self) -> bool:
        """Whether a restore can bring back something, or is what settles it."""
        return not self.in_place or bool(self.own_files)


@dataclass(frozen=True, slots=True)
class PurgeOutcome:
    """What became of one run; `freed` in bytes."""

    summary: RunSummary
    result: Result
    freed: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """How much the caches held before and after a run with one of the presets of ``--ci``, in bytes.

    Every inode counts once, backups and receipts not at all. after: None for a dry run.
    """

    preset: str
    before: int
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """The question whether more than `limit` bytes are reclaimable; `typed`: the limit as a user wrote it."""

    limit: int
    typed: str = ""

    @property
    def shown(self) -> str:
        """The limit as it is printed."""
        return self.typed or format_size(self.limit)

    def exceeded(self, reclaimable: int) -> bool:
        """Return the answer for that many bytes."""
        return reclaimable > self.limit
