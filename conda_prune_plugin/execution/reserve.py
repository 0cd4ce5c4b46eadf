"""A place that somebody else fills: ours until that has gone well, and taken back with all that is in it if not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..failures import suppress
from .directory import Directory
from .removal import remove
from .state import MAKING, LockedCache


@contextmanager
def reserved(here: LockedCache, run: str, name: str) -> Iterator[None]:
    """Make a directory, and delete it again if the block raises anything, be it that the user has interrupted it.

    It is renamed into the folder of a run before: cut off while it is deleted, the next run deletes the rest. If
    something else bears the name by then, that stays.

    Raises `FileExistsError` if there is something already.
    """
    # What was killed right here has left an empty one.
    with suppress(OSError):
        here.directory.rmdir(name)
    here.directory.mkdir(name)
    made = here.directory.status(name)
    try:
        yield
    except BaseException:
        with suppress(FileNotFoundError):
            now = here.directory.status(name)
            if (now.st_dev, now.st_ino) == (made.st_dev, made.st_ino):
                with here.state.child(run) as folder:
                    _take_back(here.directory, name, folder)
        raise


def _take_back(directory: Directory, name: str, folder: Directory) -> None:
    directory.move(name, folder, MAKING)
    remove(folder, MAKING)
