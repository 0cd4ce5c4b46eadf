"""Measure the size of whole caches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from ... import failures
from ...core.file_status import allocated, is_directory, listed_status
from ...core.layout import STATE
from ...core.model import Cache
from ...failures import suppress
from ..system.tree_walk import walk


def held(caches: Iterable[Cache], progress: Callable[[int], None]) -> int:
    """Return the bytes on disk of all that lies in caches, every inode once, as ``du`` counts; backups left out.

    `progress` is called with the number of directories seen so far.
    """
    seen: set[tuple[int, int]] = set()
    total = 0

    def count(status: os.stat_result) -> bool:
        """Add an inode; return False if it was added before."""
        nonlocal total
        if (key := (status.st_dev, status.st_ino)) in seen:
            return False
        if status.st_nlink > 1:
            seen.add(key)
        total += allocated(status)
        return True

    def enter(directory: str) -> bool:
        try:
            status = os.lstat(directory)
            return count(status) and is_directory(status)
        except OSError as error:
            failures.note(error)
            return False

    caches = tuple(caches)
    # What is nested in one of them is met there.
    tops = {cache.real_path for cache in caches}
    skip = {os.path.join(path, STATE) for path in tops}
    first = (cache.real_path for cache in caches if cache.top not in tops)
    for number, (_, _, others) in enumerate(walk(*first, skip=skip, enter=enter)):
        progress(number)
        for entry in others:
            with suppress(OSError):
                count(listed_status(entry))
    return total
