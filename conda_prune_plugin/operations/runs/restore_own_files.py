"""Report on the user's own files of an environment that is rebuilt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ... import failures
from ...core.layout import META
from ...core.units import plural
from ...errors import reason
from ...execution.state.receipt import ReceiptEntry
from ...execution.state.receipt_file import FILES
from ...execution.state.saved_own_files import bring_back
from ...execution.state.state_dir import LockedCache
from ...execution.state.stored_runs import StoredRun

#: So many of what could not be put back are named.
_NAMED = 10


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """What there is to say of the user's own files, and whether none of them is left in the run's folder."""

    told: tuple[str, ...] = ()
    back: bool = True

    @property
    def trouble(self) -> str | None:
        """What makes the restore one that did not bring back everything."""
        return None if self.back else "some of your own files were not put back"


def first_names(names: Sequence[str]) -> str:
    """Return the first of some names, for a message."""
    return f"{', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}"


def own_files_back(here: LockedCache, stored: StoredRun, entry: ReceiptEntry, *, made: bool) -> OwnFiles:
    """Move the user's own files back into an environment that is there."""
    prefix = os.path.join(stored.cache.path, entry.dist)
    if not stored.keeps_files or not failures.isdir(os.path.join(prefix, META)):
        told = where_own_files_are(stored, entry)
        return OwnFiles(told, not told)
    return _moved_back(here, stored, entry, tell=not made)


def own_files_alone(here: LockedCache, stored: StoredRun, entry: ReceiptEntry) -> tuple[str, ...]:
    """Move the user's own files back where an environment was that can't be made again; return what to say of them."""
    if not _kept(stored, entry):
        return ()
    try:
        here.directory.make_own(entry.dist).close()
    except OSError:
        return where_own_files_are(stored, entry)
    return _moved_back(here, stored, entry, tell=True).told


def _kept(stored: StoredRun, entry: ReceiptEntry) -> bool:
    """Return whether the run's folder holds files of the user's own of an environment."""
    return failures.isdir(os.path.join(stored.path, FILES, entry.dist))


def where_own_files_are(stored: StoredRun, entry: ReceiptEntry) -> tuple[str, ...]:
    """Say where the user's own files of an environment lie that could not be made."""
    place = os.path.join(stored.path, FILES, entry.dist)
    return (f"Your own files of {entry.dist} stay in {place}.",) if _kept(stored, entry) else ()


def _moved_back(here: LockedCache, stored: StoredRun, entry: ReceiptEntry, *, tell: bool) -> OwnFiles:
    prefix = os.path.join(stored.cache.path, entry.dist)
    try:
        with here.state.child(stored.id) as folder:
            moved, left = bring_back(folder, entry, here.directory)
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        told = f"{prefix}: your own files stay in {os.path.join(stored.path, FILES)}: {why}."
        return OwnFiles((told,), back=False)
    messages = [f"{prefix}: your own files are back ({moved:,})."] if moved and tell else []
    if left:
        names = plural(len(left), "file or directory", "files and directories")
        messages.append(
            f"{prefix}: {names} of yours were not put back, because something else is in their place. "
            f"Find them in the run's folder: {first_names(left)}"
        )
    return OwnFiles(tuple(messages), not left)
