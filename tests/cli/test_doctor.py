"""What ``conda doctor`` says of the package caches, and what its fixer does."""

from __future__ import annotations

import os
from inspect import signature

import pytest
from ageless import FIX, ageless
from conda.plugins.types import CondaHealthCheck
from crash import run_failing
from machine import Machine, listing

from conda_prune_plugin.demo.demo_packages import File, Package, build_channel


@pytest.fixture
def sick(empty: Machine) -> Machine:
    """A machine with a damaged package in use, and a partial download."""
    build_channel(empty.directory / "channel", [Package("it", "1", files={"lib/a": File(b"a"), "lib/b": File(b"b")})])
    empty.install("create", "-n", "e", "it")
    (empty.entry("it-1-0") / "lib" / "b").unlink()
    (empty.cache / "x-1-0.conda.partial").write_bytes(b"x" * 5000)
    return empty


def _is_sick(machine: Machine) -> bool:
    states = {(machine.entry("it-1-0") / "lib" / "b").exists(), not (machine.cache / "x-1-0.conda.partial").exists()}
    assert len(states) == 1
    return states == {False}


def test_it_tells_of_leftovers_and_damage_and_changes_nothing(sick: Machine) -> None:
    before = listing(sick.cache)

    answer = ageless(sick, "doctor", "-n", "e")

    assert answer.code == 0
    said = " ".join(answer.out.split())
    assert f"{sick.entry('it-1-0')} is in use and damaged: 1 of 2 files missing" in said
    assert "1 leftover (partial-download): 8.0 KiB" in said
    assert {"    conda prune --verify --repair", "  To remove leftovers: conda prune --leftovers"} <= set(
        answer.out.splitlines()
    )
    assert str(sick.cache / "x-1-0.conda.partial") not in said
    assert str(sick.cache / "x-1-0.conda.partial") in ageless(sick, "doctor", "-n", "e", "-v").out
    assert listing(sick.cache) == before


def test_the_fixer_asks_what_it_will_do_and_does_it(sick: Machine) -> None:
    asked = "Remove 1 leftover and extract 1 damaged package again?"

    for no in ("", "no\n"):
        assert asked in ageless(sick, FIX, stdin=no).out
        assert _is_sick(sick)
    dry = ageless(sick, FIX, CONDA_DRY_RUN="true")
    assert "x-1-0.conda.partial" in dry.out
    assert _is_sick(sick)
    answer = ageless(sick, FIX, stdin="yes\n")
    assert answer.code == 0, answer.err
    assert "Repaired 1 package" in answer.out
    assert not _is_sick(sick)
    assert not (sick.cache / ".conda-prune").exists()
    assert "Nothing in the package caches" in ageless(sick, FIX).out


def test_the_fixer_does_not_take_json_for_a_yes(sick: Machine) -> None:
    answer = ageless(sick, FIX, stdin="yes\n", CONDA_JSON="true")

    assert answer.code != 0
    assert "--yes" in answer.err
    assert _is_sick(sick)


@pytest.mark.skipif("fixer" not in signature(CondaHealthCheck).parameters, reason="this conda knows no fixers")
def test_conda_doctor_runs_the_fixer(sick: Machine) -> None:
    assert "package-caches" in ageless(sick, "doctor", "-n", "e", "--list").out

    answer = ageless(sick, "doctor", "-n", "e", "--fix", "package-caches", "--yes")

    assert answer.code == 0
    assert "Repaired 1 package" in answer.out
    assert not _is_sick(sick)
    assert os.listdir(sick.entry("it-1-0") / "lib")


@pytest.mark.debian
@pytest.mark.parametrize("fix", [False, True])
def test_what_the_disk_failed_at_is_named(sick: Machine, fix: bool) -> None:
    failing = str(sick.entry("it-1-0") / "info" / "paths.json")
    command = ("doctor", "-n", "e", *(("--fix", "package-caches", "--yes") if fix else ()))
    if fix and "fixer" not in signature(CondaHealthCheck).parameters:
        pytest.skip("this conda knows no fixers")

    end = run_failing(sick, command, lambda call, path: "error=EIO" if path == failing else "")

    assert f"The disk failed at {failing}" in end.output
    assert end.code == int(fix)
