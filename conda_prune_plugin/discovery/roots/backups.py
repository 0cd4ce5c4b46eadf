"""Environments in backups: complete, and with all their links into the caches.

Each is a root until its backup is purged: a restore brings it back by a rename, and then the packages that it
soft-links have to be there.

They are found in the state beside the environments that registries list, and where notes lead
(`state.notes`): in the state of the directories of environments, of the caches and of the registries.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from ... import failures
from ...core.dist_names import LONGEST_NOTE, UNFINISHED_NOTE, noted_run
from ...core.layout import STATE
from ...core.notices import MISSING, Notice
from ...failures import suppress
from ..system.safe_read import read_regular


def environment_backups(directories: Iterable[str], notices: list[Notice]) -> Iterator[str]:
    """Yield the prefixes of all environments in backups, without those that are being deleted."""
    for directory in with_noted_places(directories, notices):
        state = os.path.join(directory, STATE)
        for run in _names(state):
            for number in _names(os.path.join(state, run)):
                prefix = os.path.join(state, run, number)
                if number.isdecimal() and failures.isdir(prefix):
                    yield prefix


def is_environment_backup(prefix: str) -> bool:
    """Return whether a prefix is that of an environment in a backup."""
    return os.path.basename(os.path.dirname(os.path.dirname(prefix))) == STATE


def with_noted_places(directories: Iterable[str], notices: list[Notice], *, own: bool = False) -> tuple[str, ...]:
    """Return directories that may have state of ours, and those that notes in their state lead to.

    own: only this user's notes. Those of others may have been written by anyone: they lead to roots, and to nothing
    that may be changed.
    """
    places = dict.fromkeys(directories)
    for path in [os.path.join(directory, STATE, name) for directory in places for name in note_names(directory)]:
        try:
            if own and not _is_own(path):
                continue
            line = read_regular(path, LONGEST_NOTE).rstrip(b"\n")
        except OSError as error:
            failures.note(error)
            if not isinstance(error, FileNotFoundError):
                message = f"Can't read {path}: {error.strerror}. The backups it points to are not protected."
                notices.append(Notice("unreadable-directory", message, path, hides_roots=True))
            continue
        if os.path.isabs(line) and b"\0" not in line and b"\n" not in line:
            place = os.fsdecode(line)
            places[place] = None
            if not failures.isdir(place):
                message = (
                    f"Backups of environments in {place} are missing, so packages they soft-link are not protected. "
                    f"Mount its disk first, or delete {path} if you deleted them."
                )
                notices.append(Notice(MISSING, message, place, hides_roots=True))
    return tuple(places)


def note_names(directory: str) -> tuple[str, ...]:
    """Return the names of the notes in a directory's state."""
    names = _names(os.path.join(directory, STATE))
    return tuple(name for name in names if noted_run(name) is not None and not name.endswith(UNFINISHED_NOTE))


def _is_own(path: str) -> bool:
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and (not hasattr(os, "geteuid") or status.st_uid == os.geteuid())


def _names(directory: str) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(directory))
    return []
