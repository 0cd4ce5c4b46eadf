"""Where environments were set aside beside no directory of environments: ``<envs dir>/.conda-prune/places``.

An environment is moved by one rename, so it stays in the directory that it was in. Nothing would lead there any more
once it is out of the registry. One absolute path a line.
"""

from __future__ import annotations

import os

from ..core.names import PLACES, STATE
from .directory import Directory

#: The largest list that is read, in bytes.
LARGEST = 1 << 20


def remember(envs_dir: str, place: str) -> None:
    """Note a directory. Raises `OSError`, or `ValueError` for a path that no line can hold."""
    if "\n" in place:
        raise ValueError(f"{place!r} has a newline in it")
    with Directory.open(os.path.realpath(envs_dir)) as directory, directory.make_own(STATE) as state:
        known = b""
        if state.exists(PLACES):
            known = state.read_file(PLACES, LARGEST)
        line = os.fsencode(place)
        if line in known.split(b"\n"):
            return
        # A full disk may have cut off the line before.
        before = b"" if known.endswith(b"\n") or not known else b"\n"
        with os.fdopen(state.open_file(PLACES, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "wb") as stream:
            stream.write(before + line + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        state.hand_over(PLACES)
        state.sync()
        directory.sync()
