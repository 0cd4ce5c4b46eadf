"""Ask the file system which bytes of a file it shares with other files (reflinks), where it can share any.

Asked are Btrfs, and XFS that was made so. Sources: ``linux/fiemap.h`` and ``Documentation/filesystems/fiemap.rst`` of
Linux for `_FIEMAP`; ``fs/xfs/libxfs/xfs_fs.h`` for `_GEOMETRY`; ``fs/btrfs/fiemap.c`` for what Btrfs answers.

Others can't be asked: ZFS doesn't know FIEMAP, and what Bcachefs and OCFS2 have shared once they call shared for ever.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ... import failures
from ...core.file_status import allocated
from ...core.usage.shared_content import Extents
from .mounts import Mount, mount_of, mounts

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: ``FS_IOC_FIEMAP``. Without ``FIEMAP_FLAG_SYNC``: that writes, and what isn't written yet is counted by its status.
_FIEMAP = 0xC020660B
_HEADER, _EXTENT = struct.Struct("=QQLLLL"), struct.Struct("=QQQ16xL12x")
_END = (1 << 64) - 1

#: The number of extents in an answer, where that is in it, and the first of them.
_FIRST, _MAPPED = struct.Struct("=L8xQQQ16xL"), 20

#: How many extents one answer has at most; conda's files are small. And how many a file may have.
_BATCH, _MOST = 32, 1 << 16

_LAST, _UNKNOWN, _DELAYED, _ENCODED, _INLINE, _SHARED = 0x1, 0x2, 0x4, 0x8, 0x200, 0x2000

#: ``FIEMAP_EXTENT_NOT_ALIGNED``: the block holds other data too.
_NOT_ALIGNED = 0x100

#: ``XFS_IOC_FSGEOMETRY_V4``: its size, where it has its flags, and ``XFS_FSOP_GEOM_FLAGS_REFLINK``.
_GEOMETRY, _GEOMETRY_SIZE, _GEOMETRY_FLAGS, _REFLINK = 0x8070587C, 112, 92, 1 << 20

#: A compressed extent of Btrfs takes no more than 128 KiB of content, and starts at a multiple of 4 KiB. Its place on
#: the disk is stretched by the ratio, so that two of them don't overlap, and moved away from those of other extents.
_STRETCH, _MOVE = 32, 1 << 62

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)

#: One extent of a file: where it is in the file and on the file system, its length, and flags.
Record = tuple[int, int, int, int]

#: Fills the buffer of an ioctl on a descriptor.
Ioctl = Callable[[int, int, bytearray], object]


class Content(NamedTuple):
    """What the content of a file takes on disk.

    own: bytes that no other inode holds. extents: those that others hold too. exact: `own` is no mere upper bound.
    """

    own: int
    extents: Extents | None = None
    exact: bool = True


class SharingFileSystem:
    """A file system that can share content between files. btrfs: or else it is XFS. number: the same for all of it."""

    def __init__(self, number: int, *, btrfs: bool, ioctl: Ioctl) -> None:
        self.exact = True
        self.number = number
        self._btrfs = btrfs
        self._ioctl = ioctl
        self._buffer = bytearray(_HEADER.size + _BATCH * _EXTENT.size)
        self._shares: bool | None = None

    def content(self, path: str | bytes, status: os.stat_result, dir_fd: int | None = None) -> Content:
        """Return what a file takes. If it can't be asked, all of it counts as its own, which is an upper bound."""
        blocks = allocated(status)
        if not stat.S_ISREG(status.st_mode):
            # Symbolic links lie in the metadata of Btrfs.
            return Content(0 if self._btrfs else blocks)
        if not blocks or self._shares is False:
            return Content(blocks)
        try:
            fd = os.open(path, _READ, dir_fd=dir_fd)
            try:
                found = self._content(fd, blocks)
            finally:
                os.close(fd)
        except (OSError, ValueError) as error:
            failures.note(error)
            found = Content(blocks, exact=False)
        self.exact &= found.exact
        return found

    def shares(self, path: str) -> bool:
        """Return whether it can share content, by asking at a file on it: an XFS may be made without."""
        if self._shares is None:
            try:
                self.content(path, os.lstat(path))
            except OSError as error:
                failures.note(error)
        return self._shares is not False

    def _content(self, fd: int, blocks: int) -> Content:
        """Return what an open file takes. Raises `OSError`, or `ValueError` if the answer makes no sense."""
        if self._shares is None:
            self._shares = self._btrfs or self._may_share(fd)
        if not self._shares:
            return Content(blocks)
        self._ask(fd, 0)
        mapped, logical, physical, length, flags = _FIRST.unpack_from(self._buffer, _MAPPED)
        # Most files have one extent, and this is done for each.
        if mapped == 1 and not logical and 0 < length <= blocks and flags | _SHARED == _LAST | _SHARED:
            if flags == _LAST:
                return Content(blocks)
            return Content(blocks - length, Extents(self.number, ((physical, length),), self._btrfs))
        return self._count(list(self._records(fd)), blocks)

    def _may_share(self, fd: int) -> bool:
        """Return whether an XFS was made so that it can share anything; one that doesn't say so may."""
        geometry = bytearray(_GEOMETRY_SIZE)
        try:
            self._ioctl(fd, _GEOMETRY, geometry)
        except OSError as error:
            failures.note(error)
            return True
        return bool(struct.unpack_from("=L", geometry, _GEOMETRY_FLAGS)[0] & _REFLINK)

    def _ask(self, fd: int, position: int) -> None:
        _HEADER.pack_into(self._buffer, 0, position, _END - position, 0, 0, _BATCH, 0)
        self._ioctl(fd, _FIEMAP, self._buffer)

    def _records(self, fd: int) -> Iterator[Record]:
        """Yield the extents of a file, of which the first were asked for."""
        position = count = 0
        while mapped := _HEADER.unpack_from(self._buffer)[3]:
            count += mapped
            if mapped > _BATCH or count > _MOST:
                raise ValueError("too many extents")
            end = _HEADER.size + mapped * _EXTENT.size
            for record in _EXTENT.iter_unpack(self._buffer[_HEADER.size : end]):
                if record[0] < position or not record[2]:
                    raise ValueError("extents that overlap, or are empty")
                position = record[0] + record[2]
                yield record
                if record[3] & _LAST:
                    return
            self._ask(fd, position)

    def _count(self, records: list[Record], blocks: int) -> Content:
        """Return what a file takes by its extents, and by the blocks that its status counts."""
        own, exact = blocks, True
        ranges = []
        for number, (_, physical, length, flags) in enumerate(records):
            if flags & _INLINE:
                own -= length
                continue
            size, place = length, physical
            if flags & _ENCODED:
                # The length is that of the content. On the disk it ends at the latest where the next one starts.
                following = records[number + 1][1] - physical if number + 1 < len(records) else 0
                size, exact = min(length, following) if following > 0 else length, False
                place = physical * _STRETCH + _MOVE
                own -= length - size
            elif flags & _NOT_ALIGNED or (flags & _UNKNOWN and (self._btrfs or not flags & _DELAYED)):
                # Btrfs decides only when it writes whether it compresses it, or makes it a part of its metadata.
                exact = False
            if flags & _SHARED:
                own -= size
                ranges.append((place, size))
        if own < 0:
            raise ValueError("more extents than blocks")
        extents = Extents(self.number, tuple(ranges), whole=self._btrfs) if ranges else None
        return Content(own, extents, exact)


