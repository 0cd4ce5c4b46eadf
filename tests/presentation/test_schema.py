"""The published JSON Schema describes what the program prints; every document that a test reads is held against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator, ValidationError
from schema import SCHEMA, check

from conda_prune_plugin.core.model import LinkKind, ReasonKind, Result, RootKind, RootState, Verdict

if TYPE_CHECKING:
    from enum import Enum

    from machine import Machine


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("words", "described"),
    [
        (ReasonKind, SCHEMA["$defs"]["reason"]["properties"]["kind"]),
        (LinkKind, SCHEMA["$defs"]["reason"]["properties"]["link"]),
        (Verdict, SCHEMA["$defs"]["verdict"]),
        (RootKind, SCHEMA["$defs"]["root"]["properties"]["kind"]),
        (RootState, SCHEMA["$defs"]["state"]),
    ],
)
def test_the_schema_has_the_words_that_the_program_has(words: type[Enum], described: dict[str, list[str]]) -> None:
    assert {word.value for word in words} <= set(described["enum"])


def test_the_results_of_entries_and_runs_are_all_described() -> None:
    definitions = SCHEMA["$defs"]
    described = {
        *definitions["outcome"]["properties"]["result"]["enum"],
        *definitions["run"]["properties"]["result"]["enum"],
        *definitions["dedupe"]["properties"]["outcomes"]["items"]["properties"]["result"]["enum"],
    }

    assert {word.value for word in Result} <= described


def test_a_document_with_a_field_that_is_not_described_is_a_breach(machine: Machine) -> None:
    document = machine.prune("--dry-run", "--json").json
    document["remove"][0]["reasons"][0]["surprise"] = 1

    with pytest.raises(ValidationError, match="surprise"):
        check(document)


def test_every_command_prints_what_the_schema_describes(machine: Machine) -> None:
    run = machine.prune("--yes", "--backup", "--ignore-unreadable", "--json").json["run"]
    for command in (
        ("why", "libalpha", "--min-age", "0"),
        ("why", "--all"),
        ("why", "--find", str(machine.directory)),
        ("usage",),
        ("usage", "--packages"),
        ("usage", "hard"),
        ("restore",),
        ("restore", run),
        ("purge", "--all", "--yes"),
        ("restore", "nonsense"),
    ):
        check(machine.run("prune", *command, "--json").json)
