"""List every file of caches and environments with its status."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from ... import failures
from ...core.file_status import EntryState, is_directory, listed_status
from ...core.model import Inventory
from ..system.tree_walk import below, walk
from .survey import real_path, tops

#: The path of an entry below the top of its tree, with slashes, its status if there is one, and how far it was read.
Listed = tuple[str, "os.stat_result | None", EntryState]

#: How many entries there are between two calls of `progress`.
_STEP = 4096


def listing(
    inventory: Inventory, only: str | None, progress: Callable[[int], None]
) -> Iterator[tuple[str, Iterator[Listed]]]:
    """Yield each tree by its real path, with its content; none lies in another.

    only: the real path of one environment, to be listed without the caches and environments in it. progress: called
    with the number of entries since its last call.
    """
    places = tops(inventory)
    if only is not None:
        yield only, _counted(entries(only, frozenset(places)), progress)
        return
    # By components, so that neighbours in the order are neighbours in the tree.
    outermost: tuple[str, ...] | None = None
    for components in sorted(tuple(real_path(place).split(os.sep)) for place in places.values()):
        if outermost is None or components[: len(outermost)] != outermost:
            outermost = components
            path = os.sep.join(components)
            yield path, _counted(entries(path, frozenset()), progress)


def _counted(listed: Iterator[Listed], progress: Callable[[int], None]) -> Iterator[Listed]:
    for count, entry in enumerate(listed, 1):
        if count % _STEP == 0:
            progress(_STEP)
        yield entry


def entries(
    top: str, boundaries: frozenset[tuple[int, int]], without: frozenset[str] = frozenset()
) -> Iterator[Listed]:
    """Yield everything in a tree as `Walker.walk` counts it: each directory, its files, then its directories.

    The name of the top is empty. boundaries: device and inode of directories that are trees of their own. without:
    names that are left out.
    """
    met: set[tuple[int, int]] = set()
    directories_met: list[Listed] = []

    def enter(path: str) -> bool:
        name = below(top, path)
        try:
            status = os.lstat(path)
        except OSError as error:
            failures.note(error)
            if not isinstance(error, FileNotFoundError):
                directories_met.append((name, None, EntryState.UNREADABLE))
            return False
        key = (status.st_dev, status.st_ino)
        elsewhere = name != "" and (key in boundaries or key in met)
        met.add(key)
        directories_met.append((name, status, EntryState.ELSEWHERE if elsewhere else EntryState.COMPLETE))
        # A junction is listed as a directory, too.
        return not elsewhere and is_directory(status)

    def unreadable(_: OSError) -> None:
        name, status, _state = directories_met.pop()
        directories_met.append((name, status, EntryState.UNREADABLE))

    for path, directories, others in walk(top, enter=enter, unreadable=unreadable):
        yield from directories_met
        directories_met.clear()
        start = f"{below(top, path)}/".lstrip("/")
        directories[:] = [entry for entry in directories if start + entry.name not in without]
        for entry in others:
            if (name := start + entry.name) not in without:
                yield from _with_status(name, entry)
    yield from directories_met


def _with_status(name: str, entry: os.DirEntry[str]) -> Iterator[Listed]:
    """Yield an entry with its status, unless it was removed since it was listed."""
    try:
        yield name, listed_status(entry), EntryState.COMPLETE
    except FileNotFoundError:
        return
    except OSError as error:
        failures.note(error)
        yield name, None, EntryState.UNREADABLE
