"""A fault at any call of a whole command loses nothing that is in use, and the next run completes what was begun.

`test_crash.py` does that at each call on a small tree; here each command does all its work, on real packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from machine import Machine

from .faults import SCENES, Stage
from .oracle import Oracle

if TYPE_CHECKING:
    from pathlib import Path

    from .seeds import Seeds

pytestmark = [pytest.mark.debian, pytest.mark.slow]


@pytest.mark.parametrize("name", SCENES)
def test_a_fault_loses_nothing_in_use_and_the_next_run_completes(
    machine: Machine, tmp_path: Path, seeds: Seeds, name: str
) -> None:
    stage = Stage(machine, Oracle(machine.directory), tmp_path / "copy", name)
    assert stage.calls > 5
    seeds.play(1, 0.25 / len(SCENES), lambda seed: stage.fail(seed, seeds.figures))
    assert seeds.figures["faults injected"] > 0
