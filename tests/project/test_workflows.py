"""The files around the package agree with each other, and name only what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

TOP = Path(__file__).parents[2]
WORKFLOWS = sorted((TOP / ".github" / "workflows").glob("*.yml"))


def _yaml(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return read


@pytest.fixture
def project() -> dict[str, Any]:
    # The standard library reads TOML from Python 3.11 on.
    tomllib = pytest.importorskip("tomllib")
    read: dict[str, Any] = tomllib.loads((TOP / "pyproject.toml").read_text())
    return read


def test_the_workflows_use_environments_and_tasks_that_the_project_has(project: dict[str, Any]) -> None:
    pixi = project["tool"]["pixi"]
    jobs = _yaml(TOP / ".github" / "workflows" / "tests.yml")["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    tasks = {found for step in steps for found in re.findall(r"pixi run .* (\w+)$", step.get("run", ""))}

    assert set(jobs["conda"]["strategy"]["matrix"]["environment"]) == set(pixi["environments"])
    assert tasks
    assert tasks <= set(pixi["tasks"])
    assert any(step.get("run") == ".ci/run" for step in steps)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_can_write_nothing_but_what_it_says(path: Path) -> None:
    assert _yaml(path)["permissions"] == {"contents": "read"}


def test_pixi_installs_what_the_project_file_asks_for(project: dict[str, Any]) -> None:
    installed = project["tool"]["pixi"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    asked = [*project["project"]["dependencies"], *extras["test"]]
    floors = dict(re.findall(r"^([\w.-]+) ?(>=.*)$", "\n".join(asked), re.MULTILINE))

    assert floors.items() <= installed.items()


def test_every_python_of_the_classifiers_is_tested(project: dict[str, Any]) -> None:
    named = {line.split()[-1] for line in project["project"]["classifiers"] if re.search(r"Python :: 3\.", line)}
    jobs = _yaml(TOP / ".github" / "workflows" / "tests.yml")["jobs"]
    tested = set(jobs["python"]["strategy"]["matrix"]["python-version"])
    tested |= {
        step["with"]["python-version"] for step in jobs["gate"]["steps"] if "setup-python" in step.get("uses", "")
    }

    assert named == tested
