"""The files around the package agree with each other, and name only what there is."""

from __future__ import annotations

import re
import runpy
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
    named = {step["with"]["environments"] for step in steps if "setup-pixi" in step.get("uses", "")}

    assert {*jobs["conda"]["strategy"]["matrix"]["environment"], *named} == {
        *pixi["environments"],
        "${{ matrix.environment }}",
    }
    assert tasks
    assert tasks <= set(pixi["tasks"])
    assert any(step.get("run") == ".ci/run" for step in steps)


#: The only jobs that may do more than read the sources.
RIGHTS = {"publish": {"id-token": "write"}, "announce": {"contents": "write"}}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_may_do_nothing_but_what_it_says(path: Path) -> None:
    workflow = _yaml(path)

    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"] in (RIGHTS.get(name, {"contents": "read"}), {}), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_version_beside_it(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(?: # (\S+))?$", path.read_text(), re.MULTILINE)

    assert used
    for action, version in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r"v\d+\.\d+\.\d+", version), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_checkout_leaves_no_credentials(path: Path) -> None:
    steps = [step for job in _yaml(path)["jobs"].values() for step in job["steps"]]

    assert all(
        step["with"]["persist-credentials"] is False for step in steps if "actions/checkout@" in step.get("uses", "")
    )


def test_a_job_uses_the_action_of_this_checkout_with_inputs_that_it_has() -> None:
    jobs = _yaml(TOP / ".github" / "workflows" / "tests.yml")["jobs"]
    (step,) = (step for step in jobs["action"]["steps"] if step.get("uses") == "./")

    assert set(step["with"]) <= set(_yaml(TOP / "action.yml")["inputs"])


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    module = runpy.run_path(str(TOP / ".ci" / "release_notes.py"))
    changelog = "# Changes\n\n## Unreleased\n\n- new\n\n## [0.2.0] - 2027-01-01\n\n- second\n\n## 0.1.0\n\n- first\n"

    assert module["notes"](changelog, "0.2.0") == "- second"
    assert module["notes"](changelog, "0.1.0") == "- first"
    with pytest.raises(ValueError, match=r"0\.3\.0"):
        module["notes"](changelog, "0.3.0")


GATE = (TOP / ".ci" / "run").read_text()
README = (TOP / "README.md").read_text()


def _command(name: str) -> list[str]:
    """Return the steps of a command of the README."""
    found = re.search(rf"<!-- command: {name} -->\n```sh\n(.*?)\n```", README, re.DOTALL)
    assert found
    return found[1].split(" && ")


def _task(name: str) -> list[str]:
    """Return the lines of a task of the gate."""
    found = re.search(rf"^{name}\(\) [({{]\n(.*?)^[)}}]", GATE, re.DOTALL | re.MULTILINE)
    assert found, name
    return [line.strip() for line in found[1].splitlines()]


def test_the_gate_runs_the_command_of_the_readme() -> None:
    *install, test = _command("test")

    assert f"\n{' && '.join(install)}\n" in GATE
    # The gate runs those tests too that need more than Python.
    program, selection = test.split(" -m '")
    assert selection == "not debian'"
    assert f"\n{program} --cov --cov-report=term\n" in GATE


def test_the_demo_of_the_readme_is_what_the_project_installs(project: dict[str, Any]) -> None:
    venv, install, demo = _command("demo")

    assert venv == _command("test")[0]
    (extra,) = re.findall(r"pip install --quiet '\.\[(\w+)\]'$", install)
    # So the tests of the demo run with no less.
    assert any(extra in re.split(r"[\[\],]", line) for line in project["project"]["optional-dependencies"]["test"])
    program, command = demo.removeprefix(".venv/bin/").split()
    assert program in project["project"]["scripts"]
    assert command == "demo"


def test_contributors_run_the_tasks_of_the_gate() -> None:
    texts = [TOP / "CONTRIBUTING.md", TOP / "pyproject.toml", TOP / ".github" / "PULL_REQUEST_TEMPLATE.md", *WORKFLOWS]
    named = {name for text in texts for name in re.findall(r"(?:`|run: )\.ci/run ([a-z]+)", text.read_text())}

    assert {"lint", "quick", "docs"} <= named
    for name in named:
        assert _task(name)
        assert re.search(rf"^  .*\b{name}\b.*\)$", GATE, re.MULTILINE)


def test_pixi_and_the_gate_check_the_sources_with_the_same_commands(project: dict[str, Any]) -> None:
    _, *commands = _task("lint")

    assert project["tool"]["pixi"]["tasks"]["lint"].split(" && ") == commands


def test_a_commit_is_checked_with_the_commands_and_versions_of_the_gate(project: dict[str, Any]) -> None:
    (repository,) = _yaml(TOP / ".pre-commit-config.yaml")["repos"]
    needed = project["project"]["optional-dependencies"]["lint"]
    programs = {command.split()[0] for command in _task("lint")[1:]} - {"mypy"}

    assert {hook["entry"].split()[0] for hook in repository["hooks"]} == programs
    assert all(set(hook["additional_dependencies"]) <= set(needed) for hook in repository["hooks"])


@pytest.mark.parametrize(
    "path", sorted((TOP / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda path: path.name
)
def test_an_issue_form_has_fields_with_names_of_their_own(path: Path) -> None:
    form = _yaml(path)
    fields = [part["id"] for part in form["body"] if part["type"] != "markdown"]

    assert form["name"]
    assert form["description"]
    assert len(set(fields)) == len(fields)


def test_a_report_of_a_bug_asks_for_what_is_needed_to_find_it() -> None:
    form = (TOP / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text()

    assert all(word in form for word in ("`conda info`", "`conda prune --dry-run --json`", "File system"))


def test_pixi_installs_what_the_project_file_asks_for(project: dict[str, Any]) -> None:
    installed = project["tool"]["pixi"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    asked = [*project["project"]["dependencies"], *extras["test"], *extras["lint"]]
    floors = dict(re.findall(r"^([\w.-]+)(?:\[\w+\])? ?(>=.*)$", "\n".join(asked), re.MULTILINE))

    assert floors.items() <= installed.items()


def test_every_python_of_the_classifiers_is_tested(project: dict[str, Any]) -> None:
    named = {line.split()[-1] for line in project["project"]["classifiers"] if re.search(r"Python :: 3\.", line)}
    jobs = _yaml(TOP / ".github" / "workflows" / "tests.yml")["jobs"]
    tested = set(jobs["python"]["strategy"]["matrix"]["python-version"])
    tested |= {
        step["with"]["python-version"] for step in jobs["gate"]["steps"] if "setup-python" in step.get("uses", "")
    }

    assert named == tested


def test_the_changelog_has_the_groups_of_keep_a_changelog() -> None:
    text = (TOP / "CHANGELOG.md").read_text()
    groups = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}

    for section in re.split(r"^## .*\n", text, flags=re.MULTILINE)[1:]:
        before, *parts = re.split(r"^### ", section, flags=re.MULTILINE)
        assert not before.strip()
        assert {part.split("\n", 1)[0] for part in parts} <= groups
