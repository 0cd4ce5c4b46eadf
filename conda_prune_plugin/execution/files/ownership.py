"""Give files that root creates to the owner of their directory."""

from __future__ import annotations

import errno
import os
import stat


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


def restore_open(fd: int, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
    """Set mode, time of modification and, for root, owner of a new file or a directory that is open. Raises `OSError`.

    A new file has one name. What has more is another one, which somebody has put in its place.
    """
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        raise PermissionError(errno.EPERM, "Something else was put in the place of a restored file")
    # Before the mode: a change of the owner takes away set-user-id.
    os.chmod(fd, mode if give(fd, owner) else mode & 0o777)
    os.utime(fd, ns=(mtime_ns, mtime_ns))
