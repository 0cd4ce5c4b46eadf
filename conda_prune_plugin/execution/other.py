"""Removing index caches, temporary files and log files.

Nothing of these is moved aside first: conda makes them anew, and takes no harm from a half of one. Each is reached by
its names from the cache or environment that it lies in, one open directory after the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

from ..core.decision import Other, OtherOutcome
from ..core.model import Cache, Measurement, Result
from ..errors import LockTimeoutError, StateError
from .aside import reason
from .directory import Directory
from .removal import remove
from .state import locked
from .tools import Tools
from .tree import descend


def remove_other(others: Sequence[Other], caches: Iterable[Cache], tools: Tools) -> tuple[OtherOutcome, ...]:
    """Remove each of them, with the locks held on the caches; what fails stops none of the others."""
    by_path = {cache.real_path: cache for cache in caches}
    outcomes: list[OtherOutcome] = []
    for top in dict.fromkeys(other.top for other in others):
        mine = [other for other in others if other.top == top]
        with ExitStack() as stack:
            try:
                if top in by_path:
                    stack.enter_context(locked(by_path[top], tools.patience))
                directory = stack.enter_context(Directory.open(top))
            except (StateError, LockTimeoutError) as error:
                outcomes += [OtherOutcome(other, Result.FAILED, error=error.message) for other in mine]
            except OSError as error:
                outcomes += [OtherOutcome(other, Result.FAILED, error=reason(error)) for other in mine]
            else:
                outcomes += [_remove(other, directory, tools.measure, tools.progress) for other in mine]
    return tuple(outcomes)


def _remove(
    other: Other,
    top: Directory,
    measure: Callable[[str, int | None], Measurement],
    progress: Callable[[int], None],
) -> OtherOutcome:
    *above, name = os.path.relpath(other.path, other.top).split(os.sep)
    try:
        with descend(top, above) as directory:
            status = directory.status(name)
            now = (status.st_dev, status.st_ino, status.st_mtime_ns)
            if now != (other.identity.device, other.identity.inode, other.identity.mtime_ns):
                return OtherOutcome(other, Result.SKIPPED, error="it has changed since it was planned")
            held = measure(*directory.at(name))
            remove(directory, name, progress)
    except FileNotFoundError:
        return OtherOutcome(other, Result.SKIPPED, error="it is gone")
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        return OtherOutcome(other, Result.FAILED, error=why)
    freed = held.single + sum(inode.allocated for inode in held.shared if inode.inside >= inode.links)
    return OtherOutcome(other, Result.REMOVED, held.files, freed)
