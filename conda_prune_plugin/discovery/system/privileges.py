"""The user of this process, and whether it is root, also over files from outside a user's container.

A container shows the owners that it doesn't know as one user and one group, which stand for all of them
(user_namespaces(7)). Where it knows these two as well, they can't be told apart: then files of theirs count as those of
another user.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from ... import failures

#: As many users as there are (``UINT_MAX`` stands for none).
_ALL = 2**32 - 1


def own_user() -> int | None:
    """Return the number of the user that this process acts as, None where files have no owners (Windows)."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def is_root_to_all() -> bool:
    """Return whether this process is root, and nothing is out of its reach."""
    return own_user() == 0 and strangers() is None


def is_root_to(status: os.stat_result) -> bool:
    """Return whether this process is root to a file with this status: its owner and permissions prevent nothing."""
    if own_user() != 0:
        return False
    unknown = strangers()
    return unknown is None or (status.st_uid != unknown[0] and status.st_gid != unknown[1])


@cache
def strangers() -> tuple[int, int] | None:
    """Return the user and the group that stand for all unknown ones, None if all are known."""
    try:
        known = sum(int(line.split()[2]) for line in Path("/proc/self/uid_map").read_text().splitlines())
        if known >= _ALL:
            return None
        user, group = (int(Path("/proc/sys/kernel", name).read_text()) for name in ("overflowuid", "overflowgid"))
    except OSError as error:
        failures.note(error)
        return None  # Not on Linux, where there are no such containers.
    return user, group
