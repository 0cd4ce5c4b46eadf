"""Ctrl-C in the very moment after a change of the disk."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from conda_prune_plugin.execution.files.dir_fd import Directory

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

#: The changes of the disk, as `Directory` makes them.
CHANGES = ("mkdir", "move", "replace", "link", "unlink", "rmdir", "sync")


@contextmanager
def interrupted(numbers: Container[int]) -> Iterator[list[str]]:
    """Interrupt the block right after the changes of these numbers, counted from 1; gives the changes made so far.

    An interruption that nobody takes notice of ends the block, and nothing more.
    """
    changes: list[str] = []
    with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
        for name in CHANGES:

            def change(
                self: Directory, *arguments: object, name: str = name, do: object = getattr(Directory, name)
            ) -> None:
                do(self, *arguments)  # type: ignore[operator]
                changes.append(name)
                if len(changes) in numbers:
                    raise KeyboardInterrupt

            patch.setattr(Directory, name, change)
        yield changes
