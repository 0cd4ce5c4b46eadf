"""Values as JSON and back: equal if they fit, refused if they don't."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest

from conda_prune_plugin.core import codec
from conda_prune_plugin.core.codec import OPTIONAL, decode, encode, unfold
from conda_prune_plugin.core.model import Entry, Part, PartKind, Result
from conda_prune_plugin.core.plan import Outcome

dumps = partial(json.dumps, default=unfold)


class Size(Enum):
    """An enum whose values are no text."""

    SMALL = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """One field of each kind that values have."""

    outcomes: tuple[Outcome, ...]
    age: float
    pair: tuple[int, str]
    notes: Mapping[str, str | None]
    anything: Any
    raw: bytes
    size: Size
    names: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


ENTRY = Entry("/pkgs", "a-1-0", (Part(PartKind.EXTRACTED, "a-1-0"),))
OUTCOME = Outcome(ENTRY, Result.FAILED, 3, 4, "no \udcff", 5)
SAMPLE = Sample((OUTCOME,), 2.0, (1, "x"), {"a": None, "b": "c"}, [1, {}], b"\0\xff", Size.SMALL, ("n",))

JSON = {
    "outcomes": [
        {
            "entry": {
                "cache": "/pkgs",
                "dist": "a-1-0",
                "parts": [{"kind": "extracted", "name": "a-1-0", "is_link": False}],
            },
            "result": "failed",
            "files": 3,
            "freed": 4,
            "error": "no \udcff",
            "freed_inodes": 5,
        }
    ],
    "age": 2.0,
    "pair": [1, "x"],
    "notes": {"a": None, "b": "c"},
    "anything": [1, {}],
    "raw": "\0\xff",
    "size": 1,
    "names": ["n"],
}


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Forget decoders of earlier tests: `.ci/mutants` runs the tests of many programs in copies of one process."""
    codec._decoder.cache_clear()
    codec._written.cache_clear()


def test_a_value_is_written_with_its_fields_by_name_and_read_back_equal() -> None:
    encoded = encode(SAMPLE)

    assert encoded == JSON
    assert type(encoded["outcomes"][0]["result"]) is str
    assert json.loads(dumps(SAMPLE)) == JSON
    assert decode(Sample, json.loads(dumps(SAMPLE))) == SAMPLE


def test_json_is_written_on_one_line_in_ascii() -> None:
    assert dumps({"a": (1, "é\n"), "b": ENTRY.parts}) == (
        r'{"a": [1, "\u00e9\n"], "b": [{"kind": "extracted", "name": "a-1-0", "is_link": false}]}'
    )


def test_a_set_is_written_sorted_and_any_mapping_as_an_object() -> None:
    value = MappingProxyType({"b": frozenset({"y", "x"})})

    assert encode(value) == {"b": ["x", "y"]}
    assert dumps(value) == '{"b": ["x", "y"]}'


def test_what_json_has_no_form_for_is_a_mistake() -> None:
    message = re.escape("<class 'object'> has no form in JSON")

    with pytest.raises(TypeError, match=f"^{message}$"):
        encode(object)
    with pytest.raises(TypeError, match=f"^{message}$"):
        dumps([object])


def test_an_optional_field_is_left_out_while_it_has_its_default() -> None:
    without = {name: value for name, value in JSON.items() if name != "names"}
    sample = decode(Sample, without)

    assert sample.names == ()
    assert encode(sample) == without


def test_any_other_field_must_be_there_and_unknown_ones_are_ignored() -> None:
    assert decode(Part, {"kind": "archive", "name": "a", "is_link": False, "more": 1}) == Part(PartKind.ARCHIVE, "a")
    with pytest.raises(ValueError, match=re.escape("{'kind': 'archive'} has no name") + "$"):
        decode(Part, {"kind": "archive"})
    # A default alone makes no field optional.
    with pytest.raises(ValueError, match=r"has no error$"):
        decode(Outcome, {name: value for name, value in JSON["outcomes"][0].items() if name != "error"})  # type: ignore[index]


def outcome(**changed: object) -> list[dict[str, object]]:
    """Return the outcome of the sample with some fields changed."""
    return [{**JSON["outcomes"][0], **changed}]  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("outcomes", outcome(result="no such result"), "'no such result'"),
        ("outcomes", outcome(result=["removed"]), "['removed']"),
        ("outcomes", outcome(files="3"), "'3'"),
        ("outcomes", outcome(files=True), "True"),
        ("outcomes", outcome(entry={"cache": "/pkgs", "dist": 7, "parts": []}), "7"),
        ("outcomes", [["/pkgs"]], "['/pkgs']"),
        ("outcomes", [5], "5"),
        ("outcomes", {}, "{}"),
        ("age", "2.0", "'2.0'"),
        ("age", True, "True"),
        ("age", float("inf"), "inf"),
        ("age", float("nan"), "nan"),
        ("pair", [1], "[1]"),
        ("pair", 1, "1"),
        ("pair", ["x", 1], "'x'"),
        ("notes", [], "[]"),
        ("notes", {"a": 1}, "1"),
        ("raw", 8, "8"),
        ("size", 2, "2"),
        ("names", None, "None"),
    ],
)
def test_what_does_not_fit_its_type_is_refused(name: str, value: object, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)} (has an unexpected form|is not a valid)"):
        decode(Sample, {**JSON, name: value})


def test_bytes_and_floats_have_limits() -> None:
    with pytest.raises(ValueError, match="latin-1"):
        decode(bytes, "\u0100")
    with pytest.raises(ValueError, match=r"^a number is too large: int too large to convert to float$"):
        decode(float, 10**400)


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(ValueError, match=f"^'{'x' * 79} has an unexpected form$"):
        decode(int, "x" * 100)
    with pytest.raises(ValueError, match=f"^{{'y': '{'x' * 73} has no kind$"):
        decode(Part, {"y": "x" * 100})
    with pytest.raises(TypeError, match=f"^{{'{'x' * 78} has no form in JSON$"):
        encode({"x" * 100})


def test_a_whole_number_is_a_float_too() -> None:
    found = decode(float, 2)

    assert found == 2.0
    assert isinstance(found, float)


def test_a_tuple_may_have_one_item() -> None:
    assert decode(tuple[int], [1]) == (1,)
