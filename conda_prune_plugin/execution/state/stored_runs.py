"""Find what runs have left in a cache: backups, receipts, and unfinished work. Reads only."""

from __future__ import annotations

import os
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from ... import failures
from ...core.layout import STATE
from ...core.model import Cache, Client, PartKind
from ...core.run import Disposal, Run
from ...core.units import NO_SPACE, Space
from ...errors import StateError
from ...failures import suppress
from ..files.dir_fd import Directory
from .receipt import FILES, RECEIPT, UNFINISHED, Held, Receipt, ReceiptEntry, RunState, read_receipt
from .state_dir import DOOMED, DOOMED_EXPORTS, EXPORTS, REBUILDING, LockedCache, run_names, state_path

#: In a receipt's details how many bytes on disk the user's own files take that a run keeps.
OWN_BYTES, OWN_INODES = "own_bytes", "own_inodes"


@dataclass(frozen=True, slots=True)
class StoredRun:
    """What one run has left in one cache.

    path: the run's folder.
    receipt: None if it is missing or can't be understood.
    present: the numbers of the parts in the folder.
    complete: nothing has to be completed or rolled back.
    unexplained: something is there that no receipt explains, so it is left alone.
    keeps_files: the user's own files of deleted environments are there.
    rebuilding: an environment of it is being rebuilt, or was not finished (`unfinished`).
    unlisted: names of parts that the receipt doesn't list; they are left alone too, and stop nothing else.
    owner: the number of the user whose receipt it is; None where files have no owners, or without one.
    later: the names of the environments that the caller's later runs removed, and can bring back.
    """

    id: str
    cache: Cache
    path: str
    receipt: Receipt | None
    present: frozenset[str]
    complete: bool
    unexplained: bool = False
    keeps_files: bool = False
    rebuilding: bool = False
    unlisted: frozenset[str] = frozenset()
    owner: int | None = None
    later: frozenset[str] = frozenset()

    @property
    def own(self) -> bool:
        """Whether the receipt is the caller's, so that it can be trusted; for root also that of a cache's owner.

        In another user's cache root works as that user (`owner_process`).
        """
        if self.owner is None or not hasattr(os, "geteuid"):
            return True
        if os.geteuid() == 0:
            with suppress(OSError):
                return self.owner in (0, os.stat(self.cache.real_path).st_uid)
        return self.owner == os.geteuid()

    @property
    def run(self) -> Run | None:
        """The run, if its receipt can be understood."""
        return self.receipt.run if self.receipt else None

    @property
    def exhausted(self) -> bool:
        """Whether all of it was restored or purged, by a user who could not remove the receipt any more."""
        receipt = self.receipt
        backup = receipt is not None and receipt.run.disposal is Disposal.BACKUP
        return backup and receipt is not None and receipt.state is RunState.DONE and not self.present

    @property
    def entries(self) -> tuple[ReceiptEntry, ...]:
        """The entries that can be restored: still here as a backup, archived elsewhere, or to be fetched again."""
        if self.receipt is None or not self.complete:
            return ()
        if self.receipt.run.disposal is Disposal.BACKUP:
            return tuple(entry for entry in self.receipt.entries if self.held(entry))
        return self.receipt.entries

    def held(self, entry: ReceiptEntry) -> tuple[Held, ...]:
        """Return the parts of an entry that are in the folder."""
        return tuple(part for part in entry.parts if part.number in self.present)

    @property
    def environments(self) -> bool:
        """Whether it removed environments, and not packages from a cache: a directory may be both."""
        if self.receipt is None:
            return self.cache.client == Client.ENVIRONMENTS
        return any(part.kind is PartKind.ENVIRONMENT for entry in self.receipt.entries for part in entry.parts)

    @property
    def in_place(self) -> bool:
        """Whether all that it could bring back exists. An environment that wasn't rebuilt from it may be another.

        One that was, and that a later run removed again, is that run's.
        """
        if self.environments and not all(entry.rebuilt for entry in self.entries):
            return False
        names = {part.name for entry in self.entries for part in entry.parts if part.kind is not PartKind.LOCK}
        left = names - self.later if self.environments else names
        return bool(names) and all(failures.lexists(os.path.join(self.cache.real_path, name)) for name in left)

    @property
    def remedy(self) -> str:
        """What the user can do about a run that nothing explains, as a sentence."""
        return f"If no other version of this program knows it, delete {self.path}."

    @property
    def stored(self) -> Space:
        """The space that purging it frees, in this cache or where its archives are."""
        if self.receipt is None:
            return NO_SPACE
        if self.receipt.run.disposal is Disposal.BACKUP:
            return sum((entry.frees for entry in self.entries), NO_SPACE)
        if self.receipt.run.disposal is Disposal.ARCHIVE:
            return sum((Space(entry.archived.size, 1) for entry in self.entries if entry.archived), NO_SPACE)
        records = [entry.record or {} for entry in self.receipt.entries] if self.keeps_files else []
        sizes = ([record.get(name) for record in records] for name in (OWN_BYTES, OWN_INODES))
        return Space(*(sum(size for size in found if isinstance(size, int) and size > 0) for found in sizes))


