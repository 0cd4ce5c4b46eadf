"""Help: short by default, complete on request, wrapped to the terminal, and true."""

from __future__ import annotations

import re

import pytest
from machine import Machine

COMMANDS = ("usage", "why", "envs", "browse", "restore", "purge", "demo", "help")


def _options(text: str) -> list[str]:
    return re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.MULTILINE)


def test_the_help_shows_commands_ten_options_and_three_examples(empty: Machine) -> None:
    shown = empty.run("prune", "--help").out
    examples = re.findall(r"^  conda prune .*", shown, re.MULTILINE)

    assert all(re.search(rf"^  {command} +\w", shown, re.MULTILINE) for command in COMMANDS)
    assert len(_options(shown)) == 10 + len(("--help", "--help-all", "--version"))
    assert len(examples) == 3
    assert "--help-all" in shown.splitlines()[-2]
    assert len(shown.splitlines()) < 50


def test_the_complete_help_shows_all_of_it_and_more(empty: Machine) -> None:
    short, complete = (_options(empty.run("prune", option).out) for option in ("--help", "--help-all"))

    assert set(short) < set(complete)
    assert len(complete) > 30


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_no_line_of_help_is_wider_than_the_terminal(empty: Machine, columns: int) -> None:
    shown = [empty.run("prune", option, COLUMNS=str(columns)).out for option in ("--help", "--help-all")]
    shown += [empty.run("prune", "help", command, COLUMNS=str(columns)).out for command in COMMANDS]

    assert max(len(line) for text in shown for line in text.splitlines()) <= min(columns, 100)


@pytest.mark.parametrize(
    ("command", "ignored"),
    [
        ("usage", {"--yes", "--lock-timeout", "--ignore-running", "--ignore-unreadable"}),
        ("why", {"--yes", "--dry-run", "--packages", "--ignore-unreadable", "--backup"}),
        ("restore", {"--yes", "--min-age"}),
        ("purge", {"--verbose", "--only"}),
        ("demo", {"--yes", "--dry-run", "--json", "--quiet", "--verbose"}),
        ("help", {"--yes", "--json"}),
    ],
)
def test_no_command_lists_an_option_that_it_ignores(empty: Machine, command: str, ignored: set[str]) -> None:
    assert not ignored & set(_options(empty.run("prune", command, "--help").out))


@pytest.mark.parametrize("command", ["usage", "why"])
def test_options_of_conda_that_change_nothing_are_accepted(empty: Machine, command: str) -> None:
    arguments = {"usage": (), "why": ("--all",)}[command]

    assert empty.run("prune", command, *arguments, "--yes", "--dry-run").code == 0
