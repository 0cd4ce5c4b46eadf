"""Make room for a run's state on a disk, or in a quota, without a free inode or block.

What the run removes anyway is deleted where it lies, the cheapest first and one by one, until the state can be written;
then everything goes on as usual, and the receipt lists what was deleted before it. Nothing of this takes space itself:

1. an archive or another single file, by one unlink;
2. an index cache or a log file, which conda makes anew;
3. a directory. It is renamed to a name that conda and `leftovers.leftover_names` know as trash, so that nothing
   half-deleted ever has the name of a package or an environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from stat import S_ISDIR
from typing import TypeVar

from ...core.accounting import Ledger
from ...core.layout import TRASH
from ...core.model import Cache, PartKind
from ...errors import NoRoomError
from ..files.dir_fd import Directory
from ..locks.run_lock import Patience
from ..state.state_dir import locked_in_place
from .executor import Subject

_Opened = TypeVar("_Opened")

#: How long to wait until deleted space is free: XFS frees it in the background (``xfs_inodegc_push``). In seconds.
_BACKGROUND = 0.2
_PAUSE = 0.01


def opened_with_room(
    cache: Cache, opened: Callable[[], _Opened], make_room: Callable[[Directory], Iterator[None]], patience: Patience
) -> _Opened:
    """Return what `opened` returns, after as many steps of `make_room`, which is given the cache, as that needs.

    Raises what `opened` raises: `NoRoomError` if all steps were not enough.
    """
    steps: Iterator[None] | None = None
    while True:
        try:
            return opened()
        except NoRoomError as error:
            shortage = error
        # Released before each attempt, which takes locks of its own.
        with locked_in_place(cache, patience) as directory:
            steps = steps or make_room(directory.again())
            before = unused(directory)
            try:
                next(steps)
            except StopIteration:
                raise shortage from None
            wait_until_freed(directory, before)


def make_room(
    subjects: Sequence[Subject], others: Sequence[Callable[[Directory], bool]], ledger: Ledger, cache: Directory
) -> Iterator[None]:
    """Delete one thing after the other, files before directories, and stop after each.

    others: delete one of the things that are not subjects, and return True if they did. The caller holds the locks
    whenever this goes on.
    """
    with cache:
        parts = [(subject, part) for subject in subjects for part in subject.parts]
        directories = {part for _, part in parts if part.kind is PartKind.LOCK or _is_directory(cache, part.name)}
        for subject, part in parts:
            if part not in directories:
                yield from subject.free(part, cache, part.name, ledger)
        for remove_other in others:
            if remove_other(cache):
                yield
        # An environment first loses all but its records, and a lock file goes after what it locks.
        for subject, part in 2 * [one for one in parts if one[1] in directories]:
            yield from subject.free(part, cache, part.name + TRASH, ledger)


def _is_directory(cache: Directory, name: str) -> bool:
    return cache.exists(name) and S_ISDIR(cache.status(name).st_mode)


def unused(directory: Directory) -> tuple[int, int] | None:
    """Return how many inodes and blocks are free; asking XFS also makes it hurry."""
    if not hasattr(os, "statvfs"):
        return None
    status = os.statvfs(directory.path)
    return status.f_ffree, status.f_bfree


def wait_until_freed(directory: Directory, before: tuple[int, int] | None) -> None:
    """Wait a moment until some of what was deleted since `before` (see `unused`) is free."""
    deadline = time.monotonic() + _BACKGROUND
    while unused(directory) == before and time.monotonic() < deadline:
        time.sleep(_PAUSE)
