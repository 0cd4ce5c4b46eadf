"""Check extracted directories quickly, by names and sizes: one stat a file. Most are expected to be complete."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ... import failures
from .integrity import directory_damage


class QuickCheck:
    """The check of a batch of directories, for a worker pool; `progress` takes how many were checked."""

    def __init__(self, progress: Callable[[int], object] = lambda directories: None) -> None:
        self._progress = progress

    def __reduce__(self) -> tuple[type[QuickCheck], tuple[()]]:
        return QuickCheck, ()

    def do(self, directories: Sequence[str]) -> list[bool]:
        """Return which of the directories call for a closer look."""
        found = [_needs_inspection(directory) for directory in directories]
        self._progress(len(found))
        return found

    do_in_worker = do

    def take(self, found: list[bool]) -> list[bool]:
        """Return what was seen in the other process."""
        self._progress(len(found))
        return found


def _needs_inspection(directory: str) -> bool:
    try:
        return directory_damage(directory) is not None
    except OSError as error:
        failures.note(error)
        return True
