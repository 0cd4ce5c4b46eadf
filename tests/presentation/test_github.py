"""In GitHub Actions: annotations on standard error, a table in the job's summary, and nothing else that differs."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from machine import Machine, listing
from tiny import tiny_on

from conda_prune_plugin.presentation.github import annotation

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def unused(empty: Machine) -> Machine:
    """A machine with one unreferenced package, and an environment in the registry that is not there."""
    tiny_on(empty).add("unused-1-0")
    empty.registry.parent.mkdir()
    empty.registry.write_text(f"{empty.directory}/100% gone\n")
    return empty


def _commands(text: str) -> list[tuple[str, str]]:
    """Return what the runner takes for commands: name, and data as it was before it was escaped."""
    lines = [line.lstrip() for line in text.splitlines() if line.lstrip().startswith("::")]
    return [(line.split()[0].removeprefix("::"), unquote(line.split("::", 2)[2])) for line in lines]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_warnings_are_annotations_and_the_summary_is_a_table(
    unused: Machine, tmp_path: Path, options: tuple[str, ...]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}

    dry = unused.prune("--dry-run", *options, **github)
    done = unused.prune("--yes", *options, **github)

    for answer in (dry, done):
        assert answer.code == 0, answer.err
        ((level, message),) = _commands(answer.err)
        assert level == "warning"
        assert "100% gone" in message
        assert "::" not in answer.out
        if options:
            assert answer.json["success"]
    text = summary.read_text()
    assert text.startswith("before\n### conda prune\n")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| <code>")]
    assert [row[1:3] for row in rows] == [["1", "1"], ["1", "1"]]
    assert rows[0][3] == rows[1][3]
    assert text.count("A dry run") == 1


@pytest.mark.parametrize("options", [(), ("--json",), ("--quiet",)])
def test_an_error_is_an_annotation_with_what_to_do(unused: Machine, options: tuple[str, ...]) -> None:
    answer = unused.prune("--yes", "--pkgs-dir", "/no/such\n::set-output name=a::b", *options, GITHUB_ACTIONS="true")

    assert answer.code == 1
    ((level, message),) = _commands(answer.err)
    assert level == "error"
    assert "/no/such" in message
    assert "pkgs_dirs" in message


@pytest.mark.parametrize("options", [("-vv",), ("--yes",), ("--ci", "image"), ("--check", "0", "-v")])
def test_no_name_makes_a_command_of_a_line(unused: Machine, options: tuple[str, ...]) -> None:
    for name in ("::error::x-1-0", "::stop-commands::y-1-0", "a##[add-mask]z-1-0"):
        tiny_on(unused).add(name)
        (unused.cache / f"{name}.partial").touch()

    answer = unused.prune("--include-irreplaceable", *options, GITHUB_ACTIONS="true")

    assert "stop-commands" in answer.out
    assert "::" not in answer.out
    assert "##[" not in answer.out + answer.err
    assert {level for level, _ in _commands(answer.err)} <= {"warning", "error"}


def test_a_check_that_fails_is_in_the_summary(unused: Machine, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"

    answer = unused.prune("--check", "0", "--quiet", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))

    assert (answer.code, answer.out) == (3, "")
    assert {kind for kind, _ in _commands(answer.err)} == {"warning"}
    assert "more than the limit of 0 B" in summary.read_text()


def test_a_summary_that_cannot_be_written_is_a_warning_and_no_failure(unused: Machine, tmp_path: Path) -> None:
    answer = unused.prune("--yes", "--json", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(tmp_path))

    assert answer.code == 0
    assert answer.json["success"] is True
    assert str(tmp_path) in _commands(answer.err)[-1][1]
    assert not unused.entry("unused-1-0").exists()


def test_elsewhere_there_is_neither(unused: Machine, tmp_path: Path) -> None:
    before = listing(unused.directory)

    answer = unused.prune("--dry-run", GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"))

    assert "::" not in answer.err
    assert "warning: " in answer.err
    assert not (tmp_path / "summary.md").exists()
    assert listing(unused.directory) == before


@pytest.mark.parametrize("message", ["100%", "a\nb", "a\r\n::error::b", "%0A", "\x1b[31m red", "##[add-mask]x"])
def test_an_annotation_is_one_line_that_the_runner_takes_apart_again(message: str) -> None:
    line = annotation("warning", message)

    assert len(line.splitlines()) == 1
    ((level, data),) = _commands(line)
    assert level == "warning"
    assert data.isprintable() or "\n" in data
    assert data.replace("\\x1b", "\x1b") == "\n".join(message.splitlines())
