"""Environments in backups: complete, and with all their links into the caches.

Each stays a root as long as it is held: a restore brings it back by a rename, and what it soft-links has to be there
then. Purging the backup releases what only it references.

They are found in the state beside the environments that registries list, and where notes lead
(`state.backup_locations`): in the state of the directories of environments, of the caches and of the registries.
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
    """Give the prefixes of all environments in backups; one that is being deleted is no environment any more."""
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
    """Return directories with state of ours, and those that are noted in them.

    own: only notes of this user: anybody may have written those of others, which lead to roots and to nothing that may
    be changed.
    """
    directories = tuple(dict.fromkeys(directories))
    noted: dict[str, None] = {}
    for directory in directories:
        state = os.path.join(directory, STATE)
        for name in note_names(directory):
            path = os.path.join(state, name)
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
                noted[place] = None
                if not failures.isdir(place):
                    notices.append(_away(place, path))
    return tuple(dict.fromkeys((*directories, *noted)))


def note_names(directory: str) -> tuple[str, ...]:
    """Return the names of the notes in a directory's state."""
    names = _names(os.path.join(directory, STATE))
    return tuple(name for name in names if noted_run(name) is not None and not name.endswith(UNFINISHED_NOTE))


def _away(place: str, note: str) -> Notice:
    message = (
        f"Backups of environments in {place} are missing, so packages they soft-link are not protected. "
        f"Mount its disk first, or delete {note} if you deleted them."
    )
    return Notice(MISSING, message, place, hides_roots=True)


def _is_own(path: str) -> bool:
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and (not hasattr(os, "geteuid") or status.st_uid == os.geteuid())


def _names(directory: str) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(directory))
    return []
