"""Keep other clients from mistaking a backup for packages.

``mamba clean --packages`` from 2.6 on looks into every directory below a cache, hidden ones too, and deletes each that
has an ``info/index.json`` and that no environment has by the directory's name (``libmamba/src/api/clean.cpp``). In a
backup that file bears another name, and it gets its own again before the package goes back to its place; all times
but the inode's own stay what they are.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import ExitStack

from ...core.file_status import ON_WINDOWS
from ...failures import suppress
from ..files.dir_fd import Directory

_INDEX = "index.json"
_DISGUISED = "index.json.conda-prune"


def disguise(folder: Directory, numbers: Iterable[str]) -> None:
    """Make parts in a run's folder look like no packages; where that is impossible they are backups all the same.

    In a cache that several users change it is not done: not each of them could undo it.
    """
    if not ON_WINDOWS and folder.own_status().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    for number in numbers:
        with suppress(OSError):
            _rename(folder, number, _INDEX, _DISGUISED)


def undisguise(folder: Directory, number: str, cache: Directory, name: str) -> None:
    """Move a part from a run's folder to its name in the cache, as it was.

    Raises `FileExistsError` if that is taken, or another `OSError`; it is in the folder then.
    """
    if cache.exists(name):
        raise FileExistsError(f"{name} exists in {cache.path}")
    _rename(folder, number, _DISGUISED, _INDEX)
    folder.move(number, cache, name)


def _rename(folder: Directory, number: str, old: str, new: str) -> None:
    with ExitStack() as stack:
        info = folder
        for name in (number, "info"):
            below = info.directory(name)
            if below is None:
                return
            info = stack.enter_context(below)
        status = info.own_status()
        ours = not hasattr(os, "geteuid") or os.geteuid() in (0, status.st_uid)
        if not ours and new == _DISGUISED:
            return  # Its times could not be set again.
        try:
            try:
                info.move(old, info, new)
            except PermissionError:
                with info.writable():
                    info.move(old, info, new)
        except (FileNotFoundError, FileExistsError):
            return  # A package that has a file of the other name too is left as it is.
        if ours:  # Otherwise only its owner could set its times.
            info.restore_times(status)
