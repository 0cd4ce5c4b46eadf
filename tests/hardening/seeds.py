"""The seeds of a test: so many, or as many as its share of a long run allows."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Seeds:
    """The seeds of one test, and what it has counted."""

    first: int
    minutes: float
    figures: Counter[str] = field(default_factory=Counter)

    def upto(self, number: int, share: float) -> Iterator[int]:
        """Give so many seeds, or, in a long run, as many as its share of the time allows."""
        ends = time.monotonic() + 60 * self.minutes * share
        seed = self.first
        while time.monotonic() < ends if self.minutes else seed < self.first + number:
            yield seed
            seed += 1
