"""Repair damaged packages by extracting their archives again.

The new directory is completed in the run's folder, then the old one is moved to quarantine and the new one to its
place: two renames. After a kill at any instant the next run deletes what was being made, and puts the old directory
back where its place is still empty, as the receipt says (see `recover`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from ..core.model import Cache, Result
from ..core.plan import Outcome, Repair
from ..core.run import Run
from ..errors import LockTimeoutError, StateError, reason
from ..failures import suppress
from .files.dir_fd import Directory
from .files.remove_tree import remove
from .ports import Extraction, Ports, UnfetchableError
from .quarantine.cache_session import CacheSession, opened_session
from .quarantine.quarantine import Changed, require_unchanged
from .quarantine.staging import staging_directory
from .state.receipt import ReceiptEntry
from .state.state_dir import DOOMED, MAKING


def repair(
    repairs: Sequence[Repair], caches: Iterable[Cache], run: Run, extraction: Extraction, ports: Ports
) -> tuple[tuple[Outcome, ...], bool]:
    """Extract each of the packages anew; one that fails stays as it is and stops none of the others.

    Returns an outcome for each, and whether the user stopped it.
    """
    outcomes: dict[Repair, Outcome] = {}
    interrupted = False
    for cache in caches:
        mine = [item for item in repairs if item.removal.entry.cache == cache.path]
        if not mine or interrupted:
            continue
        try:
            with opened_session(cache, [item.removal for item in mine], run, ports.patience) as session:
                for item in mine:
                    outcomes[item] = _repair(item, session, extraction, ports)
        except KeyboardInterrupt:
            interrupted = True
        except (StateError, LockTimeoutError) as error:
            outcomes |= {item: Outcome(item.removal.entry, Result.FAILED, error=error.message) for item in mine}
    done = (outcomes.get(item) or Outcome(item.removal.entry, Result.SKIPPED, error=_STOPPED) for item in repairs)
    return tuple(done), interrupted


_STOPPED = "interrupted; what was begun the next run finishes or takes back"


def _repair(item: Repair, session: CacheSession, extraction: Extraction, ports: Ports) -> Outcome:
    try:
        return _repaired(item, session, extraction, ports)
    finally:
        with suppress(OSError):
            remove(session.folder, MAKING)


def _repaired(item: Repair, session: CacheSession, extraction: Extraction, ports: Ports) -> Outcome:
    entry = item.removal.entry
    try:
        with session.folder.make_own(MAKING) as making:
            _make(item, session, making, extraction)
            require_unchanged(item.removal, session.cache)
            _swap(item, session, making)
        number = session.numbers[entry.dist]
        session.folder.move(number, session.folder, number + DOOMED)
        remove(session.folder, number + DOOMED, ports.progress)
    except Changed as change:
        return Outcome(entry, Result.SKIPPED, error=str(change))
    except (UnfetchableError, ValueError) as error:
        return Outcome(entry, Result.FAILED, error=f"{error}; it stays as it is")
    except OSError as error:
        return Outcome(entry, Result.FAILED, error=reason(error))
    return Outcome(entry, Result.REPAIRED, item.removal.files)


def _make(item: Repair, session: CacheSession, making: Directory, extraction: Extraction) -> None:
    """Make the directory anew, and check that it is whole. Raises `UnfetchableError`."""
    name = item.removal.entry.dist
    described = ReceiptEntry(item.dist, (), sha256=item.sha256, record=item.record)
    with staging_directory(making, name) as path:
        made = os.path.join(path, name)
        extraction.extracted(described, os.path.join(session.cache.path, item.archive), made)
        damage = extraction.damage(made)
        if damage is not None:
            raise UnfetchableError(f"{item.archive} holds no whole package either: {damage}")
    # Its contents have to be on the disk before its name is.
    if hasattr(os, "sync"):
        os.sync()


def _swap(item: Repair, session: CacheSession, making: Directory) -> None:
    name = item.removal.entry.dist
    number = session.numbers[name]
    session.cache.move(name, session.folder, number)
    try:
        making.move(name, session.cache, name)
    except OSError:
        session.folder.move(number, session.cache, name)
        raise
