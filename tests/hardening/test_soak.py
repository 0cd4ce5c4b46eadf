"""Whatever is done in whatever order, killed or failed anywhere: an independent judge finds no broken promise."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from machine import Machine, copy_tree

from .oracle import Oracle
from .soak import Round

if TYPE_CHECKING:
    from pathlib import Path

    from .seeds import Seeds

pytestmark = [pytest.mark.debian, pytest.mark.slow]


def test_no_round_of_commands_breaks_a_promise(built: tuple[Machine, Path], seeds: Seeds) -> None:
    machine, copy = built
    oracle = Oracle(machine.directory)

    def play(seed: int) -> None:
        shutil.rmtree(machine.directory)
        copy_tree(copy, machine.directory)
        Round(machine, oracle, seed, seeds.figures).play(12)

    seeds.play(3, 0.5, play)
    assert seeds.figures["prunes"] > 5
