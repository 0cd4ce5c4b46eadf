"""Delete a tree. Nothing else in the package deletes."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count

from ...core.file_status import is_directory
from .dir_fd import Directory

#: Each level keeps a directory open, in several threads at a time (see `parallel_remove`), and a process may have only
#: so many (256 on macOS, 1024 on Linux).
DEEPEST = 40

#: The name, with a number, that a directory gets that was moved up from deeper down.
LIFTED = ".conda-prune-lifted-"


class MountPointError(OSError):
    """Another file system is mounted inside of what should go."""


@dataclass(slots=True)
class _Level:
    """A directory being emptied: its name in the one above, and the directories in it that are still there.

    spared: the path, from here, of the file that stays; empty if everything goes.
    """

    directory: Directory
    name: str
    subdirectories: list[str]
    spared: tuple[str, ...]


def remove(
    parent: Directory,
    name: str,
    progress: Callable[[int], None] = lambda files: None,
    spared: tuple[str, ...] = (),
) -> None:
    """Delete what bears a name in an open directory: a file, or a whole tree.

    No symbolic link is followed and no mount point crossed: every directory is opened by its name in the one above,
    which is open too. A directory of our own that forbids its owner to change it is made changeable first, as
    packages contain such. `progress` is called with the number of files removed since the last call. `spared`: the path
    from there of the one file that stays, with the directories that it lies in.

    Raises `OSError` at the first thing that can't be deleted; what comes after it is still there.
    """
    status = parent.status(name)
    if not is_directory(status):
        parent.unlink(name)
        progress(1)
        return
    levels = [_enter(parent, name, status.st_dev, progress, spared)]
    lifted = count()
    try:
        while levels:
            level = levels[-1]
            if level.subdirectories and len(levels) > DEEPEST:
                _lift(level, levels[0], lifted)
                continue
            if level.subdirectories:
                below = level.subdirectories.pop()
                rest = level.spared[1:] if level.spared[:1] == (below,) else ()
                levels.append(_enter(level.directory, below, status.st_dev, progress, rest))
                continue
            levels.pop().directory.close()
            if not level.spared:
                (levels[-1].directory if levels else parent).rmdir(level.name)
    finally:
        for level in levels:
            level.directory.close()


def _lift(level: _Level, top: _Level, numbers: Iterator[int]) -> None:
    """Move a directory that lies too deep up to the top of what is being deleted, to be deleted from there."""
    name = level.subdirectories.pop()
    # Some are taken where an earlier deletion was interrupted.
    lifted = next(free for number in numbers if not top.directory.exists(free := f"{LIFTED}{number}"))
    level.directory.move(name, top.directory, lifted)
    top.subdirectories.append(lifted)


def _enter(
    parent: Directory, name: str, device: int, progress: Callable[[int], None], spared: tuple[str, ...]
) -> _Level:
    """Open a directory and delete all in it but its directories, and the file that stays if it is in there."""
    directory = parent.child(name)
    try:
        status = directory.own_status()
        if status.st_dev != device:
            raise MountPointError(f"another file system is mounted on {directory.path}")
        if status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            directory.chmod(stat.S_IMODE(status.st_mode) | stat.S_IRWXU)
        items = directory.names()
        files = [item for item, is_directory in items if not is_directory and (item,) != spared]
        for item in files:
            directory.unlink(item)
        progress(len(files))
    except BaseException:
        directory.close()
        raise
    return _Level(directory, name, [item for item, is_directory in items if is_directory], spared)


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
