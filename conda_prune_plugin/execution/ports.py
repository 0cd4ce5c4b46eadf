"""Callbacks that execution needs from outside, because it imports neither conda nor a user interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..core.evidence import Measurement
from ..core.layout import ARCHIVE_SUFFIXES
from ..core.model import Root
from ..core.rules.reachability import SoftLinks
from .locks.run_lock import Patience
from .state.receipt import ReceiptEntry


@dataclass(frozen=True, slots=True)
class Ports:
    """Callbacks that a removal of packages needs from outside.

    references: returns the roots that reference each dist at this moment.
    soft_links: returns what environments soft-link at this moment, also those that are being created.
    measure: measures a name in a directory, given as path and descriptor.
    progress: called with the number of files removed since the last call.
    patience: how long to wait for locks, and how to say so.
    """

    references: Callable[[], Mapping[str, Sequence[Root]]]
    soft_links: Callable[[], SoftLinks]
    measure: Callable[[str, int | None], Measurement]
    progress: Callable[[int], None]
    patience: Patience


class UnfetchableError(Exception):
    """A package can't be fetched or extracted; the text says why."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Callbacks that fetch and extract packages again.

    archive: fetches the archive of an entry, by its name, into a directory, and checks its hash.
    extracted: extracts an archive, given by its path, into a directory that it creates.
    damage: reads all of an extracted directory and returns what is wrong with it, or None.
    suffixes: those of the archives that it can extract.

    The first two raise `UnfetchableError` or `OSError`.
    """

    archive: Callable[[ReceiptEntry, str, str], None]
    extracted: Callable[[ReceiptEntry, str, str], None]
    damage: Callable[[str], str | None] = lambda path: None
    suffixes: tuple[str, ...] = ARCHIVE_SUFFIXES
