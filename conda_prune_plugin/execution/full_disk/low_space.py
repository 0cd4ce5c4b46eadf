"""Free space for a run's state on a disk without a free inode or block.

What a plan removes anyway is removed where it lies, the cheapest first and one by one, until the state can be written;
then everything goes on as usual, and the receipt tells of what went before it. Nothing of this takes space itself:

1. an archive or another single file, by one unlink;
2. an index cache or a log file, which conda makes anew;
3. an extracted directory. It is renamed within the cache to a name that conda and `leftovers.leftover_names` know as
   trash, so that nothing half-deleted ever bears a package's name, checked there like an entry in quarantine, and
   then deleted. What a kill leaves of it is a leftover.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from stat import S_ISDIR
from typing import TypeVar

from ... import failures
from ...core.accounting import Ledger
from ...core.layout import TRASH
from ...core.model import Cache, Part, PartKind, Result
from ...core.plan import Other, OtherOutcome
from ...errors import NoRoomError, reason
from ..files.dir_fd import Directory
from ..files.remove_tree import remove
from ..locks.client_locks import EntryLockedError, entry_locks
from ..locks.run_lock import Patience
from ..ports import Ports
from ..quarantine.quarantine import (
    Changed,
    Quarantined,
    require_as_planned,
    require_unchanged,
    require_unlinked,
    require_unreferenced,
)
from ..remove_index_caches import remove_one
from ..state.state_dir import locked_in_place

_Opened = TypeVar("_Opened")

#: How long to wait for what was removed to be free: XFS does that in the background (``xfs_inodegc_push``). In seconds.
_BACKGROUND = 0.2
_PAUSE = 0.01


def opened_with_space(
    cache: Cache, opened: Callable[[], _Opened], make_space: Callable[[Directory], Iterator[None]], patience: Patience
) -> _Opened:
    """Return what `opened` returns, after as many steps of `make_space` as that needs; it gets the cache.

    Raises what `opened` raises: `NoRoomError` if all steps were not enough.
    """
    try:
        return opened()
    except NoRoomError as error:
        shortage = error
    steps: Iterator[None] | None = None
    while True:
        # Released before each try, which takes locks of its own.
        with locked_in_place(cache, patience) as directory:
            steps = steps or make_space(directory.again())
            try:
                with freed_at_once(directory):
                    next(steps)
            except StopIteration:
                raise shortage from None
        try:
            return opened()
        except NoRoomError as error:
            shortage = error


@contextmanager
def freed_at_once(directory: Directory) -> Iterator[None]:
    """Wait at the end of the block until some of what it has removed is free."""
    before = _unused(directory)
    yield
    deadline = time.monotonic() + _BACKGROUND
    while _unused(directory) == before and time.monotonic() < deadline:
        time.sleep(_PAUSE)


def _unused(directory: Directory) -> tuple[int, int] | None:
    """Return how many inodes and blocks are free; asking XFS also hurries it on."""
    if not hasattr(os, "statvfs"):
        return None
    status = os.statvfs(directory.path)
    return status.f_ffree, status.f_bfree


class SpaceMaker:
    """What a run may remove of one cache to free space.

    others: those in the cache; outcomes: what became of them.
    """

    def __init__(
        self,
        in_quarantine: Sequence[Quarantined],
        others: Sequence[Other],
        outcomes: dict[Other, OtherOutcome],
        ledger: Ledger,
        ports: Ports,
    ) -> None:
        self._in_quarantine = in_quarantine
        self._others = others
        self._outcomes = outcomes
        self._ledger = ledger
        self._ports = ports

    def make(self, cache: Directory) -> Iterator[None]:
        """Remove one thing after the other; stops after each. The caller holds the locks whenever it goes on."""
        with cache:
            for quarantined, part in self._parts(cache, directories=False):
                if self._remove(quarantined, part, cache, part.name):
                    yield
            for other in self._others:
                self._outcomes[other] = outcome = remove_one(other, cache, self._ports)
                if outcome.result is Result.REMOVED:
                    yield
            for quarantined, part in self._parts(cache, directories=True):
                if self._remove(quarantined, part, cache, part.name + TRASH):
                    yield

    def _parts(self, cache: Directory, *, directories: bool) -> list[tuple[Quarantined, Part]]:
        """Return the parts that may go early, those with the fewest files first.

        The lock file that rattler keeps beside a package goes with its directory, after it.
        """
        found = []
        for quarantined in sorted(self._in_quarantine, key=lambda quarantined: quarantined.decision.files):
            for part in quarantined.parts:
                is_directory = cache.exists(part.name) and S_ISDIR(cache.status(part.name).st_mode)
                # Of one that leaves a file behind only a run with space can leave that.
                if quarantined.decision.remainder is not None and part.kind is PartKind.EXTRACTED:
                    continue
                if (is_directory or part.kind is PartKind.LOCK) == directories:
                    found.append((quarantined, part))
        return found

    def _remove(self, quarantined: Quarantined, part: Part, cache: Directory, doomed: str) -> bool:
        """Remove a part as `doomed`, its name while it is deleted; return False if it stays, to be judged in turn."""
        decision = quarantined.decision
        if quarantined.ended or (part.kind is PartKind.LOCK and len(quarantined.parts) > 1):
            return False
        try:
            self._require_unused(quarantined)
            require_unchanged(decision, cache, quarantined.early)
            with entry_locks(cache, [part.name]):
                if doomed != part.name:
                    cache.move(part.name, cache, doomed)
        except (Changed, EntryLockedError, OSError) as error:
            failures.note(error)
            return False
        try:
            for each in quarantined.parts:
                quarantined.measurements[each] = self._ports.measure(*cache.at(doomed if each == part else each.name))
            require_as_planned(quarantined)
            self._require_unused(quarantined)
        except (Changed, OSError, KeyboardInterrupt) as error:
            if doomed != part.name:
                cache.move(doomed, cache, part.name)
            if isinstance(error, KeyboardInterrupt):
                raise
            return False
        cache.sync()
        self._delete(quarantined, part, cache, doomed)
        return True

    def _require_unused(self, quarantined: Quarantined) -> None:
        decision = quarantined.decision
        require_unreferenced(decision, self._ports.references())
        # No file of an environment leads into an archive.
        if any(part.kind is not PartKind.ARCHIVE for part in quarantined.parts):
            require_unlinked(decision, self._ports.soft_links())

    def _delete(self, quarantined: Quarantined, part: Part, cache: Directory, doomed: str) -> None:
        try:
            remove(cache, doomed, self._ports.progress)
        except (OSError, KeyboardInterrupt) as error:
            why = reason(error) if isinstance(error, OSError) else "interrupted"
            quarantined.begun.add(part)
            quarantined.ended = quarantined.outcome(
                Result.FAILED, f"it was not deleted completely; {doomed} is left of it: {why}"
            )
            if isinstance(error, KeyboardInterrupt):
                raise
            return
        quarantined.early.add(part)
        quarantined.deleted[part] = self._ledger.remove(quarantined.measurements[part])
        if not quarantined.parts:
            quarantined.ended = quarantined.outcome(Result.REMOVED)
