"""Environments in odd places and states: nothing is lost with them, and one of them stops nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import Answer, Machine
from paused import paused
from schema import check
from tiny import tiny_on

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def small(empty: Machine) -> Machine:
    """A machine with the environments ``e`` and ``f`` of the same package, both registered."""
    tiny = tiny_on(empty)
    tiny.add("a-1-0")
    prefixes = [tiny.use(name, "a-1-0") for name in "ef"]
    empty.registry.parent.mkdir()
    empty.registry.write_text("".join(f"{prefix}\n" for prefix in prefixes))
    return empty


def _envs(machine: Machine, *arguments: str | os.PathLike[str], **environ: str) -> Answer:
    return machine.run("prune", "envs", *arguments, **environ)


def _listed(machine: Machine, **environ: str) -> dict[str, Any]:
    answer = _envs(machine, "--json", **environ)
    assert answer.code == 0, answer.out + answer.err
    return {item["path"]: item for item in answer.json["environments"]}


def _register(machine: Machine, *prefixes: Path) -> None:
    with machine.registry.open("a") as stream:
        stream.write("".join(f"{prefix}\n" for prefix in prefixes))


@pytest.mark.parametrize("place", ["home", "below", "above"])
def test_the_home_directory_is_not_taken_along(small: Machine, place: str) -> None:
    # Somebody has once called `conda create --prefix .` there.
    prefix = {"home": small.home, "below": small.home / ".conda", "above": small.directory}[place]
    shutil.copytree(small.envs / "e" / "conda-meta", prefix / "conda-meta")
    _register(small, prefix)

    answer = _envs(small, prefix, "--remove", "--force", "--yes", "--json")

    assert answer.code == 1
    assert "it contains" in answer.json["message"]
    assert small.registry.is_file()
    assert (prefix / "conda-meta").is_dir()


def test_a_base_is_known_without_a_cache_of_its_own(small: Machine) -> None:
    prefix = small.envs / "e"
    (prefix / "condabin").mkdir()
    assert not _listed(small)[str(prefix)]["protected"]

    assert _kinds(small, prefix, CONDA_EXE=str(prefix / "bin" / "conda")) == {"base"}
    (prefix / "envs").mkdir()
    assert _kinds(small, prefix) == {"base"}


def _kinds(machine: Machine, prefix: Path, **environ: str) -> set[str]:
    return {item["kind"] for item in _listed(machine, **environ)[str(prefix)]["protected"]}


@pytest.mark.parametrize("folder", ['{"folder": "file:///a%00b"}', '{"folder": "/\\ud800"}', "[" * 200_000])
def test_what_an_editor_or_a_shell_remembers_may_be_anything(small: Machine, folder: str) -> None:
    project = small.directory / "project"
    remembered = {
        small.home / ".config/Code/User/workspaceStorage/1/workspace.json": folder,
        small.home / ".config/Code/User/workspaceStorage/2/workspace.json": json.dumps({"folder": project.as_uri()}),
        small.home / ".local/share/direnv/allow/0a": "/a\0b/.envrc",
        project / ".envrc": f"source {small.envs / 'e'}/bin/activate\n",
    }
    for path, text in remembered.items():
        path.parent.mkdir(parents=True)
        path.write_text(text)

    assert [item["path"] for item in _listed(small)[str(small.envs / "e")]["pointers"]] == [str(project / ".envrc")]


@pytest.mark.parametrize("created", ["inf", "nan", "-1e300", "9" * 99])
def test_what_is_no_time_is_not_when_an_environment_was_created(small: Machine, created: str) -> None:
    meta = small.envs / "e" / "conda-meta"
    (meta / "created_at").write_text(created)
    (meta / "history").write_text("==> 2020-02-02 12:00:00 <==\n")

    assert _listed(small)[str(small.envs / "e")]["created"].startswith("2020-02-0")
    assert _envs(small).code == 0


def test_what_was_removed_is_told_though_the_caches_can_not_be_pruned(small: Machine) -> None:
    tiny_on(small).add("unreferenced-1-0")
    # A soft link, and an environment that is not there: what it soft-links can't be known.
    (small.envs / "f" / "soft").symlink_to(small.entry("a-1-0") / "lib" / "one")
    _register(small, small.directory / "unmounted" / "env")

    answer = _envs(small, "e", "--remove", "--prune", "--min-age", "0", "--yes", "--json")

    assert answer.code == 1
    assert not answer.json["success"]
    assert [outcome["result"] for outcome in answer.json["outcomes"]] == ["removed"]
    assert answer.json["prune"]["exception_name"] == "UnreadableEnvironmentError"


def test_a_link_to_an_environment_does_not_hide_it(small: Machine) -> None:
    # Before the other one in the alphabet.
    (small.envs / "a-link").symlink_to("e")

    assert set(_listed(small)) == {str(small.envs / name) for name in "ef"}
    assert _envs(small, small.envs / "a-link", "--remove", "--yes").code == 1
    assert _envs(small, "e", "--remove", "--yes").code == 0
    assert not (small.envs / "e").exists()


def test_a_line_of_the_registry_goes_however_it_spells_the_path(small: Machine) -> None:
    (small.directory / "by-link").symlink_to("envs")
    other = small.envs / "f"
    small.registry.write_text(f"{small.directory}/by-link/e\n/mnt/away/e\n{other}\n")

    assert _envs(small, "e", "--remove", "--backup", "--yes").code == 0
    assert small.registry.read_text() == f"/mnt/away/e\n{other}\n"

    assert small.run("prune", "restore", "last").code == 0
    assert small.registry.read_text() == f"/mnt/away/e\n{other}\n{small.envs / 'e'}\n"


def test_environments_that_differ_in_a_blank_at_the_end_leave_the_registry_each_for_itself(small: Machine) -> None:
    blank = small.envs / "e "
    os.rename(small.envs / "f", blank)
    small.registry.write_text(f"{small.envs / 'e'}\n{blank}\n")

    assert _envs(small, "e", "--remove", "--yes").code == 0
    assert small.registry.read_text() == f"{blank}\n"

    assert _envs(small, blank, "--remove", "--yes").code == 0
    assert small.registry.read_text() == ""


def test_the_next_removal_takes_out_the_line_that_a_killed_one_has_left(small: Machine) -> None:
    assert _envs(small, "e", "--remove", "--yes").code == 0
    _register(small, small.envs / "e", small.envs / "by-hand")

    assert _envs(small, "f", "--remove", "--dry-run").code == 0
    assert str(small.envs / "e") in small.registry.read_text()
    assert _envs(small, "f", "--remove", "--yes").code == 0

    assert small.registry.read_text().splitlines() == [str(small.envs / "by-hand")]


@pytest.mark.posix
def test_another_program_that_installs_is_waited_for_unless_it_is_ignored(small: Machine) -> None:
    with _creating(small):
        refused = _envs(small, "e", "--remove", "--yes", "--json")
        ignored = _envs(small, "e", "--remove", "--backup", "--yes", "--ignore-running")

    assert (refused.code, refused.json["exception_name"]) == (1, "RunningError")
    assert ignored.code == 0
    assert not (small.envs / "e").exists()


@pytest.mark.posix
def test_what_another_program_is_creating_is_not_moved_aside_as_broken(small: Machine) -> None:
    # So far it has files and no record.
    new = small.envs / "new"
    (new / "lib").mkdir(parents=True)
    (new / "conda-meta").mkdir()
    _register(small, small.envs / "gone")
    registered = small.registry.read_text()

    with _creating(small):
        refused = _envs(small, "--fix-registry", "--yes", "--json")

    assert (refused.code, refused.json["exception_name"]) == (1, "RunningError")
    assert (new / "lib").is_dir()
    assert small.registry.read_text() == registered
    assert _envs(small, "--fix-registry", "--yes").code == 0
    assert not new.exists()


def test_what_was_removed_is_told_though_the_prune_of_the_caches_is_interrupted(small: Machine) -> None:
    arguments = ("prune", "envs", "e", "--remove", "--prune", "--yes", "--json")
    with paused(small, "conda_prune_plugin.operations.prune.prepare_prune:prepare", *arguments) as removal:
        assert removal.interrupt() == 130

    document = json.loads(removal.output)
    check(document)
    assert not document["success"]
    assert [outcome["result"] for outcome in document["outcomes"]] == ["removed"]
    assert document["prune"] is None
    assert "interrupted" in {warning["kind"] for warning in document["warnings"]}


def test_where_the_registry_is_kept_is_told_though_no_broken_environment_can_be_moved_aside(small: Machine) -> None:
    half = small.envs / "half"
    (half / "lib").mkdir(parents=True)
    (half / "conda-meta").mkdir()
    (small.envs / ".conda-prune").write_text("in the way")
    registered = small.registry.read_text()
    _register(small, small.envs / "gone")
    text = small.registry.read_text()

    answer = _envs(small, "--fix-registry", "--yes", "--json")

    assert answer.code == 1
    assert not answer.json["success"]
    assert [warning["kind"] for warning in answer.json["warnings"]] == ["removal"]
    assert half.is_dir()
    assert small.registry.read_text() == registered
    assert [Path(copy).read_text() for copy in answer.json["copies"]] == [text]
    # And with nothing changed it is an error like any other.
    assert _envs(small, "--fix-registry", "--yes", "--json").json["exception_name"] == "StateError"


@contextmanager
def _creating(machine: Machine) -> Iterator[None]:
    """Let another program look like one that creates an environment."""
    program = machine.directory / "conda"
    program.write_text("#!/bin/sh\nsleep 600\n")
    program.chmod(0o755)
    with subprocess.Popen([program, "create", "-n", "new"], start_new_session=True, env=machine.environ()) as process:
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_line_on_what_is_away_is_no_warning_that_nothing_is_removed(small: Machine) -> None:
    (small.envs / "f" / "soft").symlink_to(small.entry("a-1-0") / "lib" / "one")
    _register(small, small.directory / "unmounted" / "env")

    answer = _envs(small, "--json")

    assert answer.json["warnings"] == []
    assert len(answer.json["registries"][0]["stale"]) == 1


@pytest.fixture
def written(empty: Machine) -> Machine:
    """A machine with the environment ``work`` and a line for one whose directory is missing too."""
    tiny = tiny_on(empty)
    tiny.add("tool-1-0")
    tiny.use("work", "tool-1-0")
    empty.registry.parent.mkdir(exist_ok=True)
    empty.registry.write_text("/does/not/exist/env\n")
    return empty


def test_a_line_whose_disk_may_not_be_mounted_comes_with_the_command_that_removes_it(written: Machine) -> None:
    listed = _envs(written).out.splitlines()
    command = listed[-1].split()
    kept, dry = _envs(written, "--fix-registry", "--yes"), _envs(written, *command[3:], "--dry-run")

    assert (kept.code, kept.out.splitlines()[-1].split()) == (0, command)
    assert "Would remove 1 line " in dry.out
    assert written.registry.read_text() == "/does/not/exist/env\n"
    assert _envs(written, *command[3:], "--yes").code == 0
    assert written.registry.read_text().strip() == ""


def test_the_registry_is_no_subject_of_one_environment(written: Machine) -> None:
    assert "/does/not/exist" in _envs(written, "-v").out
    assert "/does/not/exist" not in _envs(written, "-v", "work").out


def test_files_that_no_rebuild_brings_back_are_named_right_above_the_question(written: Machine) -> None:
    (written.envs / "work" / "notes.txt").write_text("mine")

    lines = _envs(written, "work", "--remove", "--dry-run").out.splitlines()

    assert "notes.txt" in lines[-1]
