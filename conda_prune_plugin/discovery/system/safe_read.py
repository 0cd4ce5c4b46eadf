"""Read files that another user may have written: without waiting, and only up to a limit."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from io import FileIO
from typing import Any

from ... import failures

#: The largest metadata file that is read, in bytes; the records of real packages with 100,000 files are below 40 MB.
LARGEST = 256 << 20

#: No path is longer (PATH_MAX of Linux, the largest of all Unix systems; and Windows'), in bytes.
LONGEST_PATH = 32_767 if os.name == "nt" else 4095

_TOO_LARGE = "it is too large to be metadata"

#: Without waiting for who writes into a pipe; Windows has no such flag, nor pipes in its file system.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

#: What is read at a time of a file that has another length than its status says; in bytes.
_CHUNK = 1 << 16


def read_regular(path: str, longest: int = LARGEST) -> bytes:
    """Return the content of a regular file of at most so many bytes.

    Raises `OSError` for anything else: opening a pipe would wait for a writer.
    """
    # Not by open(), whose stream takes five system calls more.
    fd = os.open(path, _FLAGS)
    try:
        return _content(fd, path, longest)
    except OSError as error:
        # Of a descriptor the system knows no path.
        error.filename = error.filename or path
        raise
    finally:
        failures.close(fd, path)


def _content(fd: int, path: str, longest: int) -> bytes:
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    if status.st_size > longest:
        raise OSError(errno.EINVAL, _TOO_LARGE, path)
    content = os.read(fd, status.st_size + 1)
    if len(content) == status.st_size > 0:
        return content
    # It has grown or shrunk meanwhile, or does not know its length (/proc).
    while more := os.read(fd, _CHUNK):
        content += more
        if len(content) > longest:
            raise OSError(errno.EINVAL, _TOO_LARGE, path)
    return content


def read_ends(path: str, size: int, length: int) -> tuple[bytes, bytes]:
    """Return the first and the last bytes of a file of the given size, `length` of them. Raises `OSError`."""
    with open_regular(path) as stream:
        try:
            beginning = stream.read(length)
            stream.seek(max(size - length, 0))
            return beginning, stream.read(length)
        except OSError as error:
            # The stream does not say where.
            error.filename = error.filename or path
            raise


def open_regular(path: str, flags: int = 0) -> FileIO:
    """Open a regular file for reading, for what is too large to be read at once; `flags`: more for `os.open`.

    Raises `OSError` for anything else: a pipe may never end, nor a device.
    """
    stream = FileIO(path, opener=lambda name, _: os.open(name, _FLAGS | flags))
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return stream


def is_of_content(error: OSError) -> bool:
    """Return whether an error tells of what a file holds, and not of the disk that it lies on.

    Libraries that read archives raise it without a number for broken content, or with that of a seek to before the
    beginning, where the content says so.
    """
    return error.errno in (None, errno.EINVAL)


def read_object(path: str) -> Mapping[str, Any]:
    """Return the JSON object in a file. Raises `OSError`, or `ValueError` if that is not what the file holds."""
    try:
        data = json.loads(read_regular(path))
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds no object")  # noqa: TRY004
    return data


def dist_of(record: Mapping[str, Any]) -> str:
    """Return the dist that a record or an index describes. Raises `ValueError` if it lacks a part of the name."""
    parts = [record.get(key) for key in ("name", "version", "build")]
    if not all(isinstance(part, str) and part for part in parts):
        raise ValueError("it lacks a name, a version or a build")
    return "-".join(map(str, parts))
