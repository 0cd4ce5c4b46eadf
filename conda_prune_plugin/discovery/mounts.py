"""Mount points, of which a device number does not tell: a bind mount shows the same file system at another place."""

from __future__ import annotations

import os
import re

#: One mount a line, its place in the fifth field, space, tab, newline and backslash as octal escapes (proc(5)).
_TABLE = "/proc/self/mountinfo"
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def mount_points() -> frozenset[str]:
    """Return the absolute paths of all mount points; none where the system has no such table."""
    try:
        with open(_TABLE, "rb") as table:
            fields = [line.split(b" ") for line in table]
    except OSError:
        return frozenset()
    return frozenset(os.fsdecode(_ESCAPE.sub(_character, field[4])) for field in fields if len(field) > 4)


def mounted_in(path: str, dir_fd: int | None, mounts: frozenset[str]) -> str | None:
    """Return a mount point at or below a path, which is relative to `dir_fd` if that is given."""
    if dir_fd is not None:
        path = os.path.join(os.path.realpath(f"/proc/self/fd/{dir_fd}"), path)
    top = os.path.join(path, "")
    return next((mount for mount in mounts if mount == path or mount.startswith(top)), None)


def _character(escape: re.Match[bytes]) -> bytes:
    return bytes([int(escape[1], 8)])
