"""List every file of caches and environments, for programs that browse disk usage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from ...core.file_status import EntryState
from ...core.model import Inventory
from .survey import real_path, tops
from .tree_entries import entries

#: A directory entry of a tree, as `walker.entries` gives it.
Listed = tuple[str, "os.stat_result | None", EntryState]

#: How many entries there are between two calls of `progress`.
_STEP = 4096


def listing(
    inventory: Inventory, only: str | None, progress: Callable[[int], None]
) -> Iterator[tuple[str, Iterator[Listed]]]:
    """Give each tree by its real path, and what is in it; none lies in another.

    only: the real path of one environment, to be given without the caches and environments in it. progress: takes how
    many entries were given since it was called last.
    """
    found = tops(inventory)
    if only is not None:
        yield only, _counted(entries(only, frozenset(found)), progress)
        return
    # By components, so that neighbours in the order are neighbours in the tree.
    outermost: tuple[str, ...] | None = None
    for components in sorted(tuple(real_path(place).split(os.sep)) for place in found.values()):
        if outermost is None or components[: len(outermost)] != outermost:
            outermost = components
            path = os.sep.join(components)
            yield path, _counted(entries(path, frozenset()), progress)


def _counted(listed: Iterator[Listed], progress: Callable[[int], None]) -> Iterator[Listed]:
    for count, item in enumerate(listed, 1):
        if count % _STEP == 0:
            progress(_STEP)
        yield item
