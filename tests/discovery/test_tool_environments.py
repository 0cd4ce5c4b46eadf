"""Environments of every tool: where each keeps them, beside what a registry names, and what can't be looked at."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tiny import Tiny

from conda_prune_plugin.core.model import RootState
from conda_prune_plugin.core.notices import MISSING
from conda_prune_plugin.discovery.clients.mamba_pixi import pixi_cache_roots
from conda_prune_plugin.discovery.clients.tool_environments import PROJECTS, TOOLS, tool_places
from conda_prune_plugin.discovery.roots.environments import Sources, known_prefixes, read_roots
from conda_prune_plugin.discovery.roots.envs_dirs import EnvsDir
from conda_prune_plugin.discovery.roots.watch import RootWatch

if TYPE_CHECKING:
    from machine import Answer, Machine

#: Each home of each tool with each pattern below it.
PLACES = [(home, pattern) for tool in TOOLS for home in tool.homes for pattern in tool.environments]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """A cache with two packages, and a home."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    tiny = Tiny(tmp_path / "it")
    tiny.add("used-1-0")
    tiny.add("unused-1-0")
    return tiny


def softly(tiny: Tiny, prefix: Path) -> Path:
    """Put a package into an environment as conda soft-links it."""
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "conda-meta" / "history").touch()
    (prefix / "lib").mkdir()
    (prefix / "lib" / "one").symlink_to(tiny.cache / "used-1-0" / "lib" / "one")
    tiny.record(prefix, "used-1-0")
    return prefix


def going(tiny: Tiny, sources: Sources) -> set[str]:
    """Return what a plan removes."""
    return {decision.entry.dist for decision in tiny.plan(RootWatch(sources, tiny.inventory().caches)).remove}


def places(environ: dict[str, str], **values: str) -> tuple[EnvsDir, ...]:
    return tuple(tool_places(environ, {name: (value,) for name, value in values.items()}))


@pytest.mark.parametrize(("home", "pattern"), PLACES)
def test_an_environment_at_each_place_of_each_tool_protects_what_it_soft_links(
    tiny: Tiny, tmp_path: Path, home: str, pattern: str
) -> None:
    name = (re.findall(r"[${](\w+)", home) or [""])[0]
    told = tmp_path / "told"
    environ = {name: str(told)} if home.startswith("$") else {}
    values = {name: str(told)} if home.startswith("{") else {}
    start = re.match(r"\$\w+|\{\w+\}|~", home)
    if start is None:
        assert EnvsDir(home, tuple(filter(None, pattern.split("/"))), mixed=home == "/opt") in places({})
        return
    top = told if home[0] in "${" else tmp_path / "home"
    prefix = softly(tiny, Path(f"{top}{home[start.end() :]}/{pattern.replace('*', 'any')}"))

    assert going(tiny, Sources(places=places(environ, **values))) == {"unused-1-0"}
    assert going(tiny, Sources(places=())) == {"used-1-0", "unused-1-0"}
    assert str(prefix).rstrip("/") in known_prefixes(Sources(places=places(environ, **values)))


@pytest.mark.parametrize("parts", PROJECTS)
@pytest.mark.parametrize("where", ["current", "below", "registered"])
def test_the_environments_of_a_project_are_found_from_inside_it_and_from_a_registered_one_in_it(
    tiny: Tiny, tmp_path: Path, parts: tuple[str, ...], where: str
) -> None:
    project = tmp_path / "project"
    softly(tiny, project.joinpath(*(part.replace("*", "any") for part in parts)))
    (project / "deep/down").mkdir(parents=True)
    registry = tmp_path / "environments.txt"
    registry.write_text(f"{project}/deep/down/registered\n")
    current = {"current": str(project), "below": str(project / "deep/down")}.get(where)
    registries = (str(registry),) if where == "registered" else ()

    found = going(tiny, Sources(registries=registries, current=current))

    assert found == {"unused-1-0"}


