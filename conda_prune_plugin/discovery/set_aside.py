"""Environments that were set aside as a backup: whole, and with all their links into the caches.

Each stays a root as long as it is held: a restore brings it back by a rename, and what it soft-links has to be there
then. Purging the backup releases what only it references.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from ..core.names import PLACES, STATE
from .reading import read_regular


def set_aside(envs_dirs: Iterable[str]) -> Iterator[str]:
    """Give the prefixes of all environments that are set aside; those that are being deleted are none any more."""
    for directory in with_noted_places(envs_dirs):
        state = os.path.join(directory, STATE)
        for run in _names(state):
            for number in _names(os.path.join(state, run)):
                prefix = os.path.join(state, run, number)
                if number.isdecimal() and os.path.isdir(prefix):
                    yield prefix


def is_set_aside(prefix: str) -> bool:
    """Return whether a prefix is that of an environment that was set aside."""
    return os.path.basename(os.path.dirname(os.path.dirname(prefix))) == STATE


def with_noted_places(envs_dirs: Iterable[str]) -> tuple[str, ...]:
    """Return directories of environments, and those that are noted in them as places of backups."""
    envs_dirs = tuple(envs_dirs)
    noted: list[str] = []
    for directory in envs_dirs:
        with suppress(OSError):
            lines = read_regular(os.path.join(directory, STATE, PLACES)).split(b"\n")
            noted += (os.fsdecode(line) for line in lines if os.path.isabs(line) and b"\0" not in line)
    return tuple(dict.fromkeys((*envs_dirs, *noted)))


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
