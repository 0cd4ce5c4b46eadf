"""The progress of a scan in the browser, which also ends a scan that is no longer wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ..terminal.progress import Reporter


class ScanAbandonedError(Exception):
    """The scan is no longer wanted."""


class ScanReporter(Reporter):
    """Keeps the words of the current phase; draws nothing. Set `abandoned` to end the scan at its next step."""

    def __init__(self) -> None:
        super().__init__(sys.stderr, enabled=False)
        self.words = ""
        self.abandoned = False

    def phase(self, words: str, total: int | None = None) -> Callable[[int], None]:
        """Begin a phase. The returned function raises `ScanAbandonedError` once the scan is abandoned."""

        def update(done: int) -> None:
            if self.abandoned:
                raise ScanAbandonedError
            count = f" {done:,}" if total is None else f" {done:,}/{total:,}"
            self.words = f"{words}{count if done or total else ''}"

        update(0)
        return update
