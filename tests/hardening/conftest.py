"""How long the tests here go on, and from which seed: see README.md."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from .seeds import Seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def seeds(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Iterator[Seeds]:
    """The seeds that the options ask for; they and what was counted are printed at the end."""
    minutes = request.config.getoption("--soak-minutes")
    first = request.config.getoption("--soak-seed")
    if first is None:
        first = random.SystemRandom().randrange(1, 10**9) if minutes else 1
    given = Seeds(first, minutes)
    yield given
    counted = ", ".join(f"{number} {name}" for name, number in given.figures.items())
    record_property("hardening", f"from seed {first}: {counted}")