class FileSystems:
    """The mounted file systems: where they are, and which can share content; the table of mounts alone tells that.

    points: the absolute paths of all mount points.
    """

    def __init__(self, mounted: Iterable[Mount] | None = None, ioctl: Ioctl | None = None) -> None:
        self._mounted = mounts() if mounted is None else tuple(mounted)
        self.points = frozenset(mount.point for mount in self._mounted)
        self._types = {mount.device: mount.type for mount in self._mounted}
        self._btrfs = "btrfs" in self._types.values()
        self._ioctl = ioctl or (fcntl.ioctl if fcntl is not None else None)
        self._known: dict[int, SharingFileSystem | None] = {}
        self._by_number: dict[int, SharingFileSystem] = {}

    def on(self, device: int, path: str | bytes, dir_fd: int | None = None) -> SharingFileSystem | None:
        """Return the file system with a device, on which something lies, if it can share content; else None."""
        if device not in self._known:
            self._known[device] = self._found(device, path, dir_fd)
        return self._known[device]

    def exact_on(self, device: int) -> bool:
        """Return whether all that was asked of a file system could be counted exactly."""
        system = self._known.get(device)
        return system is None or system.exact

    def _found(self, device: int, path: str | bytes, dir_fd: int | None) -> SharingFileSystem | None:
        number, kind = device, self._types.get(device)
        if kind is None and self._btrfs:
            # A subvolume has a device of its own, which is in no table.
            top = "" if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
            mount = mount_of(failures.realpath(os.path.join(top, os.fsdecode(path))), self._mounted)
            number, kind = (mount.device, mount.type) if mount is not None else (device, None)
        if kind not in ("btrfs", "xfs") or self._ioctl is None:
            return None
        if number not in self._by_number:
            self._by_number[number] = SharingFileSystem(number, btrfs=kind == "btrfs", ioctl=self._ioctl)
        return self._by_number[number]


#: Nothing is mounted and nothing asked: for a measurement that is made for something else.
UNASKED = FileSystems(())
