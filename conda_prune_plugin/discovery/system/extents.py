"""Provisional: replaced by the module of the same name."""

from __future__ import annotations

import fcntl
import os
import struct

from ... import failures
from ...core.usage.sharing import Extent
from .mounts import mount_of, mounts

_FIEMAP = 0xC020660B
_HEADER = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQQQIIII")
_LAST, _UNKNOWN, _DELALLOC, _INLINE, _SHARED = 1, 2, 4, 0x200, 0x2000


def can_share(path: str) -> bool:
    mount = mount_of(path, mounts())
    return mount is not None and mount.type in ("xfs", "btrfs")


def extents_of(path: str) -> tuple[Extent, ...] | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        failures.note(error)
        return None
    try:
        found: list[Extent] = []
        start = 0
        while True:
            request = bytearray(_HEADER.pack(start, (1 << 64) - 1 - start, 1, 0, 64, 0) + bytes(_EXTENT.size * 64))
            fcntl.ioctl(fd, _FIEMAP, request)
            count = _HEADER.unpack_from(request)[3]
            if not count:
                return tuple(found)
            for number in range(count):
                logical, physical, length, _, _, flags, *_ = _EXTENT.unpack_from(
                    request, _HEADER.size + number * _EXTENT.size
                )
                if flags & (_UNKNOWN | _DELALLOC | _INLINE):
                    return None
                found.append(Extent(physical, length, bool(flags & _SHARED)))
                start = logical + length
                if flags & _LAST:
                    return tuple(found)
    except OSError as error:
        failures.note(error)
        return None
    finally:
        failures.close(fd, path)
