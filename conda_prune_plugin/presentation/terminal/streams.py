"""Standard output and error, which may be files on a full disk.

What such a file has no space for yet waits: the command goes on, and when it has freed some space the rest is written.
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
    """A file by its descriptor, to which what found no space is written later."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting = bytearray()

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Take all of it. Raises `OSError` for everything but a lack of space."""
        self._waiting += data
        try:
            self.settle()
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT):
                raise
        return len(data)

    def settle(self) -> None:
        """Write what waits. Raises `OSError`."""
        while self._waiting:
            del self._waiting[: os.write(self._descriptor, self._waiting)]


def settle(stream: TextIO) -> None:
    """Write all that was printed, also what waits for space. Raises `OSError`."""
    stream.flush()
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, _Waiting):
        raw.settle()


@contextmanager
def waiting_for_space() -> Iterator[None]:
    """Let standard output and error wait for space meanwhile if they are files."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _waiting(sys.stdout), _waiting(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _waiting(stream: TextIO) -> TextIO:
    """Return a stream to the same file that waits for space; a terminal, a pipe and the like stay as they are."""
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
