"""Paths with very many names, which cost a system call for each name when followed one by one.

A line of a registry may have two thousand names in four kilobytes, and another user may have written thousands of such
lines.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ... import failures
from ...failures import suppress

#: With more names than this a path is resolved by the kernel, in one call, where it can be asked for that.
_MANY = 64

#: Opens a path without reading what is there; Linux only.
_PATH_ONLY = getattr(os, "O_PATH", 0)


def real_path(path: str) -> str:
    """Return what `os.path.realpath` does for an absolute path without dots, in few steps however deep it is."""
    if path.count(os.sep) <= _MANY:
        return failures.realpath(path)
    above, below = nearest(path)
    return os.path.join(_resolved(above), os.sep.join(below)) if below else _resolved(above)


def nearest(path: str, exists: Callable[[str], bool] = failures.lexists) -> tuple[str, tuple[str, ...]]:
    """Return the deepest path above or at an absolute one that is there, and the names that follow it.

    Where something is missing, all below is: so half of the names are ruled out with each question.
    """
    drive, rest = os.path.splitdrive(path)
    names = [name for name in rest.split(os.sep) if name]
    present, missing = 0, len(names) + 1
    while missing - present > 1:
        middle = (present + missing) // 2
        if exists(_joined(drive, names[:middle])):
            present = middle
        else:
            missing = middle
    return _joined(drive, names[:present]), tuple(names[present:])


def _joined(drive: str, names: list[str]) -> str:
    return f"{drive}{os.sep}{os.sep.join(names)}"


def _resolved(path: str) -> str:
    if _PATH_ONLY:
        with suppress(OSError):
            fd = os.open(path, _PATH_ONLY)
            try:
                target = os.readlink(f"/proc/self/fd/{fd}")
            finally:
                os.close(fd)
            if os.path.isabs(target) and not target.endswith(" (deleted)"):
                return target
    return failures.realpath(path)
