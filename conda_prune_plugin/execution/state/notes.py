"""Notes in the state (``.conda-prune``) of directories: where backups of environments are, and the last check.

An environment is moved by one rename, so its backup stays in the directory where it was, and nothing leads there once
it is out of the registry. So each run is noted in the state of every directory that a later run reads and that this
user may write to: the registry's (``~/.conda``), the directories of environments, and the package
caches (`roots.environments_txt`). Any one of these notes is enough.

A note is a file of its own, ``place-<run>-<hash of the path>``, with the absolute path as its only line. It needs no
lock, and is obsolete when the run's folder is gone. When the caches were last checked automatically is the time of an
empty file, ``last-automatic-check``, below one of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial

from ... import failures
from ...core.dist_names import LONGEST_NOTE, UNFINISHED_NOTE, note_name, noted_run
from ...core.layout import STATE
from ...errors import PruneError
from ...failures import suppress
from ..files.dir_fd import Directory
from ..owner_process import Ask, in_place_of
from .state_dir import remove_empty, write_file

LAST_CHECK = "last-automatic-check"

#: How long a check is good for, in seconds.
_PERIOD = 86_400.0


def remember(directories: Sequence[str], place: str, run: str) -> None:
    """Note a run in a place, in all directories that can be written; the first of them is made if need be.

    Raises `OSError` or `StateError` if there is none, or `ValueError` for a path that no line can hold.
    """
    if "\n" in place:
        raise ValueError(f"{place!r} has a newline in it")
    home = directories[0]
    with suppress(OSError), Directory.open(failures.realpath(os.path.dirname(home))) as parent:
        # As conda does when it registers an environment.
        if not parent.exists(os.path.basename(home)):
            parent.make_own(os.path.basename(home)).close()
    name, content = note_name(run, os.fsencode(place)), os.fsencode(place) + b"\n"
    errors: list[Exception] = []
    paths = tuple(dict.fromkeys(map(failures.realpath, directories)))
    for path in paths:
        try:
            in_place_of(path, type(None), partial(_write, path, name, content), {})
        except (OSError, PruneError) as error:
            failures.note(error)
            errors.append(error)
    if len(errors) == len(paths):
        raise errors[0]


def claim(caches: Iterable[str], now: float) -> bool:
    """Return whether it is time for a check, and note that it was done. Raises nothing.

    It is noted below the first of the caches (absolute paths) that the caller may write to. If there is none it is
    never time: there would be nothing to do.
    """
    for cache in map(failures.realpath, caches):
        try:
            # A time in the future is that of a clock that was wrong.
            if abs(now - os.stat(os.path.join(cache, STATE, LAST_CHECK)).st_mtime) < _PERIOD:
                return False
        except OSError as error:
            failures.note(error)
        with suppress(OSError, PruneError):
            in_place_of(cache, type(None), partial(_write, cache, LAST_CHECK, b""), {})
            return True
    return False


def _write(path: str, name: str, content: bytes, ask: Ask) -> None:
    """Write a note, in the place of an earlier one: in a shared cache that may be another user's."""
    unfinished = name + UNFINISHED_NOTE
    with Directory.open(path) as directory, directory.make_own(STATE) as state:
        with suppress(FileNotFoundError):
            state.unlink(unfinished)
        write_file(state, unfinished, content)
        state.replace(unfinished, name)
        state.sync()
        directory.sync()


def forget(directories: Iterable[str]) -> None:
    """Remove the notes of runs that are gone; those of a directory that can't be reached stay."""
    for path in dict.fromkeys(map(failures.realpath, directories)):
        with suppress(OSError), Directory.open(path) as directory:
            with directory.child(STATE) as state:
                for name in [name for name, is_directory in state.names() if not is_directory]:
                    with suppress(OSError, ValueError):
                        if _is_obsolete(state, name):
                            state.unlink(name)
            remove_empty(directory, STATE)


def _is_obsolete(state: Directory, name: str) -> bool:
    """Return whether a file is the note of a run that is gone. Raises `OSError` or `ValueError` if that is unknown."""
    run = noted_run(name)
    # The writer of an unfinished one notices that it is gone.
    if run is None or name.endswith(UNFINISHED_NOTE):
        return run is not None
    place = os.fsdecode(state.read_file(name, LONGEST_NOTE).rstrip(b"\n"))
    if not failures.isdir(place):
        return False
    try:
        os.lstat(os.path.join(place, STATE, run))
    except FileNotFoundError:
        return True
    return False
