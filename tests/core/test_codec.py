"""Values as JSON and back: equal if they fit, refused if they don't."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from conda_prune_plugin.core.codec import decode, encode
from conda_prune_plugin.core.model import Entry, Part, PartKind, Result
from conda_prune_plugin.core.plan import Outcome


@dataclass(frozen=True, slots=True)
class Sample:
    """One field of each kind that values have."""

    outcomes: tuple[Outcome, ...]
    age: float
    pair: tuple[int, str]
    notes: Mapping[str, str | None]
    anything: Any
    raw: bytes


ENTRY = Entry("/pkgs", "a-1-0", (Part(PartKind.EXTRACTED, "a-1-0"),))
SAMPLE = Sample(
    (Outcome(ENTRY, Result.FAILED, 3, 4, "no \udcff"),), 2.0, (1, "x"), {"a": None, "b": "c"}, [1, {}], b"\0\xff"
)


def test_what_was_encoded_comes_back_equal_through_json() -> None:
    assert decode(Sample, json.loads(json.dumps(encode(SAMPLE)))) == SAMPLE


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (0, [[["/pkgs", "a-1-0", []], "no such result", 0, 0, None]], "'no such result'"),
        (0, [[["/pkgs", "a-1-0", []], "removed", "3", 0, None]], "'3'"),
        (0, [[["/pkgs", "a-1-0", []], "removed", True, 0, None]], "True"),
        (0, [[["/pkgs", 7, []], "removed", 0, 0, None]], "7"),
        (0, [["/pkgs"]], "['/pkgs']"),
        (0, [5], "5"),
        (0, {}, "{}"),
        (1, "2.0", "'2.0'"),
        (2, [1], "[1]"),
        (2, ["x", 1], "'x'"),
        (3, [], "[]"),
        (3, {"a": 1}, "1"),
        (5, 8, "8"),
    ],
)
def test_what_does_not_fit_its_type_is_refused(place: int, value: object, told: str) -> None:
    data = encode(SAMPLE)
    data[place] = value

    with pytest.raises(ValueError, match=f"^{re.escape(told)} is not "):
        decode(Sample, data)


def test_a_whole_number_is_a_float_too() -> None:
    data = encode(SAMPLE)
    data[1] = 2

    found = decode(Sample, data)

    assert found == SAMPLE
    assert isinstance(found.age, float)
