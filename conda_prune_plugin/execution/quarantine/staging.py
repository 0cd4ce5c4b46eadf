"""A staging directory for code that knows only paths, such as conda's download and extraction.

Any user who may change a directory on a path can redirect the path at any moment, so that root writes elsewhere. A path
through ``/proc/self/fd`` does not help: conda's extraction resolves it. So root stages in a temporary directory of its
own, and copies the result to its place by descriptors, unless only root can change the directories on the path.
"""

from __future__ import annotations

import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ... import failures
from ..files.dir_fd import Directory
from ..files.ownership import is_root
from ..files.tree_tar import pack, unpack, walk


@contextmanager
def staging_directory(place: Directory, name: str) -> Iterator[str]:
    """Give the path of a directory in which the block makes `name`, which is in `place`, and its owner's, afterwards.

    Raises `OSError`.
    """
    if not is_root() or _only_root_leads_to(place.path):
        yield place.path
        for directory, item, _, _ in walk(place, name, name):
            directory.hand_over(item)
        return
    with tempfile.TemporaryDirectory(prefix="conda-prune-") as path:
        yield path
        with (
            Directory.open(failures.realpath(path)) as made,
            tempfile.TemporaryFile() as stream,
        ):
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
                pack(made, name, tar)
            stream.seek(0)
            with tarfile.open(fileobj=stream, mode="r") as tar:
                unpack(tar, place, {name})


def _only_root_leads_to(path: str) -> bool:
    """Return True if no other user can replace a directory, or one above it."""
    for directory in (Path(path), *Path(path).parents):
        status = directory.lstat()
        others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX
        if status.st_uid != 0 or others or not stat.S_ISDIR(status.st_mode):
            return False
    return True
