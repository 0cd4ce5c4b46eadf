"""Find files of an environment that were changed since its creation was interrupted."""

from __future__ import annotations

import os
from collections.abc import Iterator

#: What is changed so many seconds after the last sign of life still counts as that program's work: it gives one a
#: second, and a busy machine may be late.
_SLACK = 10.0

#: Python writes there whenever it runs.
_COMPILED = "__pycache__"


def changed_after(prefix: str, moment: float) -> tuple[str, ...]:
    """Return the files below a prefix that were changed, or put there, after a moment in seconds since the epoch.

    A renamed directory keeps the times of what is in it, so all in a changed one counts. A file with several names
    doesn't: other environments that link it change its status too, and what it holds stays under its other name.

    Raises `OSError` if something can't be read.
    """
    return tuple(sorted(_changed(prefix, moment + _SLACK)))


def _changed(top: str, limit: float) -> Iterator[str]:
    pending = [("", False)]
    while pending:
        directory, moved = pending.pop()
        with os.scandir(os.path.join(top, directory)) as listing:
            items = list(listing)
        for item in items:
            path = f"{directory}/{item.name}" if directory else item.name
            status = item.stat(follow_symlinks=False)
            late = moved or status.st_ctime > limit
            if item.is_dir(follow_symlinks=False):
                if item.name != _COMPILED:
                    pending.append((path, late))
            elif late and status.st_nlink <= 1:
                yield path
