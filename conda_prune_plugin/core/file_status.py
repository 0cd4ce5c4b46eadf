"""Read a file's status the same way on every platform.

Windows has no blocks, inode changes or owners, and a second kind of link to a directory: the junction, which is
reported as a directory (a reparse point, ``st_file_attributes``). macOS has files that are locked by a flag
(``st_flags``).
"""

from __future__ import annotations

import os
import stat
from enum import Enum, auto

#: st_blocks counts units of 512 bytes whatever the file system's block size (stat(2)).
BLOCK = 512

#: The unit of allocation where no blocks are counted: a cluster of NTFS, by default up to 16 TB.
CLUSTER = 4096

#: Whether a status has the space that a file takes on disk.
KNOWS_BLOCKS = hasattr(os.stat_result, "st_blocks")

#: Whether listings give a status without device, inode and number of links (`os.DirEntry.stat` on Windows), and
#: ``st_ctime`` is the time of creation.
ON_WINDOWS = hasattr(os.stat_result, "st_file_attributes")

#: Whether ``st_ctime`` is the time of the last change of an inode.
TELLS_CHANGES = not ON_WINDOWS

#: Whether a status may show that something can't be removed (`irremovable`).
TELLS_OBSTACLES = ON_WINDOWS or hasattr(os.stat_result, "st_flags")

#: By these flags a file or directory can neither be renamed nor removed.
_LOCKED = stat.UF_IMMUTABLE | stat.UF_APPEND | stat.SF_IMMUTABLE | stat.SF_APPEND


class EntryState(Enum):
    """What a walk found: an entry, one that can't be read, or one that belongs to another tree."""

    COMPLETE = auto()
    UNREADABLE = auto()
    ELSEWHERE = auto()


def allocated(status: os.stat_result) -> int:
    """Return the bytes that an inode takes on disk; without blocks, its length in whole clusters."""
    if KNOWS_BLOCKS:
        return status.st_blocks * BLOCK
    return -(-status.st_size // CLUSTER) * CLUSTER


def is_directory(status: os.stat_result) -> bool:
    """Return whether this is a directory and no link of any kind."""
    return stat.S_ISDIR(status.st_mode) and not (ON_WINDOWS and _lies_elsewhere(status))


def irremovable(status: os.stat_result) -> str | None:
    """Return why a file can't be removed on macOS or Windows, None if it can."""
    if getattr(status, "st_flags", 0) & _LOCKED:
        return "is locked by a flag"
    if stat.S_ISDIR(status.st_mode) and ON_WINDOWS and _lies_elsewhere(status):
        return "is a junction, which is never followed"
    return None


def _lies_elsewhere(status: os.stat_result) -> bool:
    """Return whether this is a junction, or a directory in a cloud."""
    return bool(getattr(status, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_REPARSE_POINT)


def listed_status(item: os.DirEntry[str] | os.DirEntry[bytes]) -> os.stat_result:
    """Return the complete status of a listed entry, without following a symbolic link."""
    return os.lstat(item.path) if ON_WINDOWS else item.stat(follow_symlinks=False)
