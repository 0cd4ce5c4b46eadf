"""Walk directory trees that are only looked at: one listing a directory, no recursion, no symbolic link followed.

`os.walk` calls itself for each directory until Python 3.12, gives names without the kind that the listing knows, and
has no place to ask something right before a listing. `system.measure` and `usage.walker`, which take the status of
every file, have loops of their own.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import AnyStr

from ... import failures
from ...core.accounting import InodeKey
from ...core.file_status import listed_status
from ...failures import suppress


def walk(
    *tops: AnyStr,
    skip: Collection[AnyStr] = (),
    enter: Callable[[AnyStr], bool] = lambda directory: True,
    unreadable: Callable[[OSError], object] = lambda error: None,
    breadth_first: bool = False,
    limit: int | None = None,
) -> Iterator[tuple[AnyStr, list[os.DirEntry[AnyStr]], list[os.DirEntry[AnyStr]]]]:
    """Give the path of each directory with the directories in it, and with everything else in it.

    The walk goes on in these directories, so take those out of the list that it should not go into. On Windows a
    junction counts as a directory.

    skip: paths below `tops` that are left out. enter: asked about each directory right before it is listed, `tops`
    included; False leaves it out. unreadable: told the error of what can't be listed, which `failures` notes too; it
    may raise. What was listed up to the error is given all the same. limit: how many entries are listed at most, in
    all directories together.
    """
    pending = deque(tops)
    seen = 0
    while pending and (limit is None or seen < limit):
        directory = pending.popleft() if breadth_first else pending.pop()
        if not enter(directory):
            continue
        directories: list[os.DirEntry[AnyStr]] = []
        others: list[os.DirEntry[AnyStr]] = []
        try:
            with os.scandir(directory) as listing:
                for entry in listing if limit is None else islice(listing, limit - seen):
                    (directories if entry.is_dir(follow_symlinks=False) else others).append(entry)
        except OSError as error:
            failures.note(error)
            unreadable(error)
            if not directories and not others:
                continue
        seen += len(directories) + len(others)
        yield directory, directories, others
        pending.extend(entry.path for entry in directories if not skip or entry.path not in skip)


def below(top: str, path: str) -> str:
    """Return the path from a directory to one in it, with slashes; it is empty for the directory itself."""
    return path[len(top) :].replace(os.sep, "/").strip("/")


def names_of_inodes(
    inodes: Collection[InodeKey],
    *tops: str,
    skip: Collection[str] = (),
    progress: Callable[[int], None] = lambda directories: None,
) -> Iterator[tuple[str, InodeKey]]:
    """Give path and inode of each file below some directories that is one of the inodes.

    The inode numbers come from the listings and are confirmed by a stat: on an overlay they may be another layer's.
    What can't be read is left out. skip: as for `walk`. progress: called with the number of directories seen so far.
    """
    numbers = {inode for _, inode in inodes}
    for seen, (_, _, others) in enumerate(walk(*tops, skip=skip)):
        progress(seen)
        for entry in others:
            if entry.inode() in numbers:
                with suppress(OSError):
                    status = listed_status(entry)
                    if (key := (status.st_dev, status.st_ino)) in inodes:
                        yield entry.path, key
