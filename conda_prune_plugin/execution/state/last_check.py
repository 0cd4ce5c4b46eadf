"""When the caches were last checked automatically: the time of an empty file below one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial

from ... import failures
from ...core.layout import STATE
from ...errors import PruneError
from ...failures import suppress
from ..files.dir_fd import Directory
from ..owner_process import Ask, in_place_of
from .state_dir import write_file

LAST_CHECK = "last-automatic-check"

#: How long a check is good for, in seconds.
_PERIOD = 86_400.0


def claim(caches: Iterable[str], now: float) -> bool:
    """Return whether it is time for a check, and note that it was done. Raises nothing.

    The file lies below the first of the caches (absolute paths) that the caller may write to. If there is none it is
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
            in_place_of(cache, type(None), partial(_write, cache), {})
            return True
    return False


def _write(cache: str, ask: Ask) -> None:
    with Directory.open(cache) as directory, directory.make_own(STATE) as state:
        # Anew: in a shared cache it may be another user's.
        with suppress(FileNotFoundError):
            state.unlink(LAST_CHECK)
        write_file(state, LAST_CHECK, b"")
