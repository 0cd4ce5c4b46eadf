"""Reading files that somebody else wrote, or put there: never waiting, never more than makes sense."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from typing import Any

#: The largest metadata file that is read, in bytes; the records of real packages with 100,000 files are below 40 MB.
LARGEST = 256 << 20


def read_regular(path: str) -> bytes:
    """Return the content of a regular file.

    Raises `OSError` for anything else: opening a pipe would wait for somebody to write into it.
    """
    # A buffer is of no use to who reads everything at once, and costs three system calls.
    with open(path, "rb", buffering=0, opener=_without_waiting) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a regular file")
        if status.st_size > LARGEST:
            raise OSError(f"{path} is too large to be metadata")
        return stream.read()


def _without_waiting(path: str, flags: int) -> int:
    # Windows has no such flag, nor pipes in its file system.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


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
