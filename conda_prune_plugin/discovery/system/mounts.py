"""Mounted file systems: where they are, and how precise reclaimable sizes are on them.

A bind mount has the same device number as what it shows, so that alone does not tell. The table is read without psutil:
every plan needs it, and to import that takes longer; on Windows it asks every network drive, which may hang.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ... import failures
from ...core.file_status import CLUSTER, KNOWS_BLOCKS
from ...core.model import Cache
from ...core.notices import ESTIMATED, LAYERED, Notice

#: One mount a line, its place in the fifth field, space, tab, newline and backslash as octal escapes (proc(5)).
_TABLE = "/proc/self/mountinfo"
_ESCAPE = re.compile(rb"\\([0-7]{3})")

#: File systems that the kernel makes up as they are read: no search ends there.
KERNEL = frozenset({"/proc", "/sys", "/dev"})

#: File systems that show several layers as one and change only the uppermost: what lies below is hidden, not removed.
_LAYERED = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs", "fuse.unionfs"})


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system: where, of which type, how, of which device or server, and with which device number."""

    point: str
    type: str
    options: frozenset[str]
    source: str = ""
    device: int = 0


def mounts() -> tuple[Mount, ...]:
    """Return what is mounted, in the order of mounting; nothing where the system has no such table."""
    try:
        with open(_TABLE, "rb") as table:
            lines = [line.split(b" ") for line in table]
    except OSError as error:
        failures.note(error)
        return ()
    # Between the sixth field and the type, behind a hyphen, there are optional fields.
    return tuple(
        Mount(
            _unescaped(fields[4]),
            os.fsdecode(fields[fields.index(b"-", 6) + 1]),
            frozenset(os.fsdecode(fields[5]).split(",")),
            _unescaped(fields[fields.index(b"-", 6) + 2]),
            os.makedev(*map(int, fields[2].split(b":"))),
        )
        for fields in lines
        if b"-" in fields[6:-1]
    )


def _unescaped(field: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda escape: bytes([int(escape[1], 8)]), field))


def mount_points() -> frozenset[str]:
    """Return the absolute paths of all mount points; none where the system has no such table."""
    return frozenset(mount.point for mount in mounts())


def mount_of(real_path: str, mounted: tuple[Mount, ...]) -> Mount | None:
    """Return what is mounted where an absolute path without symbolic links lies; None where that is not known."""
    above = [mount for mount in mounted if f"{real_path}/".startswith(os.path.join(mount.point, ""))]
    # Of two at one place the later one hides the earlier.
    return max(reversed(above), key=lambda mount: len(mount.point), default=None)


def mounted_in(path: str, dir_fd: int | None, mounts: frozenset[str]) -> str | None:
    """Return a mount point at or below a path, which is relative to `dir_fd` if that is given."""
    if not mounts:
        return None
    if dir_fd is not None:
        # The kernel's own answer, without links: realpath() would ask it for each directory above.
        path = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), path)
    top = os.path.join(path, "")
    return next((mount for mount in mounts if mount == path or mount.startswith(top)), None)


def precision_notices(caches: Iterable[Cache]) -> tuple[Notice, ...]:
    """Return warnings on sizes that are estimates; none where bytes are counted block by block."""
    mounted = mounts()
    notices = []
    if not KNOWS_BLOCKS:
        message = (
            "This system doesn't report the disk space of a file: all sizes are file lengths, "
            f"each rounded up to {CLUSTER // 1024} KiB."
        )
        notices.append(Notice(ESTIMATED, message, ""))
    for cache in caches:
        mount = mount_of(cache.real_path, mounted)
        if cache.writable and mount is not None and mount.type in _LAYERED:
            message = (
                f"{cache.path} is on a layered file system ({mount.type}), as in a container. Removing files of a "
                "lower layer, such as an image, frees nothing, so all sizes are upper bounds, and its directories may "
                "be skipped."
            )
            notices.append(Notice(LAYERED, message, cache.path))
    return tuple(notices)
