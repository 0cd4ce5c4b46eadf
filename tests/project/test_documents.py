"""The README and the other documents show what the program prints, and name what it has and nothing else."""

from __future__ import annotations

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
README = (TOP / "README.md").read_text()
DOCUMENTS = {
    path.name: path.read_text()
    for path in (TOP / "README.md", TOP / "CONTRIBUTING.md", TOP / "SECURITY.md", *(TOP / "docs").glob("*.md"))
}

#: These also name options of the tests.
OF_DEVELOPERS = {"CONTRIBUTING.md", "reliability.md"}


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
