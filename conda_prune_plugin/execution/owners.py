"""Giving to others what is theirs, which only root can."""

from __future__ import annotations

import errno
import os


def is_root() -> bool:
    """Return whether we are root, be it only that of a container."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def give(item: str | int, owner: tuple[int, int], dir_fd: int | None = None) -> bool:
    """Give a name or an open file to a user and a group if we are root; return whether root could.

    A link is not followed. In a container that a user has started he is root, but he can give nothing to those whom it
    does not know: what he makes stays his own there, as it does outside. Raises `OSError` for everything else.
    """
    if not is_root():
        return True
    try:
        if isinstance(item, int):
            os.fchown(item, *owner)
        else:
            os.chown(item, *owner, dir_fd=dir_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        return False
    return True
