"""Mark an environment that is being rebuilt until it is complete.

conda writes the path of an environment into files of its packages, so it has to be created in its final place. These
steps, in this order, make it safe to kill at any moment:

1. an empty directory is created in the run's folder, with a mark in it that is a random word;
2. a note beside the receipt names the environment and the word; from here on the next run that writes, and the next
   restore, look for it;
3. the directory is renamed to its place, and filled there;
4. when it is complete the mark is removed, which is one step, and then the note.

A directory with the name and the mark is unfinished. It is renamed back into the run's folder and deleted. Another
environment of that name never has the mark, even with the same inode number. The note's modification time is that of
the last sign of life: if files changed later, the user has worked in it, and all of it stays.
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
from .state_dir import MAKING, REBUILDING, LockedCache, remove_if_there, write_file

#: In an unfinished environment.
MARK = ".conda-prune-unfinished"

#: The longest note or mark that is read, in bytes; a name has at most 255 characters.
_LARGEST = 4096

#: Returns which files in a directory were changed after a moment (seconds since the epoch), as paths below it.
ChangedAfter = Callable[[str, float], tuple[str, ...]]


class OwnWorkError(Exception):
    """The user has changed files in an unfinished environment since; `path` is the environment's."""

    def __init__(self, path: str, changed: tuple[str, ...]) -> None:
        super().__init__(path, changed)
        self.path, self.changed = path, changed


@dataclass(frozen=True, slots=True)
class _Note:
    name: str
    word: str


@contextmanager
def unfinished(here: LockedCache, run: str, name: str) -> Iterator[Callable[[], None]]:
    """Make a directory for an environment that the block fills; it is deleted again if the block raises anything.

    Gives a function that the block calls now and then: a sign of life.

    Raises `FileExistsError` if the name is taken, `OSError`.
    """
    directory = here.directory
    with here.state.child(run) as folder:
        # Earlier versions left an empty one.
        with suppress(OSError):
            directory.rmdir(name)
        if directory.exists(name):
            raise FileExistsError(f"{os.path.join(directory.path, name)} exists")

        def beat() -> None:
            with suppress(OSError):
                folder.touch(REBUILDING)

        try:
            note = _Note(name, secrets.token_hex(16))
            remove_if_there(folder, MAKING)
            folder.mkdir(MAKING)
            with folder.child(MAKING) as made:
                write_file(made, MARK, note.word.encode())
                made.sync()
            write_file(folder, REBUILDING, json.dumps(note, default=unfold).encode())
            folder.sync()
            folder.move(MAKING, directory, name)
            directory.sync()
            yield beat
            if hasattr(os, "sync"):
                os.sync()
            with directory.child(name) as made, suppress(FileNotFoundError):
                made.unlink(MARK)
                made.sync()
            drop_note(folder)
        except BaseException:
            clear(directory, folder, lambda path, moment: ())
            raise


def clear(directory: Directory, folder: Directory, changed_after: ChangedAfter) -> str | None:
    """Delete the environment that a run has not finished; return its path, None if there is none.

    Raises `OwnWorkError` if the user has worked in it, `OSError`.
    """
    name = _marked(directory, folder)
    path = None
    if name is not None:
        path = os.path.join(directory.path, name)
        if changed := changed_after(path, folder.status(REBUILDING).st_mtime):
            raise OwnWorkError(path, changed)
        remove_if_there(folder, MAKING)
        directory.move(name, folder, MAKING)
    remove_if_there(folder, MAKING)
    drop_note(folder)
    return path


def drop_note(folder: Directory) -> None:
    """Remove the note about an unfinished environment, if there is one. Raises `OSError`."""
    with suppress(FileNotFoundError):
        folder.unlink(REBUILDING)


def _marked(directory: Directory, folder: Directory) -> str | None:
    """Return the name of the environment that a run's note names and whose mark is the note's word.

    An incomplete or invalid note counts as none: nothing was created yet.
    """
    try:
        note: _Note = decode(_Note, json.loads(folder.read_file(REBUILDING, _LARGEST)))
        made = directory.directory(note.name)
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if made is None:
        return None
    with made:
        try:
            return note.name if made.read_file(MARK, _LARGEST) == note.word.encode() else None
        except FileNotFoundError:
            return None
