"""What execution is handed from outside: it prints nothing and imports no conda."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..core.model import Measurement, Root
from ..core.soft_links import SoftLinks
from .locks.run_lock import Patience


@dataclass(frozen=True, slots=True)
class Tools:
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
