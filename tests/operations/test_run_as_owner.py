"""Decisions for places of several owners: one owner after the other, and every decision has an outcome."""

from __future__ import annotations

from typing import Any

import pytest

from conda_prune_plugin.core.evidence import Identity
from conda_prune_plugin.core.model import Inventory, OtherKind, Result
from conda_prune_plugin.core.plan import Other, OtherOutcome, Plan
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.errors import StateError
from conda_prune_plugin.execution.locks.run_lock import Patience
from conda_prune_plugin.execution.ports import Fetch, Ports
from conda_prune_plugin.execution.sweep import Execution
from conda_prune_plugin.operations import run_as_owner

FETCH: Any = Fetch(lambda *_: None, lambda *_: None)
PORTS: Any = Ports(dict, tuple, lambda path, fd: None, lambda files: None, Patience())  # type: ignore[arg-type, return-value]


def _other(top: str, number: int) -> Other:
    return Other(OtherKind.LOGFILES, top, f"{top}/{number}.log", Identity(1, 2, 3), 1, 1, 1)


def _removed(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> Any:
    """Remove a file from the places /a, /b and /a again, of two owners, of whom each answers as given."""
    monkeypatch.setattr(run_as_owner, "_owner", {"/a": 1, "/b": 2}.__getitem__)

    def in_place_of(path: str, result: object, work: object, asked: object) -> object:
        if isinstance(answers[path], Exception):
            raise answers[path]
        return answers[path]

    monkeypatch.setattr(run_as_owner, "in_place_of", in_place_of)
    plan = Plan(Inventory((), ()), (), (), other=tuple(map(_other, ("/a", "/b", "/a"), range(3))))
    run = Run("20261130T101500Z-8f2a51c3", 0.0, Disposal.DELETE)
    done = run_as_owner.carry_out_as_owners(plan, run, run, FETCH, PORTS)
    return [(outcome.other.top, outcome.result, outcome.error) for outcome in done.others], done.interrupted


def _done(top: str, *numbers: int, interrupted: bool = False) -> Execution:
    return Execution(
        (), interrupted, others=tuple(OtherOutcome(_other(top, number), Result.REMOVED) for number in numbers)
    )


def test_outcomes_have_the_order_of_the_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes, interrupted = _removed(monkeypatch, {"/a": _done("/a", 0, 2), "/b": _done("/b", 1)})

    assert outcomes == [(top, Result.REMOVED, None) for top in ("/a", "/b", "/a")]
    assert not interrupted


def test_an_error_of_the_second_owner_does_not_hide_what_was_done_for_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = StateError("no way", hint="")
    outcomes, _ = _removed(monkeypatch, {"/a": _done("/a", 0, 2), "/b": error})

    assert outcomes[1] == ("/b", Result.FAILED, "no way")
    with pytest.raises(StateError, match="no way"):
        _removed(monkeypatch, {"/a": error, "/b": _done("/b", 1)})


def test_after_an_interruption_the_decisions_of_other_owners_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes, interrupted = _removed(monkeypatch, {"/a": _done("/a", 0, 2, interrupted=True)})

    assert outcomes[1] == ("/b", Result.SKIPPED, "interrupted before it")
    assert interrupted