def stored_runs(cache: Cache) -> tuple[StoredRun, ...]:
    """Return the runs that have a folder in a cache, the oldest first; one of them may still be running."""
    try:
        with Directory.open(state_path(cache)) as state:
            found = (read_run(cache, state, name) for name in run_names(state))
            return _with_later([run for run in found if run is not None])
    except OSError as error:
        failures.note(error, state_path(cache), asked=True)
        return ()


def _with_later(runs: Iterable[StoredRun]) -> tuple[StoredRun, ...]:
    """Return runs, the oldest first, with the environments that the later ones of them removed."""
    later: frozenset[str] = frozenset()
    found = []
    for run in reversed(list(runs)):
        found.append(replace(run, later=later))
        if run.own and run.environments:
            later |= {part.name for entry in run.entries for part in entry.parts}
    return tuple(reversed(found))


def has_left(run: str, caches: Iterable[Cache]) -> bool:
    """Return whether a run has a receipt in one of the caches; without one there is nothing to restore or complete."""
    return any(failures.lexists(os.path.join(state_path(cache), run, RECEIPT)) for cache in caches)


def read_run(cache: Cache, state: Directory, name: str) -> StoredRun | None:
    """Return one run by the name of its folder in an open state directory; None if the folder holds nothing of ours."""
    path = os.path.join(cache.path, STATE, name)
    ours: set[str] = set()
    try:
        with state.child(name) as folder:
            names = {item for item, _ in folder.names()}
            ours = set(filter(is_ours, names))
            if names and not ours:
                return None
            receipt = read_receipt(folder)
            owner = folder.status(RECEIPT).st_uid if hasattr(os, "geteuid") else None
    except (OSError, ValueError) as error:
        failures.note(error, path)
        # Before it has a receipt a run changes nothing.
        unexplained = bool(ours - {UNFINISHED, EXPORTS, DOOMED_EXPORTS})
        return StoredRun(name, cache, path, None, frozenset(), complete=False, unexplained=unexplained)
    numbers = frozenset(part.number for entry in receipt.entries for part in entry.parts)
    unlisted = unlisted_names(ours, receipt)
    left = ours - {RECEIPT, EXPORTS, FILES, REBUILDING}
    run = StoredRun(
        name,
        cache,
        path,
        receipt,
        present=frozenset(left & numbers),
        complete=receipt.state is RunState.DONE and not left - numbers - unlisted,
        keeps_files=FILES in ours,
        rebuilding=REBUILDING in ours,
        unlisted=unlisted,
        owner=owner,
    )
    return replace(run, complete=False) if run.exhausted and not unlisted else run


def unlisted_names(names: AbstractSet[str], receipt: Receipt) -> frozenset[str]:
    """Return which of the names in a run's folder are those of parts that its receipt does not list."""
    listed = {part.number for entry in receipt.entries for part in entry.parts}
    return frozenset(name for name in names if name[:1].isdecimal() and name.removesuffix(DOOMED) not in listed)


def is_ours(name: str) -> bool:
    """Return whether a name in a run's folder is one of ours; anything else there is left alone."""
    known = (RECEIPT, UNFINISHED, EXPORTS, FILES, REBUILDING)
    return name in known or name.removesuffix(DOOMED).isdecimal() or name.endswith(DOOMED)


def require_unchanged_run(locked: LockedCache, stored: StoredRun) -> StoredRun:
    """Return a run as it is now that its cache is locked. Raises `StateError` if it is no longer complete."""
    run = read_run(locked.cache, locked.state, stored.id)
    if run is None or run.receipt is None or not run.complete:
        raise StateError(
            f"The run {stored.id} in {stored.cache.path} was changed by another process in the meantime.",
            hint="`conda prune restore` lists the runs as they are now.",
            path=stored.path,
        )
    return run


def require_own(run: StoredRun) -> None:
    """Refuse to fetch, unpack or rebuild what another user's receipt says: only its backups may be moved back.

    Raises `StateError`.
    """
    if not run.own and run.receipt is not None and run.receipt.run.disposal is not Disposal.BACKUP:
        raise StateError(
            f"The run {run.id} in {run.cache.path} was made by another user (uid {run.owner}), whose receipt is not "
            "trusted to name downloads.",
            hint="That user can restore it: conda prune restore " + run.id,
            path=run.path,
        )
