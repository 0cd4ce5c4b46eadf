"""Environments set aside are found again, restored, purged and protected, wherever they lie."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from machine import PACKAGES, Machine

from conda_prune_plugin.core.notices import Notice
from conda_prune_plugin.demo.demo_packages import build_channel
from conda_prune_plugin.discovery.roots.environments_txt import environment_backups, with_noted_places
from conda_prune_plugin.execution.state.notes import forget, remember

if TYPE_CHECKING:
    from pathlib import Path

SOFT = {"CONDA_ALWAYS_SOFTLINK": "true"}
RUN = "20260101T000000Z-12345678"


@pytest.fixture
def bare(empty: Machine) -> Machine:
    """A machine of one who uses environments by prefix only: none of the directories of environments exists."""
    build_channel(empty.directory / "channel", PACKAGES)
    empty.install("create", "-p", _project(empty), "libalpha=1.0", **SOFT)
    shutil.rmtree(empty.envs)
    shutil.rmtree(empty.home / ".conda" / "envs", ignore_errors=True)
    return empty


def _project(machine: Machine) -> Path:
    return machine.directory / "project" / "deep" / "env"


def _aside(machine: Machine, *options: str) -> str:
    answer = machine.run("prune", "envs", _project(machine), "--remove", "--yes", "--json", *options)
    assert answer.code == 0, answer.out + answer.err
    return str(answer.json["run"])


def _notes(machine: Machine) -> list[Path]:
    return [path for path in machine.directory.rglob("place-*") if path.parent.name == ".conda-prune"]


def _dangling(top: Path) -> list[Path]:
    return [path for path in top.rglob("*") if path.is_symlink() and not path.exists()]


def test_a_backup_beside_no_directory_of_environments_keeps_its_packages_and_comes_back(bare: Machine) -> None:
    run = _aside(bare, "--backup")
    assert {path.parent.parent for path in _notes(bare)} == {bare.cache, bare.registry.parent}

    assert bare.prune("--yes").code == 0
    (held,) = _project(bare).parent.glob(".conda-prune/*/0")
    assert _dangling(held) == []
    restored = bare.run("prune", "restore", run, "--json")

    assert [outcome["result"] for outcome in restored.json["outcomes"]] == ["restored"]
    assert str(_project(bare)) in bare.registry.read_text().splitlines()
    assert bare.prune("--yes").code == 0
    assert _dangling(_project(bare)) == []
    assert _notes(bare) == []
    assert not (_project(bare).parent / ".conda-prune").exists()


@pytest.mark.parametrize("lost", ["cache", "home"])
def test_one_lost_note_loses_nothing(bare: Machine, lost: str) -> None:
    run = _aside(bare, "--backup")
    shutil.rmtree((bare.cache if lost == "cache" else bare.registry.parent) / ".conda-prune")

    assert [item["run"] for item in bare.run("prune", "restore", "--json").json["runs"]] == [run]
    assert bare.prune("--dry-run", "--json").json["remove"] == []


def test_a_purge_finds_it_and_takes_the_notes_away(bare: Machine) -> None:
    _aside(bare, "--backup")

    assert bare.run("prune", "purge", "--all", "--yes").code == 0

    assert _notes(bare) == []
    assert not list(bare.directory.rglob(".conda-prune"))
    assert {item["dist"] for item in bare.prune("--dry-run", "--json").json["remove"]} == {"libalpha-1.0-0"}


@pytest.mark.parametrize("by_directory", [False, True])
def test_a_deleted_one_is_rebuilt(bare: Machine, by_directory: bool) -> None:
    run = _aside(bare)
    options = ("--pkgs-dir", str(_project(bare).parent)) if by_directory else ()

    restored = bare.run("prune", "restore", run, "--json", *options)

    assert [outcome["result"] for outcome in restored.json["outcomes"]] == ["restored"]
    assert (_project(bare) / "conda-meta" / "libalpha-1.0-0.json").exists()


def test_restored_by_its_directory_it_is_registered(bare: Machine) -> None:
    run = _aside(bare, "--backup")
    shown = bare.run("prune", "restore", "--json", "--pkgs-dir", _project(bare).parent)
    assert [item["environments"] for item in shown.json["runs"]] == [True]

    assert bare.run("prune", "restore", run, "--pkgs-dir", _project(bare).parent).code == 0

    assert str(_project(bare)) in bare.registry.read_text().splitlines()
    assert _notes(bare) == []


def test_an_environment_in_a_cache_is_found_once(empty: Machine) -> None:
    build_channel(empty.directory / "channel", PACKAGES)
    empty.install("create", "-p", empty.cache / "env", "libalpha=1.0", **SOFT)
    answer = empty.run("prune", "envs", empty.cache / "env", "--remove", "--backup", "--yes", "--json")

    (run,) = empty.run("prune", "restore", "--json").json["runs"]
    assert (run["environments"], run["entries"]) == (True, 1)
    assert empty.run("prune", "restore", answer.json["run"]).code == 0
    assert str(empty.cache / "env") in empty.registry.read_text().splitlines()


def test_a_dry_run_notes_nothing(bare: Machine) -> None:
    before = sorted(bare.directory.rglob("*"))

    assert bare.run("prune", "envs", _project(bare), "--remove", "--backup", "--dry-run").code == 0

    assert sorted(bare.directory.rglob("*")) == before


def test_a_place_that_is_away_stops_what_it_may_soft_link(bare: Machine) -> None:
    bare.install("create", "-p", bare.directory / "other" / "env", "libalpha=2.0", **SOFT)
    _aside(bare, "--backup")
    project = bare.directory / "project"
    project.rename(bare.directory / "unmounted")

    refused = bare.prune("--yes", "--json")

    assert (refused.code, refused.json["exception_name"]) == (1, "UnreadableEnvironmentError")
    assert bare.entry("libalpha-1.0-0").exists()
    assert bare.run("prune", "purge", "--all", "--yes").code == 0
    assert _notes(bare), "a place that is away keeps its notes"
    (bare.directory / "unmounted").rename(project)
    assert bare.prune("--yes").code == 0
    assert _dangling(project) == []


def test_where_nothing_can_be_noted_nothing_is_moved(bare: Machine) -> None:
    for path in (bare.cache, bare.registry.parent):
        (path / ".conda-prune").write_text("something else")

    answer = bare.run("prune", "envs", _project(bare), "--remove", "--backup", "--yes", "--json")

    assert (answer.code, answer.json["exception_name"]) == (1, "StateError")
    assert _project(bare).is_dir()
    assert not (_project(bare).parent / ".conda-prune").exists()
    assert str(_project(bare)) in bare.registry.read_text().splitlines()


def test_a_directory_that_can_not_be_written_is_refused_before_anything_changes(bare: Machine) -> None:
    (_project(bare).parent / ".conda-prune").write_text("something else")
    before = sorted(bare.directory.rglob("*"))

    answer = bare.run("prune", "envs", _project(bare), "--remove", "--backup", "--yes", "--json")

    assert (answer.code, answer.json["exception_name"]) == (1, "StateError")
    assert sorted(bare.directory.rglob("*")) == before


@pytest.mark.posix  # Files have no owners elsewhere.
def test_a_note_of_another_user_leads_to_roots_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    (place / ".conda-prune" / RUN / "0" / "conda-meta").mkdir(parents=True)
    remember([str(tmp_path / "home")], str(place), RUN)
    home = (str(tmp_path / "home"),)
    assert with_noted_places(home, [], own=True) == (*home, str(place))

    ours = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: ours + 1)

    assert with_noted_places(home, [], own=True) == home
    assert list(environment_backups(home, [])) == [str(place / ".conda-prune" / RUN / "0")]


@pytest.mark.posix
def test_notes_are_bounded_absolute_and_told_where_they_can_not_be_read(tmp_path: Path) -> None:
    state = tmp_path / ".conda-prune"
    state.mkdir()
    for number, content in enumerate([b"relative\n", b"/a\n/b\n", b"/nul\0\n", b"", b"/" * (1 << 20)]):
        (state / f"place-{RUN}-{number:08x}").write_bytes(content)
    os.mkfifo(state / f"place-{RUN}-0000000f")
    (state / f"place-{RUN}-0000000e.new").write_bytes(b"/unfinished\n")
    notices: list[Notice] = []

    assert with_noted_places([str(tmp_path)], notices) == (str(tmp_path),)

    assert [(notice.kind, notice.hides_roots) for notice in notices] == [("unreadable-directory", True)] * 2


def test_a_note_goes_with_its_run_and_an_unfinished_one_at_once(tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / ".conda-prune" / RUN).mkdir(parents=True)
    home = tmp_path / "home"
    remember([str(home)], str(place), RUN)
    (home / ".conda-prune" / f"place-{RUN}-00000000.new").touch()

    forget([str(home)])
    assert len(os.listdir(home / ".conda-prune")) == 1
    (place / ".conda-prune" / RUN).rmdir()
    forget([str(home)])

    assert not (home / ".conda-prune").exists()


def test_no_line_can_hold_a_place_with_a_newline(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="newline"):
        remember([str(tmp_path)], "/a\n/etc", RUN)
    assert json.dumps(os.listdir(tmp_path)) == "[]"
