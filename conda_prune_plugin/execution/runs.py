"""The runs that have left something in a cache: backups, receipts, and runs that were cut off. Reads only."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..core.model import Cache, Disposal, Run
from .directory import Directory
from .receipt import RECEIPT, Held, Receipt, ReceiptEntry, RunState, read_receipt
from .state import STATE, run_names, state_path


@dataclass(frozen=True, slots=True)
class StoredRun:
    """What one run has left in one cache.

    path: the run's folder.
    receipt: what it tells of itself; None if that can't be understood.
    present: the parts that lie in the folder, by their numbers.
    complete: the run came to its end, and nothing of it has to be finished or given back.
    """

    id: str
    cache: Cache
    path: str
    receipt: Receipt | None
    present: frozenset[str]
    complete: bool

    @property
    def entries(self) -> tuple[ReceiptEntry, ...]:
        """The entries that can be restored: still here as a backup, archived elsewhere, or to be fetched again."""
        if self.receipt is None or not self.complete:
            return ()
        if self.receipt.run.disposal is Disposal.BACKUP:
            return tuple(entry for entry in self.receipt.entries if self.held(entry))
        return self.receipt.entries

    def held(self, entry: ReceiptEntry) -> tuple[Held, ...]:
        """Return the parts of an entry that lie in the folder."""
        return tuple(part for part in entry.parts if part.number in self.present)

    @property
    def run(self) -> Run | None:
        """The run, if its receipt can be understood."""
        return self.receipt.run if self.receipt else None

    @property
    def stored(self) -> int:
        """The bytes that purging it gives back, in this cache or where its archives are."""
        if self.receipt is None or self.receipt.run.disposal is Disposal.DELETE:
            return 0
        if self.receipt.run.disposal is Disposal.ARCHIVE:
            return sum(entry.archived.size for entry in self.entries if entry.archived)
        return sum(entry.reclaimable for entry in self.entries)


def stored_runs(cache: Cache) -> tuple[StoredRun, ...]:
    """Return the runs that have a folder in a cache, the oldest first; one of them may be going on right now."""
    try:
        with Directory.open(state_path(cache)) as state:
            return tuple(read_run(cache, state, name) for name in run_names(state))
    except OSError:
        return ()


def read_run(cache: Cache, state: Directory, name: str) -> StoredRun:
    """Return one run by the name of its folder in an open state directory."""
    path = os.path.join(cache.path, STATE, name)
    try:
        with state.child(name) as folder:
            names = {item for item, _ in folder.names()}
            receipt = read_receipt(folder)
    except (OSError, ValueError):
        return StoredRun(name, cache, path, None, frozenset(), complete=False)
    numbers = frozenset(part.number for entry in receipt.entries for part in entry.parts)
    left = names - {RECEIPT}
    strange = left - numbers
    empty = receipt.run.disposal is Disposal.BACKUP and not left
    complete = receipt.state is RunState.DONE and not strange and not empty
    return StoredRun(name, cache, path, receipt, frozenset(left & numbers), complete)
