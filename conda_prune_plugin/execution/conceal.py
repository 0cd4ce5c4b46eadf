"""Keeping other clients from taking a backup for packages.

``mamba clean --packages`` from 2.6 on looks into every directory below a cache, hidden ones too, and deletes each that
has an ``info/index.json`` and that no environment has by the directory's name (``libmamba/src/api/clean.cpp``). In a
backup that file bears another name, and it gets its own again before the package goes back to its place; all times
but the inode's own stay what they are.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from ..core.status import ON_WINDOWS
from .directory import Directory

_INFO = "info"
_INDEX = "index.json"
_CONCEALED = "index.json.conda-prune"


def conceal(folder: Directory, number: str) -> None:
    """Make what bears a number in a run's folder look like no package; where that can't be it is a backup as well.

    In a cache that several users change it is left as it is: not each who may move it back could undo that.
    """
    with suppress(OSError):
        if ON_WINDOWS or not folder.own_status().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            _rename(folder, number, _INDEX, _CONCEALED)


def give_back(folder: Directory, number: str, cache: Directory, name: str) -> None:
    """Move what bears a number in a run's folder to its name in the cache, as it was.

    Raises `FileExistsError` if that is taken, or another `OSError`; it is in the folder then.
    """
    if cache.exists(name):
        raise FileExistsError(f"{name} exists in {cache.path}")
    _rename(folder, number, _CONCEALED, _INDEX)
    folder.move(number, cache, name)


def _rename(folder: Directory, number: str, old: str, new: str) -> None:
    if not stat.S_ISDIR(folder.status(number).st_mode):
        return
    with folder.child(number) as tree:
        if not tree.exists(_INFO) or not stat.S_ISDIR(tree.status(_INFO).st_mode):
            return
        with tree.child(_INFO) as info:
            # A package may hold a file of that name too: then it is left as it is.
            if not info.exists(old) or info.exists(new):
                return
            status = info.own_status()
            ours = not hasattr(os, "geteuid") or os.geteuid() in (0, status.st_uid)
            if not ours and new == _CONCEALED:
                return  # Its times could not be set again.
            try:
                info.move(old, info, new)
            except PermissionError:
                with info.writable():
                    info.move(old, info, new)
        owner = (status.st_uid, status.st_gid)
        if not ours:
            return  # It is whole again; only its owner could set its times.
        tree.restore_status(_INFO, stat.S_IMODE(status.st_mode), owner, status.st_mtime_ns)
