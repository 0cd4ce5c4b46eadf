"""Standard output and error, which may be files on a full disk.

Output that finds no space waits: the command continues, and the rest is written when it has freed some space.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, ENOSPC
from typing import Any, TextIO


class _Waiting(io.RawIOBase):
    """A file by its descriptor, with a buffer for output that finds no space."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting = bytearray()

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write or buffer all of the data. Raises `OSError` for other errors than a lack of space."""
        self._waiting += data
        try:
            self.settle()
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT):
                raise
        return len(data)

    def settle(self) -> None:
        """Write the buffered data. Raises `OSError`."""
        while self._waiting:
            del self._waiting[: os.write(self._descriptor, self._waiting)]


def settle(stream: TextIO) -> None:
    """Write everything that was printed, including what waits for space. Raises `OSError`."""
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, _Waiting):
        raw.settle()


@contextmanager
def waiting_for_space() -> Iterator[None]:
    """Let standard output and error wait for space in this context, if they are files."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _waiting(sys.stdout), _waiting(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _waiting(stream: TextIO) -> TextIO:
    """Return a stream to the same file that waits for space; other streams than files are returned as they are."""
    with suppress(OSError, ValueError, AttributeError):
        stream.flush()
        descriptor = stream.fileno()
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return io.TextIOWrapper(
                io.BufferedWriter(_Waiting(descriptor)),
                encoding=stream.encoding,
                errors=stream.errors,
                line_buffering=stream is sys.stderr,
            )
    return stream
