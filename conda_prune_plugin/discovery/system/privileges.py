"""Whether this process is root, also over files from outside a user's container.

What they own shows there as the property of one user and one group, who stand for all that the container does not know
(user_namespaces(7)). Where it knows these two as well nobody can tell the one from the other: then it
is taken for another user's.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from ... import failures

#: As many users as there are (``UINT_MAX`` stands for none).
_ALL = 2**32 - 1


def user() -> int | None:
    """Return the number of the user that this process acts as, None where files have no owners (Windows)."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def is_root_to_all() -> bool:
    """Return whether we are root, and nothing is out of its reach."""
    return user() == 0 and strangers() is None


def is_root_to(status: os.stat_result) -> bool:
    """Return whether we are root to what has a status, so that its owner and permissions stop us in nothing."""
    if user() != 0:
        return False
    unknown = strangers()
    return unknown is None or (status.st_uid != unknown[0] and status.st_gid != unknown[1])


@cache
def strangers() -> tuple[int, int] | None:
    """Return the user and the group who stand for all that are not known here, None if all are."""
    try:
        known = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
        if known >= _ALL:
            return None
        user, group = (int(Path("/proc/sys/kernel", name).read_text()) for name in ("overflowuid", "overflowgid"))
    except OSError as error:
        failures.note(error)
        return None  # Not on Linux, where there are no such containers.
    return user, group
