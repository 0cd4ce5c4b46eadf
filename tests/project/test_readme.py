"""The README and the other documents show what the program prints, and name what it has and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import regenerate

from conda_prune_plugin.demo.sandbox import Sandbox

if TYPE_CHECKING:
    from machine import Machine

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text()
DOCUMENTS = {
    path.name: path.read_text()
    for path in (TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "SECURITY.md", *(TOP / "docs").glob("*.md"))
}

#: These also name options of the tests.
OF_DEVELOPERS = {"CONTRIBUTING.md", "reliability.md"}


#: The most lines that a reader of the README is asked to look through.
LONGEST = 150


def _shape(text: str) -> list[str]:
    """Return lines without what differs from one file system, path or moment to the next, and without empty ones."""
    return list(filter(None, map(regenerate.shape, text.splitlines())))


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory with a path about as short as in the documents: longer ones don't fit into the picture's width."""
    with tempfile.TemporaryDirectory(prefix="", dir="/tmp") as directory:
        yield Path(directory)


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST


@pytest.mark.slow
def test_the_demo_prints_what_the_tour_shows(empty: Machine) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conda_prune_plugin.embedded", "prune", "demo"],
        env=empty.environ(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert _shape(done.stdout) == _shape(regenerate.block(DOCUMENTS["tour.md"], "demo"))


@pytest.mark.slow
def test_the_tour_and_the_picture_show_what_the_commands_print(
    empty: Machine, short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = Sandbox(short_directory / "sandbox")
    assert empty.run("prune", "demo", "--keep", sandbox.directory).code == 0
    # One more file in each environment, which newer condas write and usage counts; the tour's conda did not.
    for file in sandbox.envs.glob("*/conda-meta/created_at"):
        file.unlink()
    monkeypatch.setattr(os, "environ", empty.environ(PATH=os.defpath))
    shown = regenerate.block(DOCUMENTS["tour.md"], "commands")

    assert _shape(regenerate.commands_in(sandbox.directory, shown)) == _shape(shown)
    drawn, kept = regenerate.terminal_svg(sandbox.directory), regenerate.TERMINAL_SVG.read_text()
    assert regenerate.texts_of(drawn) == regenerate.texts_of(kept)


def test_the_pictures_are_small_and_ask_the_network_for_nothing() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)

    assert sorted(TOP / name for name in pictures) == sorted((regenerate.TERMINAL_SVG, regenerate.REPORT_PNG))
    assert all((TOP / name).stat().st_size < 100_000 for name in pictures)
    assert not re.search(r"url\(\W*https?:|<image|<script", regenerate.TERMINAL_SVG.read_text())


@pytest.mark.parametrize("name", ["plan", "failed"])
def test_the_examples_for_programs_run(machine: Machine, name: str) -> None:
    found = re.search(rf"<!-- command: {name} -->\n```sh\n(.*?)\n```", DOCUMENTS["json.md"], re.DOTALL)
    assert found
    program = f'conda() {{ "{sys.executable}" -m conda_prune_plugin.embedded "$@"; }}\nset -o pipefail\n'
    script = found[1].replace("conda prune", "conda prune --ignore-unreadable --min-age 0")

    done = subprocess.run(
        ["bash", "-c", program + script],  # noqa: S607
        env=machine.environ(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    if name == "plan":
        assert re.search(r"^libalpha-1.0-0 \d+$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_links_between_the_documents_lead_somewhere(name: str) -> None:
    directory = TOP if (TOP / name).exists() else TOP / "docs"
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", DOCUMENTS[name]):
        assert (directory / target).exists(), target


COMMANDS = ("", "usage", "why", "envs", "restore", "purge", "demo")


def _options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def _section(command: str) -> str:
    """Return the part of the reference on a command."""
    title = f"conda prune {command}".strip()
    found = re.search(rf"^## `{title}`\n(.*?)(?=^## |\Z)", DOCUMENTS["reference.md"], re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def _listed(machine: Machine, command: str) -> set[str]:
    """Return the options that the complete help of a command lists."""
    shown = machine.run("prune", *([command, "--help"] if command else ["--help-all"])).out
    return {option for line in re.findall(r"^  (-\S.*?)(?:  |$)", shown, re.MULTILINE) for option in _options(line)}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_reference_has_every_option_of_a_command_and_no_other(empty: Machine, command: str) -> None:
    rows = re.findall(r"^\| (`-.*?`) \|", _section(command), re.MULTILINE)

    assert {option for row in rows for option in _options(row)} == _listed(empty, command)


def test_the_documents_name_no_option_that_there_is_not(empty: Machine) -> None:
    written = "".join(text for name, text in DOCUMENTS.items() if name not in OF_DEVELOPERS | {"conda-clean.md"})
    named = set(re.findall(r"`(?:conda prune [a-z ]*)?(--[a-z-]+)", written))

    assert named <= set().union(*(_listed(empty, command) for command in COMMANDS))


def test_the_gate_runs_the_command_of_the_readme() -> None:
    assert "<!-- command: test -->" in (TOP / ".ci" / "run").read_text()
    found = re.search(r"<!-- command: test -->\n```sh\n(.*?)\n```", README, re.DOTALL)
    assert found
    assert found[1].endswith("-m pytest -m 'not debian'")
