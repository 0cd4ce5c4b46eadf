"""Notes of where backups of environments are.

An environment is moved by one rename, so it stays in the directory that it was in, and once it is out of the registry
nothing leads there any more. So each run is noted in the state (``.conda-prune``) of every directory that a later run
looks at, be it by this user or by another one of the cache, and that this user may write to: the registry's
(``~/.conda``), which is made if need be, the directories of environments, and the package caches
(`roots.backups`). With several, the loss of one loses nothing.

A note is a file of its own, ``place-<run>-<hash of the path>``, with the absolute path as its only line: it needs no
lock, and it is obsolete when the run's folder is gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from ... import failures
from ...core.dist_names import LONGEST_NOTE, UNFINISHED_NOTE, note_name, noted_run
from ...core.layout import STATE
from ..files.dir_fd import Directory
from .state_dir import remove_empty


def remember(directories: Sequence[str], place: str, run: str) -> None:
    """Note a run in a place, in all directories that can be written; the first of them is made if need be.

    Raises `OSError` if there is none, or `ValueError` for a path that no line can hold.
    """
    if "\n" in place:
        raise ValueError(f"{place!r} has a newline in it")
    _make(directories[0])
    noted = False
    trouble: OSError | None = None
    for path in dict.fromkeys(map(failures.realpath, directories)):
        try:
            _note(path, place, run)
            noted = True
        except OSError as error:
            failures.note(error)
            trouble = trouble or error
    if not noted and trouble is not None:
        raise trouble


def forget(directories: Iterable[str]) -> None:
    """Remove the notes of runs that are gone, as far as they are in reach; a place that is away keeps its notes."""
    for path in dict.fromkeys(map(failures.realpath, directories)):
        try:
            with Directory.open(path) as directory:
                with directory.child(STATE) as state:
                    for name in [name for name, is_directory in state.names() if not is_directory]:
                        _forget(state, name)
                remove_empty(directory, STATE)
        except OSError as error:
            failures.note(error)
            continue


def _make(home: str) -> None:
    """Make the registry's directory, as conda does when it registers an environment."""
    try:
        with Directory.open(failures.realpath(os.path.dirname(home))) as parent:
            if not parent.exists(os.path.basename(home)):
                parent.make_own(os.path.basename(home)).close()
    except OSError as error:
        failures.note(error)
        return


def _note(path: str, place: str, run: str) -> None:
    name = note_name(run, os.fsencode(place))
    with Directory.open(path) as directory, directory.make_own(STATE) as state:
        unfinished = name + UNFINISHED_NOTE
        with os.fdopen(state.open_file(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as stream:
            stream.write(os.fsencode(place) + b"\n")
            stream.flush()
            state.share(stream.fileno())
            os.fsync(stream.fileno())
        state.replace(unfinished, name)
        state.sync()
        directory.sync()


def _forget(state: Directory, name: str) -> None:
    run = noted_run(name)
    if run is None:
        return
    try:
        # Of an unfinished one the writer notices that it is gone.
        if not name.endswith(UNFINISHED_NOTE):
            place = os.fsdecode(state.read_file(name, LONGEST_NOTE).rstrip(b"\n"))
            if not failures.isdir(place) or not _is_gone(os.path.join(place, STATE, run)):
                return
        state.unlink(name)
    except (OSError, ValueError) as error:
        failures.note(error)
        return


def _is_gone(path: str) -> bool:
    """Return True if nothing bears a path. Raises `OSError` if that can't be told."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    return False
