"""Mount points: a bind mount has the same device number, so that alone does not tell."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from ... import failures

#: One mount a line, its place in the fifth field, space, tab, newline and backslash as octal escapes (proc(5)).
_TABLE = "/proc/self/mountinfo"
_ESCAPE = re.compile(rb"\\([0-7]{3})")

#: File systems that the kernel makes up as they are read: no search ends there.
KERNEL = frozenset({"/proc", "/sys", "/dev"})


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system: where, of which type, and how."""

    point: str
    type: str
    options: frozenset[str]


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
            os.fsdecode(_ESCAPE.sub(_character, fields[4])),
            os.fsdecode(fields[fields.index(b"-", 6) + 1]),
            frozenset(os.fsdecode(fields[5]).split(",")),
        )
        for fields in lines
        if b"-" in fields[6:-1]
    )


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


def _character(escape: re.Match[bytes]) -> bytes:
    return bytes([int(escape[1], 8)])
