"""The README shows what the program prints, names what it has, and agrees with the other files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from machine import Machine

TOP = Path(__file__).parent.parent
README = (TOP / "README.md").read_text()


def _block(kind: str, name: str) -> str:
    found = re.search(rf"<!-- {kind}: {name} -->\n```\w+\n(.*?)\n```", README, re.DOTALL)
    assert found
    return found[1]


def _shape(text: str) -> list[str]:
    """Return lines without what differs from one file system, path or moment to the next."""
    text = re.sub(r"conda-prune-demo-\w+|/\S*/(?=conda-prune-demo)", "", text)
    text = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{4}", "RUN", text)
    text = re.sub(r"\d[\d,.]* (?=bytes|KiB|MiB|files in)", "N ", text)
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


def test_every_option_of_the_help_is_in_the_readme_and_the_other_way_round(empty: Machine) -> None:
    commands: tuple[tuple[str, ...], ...] = ((), ("usage",), ("why",), ("envs",), ("restore",), ("purge",))
    helps = "".join(empty.run("prune", *command, "--help").out for command in commands)
    of_help = set(re.findall(r"(?<![\w-])--[a-z-]+", helps))
    conda_s_own = {"--json", "--verbose", "--quiet", "--dry-run", "--yes", "--help", "--console"}
    of_readme = set(re.findall(r"`(?:conda prune )?(?:-\w, )?(--[a-z-]+)", README.split("## Use")[1]))

    assert of_help - conda_s_own <= set(re.findall(r"(?<![\w-])--[a-z-]+", README))
    assert of_readme <= of_help


def test_the_gate_runs_the_command_of_the_readme() -> None:
    assert "<!-- command: test -->" in (TOP / ".ci" / "run").read_text()
    assert _block("command", "test").endswith("-m pytest -m 'not debian'")
