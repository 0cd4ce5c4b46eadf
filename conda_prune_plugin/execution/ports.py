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
    """Senses and voices of a run.

    references: the roots that name each dist at this moment.
    soft_links: what environments soft-link at this moment, also those that are being made.
    measure: measures a name in a directory given by path and descriptor.
    progress: is told how many files were removed since the last time.
    patience: how long to wait for locks, and who is told.
    """

    references: Callable[[], Mapping[str, Sequence[Root]]]
    soft_links: Callable[[], SoftLinks]
    measure: Callable[[str, int | None], Measurement]
    progress: Callable[[int], None]
    patience: Patience


@dataclass(frozen=True, slots=True)
class Extraction:
    """Gets a package out of its archive.

    extracted: extracts an archive, given by its path, into a directory that it makes. Raises `UnfetchableError`.
    damage: returns what is wrong with an extracted directory, all of its contents read; None if nothing is.
    """

    extracted: Callable[[ReceiptEntry, str, str], None]
    damage: Callable[[str], str | None]


class UnfetchableError(Exception):
    """A package can't be had again; the text says why."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Gets packages anew.

    archive: fetches the archive of an entry, called by a name, into a directory; checks its hash.
    extracted: extracts an archive into a directory that it makes.
    suffixes: of the archives that it knows.

    Both raise `UnfetchableError` or `OSError`.
    """

    archive: Callable[[ReceiptEntry, str, str], None]
    extracted: Callable[[ReceiptEntry, str, str], None]
    suffixes: tuple[str, ...] = ARCHIVE_SUFFIXES
