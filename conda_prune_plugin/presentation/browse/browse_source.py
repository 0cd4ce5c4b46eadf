"""What the app of the browser asks for, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ...core.model import Word
from .rows import Marked, Row, Rows, Size, Sort, View
from .scan_reporter import ScanReporter


class Action(Word):
    """What the user wants done."""

    REMOVE = "remove"
    BACKUP = "backup"
    RESTORE = "restore"


class Intent(NamedTuple):
    """What the user wants done, and with what."""

    action: Action
    marked: Marked


@dataclass(slots=True)
class Place:
    """Where the user is in the browser; kept while something is carried out. keys: of the rows under the cursor."""

    view: View = View.ENVIRONMENTS
    sort: Sort = Sort.OWN
    marked: frozenset[str] = frozenset()
    keys: dict[View, str] = field(default_factory=dict)


class Source(Protocol):
    """What the app asks for; all but `scanned` from other threads."""

    @property
    def scanned(self) -> bool:
        """Whether there is a completed scan."""

    def scan(
        self, reporter: ScanReporter, listed: Callable[[Rows], None], measured: Callable[[str, Size], None]
    ) -> Rows:
        """Scan everything; the names come before the sizes."""

    def rows(self) -> Rows:
        """Return the rows of the completed scan."""

    def below(self, row: Row) -> tuple[Row, ...]:
        """Return the rows below one."""

    def marked(self, keys: frozenset[str]) -> Marked:
        """Return what marks stand for."""

    def why(self, row: Row, width: int) -> str:
        """Explain a row, in lines that are so wide."""

    def plan(self, marked: Marked, width: int) -> str:
        """Return the plan for what is marked, without carrying it out."""
