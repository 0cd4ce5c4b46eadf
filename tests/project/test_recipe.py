"""The recipe builds, passes its own tests, and what it gives makes `prune` a subcommand of an installed conda."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import Machine, listing
from rattler_build import Stage0Recipe, ToolConfiguration
from ruamel.yaml import YAML
from standins import PYTHON, build_stand_ins

from conda_prune_plugin.embedded import is_embedded

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).parents[2]
RECIPE = TOP / "recipe" / "recipe.yaml"
PROJECT = (TOP / "pyproject.toml").read_text()


@dataclass(frozen=True, slots=True)
class Built:
    """The package, its channels, and what the build printed."""

    version: str
    channels: tuple[str, str]
    log: str


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """Build the recipe out of the source archive, which knows nothing of git, with this interpreter for its lowest."""
    if is_embedded() and sys.version_info >= (3, 13):
        pytest.skip("conda 24.7 runs on Python up to 3.12, unless it is embedded")
    directory = tmp_path_factory.mktemp("recipe")
    recipe = _unpacked_archive(directory) / "recipe" / "recipe.yaml"
    recipe.write_text(re.sub(r'python_min: ".*"', f'python_min: "{PYTHON}"', recipe.read_text()))
    names = [*_names("host"), *_names("run")]
    stand_ins = build_stand_ins(directory / "channel", [name for name in names if name not in {"python", "conda"}])
    (variant,) = Stage0Recipe.from_file(recipe).render()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(directory))
        patch.setenv("RATTLER_CACHE_DIR", str(directory / "cache"))
        output = directory / "output"
        tools = ToolConfiguration(test_strategy="native")
        result = variant.run_build(tool_config=tools, output_dir=output, channels=[stand_ins])
    yield Built(result.version, (output.as_uri(), stand_ins), "\n".join(result.log))
    shutil.rmtree(directory)


def _unpacked_archive(directory: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(directory)]
    subprocess.run(command, cwd=TOP, check=True, capture_output=True)
    (archive,) = directory.glob("*.tar.gz")
    shutil.unpack_archive(archive, directory / "source", filter="data")
    (source,) = (directory / "source").iterdir()
    return source


def _recipe() -> dict[str, Any]:
    read: dict[str, Any] = YAML(typ="safe", pure=True).load(RECIPE)
    return read


def _names(section: str) -> list[str]:
    return [line.split()[0] for line in _recipe()["requirements"][section]]


@pytest.mark.slow
def test_the_recipe_builds_and_passes_its_own_tests(artifact: Built) -> None:
    assert "all tests passed" in artifact.log
    assert artifact.version == _recipe()["context"]["version"]


@pytest.mark.slow
def test_what_is_built_makes_prune_a_subcommand_of_the_conda_it_is_installed_beside(
    artifact: Built, machine: Machine, tmp_path: Path
) -> None:
    base = tmp_path / "installation"
    channels = [word for channel in artifact.channels for word in ("-c", channel)]
    answer = machine.run("create", "-p", base, "conda-prune", "--yes", "--override-channels", *channels)
    assert answer.code == 0, answer.err
    before = listing(machine.cache)

    done = subprocess.run(
        [base / "bin" / "python", "-m", "conda", "prune", "--dry-run", "--json", "--min-age", "0"],
        env=machine.environ(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    alone = subprocess.run(
        [base / "bin" / "conda-prune", "--dry-run", "--json", "--min-age", "0"],
        env=machine.environ(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    document = json.loads(done.stdout)
    assert {found["dist"] for found in document["remove"]} >= {"libalpha-1.0-0", "innerlinks-2.0-0"}
    assert str(base) in {root["path"] for root in document["roots"]}
    assert json.loads(alone.stdout) == document
    assert listing(machine.cache) == before


def test_the_recipe_asks_for_what_the_project_file_asks_for() -> None:
    needed = re.search(r"\ndependencies = \[(.*?)\n\]", PROJECT, re.DOTALL)
    build = re.search(r"\nrequires = \[(.*?)\]", PROJECT)
    assert needed
    assert build
    asked = _recipe()["requirements"]

    for section, text in (("run", needed[1]), ("host", build[1])):
        for requirement in re.findall(r'"([\w.-]+ ?>=[\d.]+)"', text):
            assert re.sub(r" ?>=", " >=", requirement) in asked[section]
    assert len(asked["run"]) == len(re.findall(r'"[\w.-]+ >=', needed[1])) + len(["python", "conda"])


def test_the_recipe_constrains_what_the_extras_for_users_bring() -> None:
    extras = re.findall(r"\n(?:completion|tui) = \[(.*?)\]", PROJECT)
    assert len(extras) == 2

    assert _recipe()["requirements"]["run_constraints"] == re.findall(r'"(.*?)"', "".join(extras))


def test_all_files_name_the_same_floors_of_python_and_conda() -> None:
    readme = (TOP / "README.md").read_text()
    python = _recipe()["context"]["python_min"]
    (conda,) = (line.split(">=")[1] for line in _recipe()["requirements"]["run"] if line.startswith("conda "))

    assert f'requires-python = ">={python}"' in PROJECT
    assert f'python_version = "{python}"' in PROJECT
    assert f"conda {conda} and later" in readme
    assert f"Python {python} and later" in readme


def test_a_build_without_git_has_the_version_of_the_recipe() -> None:
    assert f'fallback-version = "{_recipe()["context"]["version"]}"' in PROJECT
