"""Delete an extracted directory except for one file, and put that back into the cache.

All of it happens in the run's folder, under the name of what is being deleted: killed at any instant, the next run does
the rest (see `recover`), and until then the archive alone is in the cache.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from contextlib import ExitStack

from .dir_fd import Directory
from .remove_tree import remove


def reduce(
    folder: Directory,
    number: str,
    cache: Directory,
    name: str,
    spared: tuple[str, ...],
    progress: Callable[[int], None],
) -> None:
    """Delete what bears a number in a run's folder, and move what is spared of it to its name in the cache.

    Everything is deleted if there is no such file, or another directory is in its place by now: conda has extracted
    the archive again. Raises `OSError`.
    """
    if not _is_file(folder, number, spared):
        remove(folder, number, progress)
        return
    remove(folder, number, progress, spared)
    try:
        folder.move(number, cache, name)
    except FileExistsError:
        remove(folder, number, progress)


def _is_file(folder: Directory, number: str, spared: tuple[str, ...]) -> bool:
    """Return whether a path leads to a regular file, through nothing but directories."""
    with ExitStack() as stack:
        here = folder
        for name in (number, *spared[:-1]):
            below = here.directory(name)
            if below is None:
                return False
            here = stack.enter_context(below)
        return here.exists(spared[-1]) and stat.S_ISREG(here.status(spared[-1]).st_mode)
