"""Let files share the storage of others with the same content, by ``FIDEDUPERANGE`` (ioctl_fideduperange(2)).

The kernel locks both files, compares them, and shares only what is equal. So it doesn't matter who writes to them
meanwhile: content, owner, permissions, times and links of every file stay as they are, and whenever this ends, each
file is as it was before, or shares. A file is opened for reading only, which its owner may do with a running program
too.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .. import failures
from ..core.model import Result
from ..core.usage.sharing import FileCopy, Share, ShareOutcome, ShareResult
from .files.dir_fd import Directory

#: ``_IOWR(0x94, 54, struct file_dedupe_range)`` (linux/fs.h).
_FIDEDUPERANGE = 0xC0189436

#: ``struct file_dedupe_range`` with one ``struct file_dedupe_range_info``: offset and length in the source, count, two
#: reserved numbers; descriptor and offset of the other file, bytes shared, status, reserved.
_REQUEST = struct.Struct("=QQHHI qQQiI")
_DIFFERS = 1

#: Some file systems share no more at once (btrfs: 16 MiB), in bytes.
_AT_ONCE = 16 << 20


def share(shares: Sequence[Share], progress: Callable[[int], None]) -> ShareResult:
    """Let each file share its source's storage, until Ctrl-C.

    `progress` is called with the number of files done since its last call.
    """
    outcomes: list[ShareOutcome] = []
    try:
        for item in shares:
            outcomes.append(_outcome(item))
            progress(1)
    except KeyboardInterrupt:
        outcomes += [
            ShareOutcome(item.file.path, Result.SKIPPED, error="interrupted before it")
            for item in shares[len(outcomes) :]
        ]
        return ShareResult(tuple(outcomes), interrupted=True)
    return ShareResult(tuple(outcomes))


def _outcome(item: Share) -> ShareOutcome:
    path = item.file.path
    try:
        with _opened(item.source) as source, _opened(item.file) as file:
            error = _share(source, file, item.file.size)
    except (_ChangedError, OSError) as odd:
        failures.note(odd)
        error = odd.strerror if isinstance(odd, OSError) and odd.strerror else str(odd)
    if error is not None:
        return ShareOutcome(path, Result.SKIPPED, error=error)
    return ShareOutcome(path, Result.SHARED, item.frees)


class _ChangedError(Exception):
    """A file is no longer what it was when the plan was made."""


@contextmanager
def _opened(copy: FileCopy) -> Iterator[int]:
    """Open a file below its place by one name after the other, so that no symbolic link leads elsewhere.

    Raises `OSError`, or `_ChangedError` if it is not the file that the plan has.
    """
    *above, name = copy.name.split("/")
    directory = Directory.open(copy.place.path)
    try:
        for step in above:
            below = directory.child(step)
            directory.close()
            directory = below
        fd = directory.open_file(name, os.O_RDONLY)
    finally:
        directory.close()
    try:
        status = os.fstat(fd)
        planned = (copy.place.device, copy.inode, copy.place.owner, copy.size)
        if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino, status.st_uid, status.st_size) != planned:
            raise _ChangedError(f"{copy.path} has changed since the plan was made")
        yield fd
    finally:
        failures.close(fd, copy.path)


def _share(source: int, file: int, size: int) -> str | None:
    """Let a file share all of another's storage; return why it can't. Raises `OSError`."""
    import fcntl

    offset = 0
    while offset < size:
        length = min(_AT_ONCE, size - offset)
        request = bytearray(_REQUEST.pack(offset, length, 1, 0, 0, file, offset, 0, 0, 0))
        fcntl.ioctl(source, _FIDEDUPERANGE, request)
        *_, shared, status, _ = _REQUEST.unpack(request)
        if status < 0:
            return os.strerror(-status)
        if status == _DIFFERS:
            return "its content differs from what its record says"
        if shared <= 0:
            return "the file system shared nothing"
        offset += shared
    return None
