"""The quotas of this user on a file system: from the kernel, or from the tools where only a server knows them.

The kernel knows those of local disks (quotactl(2)). The tool quota asks the server of an NFS mount, and lfs those of
Lustre. A project's quota needs no question: statvfs answers for a directory of the project as if that were the disk.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator

from ... import failures
from ...core.units import Unit
from ...core.usage.usage_report import Quota, QuotaKind
from .mounts import Mount
from .privileges import own_user

#: Q_GETQUOTA for the types of quotas (linux/quota.h).
_GET_QUOTA = 0x800007
_TYPES = {QuotaKind.USER: 0, QuotaKind.GROUP: 1}

#: struct if_dqblk: limits of blocks, used bytes, limits of inodes, used inodes, two times, which of them are valid.
_RECORD = struct.Struct("=8QI4x")
#: A block of its limits, and of those of the tools, in bytes.
_BLOCK = 1024

#: quotactl_fd(2), since Linux 5.14: it needs no path of the device, which a container may not have.
_QUOTACTL_FD = 443

#: How to ask for a user's quota where only a server knows it, by the type of file system.
_QUOTA = ("quota", "--no-wrap", "--raw-grace", "--user", "--filesystem-list", "{point}")
_TOOLS = {
    "nfs": _QUOTA,
    "nfs4": _QUOTA,
    "lustre": ("lfs", "quota", "-q", "-u", "{user}", "{point}"),
}

#: How long a tool may take, in seconds: a server that is down never answers.
_PATIENCE = 5.0

#: The columns of both tools: used blocks, soft and hard limit, grace; then the same for files. * or [] mark excess.
_USED = r"\[?(\d+)\]?\*?\s+(\d+)\s+(\d+)\s+\S+"
_COLUMNS = re.compile(rf"(?:^|\s){_USED}\s+{_USED}(?:\s|$)", re.ASCII)


class QuotaError(Exception):
    """A quota can't be read; the text says why."""


def quotas(path: str, mount: Mount) -> tuple[Quota, ...]:
    """Return the quotas with a limit that bind this user in a directory. Raises `QuotaError` if a tool fails."""
    if not sys.platform.startswith("linux"):
        return ()
    words = _TOOLS.get(mount.type)
    found = _from_kernel(path, mount) if words is None else from_tool(words, mount.point)
    return tuple(quota for quota in found if quota.soft is not None or quota.hard is not None)


def from_tool(words: tuple[str, ...], point: str, patience: float = _PATIENCE) -> tuple[Quota, ...]:
    """Ask a tool for this user's quota; nothing where it isn't installed. Raises `QuotaError`."""
    tool, user = shutil.which(words[0]), str(own_user())
    if tool is None:
        return ()
    command = [tool, *(word.format(user=user, point=point) for word in words[1:])]
    try:
        answer = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise QuotaError(f"`{words[0]}` didn't answer in {patience:.0f} seconds") from error
    except OSError as error:
        raise QuotaError(f"`{words[0]}`: {error.strerror}") from error
    # Its exit code also tells that a limit is exceeded.
    columns = _COLUMNS.search(answer.stdout.decode(errors="replace"))
    if columns is None:
        return ()
    blocks, files = tuple(map(int, columns.groups()[:3])), tuple(map(int, columns.groups()[3:]))
    return (
        _quota(QuotaKind.USER, user, Unit.BYTES, *(count * _BLOCK for count in blocks)),
        _quota(QuotaKind.USER, user, Unit.INODES, *files),
    )


def _from_kernel(path: str, mount: Mount) -> Iterator[Quota]:
    """Give the quotas of this user and of its groups; the kernel answers everyone about these."""
    if (user := own_user()) is None:
        return
    owners = [(QuotaKind.USER, user)]
    owners += [(QuotaKind.GROUP, group) for group in sorted({os.getegid(), *os.getgroups()})]
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        failures.note(error)
        return
    try:
        for kind, owner in owners:
            if (record := _record(fd, mount, kind, owner)) is None:
                continue
            hard, soft, used, inode_hard, inode_soft, inode_used, *_ = _RECORD.unpack(record)
            yield _quota(kind, str(owner), Unit.BYTES, used, soft * _BLOCK, hard * _BLOCK)
            yield _quota(kind, str(owner), Unit.INODES, inode_used, inode_soft, inode_hard)
    finally:
        os.close(fd)


def _record(fd: int, mount: Mount, kind: QuotaKind, owner: int) -> bytes | None:
    """Return the kernel's record of a quota; None without one, as on most file systems."""
    libc = ctypes.CDLL(None, use_errno=True)
    record = ctypes.create_string_buffer(_RECORD.size)
    command = _GET_QUOTA << 8 | _TYPES[kind]
    arguments = ctypes.c_uint(command), ctypes.c_uint(owner), record
    if libc.syscall(ctypes.c_long(_QUOTACTL_FD), ctypes.c_uint(fd), *arguments) == 0:
        return record.raw
    if ctypes.get_errno() not in (errno.ENOSYS, errno.EPERM) or not mount.source.startswith("/"):
        return None
    source = ctypes.c_char_p(os.fsencode(mount.source))
    return record.raw if libc.quotactl(ctypes.c_uint(command), source, *arguments[1:]) == 0 else None


def _quota(kind: QuotaKind, owner: str, unit: Unit, used: int, soft: int, hard: int) -> Quota:
    return Quota(kind, owner, unit, used, soft or None, hard or None)
