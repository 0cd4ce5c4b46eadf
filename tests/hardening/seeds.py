"""The seeds of a test: so many, or as many as its share of a long run allows."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ViolationError(AssertionError):
    """A promise was broken; the message says which, after what steps, and how to have it again."""


@dataclass
class Seeds:
    """The seeds of one test, and what it has counted."""

    first: int
    minutes: float
    figures: Counter[str] = field(default_factory=Counter)

    def play(self, number: int, share: float, round_of: Callable[[int], object]) -> None:
        """Play so many rounds, or, in a long run, as many as its share of the time allows; each has its seed.

        A violation ends the gate at once; a long run goes on and tells of all at its end.
        """
        ends = time.monotonic() + 60 * self.minutes * share
        violations = []
        seed = self.first
        while time.monotonic() < ends if self.minutes else seed < self.first + number:
            try:
                round_of(seed)
            except ViolationError as violation:
                if not self.minutes:
                    raise
                violations.append(str(violation))
            seed += 1
        assert not violations, "\n\n".join(violations)
