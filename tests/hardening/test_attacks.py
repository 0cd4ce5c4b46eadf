"""An owner who lays traps and races against root gains nothing, whatever is combined with what."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .attack import Attack

if TYPE_CHECKING:
    from .seeds import Seeds

pytestmark = [
    pytest.mark.conda,
    pytest.mark.debian,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user"),
]


def test_the_owner_of_a_cache_gains_nothing_from_root(seeds: Seeds) -> None:
    def play(seed: int) -> None:
        directory = Path(tempfile.mkdtemp(prefix="conda-prune-test-"))
        try:
            Attack(directory, seed, seeds.figures).play()
        finally:
            shutil.rmtree(directory)

    seeds.play(8, 0.125, play)
    assert seeds.figures["commands of root's"] > 0
