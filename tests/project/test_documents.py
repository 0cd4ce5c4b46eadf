"""The README and the other documents show what the program prints, and name what it has and nothing else."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conda_prune_plugin.demo.sandbox import Sandbox

if TYPE_CHECKING:
    from machine import Machine

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "conda_prune_plugin"
ARCHITECTURE = (TOP / "docs" / "architecture.md").read_text()
README = (TOP / "README.md").read_text()
DOCUMENTS = {
    path.name: path.read_text()
    for path in (TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "SECURITY.md", *(TOP / "docs").glob("*.md"))
}

#: These also name options of the tests.
OF_DEVELOPERS = {"CONTRIBUTING.md", "reliability.md"}


#: Every document that names files of the project.
NAMING = sorted([*TOP.glob("*.md"), *(TOP / "docs").glob("*.md"), *(TOP / "tests").rglob("README.md")])

#: The first directories of a path that a document may name: of the checkout, or of the package.
_ROOMS = "|".join(sorted({path.parent.name for path in [*TOP.glob("*/*.py"), *PACKAGE.glob("*/*.py")]} | {"docs"}))


def _block(kind: str, name: str) -> str:
    found = re.search(rf"<!-- {kind}: {name} -->\n```\w+\n(.*?)\n```", README, re.DOTALL)
    assert found
    return found[1]


def _shape(text: str) -> list[str]:
    """Return lines without what differs from one file system, path or moment to the next."""
    text = re.sub(r"/\S*/(conda-prune-demo-\w+|sandbox)(?=\W)", "SANDBOX", text)
    text = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]+", "RUN", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", text)
    text = re.sub(r"\d[\d,.]* (bytes|[KMG]iB|B)\b", "SIZE", text)
    text = re.sub(r"\d+ (?=files in)", "N ", text)
    text = re.sub(r"(seconds|\d+ \w+) ago", "AGO", text)
    # How long a bar is depends on the sizes, and where the file system is mounted on the machine.
    text = re.sub(r"(?<= )[█░]{2,}|Free on .*", "", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.strip().splitlines()]


@pytest.mark.slow
def test_the_demo_prints_what_the_readme_shows(empty: Machine) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conda_prune_plugin.embedded", "prune", "demo"],
        env=empty.environ(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert _shape(done.stdout) == _shape(_block("output", "demo"))


@pytest.mark.slow
def test_the_commands_print_what_the_readme_shows_of_the_sandbox_that_the_demo_keeps(empty: Machine) -> None:
    sandbox = Sandbox(empty.directory / "sandbox")
    assert empty.run("prune", "demo", "--keep", sandbox.directory).code == 0
    # One more file in each environment, which newer condas write and usage counts; the README's conda did not.
    for file in sandbox.envs.glob("*/conda-meta/created_at"):
        file.unlink()

    printed = ""
    for command in re.findall(r"^\$ conda (.*)$", _block("output", "commands"), re.MULTILINE):
        script = [str(sandbox.directory / "shell"), "sh", "-c", f"conda {command}"]
        done = subprocess.run(script, env=empty.environ(PATH=os.defpath), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        printed += f"$ conda {command}\n{done.stdout}\n"

    assert list(filter(None, _shape(printed))) == list(filter(None, _shape(_block("output", "commands"))))


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


def test_every_option_of_the_help_is_in_the_documents_and_the_other_way_round(empty: Machine) -> None:
    commands: tuple[tuple[str, ...], ...] = ((), ("usage",), ("why",), ("envs",), ("restore",), ("purge",))
    helps = "".join(empty.run("prune", *command, "--help").out for command in commands)
    of_help = set(re.findall(r"(?<![\w-])--[a-z-]+", helps))
    conda_s_own = {"--json", "--verbose", "--quiet", "--dry-run", "--yes", "--help", "--console"}
    written = "".join(text for name, text in DOCUMENTS.items() if name not in OF_DEVELOPERS)
    named = set(
        re.findall(
            r"`(?:conda prune [a-z ]*)?(--[a-z-]+)",
            re.sub(r"(?m)^\| `.*conda clean.*|^\| `--force-pkgs.*", "", written),
        )
    )

    assert of_help - conda_s_own <= set(re.findall(r"(?<![\w-])--[a-z-]+", written))
    assert named - conda_s_own <= of_help


def test_the_gate_runs_the_command_of_the_readme() -> None:
    assert "<!-- command: test -->" in (TOP / ".ci" / "run").read_text()
    assert _block("command", "test").endswith("-m pytest -m 'not debian'")
