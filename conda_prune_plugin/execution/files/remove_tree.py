"""Delete a tree. Nothing else in the package deletes."""

from __future__ import annotations

import stat
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count

from ...core.file_status import is_directory
from .dir_fd import Directory

#: Each level keeps a directory open, in several threads at a time (see `parallel_remove`), and a process may have only
#: so many (256 on macOS, 1024 on Linux).
DEEPEST = 40

#: The name, with a number, that a directory gets that was moved up from deeper down.
LIFTED = ".conda-prune-lifted-"


class MountPointError(OSError):
    """Another file system is mounted in a directory that should be deleted."""


def remove(
    parent: Directory,
    name: str,
    progress: Callable[[int], None] = lambda files: None,
    spared: tuple[str, ...] = (),
) -> None:
    """Delete a file, or a whole tree, by its name in an open directory.

    No symbolic link is followed and no mount point crossed: every directory is opened by its name in the one above,
    which is open too. A directory that its owner may not change is made changeable first, as packages contain such.
    `progress` is called with the number of files removed since the last call. `spared`: the path from there of the one
    file that stays, with the directories that it lies in.

    Raises `OSError` at the first thing that can't be deleted; what comes after it is still there.
    """
    status = parent.status(name)
    if not is_directory(status):
        parent.unlink(name)
        progress(1)
        return
    with parent.child(name) as top:
        _Emptying(top, status.st_dev, progress).empty(top, spared, depth=1)
    if not spared:
        parent.rmdir(name)


class _Emptying:
    """Deletes what is in a directory, on one file system."""

    def __init__(self, top: Directory, device: int, progress: Callable[[int], None]) -> None:
        self._top = top
        self._device = device
        self._progress = progress
        self._lifted: list[str] = []
        self._numbers = count()

    def empty(self, directory: Directory, spared: tuple[str, ...], depth: int) -> None:
        """Delete all that is in a directory; `spared` is the path from here of the file that stays, if one does."""
        status = directory.own_status()
        if status.st_dev != self._device:
            raise MountPointError(f"another file system is mounted on {directory.path}")
        if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            directory.chmod(stat.S_IMODE(status.st_mode) | stat.S_IRWXU)
        items = directory.names()
        files = [name for name, is_directory in items if not is_directory and (name,) != spared]
        for name in files:
            directory.unlink(name)
        self._progress(len(files))
        subdirectories = [name for name, is_directory in items if is_directory]
        while subdirectories:
            name = subdirectories.pop()
            if depth > DEEPEST:
                self._lift(directory, name)
                continue
            rest = spared[1:] if spared[:1] == (name,) else ()
            with directory.child(name) as below:
                self.empty(below, rest, depth + 1)
            if not rest:
                directory.rmdir(name)
            if depth == 1:
                subdirectories += self._lifted
                self._lifted.clear()

    def _lift(self, directory: Directory, name: str) -> None:
        """Move a directory that lies too deep to the top of what is being deleted, to be deleted from there."""
        # Some names are taken where an earlier deletion was interrupted.
        names = (f"{LIFTED}{number}" for number in self._numbers)
        lifted = next(free for free in names if not self._top.exists(free))
        directory.move(name, self._top, lifted)
        self._lifted.append(lifted)


def reduce(
    folder: Directory,
    number: str,
    cache: Directory,
    name: str,
    spared: tuple[str, ...],
    progress: Callable[[int], None],
) -> None:
    """Delete a directory in a run's folder except for one file, and move that to its name in the cache.

    All of it happens under the name of something that is being deleted: killed at any instant, the next run does the
    rest (see `recover`), and until then the archive alone is in the cache. Everything is deleted if there is no such
    file, or if its place is taken: conda has extracted the archive again. Raises `OSError`.
    """
    if _is_file(folder, number, spared):
        remove(folder, number, progress, spared)
        try:
            folder.move(number, cache, name)
        except FileExistsError:
            remove(folder, number, progress)
    else:
        remove(folder, number, progress)


def _is_file(folder: Directory, number: str, spared: tuple[str, ...]) -> bool:
    """Return True if a path leads to a regular file through directories only."""
    with ExitStack() as stack:
        here = folder
        for name in (number, *spared[:-1]):
            below = here.directory(name)
            if below is None:
                return False
            here = stack.enter_context(below)
        return here.exists(spared[-1]) and stat.S_ISREG(here.status(spared[-1]).st_mode)