def test_variables_may_be_empty_relative_or_begin_at_home(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    without = set(places({}))

    assert set(places({"CONDA_EXEC_HOME": "", "CONDA_PROJECT_ENVS_PATH": "", "NXF_WORK": "\0"})) == without
    environ = {
        "CONDA_EXEC_HOME": "~/exec",
        "CONDA_GLOBAL_HOME": "here",
        "CONDA_PROJECT_ENVS_PATH": os.pathsep.join(["/a", "", "b"]),
    }
    assert set(places(environ)) - without == {
        EnvsDir(f"{tmp_path}/home/exec", ("envs", "*")),
        EnvsDir(f"{tmp_path}/here", ("envs", "*")),
        EnvsDir("/a"),
        EnvsDir(f"{tmp_path}/b"),
        EnvsDir(os.path.abspath(environ["CONDA_PROJECT_ENVS_PATH"])),
    }


def test_pixi_s_caches_beside_a_home_on_a_network_file_system_are_known_if_they_are_the_user_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    named = {name: str(tmp_path / name) for name in ("SLURM_TMPDIR", "PBS_JOBFS", "SCRATCH", "TMPDIR")}
    own = [tmp_path / name / "pixi-cache-me" for name in named]
    for path in own:
        path.mkdir(parents=True)

    assert set(map(str, own)) < set(pixi_cache_roots({**named, "USER": "me"}))
    assert not set(map(str, own)) & set(pixi_cache_roots({**named, "USER": "other"}))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert not set(map(str, own)) & set(pixi_cache_roots({**named, "USER": "me"}))


def test_a_place_behind_a_link_is_looked_at_and_one_that_leads_nowhere_may_hide_environments(
    tiny: Tiny, tmp_path: Path
) -> None:
    softly(tiny, tmp_path / "large disk/envs/tool--1")
    conda = tmp_path / "home/.conda"
    conda.mkdir()
    (conda / "exec").symlink_to(tmp_path / "large disk")
    sources = Sources(places=places({}))
    assert going(tiny, sources) == {"unused-1-0"}
    assert read_roots(sources)[1] == ()

    (tmp_path / "large disk").rename(tmp_path / "not mounted")

    _, notices = read_roots(sources)
    assert [(notice.path, notice.hides_roots) for notice in notices] == [(f"{conda}/exec/envs", True)]


def test_a_tool_s_place_that_cannot_be_listed_may_hide_environments_and_a_home_does_not(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    softly(tiny, tmp_path / "home/.conda/exec/envs/tool--1")
    real, closed = os.scandir, {f"{tmp_path}/home/.conda/exec/envs", f"{tmp_path}/home"}

    def scandir(path: object) -> object:
        if path in closed:
            raise PermissionError(13, "Permission denied", path)
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scandir)

    _, notices = read_roots(Sources(places=places({})))

    assert [(notice.kind, notice.path, notice.hides_roots) for notice in notices] == [
        ("unreadable-directory", f"{tmp_path}/home/.conda/exec/envs", True)
    ]


@pytest.mark.posix
def test_in_the_homes_of_others_the_same_places_are_looked_at_but_not_in_those_of_daemons(
    tiny: Tiny, tmp_path: Path
) -> None:
    other, daemon = tmp_path / "other", tmp_path / "daemon"
    softly(tiny, other / ".conda/exec/envs/tool--1")
    (daemon / "exec").mkdir(parents=True)

    found = tuple(tool_places({}, {}, (str(other), str(daemon), "/missing")))

    assert going(tiny, Sources(places=found)) == {"unused-1-0"}
    tops = {place.top for place in found}
    assert f"{other}/.conda/global" in tops
    if os.geteuid() == 0:
        assert not [top for top in tops if top.startswith((str(daemon), "/missing"))]


def test_an_environment_that_was_renamed_is_found_beside_where_it_was(tiny: Tiny, tmp_path: Path) -> None:
    prefix = softly(tiny, tmp_path / "work/old")
    registry = tmp_path / "environments.txt"
    registry.write_text(f"{prefix}\n{tmp_path}/work/other\n")
    prefix.rename(tmp_path / "work/new")

    sources = Sources(registries=(str(registry),))
    roots, notices = read_roots(sources)

    assert {root.path: root.state for root in roots} == {
        str(tmp_path / "work/new"): RootState.OK,
        str(prefix): RootState.MISSING,
        str(tmp_path / "work/other"): RootState.MISSING,
    }
    assert {notice.kind for notice in notices} == {MISSING}
    assert going(tiny, sources) == {"unused-1-0"}


@pytest.mark.parametrize("tail", ["env", ".conda/envs/default", ".snakemake/conda/0123_", "a/b/c/d"])
def test_an_environment_below_a_renamed_directory_is_found(tiny: Tiny, tmp_path: Path, tail: str) -> None:
    softly(tiny, tmp_path / "projects/old" / tail)
    registry = tmp_path / "environments.txt"
    registry.write_text(f"{tmp_path}/projects/old/{tail}\n")
    (tmp_path / "projects/old").rename(tmp_path / "projects/new")

    assert going(tiny, Sources(registries=(str(registry),))) == {"unused-1-0"}


def test_the_environments_of_a_registered_base_environment_are_found(tiny: Tiny, tmp_path: Path) -> None:
    base = tmp_path / "elsewhere/miniforge3"
    (base / "conda-meta").mkdir(parents=True)
    softly(tiny, base / "envs/named")
    registry = tmp_path / "environments.txt"
    registry.write_text(f"{base}\n")

    assert going(tiny, Sources(registries=(str(registry),))) == {"unused-1-0"}


def test_beside_an_environment_only_what_has_a_conda_meta_counts(tiny: Tiny, tmp_path: Path) -> None:
    prefix = softly(tiny, tmp_path / "work/env")
    (tmp_path / "work/directory").mkdir()
    (tmp_path / "work/file").touch()
    (tmp_path / "work/broken").symlink_to("/not/mounted")
    closed = tmp_path / "work/closed"
    closed.mkdir()
    closed.chmod(0)
    registry = tmp_path / "environments.txt"
    registry.write_text(f"{prefix}\n")

    roots, notices = read_roots(Sources(registries=(str(registry),)))

    assert ([root.path for root in roots], notices) == ([str(prefix)], ())


def test_a_place_with_too_many_directories_is_searched_in_part_and_says_so(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conda_prune_plugin.discovery.roots.envs_dirs._MOST", 3)
    prefix = softly(tiny, tmp_path / "work/env")
    for name in "abcd":
        (tmp_path / "work" / name).mkdir()
    registry = tmp_path / "environments.txt"
    registry.write_text(f"{prefix}\n")

    _, notices = read_roots(Sources(registries=(str(registry),)))

    assert [(notice.kind, notice.path) for notice in notices] == [("unsearched-directory", str(tmp_path / "work"))]


@pytest.mark.parametrize(
    "place", ["home/.conda/exec/envs/new", "work/new", "croot/recipe_1/_h_env", "project/.conda/envs/x"]
)
def test_an_environment_that_a_tool_makes_during_a_run_is_seen(tiny: Tiny, tmp_path: Path, place: str) -> None:
    registered = tmp_path / "work/env"
    (registered / "conda-meta").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    (tmp_path / "croot").mkdir()
    registry = tmp_path / "environments.txt"
    registry.write_text(f"{registered}\n")
    for path in (registry, registered / "conda-meta", tmp_path / "work", tmp_path / "croot", tmp_path / "home"):
        os.utime(path, (1e9, 1e9))
    sources = Sources(
        registries=(str(registry),), places=places({}, croot=str(tmp_path / "croot")), current=str(tmp_path / "project")
    )
    watch = RootWatch(sources, tiny.inventory().caches)
    assert "used-1-0" not in watch.references()

    prefix = softly(tiny, tmp_path / place)

    assert [root.path for root in watch.references()["used-1-0"]] == [str(prefix)]
    assert watch.soft_links().entries.keys() == {(str(tiny.cache), "used-1-0")}


def test_an_environment_that_comes_with_its_registration_is_watched_with_its_neighbours(
    tiny: Tiny, tmp_path: Path
) -> None:
    registry = tmp_path / "environments.txt"
    registry.write_text("")
    watch = RootWatch(Sources(registries=(str(registry),)), tiny.inventory().caches)
    (tmp_path / "work/env/conda-meta").mkdir(parents=True)
    registry.write_text(f"{tmp_path}/work/env\n")
    assert "used-1-0" not in watch.references()

    softly(tiny, tmp_path / "work/new")

    assert "used-1-0" in watch.references()


# Real conda from here on.


def environment(machine: Machine, prefix: Path, *specs: str) -> Path:
    machine.install("create", "-p", prefix, *specs, CONDA_ALWAYS_SOFTLINK="true")
    return prefix


def dangling(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_symlink() and not path.exists()]


@pytest.fixture
def channelled(empty: Machine, built: tuple[Machine, Path]) -> Machine:
    """A machine with the channel of all, and nothing in its cache."""
    (empty.directory / "channel").symlink_to(built[1] / "channel")
    return empty


def test_fix_registry_registers_what_only_a_stale_line_leads_to(channelled: Machine) -> None:
    machine = channelled
    prefix = environment(machine, machine.directory / "work/old", "libalpha=1.0")
    new = prefix.rename(prefix.with_name("new"))

    fixed = machine.run("prune", "envs", "--fix-registry", "--yes", "--json")

    assert fixed.code == 0, fixed.err
    assert [item["path"] for item in fixed.json["warnings"] if item["kind"] == "registered"] == [str(new)]
    assert machine.registry.read_text().split() == [str(new)]
    answer = machine.prune("--yes", "--json")
    assert answer.code == 0, answer.err
    assert [item["dist"] for item in answer.json["remove"]] == []
    assert not dangling(new)


def test_fix_registry_needs_not_register_what_a_tool_s_own_place_leads_to(channelled: Machine) -> None:
    machine = channelled
    prefix = environment(machine, machine.home / ".conda/exec/envs/.tmp-1", "libalpha=1.0")
    new = prefix.rename(prefix.with_name("tool--1"))

    fixed = machine.run("prune", "envs", "--fix-registry", "--yes", "--json")

    assert (fixed.code, machine.registry.read_text()) == (0, "")
    answer = machine.prune("--yes", "--json")
    assert (answer.code, answer.json["remove"]) == (0, [])
    assert not dangling(new)


def test_the_removal_of_an_environment_keeps_its_unregistered_neighbour_known(channelled: Machine) -> None:
    machine = channelled
    first = environment(machine, machine.directory / "work/first", "libalpha=1.0")
    second = environment(machine, machine.directory / "work/second", "allprefix=1.0", "symlinks=1.0")
    machine.registry.write_text(f"{first}\n")

    answer = machine.run("prune", "envs", first, "--remove", "--yes", "--json")

    assert answer.code == 0, answer.err
    assert machine.registry.read_text().split() == [str(second)]


@pytest.mark.parametrize("where", ["condarc", "home", "variable"])
def test_where_conda_registers_nothing_soft_links_stop_a_removal_and_hard_links_do_not(
    channelled: Machine, where: str
) -> None:
    machine = channelled
    machine.install("create", "-n", "gone", "allprefix=1.0")
    shutil.rmtree(machine.envs / "gone")
    machine.registry.write_text("")
    file = machine.home / ".condarc" if where == "home" else machine.directory / "condarc"
    variables = {"CONDA_REGISTER_ENVS": "false"} if where == "variable" else {}
    if not variables:
        file.write_text("register_envs: false\n")
    if where == "home":
        # Of another installation: this conda has its own configuration.
        (machine.directory / "condarc").write_text("register_envs: true\n")

    refused = machine.prune("--yes", "--json", CONDA_ALLOW_SOFTLINKS="true", **variables)

    assert refused.code != 0
    assert refused.json["exception_name"] == "UnreadableEnvironmentError"
    assert "register_envs" in refused.json["message"]
    dry = machine.prune("--dry-run", "--json", CONDA_ALLOW_SOFTLINKS="true", **variables)
    (warning,) = (item for item in dry.json["warnings"] if item["kind"] == "unregistered-environments")
    assert warning["path"] == (None if variables else str(file))
    ignored = machine.prune("--yes", "--json", "--ignore-unreadable", CONDA_ALLOW_SOFTLINKS="true", **variables)
    assert [item["dist"] for item in ignored.json["remove"]] == ["allprefix-1.0-0"]


def test_without_soft_links_register_envs_stops_nothing(channelled: Machine) -> None:
    machine = channelled
    machine.install("create", "-n", "gone", "allprefix=1.0")
    shutil.rmtree(machine.envs / "gone")
    machine.registry.write_text("")

    answer = machine.prune("--yes", "--json", CONDA_REGISTER_ENVS="false")

    assert answer.code == 0, answer.out
    assert [item["dist"] for item in answer.json["remove"]] == ["allprefix-1.0-0"]


def test_hundreds_of_stale_lines_are_one_warning_with_a_command_and_json_has_each(channelled: Machine) -> None:
    machine = channelled
    machine.install("create", "-n", "one", "allprefix=1.0")
    machine.install("create", "-n", "gone", "symlinks=1.0")
    machine.run("remove", "-n", "gone", "--all", "--yes")
    with machine.registry.open("a") as lines:
        lines.writelines(f"{machine.directory}/bld/pkg_{number}/_test_env\n" for number in range(600))

    for command in (["prune", "--dry-run"], ["prune", "usage"], ["prune", "why", "allprefix"], ["prune", "--verify"]):
        if (answer := machine.run(*command)).code == 2:
            continue
        told = answer.err.splitlines()
        assert [line for line in told if "600" in line], command
        assert "    conda prune envs --fix-registry --force" in told
        assert len(told) < 8
    listed = machine.run("prune", "envs")
    assert len(listed.out.splitlines()) < 20
    assert len(machine.run("prune", "envs", "-v").out.splitlines()) > 600
    warnings = machine.prune("--dry-run", "--json").json["warnings"]
    assert len([item for item in warnings if item["kind"] == MISSING]) == 600
    refused = machine.prune("--yes", "--json", CONDA_ALWAYS_SOFTLINK="true")
    assert refused.json["path"] == f"{machine.directory}/bld/pkg_0/_test_env"
    assert "600" in refused.json["message"]


# Tools that can be installed, on a conda that they support.


def tool(machine: Machine, *arguments: str, cwd: Path | None = None) -> None:
    """Run a conda command of another plugin in a process of its own."""
    script = "import sys; from conda.cli.main import main; sys.exit(main())"
    environ = machine.environ(CONDA_ALWAYS_SOFTLINK="true", CONDA_CHANNELS=machine.channel, CONDA_ALWAYS_YES="true")
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environ,
        cwd=cwd or machine.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    if not [path for path in machine.directory.rglob("conda-meta") if path.is_dir()]:
        pytest.skip(f"it does not run here: {done.stderr[-300:]}")


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")


def check_safe(machine: Machine) -> Answer:
    """Forget the registry, prune, and look for links to nowhere."""
    machine.registry.write_text("")
    answer = machine.prune("--yes", "--json")
    assert answer.code == 0, answer.out
    assert answer.json["remove"] == []
    assert not dangling(machine.directory)
    return answer


@needs("conda_exec")
def test_what_conda_exec_has_made_stays_whole(channelled: Machine) -> None:
    machine = channelled
    tool(machine, "exec", "-c", machine.channel, "--with", "symlinks=1.0", "allprefix=1.0")

    (root,) = check_safe(machine).json["roots"]
    assert root["path"].startswith(f"{machine.home}/.conda/exec/envs/")


@needs("conda_global")
def test_what_conda_global_has_made_stays_whole(channelled: Machine) -> None:
    machine = channelled
    tool(machine, "global", "install", "-c", machine.channel, "innerlinks")

    (root,) = check_safe(machine).json["roots"]
    assert root["path"].startswith(f"{machine.home}/.conda/global/envs/")


@needs("conda_workspaces")
def test_what_conda_workspaces_has_made_stays_whole(channelled: Machine) -> None:
    machine = channelled
    manifest = {"workspace": {"name": "it", "channels": [machine.channel], "platforms": ["linux-64"]}}
    lines = [f"{key} = {json.dumps(value)}" for key, value in manifest["workspace"].items()]
    (machine.directory / "conda.toml").write_text(
        "\n".join(["[workspace]", *lines, "[dependencies]", 'symlinks = "1.0.*"', ""])
    )
    tool(machine, "workspace", "install")

    (root,) = check_safe(machine).json["roots"]
    assert root["path"].startswith(f"{machine.directory}/.conda/envs/")
