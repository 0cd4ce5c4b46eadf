"""Decisions for places of several owners: one owner after the other, and every decision has an outcome."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from conda_prune_plugin.core.evidence import Identity
from conda_prune_plugin.core.model import OtherKind, Result
from conda_prune_plugin.core.plan import Other, OtherOutcome
from conda_prune_plugin.errors import StateError
from conda_prune_plugin.execution.locks.run_lock import Patience
from conda_prune_plugin.execution.ports import Ports
from conda_prune_plugin.operations import run_as_owner

PORTS: Any = Ports(dict, tuple, lambda path, fd: None, lambda files: None, Patience())  # type: ignore[arg-type, return-value]


def _other(top: str) -> Other:
    return Other(OtherKind.LOGFILES, top, f"{top}/log", Identity(1, 2, 3), 1, 1, 1)


def _removed(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> Any:
    """Remove a file from the places /a, /b and /a again, of two owners, of whom each answers as given."""
    monkeypatch.setattr(run_as_owner, "_owner", {"/a": 1, "/b": 2}.__getitem__)

    def in_place_of(path: str, result: object, work: object, asked: object) -> object:
        if isinstance(answers[path], Exception):
            raise answers[path]
        return answers[path]

    monkeypatch.setattr(run_as_owner, "in_place_of", in_place_of)
    plan: Any = SimpleNamespace(other=tuple(map(_other, ("/a", "/b", "/a"))), inventory=SimpleNamespace(caches=()))
    outcomes, interrupted = run_as_owner.remove_other_as_owners(plan, PORTS, ())
    return [(outcome.other.top, outcome.result, outcome.error) for outcome in outcomes], interrupted


def _done(*tops: str) -> tuple[OtherOutcome, ...]:
    return tuple(OtherOutcome(_other(top), Result.REMOVED) for top in tops)


def test_outcomes_have_the_order_of_the_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes, interrupted = _removed(monkeypatch, {"/a": (_done("/a", "/a"), False), "/b": (_done("/b"), False)})

    assert outcomes == [(top, Result.REMOVED, None) for top in ("/a", "/b", "/a")]
    assert not interrupted


def test_an_error_of_the_second_owner_does_not_hide_what_was_done_for_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = StateError("no way", hint="")
    outcomes, _ = _removed(monkeypatch, {"/a": (_done("/a", "/a"), False), "/b": error})

    assert outcomes[1] == ("/b", Result.FAILED, "no way")
    with pytest.raises(StateError, match="no way"):
        _removed(monkeypatch, {"/a": error, "/b": (_done("/b"), False)})


def test_after_an_interruption_the_decisions_of_other_owners_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes, interrupted = _removed(monkeypatch, {"/a": (_done("/a", "/a"), True)})

    assert outcomes[1] == ("/b", Result.SKIPPED, "interrupted before it")
    assert interrupted
