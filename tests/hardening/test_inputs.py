"""Whatever a file holds: an answer or an error, in bounded memory and time, and nothing in use is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from machine import Machine

from .inputs import Inputs
from .oracle import Oracle

if TYPE_CHECKING:
    from pathlib import Path

    from .seeds import Seeds

pytestmark = [pytest.mark.debian, pytest.mark.slow]


def test_no_input_breaks_a_promise(machine: Machine, tmp_path: Path, seeds: Seeds) -> None:
    inputs = Inputs(machine, Oracle(machine.directory), tmp_path / "copy")
    seeds.play(8, 0.125, lambda seed: inputs.play(seed, seeds.figures))
    assert seeds.figures["inputs"] > 0
