"""Remove index caches, temporary files and log files.

None of these is moved to quarantine first: conda creates them again, and an incomplete one does no harm. Each is opened
from its cache or environment, one directory after the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from ..core.accounting import Ledger
from ..core.model import Cache, Result
from ..core.plan import Other, OtherOutcome
from ..errors import LockTimeoutError, NoRoomError, StateError, reason
from .files.dir_fd import Directory
from .files.remove_tree import remove
from .files.tree_tar import descend
from .locks.client_locks import EntryLockedError, entry_locks
from .ports import Ports
from .state.state_dir import locked, locked_in_place

_STOPPED = "interrupted before all of it was gone"


def remove_other(
    others: Sequence[Other], caches: Iterable[Cache], ports: Ports, done: Iterable[OtherOutcome] = ()
) -> tuple[tuple[OtherOutcome, ...], bool]:
    """Remove each of them, with the locks held on the caches; one that fails stops none of the others.

    done: the outcomes of those that were removed before. Returns an outcome for each, and True if the user interrupted
    it.
    """
    by_path = {cache.real_path: cache for cache in caches}
    outcomes = {outcome.other: outcome for outcome in done}
    interrupted = False
    try:
        for top in dict.fromkeys(other.top for other in others):
            mine = [other for other in others if other.top == top and other not in outcomes]
            try:
                with ExitStack() as stack:
                    if top in by_path:
                        _lock(stack, by_path[top], ports)
                    directory = stack.enter_context(Directory.open(top))
                    for other in mine:
                        outcomes[other] = remove_one(other, directory, ports)
            except (StateError, LockTimeoutError, OSError) as error:
                why = reason(error) if isinstance(error, OSError) else error.message
                outcomes |= {
                    other: OtherOutcome(other, Result.FAILED, error=why) for other in mine if other not in outcomes
                }
    except KeyboardInterrupt:
        interrupted = True
    ended = (outcomes.get(other) or OtherOutcome(other, Result.SKIPPED, error=_STOPPED) for other in others)
    return tuple(ended), interrupted


def _lock(stack: ExitStack, cache: Cache, ports: Ports) -> None:
    """Lock a cache; nothing that is removed here needs any state, for which a full disk has no room."""
    try:
        stack.enter_context(locked(cache, ports.patience))
    except NoRoomError:
        stack.enter_context(locked_in_place(cache, ports.patience))


def remove_one(other: Other, top: Directory, ports: Ports) -> OtherOutcome:
    """Remove one of them, below its open top."""
    *above, name = os.path.relpath(other.path, other.top).split(os.sep)
    try:
        with descend(top, above) as directory, entry_locks(directory, [name]):
            status = directory.status(name)
            now = (status.st_dev, status.st_ino, status.st_mtime_ns)
            if now != (other.identity.device, other.identity.inode, other.identity.mtime_ns):
                return OtherOutcome(other, Result.SKIPPED, error="it has changed since it was planned")
            held = ports.measure(*directory.at(name))
            remove(directory, name, ports.progress)
    except FileNotFoundError:
        return OtherOutcome(other, Result.SKIPPED, error="it is gone")
    except EntryLockedError as error:
        return OtherOutcome(other, Result.SKIPPED, error=str(error))
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        return OtherOutcome(other, Result.FAILED, error=why)
    freed = Ledger().remove(held)
    return OtherOutcome(other, Result.REMOVED, held.files, freed.bytes, freed_inodes=freed.inodes)
