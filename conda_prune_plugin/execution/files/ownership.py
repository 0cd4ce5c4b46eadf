"""Give files that root creates to the owner of their directory."""

from __future__ import annotations

import errno
import os
import stat


def is_root() -> bool:
    """Return whether this process is root, even if only in a container."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def give(item: str | int, owner: tuple[int, int], dir_fd: int | None = None) -> bool:
    """Give a name or an open file to a user and a group if we are root; return whether root could.

    A link is not followed. The root of a container that a user has started can't give files to users that the container
    does not know; these files stay the user's own. Raises `OSError` for every other error.
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


def restore_open(fd: int, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
    """Set mode, time of modification and, for root, owner of a new file or a directory that is open. Raises `OSError`.

    A new file has one name. One that has more is another file that was put in its place.
    """
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        raise PermissionError(errno.EPERM, "Something else was put in the place of a restored file")
    # Before the mode: a change of the owner takes away set-user-id.
    os.chmod(fd, mode if give(fd, owner) else mode & 0o777)
    os.utime(fd, ns=(mtime_ns, mtime_ns))
