"""Mark an environment that is being rebuilt until it is complete.

conda writes the path of an environment into files of its packages, so it has to be made at its place and can't be
renamed there. What makes it safe to be killed at any step, in this order:

1. an empty directory is made in the run's folder, with a mark in it that is a random word;
2. a note beside the receipt says the name of the environment and the word; from here on the next run that writes, and
   the next restore, look for it;
3. the directory is renamed to its place, and filled there;
4. when it is whole the mark is removed, which is one step, and then the note.

What bears the name and the mark was not finished. It is renamed back into the run's folder and deleted. Another
environment of that name never has the mark, be it of the same inode number. The note's time of modification is that of
the last sign of life: what was changed later is not what conda made but the user's work, and then all of it stays.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ...core.codec import decode, unfold
from ...failures import suppress
from ..files.dir_fd import Directory
from ..files.remove_tree import remove
from .state_dir import MAKING, REBUILDING, LockedCache

#: In an environment that is not finished.
MARK = ".conda-prune-unfinished"

#: The longest note, or mark, that is read, in bytes; a name has at most 255 characters.
_LARGEST = 4096

#: Returns which files in a directory were changed after a moment (seconds since the epoch), as paths below it.
ChangedAfter = Callable[[str, float], tuple[str, ...]]


class OwnWorkError(Exception):
    """An unfinished environment holds what the user has changed since; `path` is the environment's."""

    def __init__(self, path: str, changed: tuple[str, ...]) -> None:
        super().__init__(path, changed)
        self.path, self.changed = path, changed


@dataclass(frozen=True, slots=True)
class _Note:
    name: str
    word: str


@contextmanager
def unfinished(here: LockedCache, run: str, name: str) -> Iterator[Callable[[], None]]:
    """Make a directory for an environment that the block fills; deleted again if that raises anything.

    Gives a function to be called now and then while the block works: a sign of life.

    Raises `FileExistsError` if there is something already, `OSError`.
    """
    with here.state.child(run) as folder:
        # An empty one is what earlier versions left.
        with suppress(OSError):
            here.directory.rmdir(name)
        if here.directory.exists(name):
            raise FileExistsError(f"{os.path.join(here.directory.path, name)} exists")
        try:
            _begin(here.directory, folder, name)
            yield lambda: _beat(folder)
            _finish(here.directory, folder, name)
        except BaseException:
            clear(here.directory, folder, lambda path, moment: ())
            raise


def clear(directory: Directory, folder: Directory, changed_after: ChangedAfter) -> str | None:
    """Delete the environment that a run has not finished; return its path, None if there is none.

    Raises `OwnWorkError` if the user has worked in it, `OSError`.
    """
    note = _read(folder)
    path = None
    if note is not None and _is_marked(directory, note):
        path = os.path.join(directory.path, note.name)
        if changed := changed_after(path, folder.status(REBUILDING).st_mtime):
            raise OwnWorkError(path, changed)
        if folder.exists(MAKING):
            remove(folder, MAKING)
        directory.move(note.name, folder, MAKING)
    if folder.exists(MAKING):
        remove(folder, MAKING)
    drop_note(folder)
    return path


def drop_note(folder: Directory) -> None:
    """Remove the note of a run on what it has not finished, if there is one. Raises `OSError`."""
    with suppress(FileNotFoundError):
        folder.unlink(REBUILDING)


def _begin(directory: Directory, folder: Directory, name: str) -> None:
    note = _Note(name, secrets.token_hex(16))
    if folder.exists(MAKING):
        remove(folder, MAKING)
    folder.mkdir(MAKING)
    with folder.child(MAKING) as made:
        _write(made, MARK, note.word)
    _write(folder, REBUILDING, json.dumps(note, default=unfold))
    folder.move(MAKING, directory, name)
    directory.sync()


def _finish(directory: Directory, folder: Directory, name: str) -> None:
    if hasattr(os, "sync"):
        os.sync()
    with directory.child(name) as made, suppress(FileNotFoundError):
        made.unlink(MARK)
        made.sync()
    drop_note(folder)


def _beat(folder: Directory) -> None:
    with suppress(OSError):
        folder.touch(REBUILDING)


def _write(directory: Directory, name: str, content: str) -> None:
    with os.fdopen(directory.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as stream:
        stream.write(content.encode())
        stream.flush()
        directory.share(stream.fileno())
        os.fsync(stream.fileno())
    directory.sync()


def _read(folder: Directory) -> _Note | None:
    """Return the note of a run; None without one, or if it was not written to its end: then nothing was made yet."""
    try:
        note: _Note = decode(_Note, json.loads(folder.read_file(REBUILDING, _LARGEST)))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return note


def _is_marked(directory: Directory, note: _Note) -> bool:
    try:
        found = directory.directory(note.name)
    except ValueError:
        return False
    if found is None:
        return False
    with found:
        try:
            return found.read_file(MARK, _LARGEST) == note.word.encode()
        except FileNotFoundError:
            return False
