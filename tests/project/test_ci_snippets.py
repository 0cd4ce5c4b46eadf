"""The action and the snippets of docs/how-to/ci.md for CI: parsed, and their shell lines run for real."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML
from tiny import tiny_on

if TYPE_CHECKING:
    from machine import Machine

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs" / "how-to" / "ci.md").read_text()

#: What can't be done here: conda-prune is not installed but imported, and there is no pytest in the environment.
SHIM = f"""\
#!/bin/sh
echo "$@" >> ../calls
case "$1" in install|run) exit 0;; esac
exec "{sys.executable}" -m conda_prune_plugin.embedded "$@"
"""


def _snippet(name: str) -> str:
    found = re.search(rf"<!-- snippet: {name} -->\n```\w+\n(.*?)\n```", PAGE, re.DOTALL)
    assert found
    return found[1]


def _yaml(text: str) -> Any:
    return YAML(typ="safe").load(text)


def _run(machine: Machine, script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a script as the runners do, in a directory of its own, with a conda on the path."""
    programs = machine.directory / "bin"
    programs.mkdir(exist_ok=True)
    shim = programs / "conda"
    shim.write_text(SHIM)
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    work = machine.directory / "work"
    work.mkdir(exist_ok=True)
    variables = machine.environ(**environ)
    variables["PATH"] = f"{programs}{os.pathsep}{variables['PATH']}"
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, env=variables, cwd=work, capture_output=True, text=True, check=False)


def _write_environment(machine: Machine) -> None:
    (machine.directory / "work").mkdir()
    text = f"channels: ['{machine.channel}', nodefaults]\ndependencies: [pynoarch=1.0, innerlinks=1.0]\n"
    (machine.directory / "work" / "environment.yml").write_text(text)
    registry = machine.registry.read_text().splitlines()
    # In an image nothing is registered that is not there.
    machine.registry.write_text("".join(f"{line}\n" for line in registry if not line.endswith("/deleted")))


def _in_cache(machine: Machine) -> set[str]:
    return {path.name for path in machine.cache.iterdir()}


@pytest.mark.slow
def test_the_dockerfile_makes_a_small_layer(machine: Machine) -> None:
    _write_environment(machine)
    lines = _snippet("docker").replace("\\\n", " ").splitlines()
    (script,) = (line.removeprefix("RUN ") for line in lines if line.startswith("RUN "))

    done = _run(machine, script)

    assert done.returncode == 0, done.stdout + done.stderr
    assert (machine.envs / "app" / "conda-meta" / "pynoarch-1.0-0.json").exists()
    assert "--ci image:" in done.stdout
    assert not {"pynoarch-1.0-0", "innerlinks-1.0-0", "pynoarch-1.0-0.conda"} & _in_cache(machine)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gitlab", "azure"])
def test_the_pipelines_leave_a_cache_worth_saving(machine: Machine, name: str) -> None:
    _write_environment(machine)
    snippet = _yaml(_snippet(name))
    script = "\n".join(snippet["test"]["script"]) if name == "gitlab" else snippet["steps"][-1]["script"]

    done = _run(machine, script)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "--ci cache:" in done.stdout
    assert {"pynoarch-1.0-0.conda", "innerlinks-1.0-0.conda", "urls.txt"} <= _in_cache(machine)
    # Nothing of the directory, or conda's record alone.
    left = [path for path in (machine.cache / "pynoarch-1.0-0").rglob("*") if path.is_file()]
    assert [path.name for path in left] in ([], ["repodata_record.json"])


def test_the_workflow_uses_the_action_with_inputs_that_it_has() -> None:
    action = _yaml((TOP / "action.yml").read_text())
    steps = _yaml(_snippet("github"))["jobs"]["test"]["steps"]
    (step,) = (step for step in steps if "conda-prune@" in step.get("uses", ""))

    assert set(step["with"]) <= set(action["inputs"])
    assert steps[-1] is step


def test_the_action_hands_inputs_over_as_variables_only() -> None:
    action = _yaml((TOP / "action.yml").read_text())

    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
    used = re.findall(r"\$\{\{ inputs\.(\w+) \}\}", str(action["runs"]["steps"][-1]["env"]))
    assert sorted(used) == sorted(action["inputs"])
    assert all(item["description"] for item in action["inputs"].values())


def _prune_step(machine: Machine, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the action's last step as the runner does."""
    action = _yaml((TOP / "action.yml").read_text())
    step = action["runs"]["steps"][-1]
    values = {name: inputs.get(name, item["default"]) for name, item in action["inputs"].items()}
    environ = {
        name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: values[found[1]], value)
        for name, value in step["env"].items()
    }
    return _run(machine, step["run"], **environ)


def test_the_action_prunes_by_its_inputs(empty: Machine) -> None:
    tiny = tiny_on(empty)
    tiny.add("unused-1-0")
    tiny.add("used-1-0")
    tiny.use("e", "used-1-0")

    check = _prune_step(empty, check="0", arguments="--quiet")
    small = _prune_step(empty, check="1GB")
    kept = _prune_step(empty, arguments="--keep\nunused >=1\n\n--quiet")
    assert (check.returncode, small.returncode, kept.returncode) == (3, 0, 0), kept.stderr
    assert empty.entry("unused-1-0").exists()

    assert _prune_step(empty).returncode == 0
    assert not empty.entry("unused-1-0").exists()
    assert empty.entry("used-1-0").exists()
    assert _prune_step(empty, preset="image").returncode == 0
    assert not empty.entry("used-1-0").exists()


@pytest.mark.parametrize("name", ["preset", "check", "arguments"])
def test_what_is_in_an_input_is_never_run(empty: Machine, name: str) -> None:
    done = _prune_step(empty, **{name: '"; touch harm; $(touch harm) `touch harm`'})

    assert done.returncode == 2, done.stdout + done.stderr
    assert list((empty.directory / "work").iterdir()) == []


@pytest.mark.parametrize("there", [True, False])
def test_the_action_installs_itself_where_it_is_not_there(empty: Machine, *, there: bool) -> None:
    install = _yaml((TOP / "action.yml").read_text())["runs"]["steps"][0]["run"]
    environ = {"GITHUB_ACTION_PATH": "/the/action", "CONDA_NO_PLUGINS": "false" if there else "true"}

    done = _run(empty, install, **environ)

    assert done.returncode == 0, done.stderr
    calls = (empty.directory / "calls").read_text().splitlines()
    wanted = [] if there else ["run --name base python -m pip install --quiet /the/action"]
    assert calls[1:] == wanted
