"""When the caches were last checked automatically: the time of an empty file below one of them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ... import failures
from ...core.layout import STATE
from ...failures import suppress
from ..files.dir_fd import Directory

LAST_CHECK = "last-automatic-check"

#: How long a look is good for, in seconds.
_PERIOD = 86_400.0


def claim(caches: Iterable[str], now: float) -> bool:
    """Return whether it is time for a look, and write down that it was taken. Raises nothing.

    The file lies below the first of the caches (absolute paths) that we may write to. Without any it is never time:
    there would be nothing to do.
    """
    for cache in caches:
        try:
            # A time in the future is that of a clock that was wrong.
            if abs(now - os.stat(os.path.join(cache, STATE, LAST_CHECK)).st_mtime) < _PERIOD:
                return False
        except OSError as error:
            failures.note(error)
        with suppress(OSError):
            _write(cache)
            return True
    return False


def _write(cache: str) -> None:
    with Directory.open(failures.realpath(cache)) as directory, directory.make_own(STATE) as state:
        # Anew: in a shared cache it may be another user's.
        with suppress(FileNotFoundError):
            state.unlink(LAST_CHECK)
        os.close(state.open_file(LAST_CHECK, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        state.hand_over(LAST_CHECK)
