"""The README and the other documents show what the program prints, and name what it has and nothing else."""

from __future__ import annotations

import ast
import importlib
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
PACKAGE = TOP / "conda_prune_plugin"
ARCHITECTURE = (TOP / "docs" / "architecture.md").read_text()
README = (TOP / "README.md").read_text()
#: All documents by their names, of which none is given twice.
PATHS = {
    path.name: path
    for path in (TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "SECURITY.md", *(TOP / "docs").rglob("*.md"))
}
DOCUMENTS = {name: path.read_text() for name, path in PATHS.items()}

#: These also name options of the tests.
OF_DEVELOPERS = {"CONTRIBUTING.md", "reliability.md"}


#: The most lines that a reader of the README is asked to look through.
LONGEST = 150

#: Every document that names files of the project.
NAMING = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md"), *(TOP / "tests").rglob("README.md")])

#: The first directories of a path that a document may name: of the checkout, or of the package.
_ROOMS = "|".join(sorted({path.parent.name for path in [*TOP.glob("*/*.py"), *PACKAGE.glob("*/*.py")]} | {"docs"}))


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
def test_the_demo_does_the_whole_job_as_the_tour_shows_and_leaves_nothing(
    empty: Machine, short_directory: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conda_prune_plugin.embedded", "prune", "demo"],
        env=empty.environ(TMPDIR=str(short_directory)),
        capture_output=True,
        text=True,
        check=True,
    )

    assert _shape(done.stdout) == _shape(regenerate.block(DOCUMENTS["tour.md"], "demo"))
    predicted, freed = re.findall(r"(?:Predicted|Freed): ([\d,]+) bytes", done.stdout)
    assert predicted == freed
    assert list(short_directory.iterdir()) == []


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
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)#]+)", DOCUMENTS[name]):
        assert (PATHS[name].parent / target).exists(), target


def _exists(name: str, document: Path) -> bool:
    """Return whether there is what a document calls by a path, or by a name alone."""
    if "/" not in name:
        return any(
            name == path.name for place in ("", "benchmarks", "conda_prune_plugin", "tests") for path in _all(place)
        )
    return any(any(place.glob(name.rstrip("/"))) for place in (TOP, PACKAGE, document.parent))


def _all(place: str) -> list[Path]:
    return [*(TOP / place).rglob("*.py")] if place else [*TOP.glob("*.py")]


@pytest.mark.parametrize("document", NAMING, ids=lambda path: str(path.relative_to(TOP)))
def test_every_file_and_module_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    paths = set(re.findall(rf"(?<![\w./:@-])(?:(?:{_ROOMS})/[\w./*-]*[\w*]|[\w./*-]*\w\.py)(?![\w/])", text))
    modules = set(re.findall(r"\bconda_prune_plugin(?:\.[a-z_]\w*)+", text))

    assert [path for path in sorted(paths) if not _exists(path, document)] == []
    for module in modules:
        importlib.import_module(module)


def _rows(heading: str) -> list[list[str]]:
    """Return the cells of the tables below a heading of the page on the architecture."""
    section = ARCHITECTURE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in section.splitlines() if line[:1] == "|"]


def test_the_architecture_lists_every_room_with_its_modules() -> None:
    listed = {row[0].strip("`/"): set(re.findall(r"`(\w+\.py)`", row[2])) for row in _rows("Rooms") if ".py" in row[-1]}
    rooms: dict[str, set[str]] = {}
    for module in PACKAGE.rglob("*.py"):
        if module.parent != PACKAGE and module.name != "__init__.py":
            rooms.setdefault(str(module.parent.relative_to(PACKAGE)), set()).add(module.name)

    assert {room: modules for room, modules in listed.items() if room in rooms} == rooms


def test_the_architecture_says_what_every_file_that_imports_conda_imports_it_for() -> None:
    importing = set()
    for module in PACKAGE.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(module.read_text())))
        named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        named |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
        if any(name.split(".")[0] == "conda" for name in named):
            importing.add(str(module.relative_to(PACKAGE)))
    used = [
        row for row in _rows("conda's API: where it is used, or why not") if row[1] not in ("", "no", "used", "---")
    ]
    told = {path for _, _, where in used for path in re.findall(r"`([\w/]+\.py)`", where)}

    assert importing <= told
    for what, _, where in used:
        texts = [
            (PACKAGE / path).read_text() for path in re.findall(r"`([\w/]+\.py)`", where) if (PACKAGE / path).exists()
        ]
        for name in re.findall(r"`([\w.]+)`", what):
            assert any(name.rsplit(".", 1)[-1] in text for text in texts), name


COMMANDS = ("", "usage", "why", "envs", "browse", "restore", "purge", "demo")


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
