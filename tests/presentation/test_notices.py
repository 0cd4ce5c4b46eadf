"""Warnings of one kind that are many are shown as one; those of others each by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conda_prune_plugin.core.notices import EVEN_UNMOUNTED, FIX_REGISTRY, MISSING, Notice
from conda_prune_plugin.presentation.github import annotate
from conda_prune_plugin.presentation.terminal.notice_groups import _GROUPS, first_of, grouped


def notices(kind: str, count: int) -> list[Notice]:
    return [Notice(kind, f"{kind} {number}.", f"/place/{number}", hides_roots=True) for number in range(count)]


@pytest.mark.parametrize("kind", sorted(_GROUPS))
def test_many_of_a_kind_are_one_with_a_count_and_the_first_few_paths(kind: str) -> None:
    (shown,) = grouped(notices(kind, 1234))

    assert "1,234" in shown.message
    assert "/place/2 and 1,231 more" in shown.message
    assert "/place/3" not in shown.message
    assert shown.command.startswith("conda prune") or not shown.command


def test_few_of_a_kind_and_all_of_one_that_has_nothing_in_common_are_shown_each() -> None:
    few, different = notices("missing-environment", 3), notices("removal", 10)

    assert [shown.message for shown in grouped([*few, *different])] == [item.message for item in (*few, *different)]


@pytest.mark.parametrize("deleted", [0, 1])
def test_missing_environments_come_with_the_command_that_removes_their_lines(deleted: int) -> None:
    away = [replace(item, missing_directory="/disk") for item in notices(MISSING, 9)]

    (shown,) = grouped([*away, *notices(MISSING, deleted)])

    assert shown.command == FIX_REGISTRY + EVEN_UNMOUNTED * (not deleted)
    # Both kinds are told in the one warning, each with its number.
    assert "9 " in shown.message
    assert "/disk" in shown.message
    assert ("/place/0" in shown.message) == bool(deleted)
    assert "answer" not in shown.message


def test_github_gets_one_annotation_for_many_of_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    annotate(notices("missing-environment", 100))

    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("conda prune envs --fix-registry")


def test_an_error_counts_what_it_is_about() -> None:
    mixed = [*notices("unreadable-environment", 1), *notices("missing-environment", 50)]

    assert first_of(mixed, "unreadable-environment") == "unreadable-environment 0."
    assert "50" in first_of(mixed, "missing-environment")
