"""Measure the size of whole caches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from ... import failures
from ...core.file_status import allocated, is_directory
from ...core.layout import STATE
from ...core.model import Cache


def held(caches: Iterable[Cache], progress: Callable[[int], None]) -> int:
    """Return the bytes on disk of all that lies in caches, every inode once, as ``du`` counts; backups left out.

    `progress` is called with the number of files and directories seen so far.
    """
    count = 0
    seen: set[tuple[int, int]] = set()
    total = 0
    caches = tuple(caches)
    # What is nested in one of them is met there.
    tops = {cache.real_path for cache in caches}
    pending = [cache.real_path for cache in caches if cache.top not in tops]
    skip = {os.path.join(path, STATE) for path in tops}
    while pending:
        path = pending.pop()
        count += 1
        progress(count)
        try:
            status = os.lstat(path)
            names = os.listdir(path) if is_directory(status) else []
        except OSError as error:
            failures.note(error)
            continue
        if (key := (status.st_dev, status.st_ino)) in seen:
            continue
        if status.st_nlink > 1:
            seen.add(key)
        total += allocated(status)
        pending += [inner for name in names if (inner := os.path.join(path, name)) not in skip]
    return total
