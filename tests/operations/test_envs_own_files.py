"""The user's own work in an environment is removed only with --force, and comes back byte for byte even then."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from interrupted import interrupted
from machine import PACKAGES, Machine, contents, space, told
from places import temporary

from conda_prune_plugin.core.units import NO_SPACE, Space
from conda_prune_plugin.demo.demo_packages import build_channel
from conda_prune_plugin.execution.files.dir_fd import Directory
from conda_prune_plugin.execution.state.receipt import ReceiptEntry
from conda_prune_plugin.execution.state.saved_own_files import OWN_FILES, bring_back, move_out


@pytest.fixture
def one(empty: Machine) -> Machine:
    """A machine with an environment ``e``, made by conda."""
    build_channel(empty.directory / "channel", PACKAGES)
    empty.install("create", "-n", "e", "libalpha=1.0", "pynoarch=1.0")
    return empty


def _envs(machine: Machine, *arguments: str) -> Any:
    return machine.run("prune", "envs", "e", *arguments, "--json")


def _repository(prefix: Path) -> None:
    (prefix / "src" / "project" / ".git" / "refs" / "tags").mkdir(parents=True)
    (prefix / "src" / "project" / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (prefix / "src" / "project" / "code.py").write_text("print('mine')\n")


def _clone_among_packages(prefix: Path) -> None:
    (prefix / "lib" / "mine").mkdir(parents=True)
    (prefix / "lib" / "mine" / ".git").write_text("gitdir: elsewhere\n")
    (prefix / "lib" / "mine" / "code").write_text("mine")


def _old_file(prefix: Path) -> None:
    (prefix / "notes.txt").write_text("from before")
    os.utime(prefix / "notes.txt", (1e9, 1e9))


def _many_files(prefix: Path) -> None:
    (prefix / "work").mkdir()
    for number in range(4):
        (prefix / "work" / f"{number}.ipynb").write_text(f"{number}")
    (prefix / "work" / "link").symlink_to("0.ipynb")
    (prefix / "work" / "tool").write_bytes(b"x")
    (prefix / "work" / "tool").chmod(0o754)


WORK = {"repository": _repository, "clone": _clone_among_packages, "old": _old_file, "many": _many_files}


@pytest.mark.parametrize("kind", WORK)
def test_an_environment_with_own_work_is_not_taken_and_with_force_the_work_comes_back(one: Machine, kind: str) -> None:
    prefix = one.envs / "e"
    WORK[kind](prefix)
    before = contents(prefix)
    (listed,) = _envs(one).json["environments"]
    assert {item["kind"] for item in listed["protected"]} == {"own-files"}
    for options in ((), ("--backup",), ("--dry-run",)):
        assert _envs(one, "--remove", "--yes", *options).code == 1
    command = "conda prune envs e --remove --force"
    for words in (("usage", "e"), ("envs", "e", "--remove", "--yes")):
        answer = one.run("prune", *words)
        assert command in f"{answer.out} {answer.err}"
    unused = one.run("prune", "envs", "--unused-for", "0", "--remove", "--yes", "--json")
    assert unused.json["remove"] == []
    assert contents(prefix) == before
    size = space(one.envs, one.cache)

    answer = _envs(one, "--remove", "--force", "--yes")

    assert answer.code == 0, answer.out
    assert answer.json["remove"][0]["own_files"]
    freed = told(answer.json["outcomes"][0], by="freed")
    assert freed == told(answer.json["totals"], by="released") != NO_SPACE
    assert not prefix.exists()
    (run,) = one.run("prune", "restore", "--json").json["runs"]
    assert run["own_files"] == len(answer.json["remove"][0]["own_files"])
    # What is in the run's folder is left out.
    assert size - space(one.envs, one.cache) == freed + Space(run["bytes"], run["inodes"])
    assert one.run("prune", "restore", "last").code == 0
    after = contents(prefix)
    mine = {path for path in before if any(word in path for word in ("src", "mine", "notes", "work"))}
    assert mine
    assert {path: after.get(path) for path in mine} == {path: before[path] for path in mine}
    assert not list(one.envs.glob(".conda-prune/*/environment-files"))


def test_what_programs_write_is_no_work(one: Machine) -> None:
    prefix = one.envs / "e"
    for place in (
        "share/julia/packages/x",
        "lib/node_modules/x",
        "lib/R/library/x",
        "bin",
        "etc/x",
        "var/x",
        ".cargo/x",
    ):
        (prefix / place).mkdir(parents=True, exist_ok=True)
        for number in range(5):
            (prefix / place / f"made{number}").write_text("x")
            os.utime(prefix / place / f"made{number}", (499162500, 499162500))  # As npm dates its files.
    (prefix / ".cargo" / "git" / ".git").mkdir(parents=True)
    (prefix / ".cargo" / "git" / ".git" / "HEAD").write_text("x")
    (prefix / "one").write_text("x")

    assert _envs(one).json["environments"][0]["protected"] == []
    assert _envs(one, "--remove", "--yes").code == 0


def test_files_of_packages_are_no_work_wherever_they_lie_and_however_old(one: Machine) -> None:
    prefix = one.envs / "e"
    meta = next((prefix / "conda-meta").glob("libalpha-*.json"))
    names = [f"top{number}/x" for number in range(9)]
    for name in names:
        (prefix / name).parent.mkdir()
        (prefix / name).write_text("x")
        os.utime(prefix / name, (1e9, 1e9))
    meta.write_text(meta.read_text().replace('"files": [', '"files": [' + "".join(f'"{name}", ' for name in names)))

    assert _envs(one).json["environments"][0]["protected"] == []


def test_what_is_in_the_way_is_not_overwritten_and_the_rest_is_named(one: Machine) -> None:
    prefix = one.envs / "e"
    _many_files(prefix)
    _old_file(prefix)
    assert _envs(one, "--remove", "--force", "--yes").code == 0
    one.install("create", "-n", "e", "libalpha=1.0")
    (prefix / "notes.txt").write_text("another")

    answer = one.run("prune", "restore", "last", "--json")

    (outcome,) = answer.json["outcomes"]
    assert (answer.code, outcome["result"]) == (1, "failed")
    assert {"pynoarch-1.0-0", "libalpha-1.0-0"} & set(outcome["error"].replace(",", " ").split()) == {"pynoarch-1.0-0"}
    assert (prefix / "notes.txt").read_text() == "another"
    assert (prefix / "work" / "3.ipynb").read_text() == "3"
    (kept,) = one.envs.glob(".conda-prune/*/environment-files/e/notes.txt")
    assert kept.read_text() == "from before"
    assert any(str(kept) in warning["message"] for warning in answer.json["warnings"])


def test_own_work_comes_back_also_where_the_environment_can_t(one: Machine) -> None:
    prefix = one.envs / "e"
    _many_files(prefix)
    before = {path: value for path, value in contents(prefix).items() if path.startswith("work")}
    shutil.rmtree(prefix / "conda-meta")
    assert _envs(one, "--remove", "--force", "--yes").code == 0
    assert not prefix.exists()

    answer = one.run("prune", "restore", "last", "--json")

    assert [outcome["result"] for outcome in answer.json["outcomes"]] == ["failed"]
    assert {path: value for path, value in contents(prefix).items() if path.startswith("work")} == before
    assert not list(one.envs.glob(".conda-prune/*/environment-files"))


def test_a_rebuild_that_fails_says_where_the_own_work_is(one: Machine) -> None:
    _many_files(one.envs / "e")
    assert _envs(one, "--remove", "--force", "--yes").code == 0
    shutil.rmtree(one.cache)
    shutil.rmtree(one.directory / "channel")

    answer = one.run("prune", "restore", "last", "--json")

    assert answer.code == 1
    (kept,) = one.envs.glob(".conda-prune/*/environment-files/e")
    assert (kept / "work" / "3.ipynb").read_text() == "3"
    assert any(str(kept) in warning["message"] for warning in answer.json["warnings"])


@pytest.mark.parametrize("place", [".cache/project", "__pycache__/project", "node_modules/project"])
def test_a_repository_in_a_cache_is_own_work(one: Machine, place: str) -> None:
    project = one.envs / "e" / place
    (project / ".git").mkdir(parents=True)
    (project / ".git" / "HEAD").write_text("x")

    assert [item["kind"] for item in _envs(one).json["environments"][0]["protected"]] == ["own-files"]


@pytest.mark.parametrize("option", ["--all", "--tempfiles", "--leftovers"])
def test_nothing_in_a_repository_is_a_leftover(one: Machine, option: str) -> None:
    project = one.envs / "e" / "src" / "project"
    _repository(one.envs / "e")
    (project / "code.c~").write_text("an editor's backup")
    (one.envs / "e" / "lib" / "code.c~").write_text("a client's")

    answer = one.run("prune", option, "--min-age", "0", "--yes", "--json")

    assert answer.code == 0, answer.out
    assert (project / "code.c~").exists()
    assert not (one.envs / "e" / "lib" / "code.c~").exists()


@pytest.mark.parametrize("options", [(), ("--backup",)])
def test_no_setting_purges_own_work_and_a_purge_says_that_it_is_there(one: Machine, options: tuple[str, ...]) -> None:
    _many_files(one.envs / "e")
    assert _envs(one, "--remove", "--force", "--yes", *options).code == 0

    assert one.prune("--yes", CONDA_PLUGINS_PRUNE_PURGE_AFTER="0").code == 0

    runs = one.run("prune", "purge", "--all", "--dry-run", "--json").json["runs"]
    assert [run["own_files"] for run in runs if run["environments"]] == [1]
    assert "your files" in one.run("prune", "purge", "--all", "--dry-run").out
    purged = one.run("prune", "purge", "--all", "--yes", "--json").json["runs"]
    assert {item["result"] for item in purged} == {"purged"}
    assert all(item["freed"] > 0 for item in purged if item["environments"])
    assert not (one.envs / ".conda-prune").exists()


@pytest.mark.parametrize("path", ["../../../victim", "/victim", "a//b", "."])
def test_a_forged_receipt_leads_nowhere_else(one: Machine, path: str) -> None:
    _many_files(one.envs / "e")
    assert _envs(one, "--remove", "--force", "--yes").code == 0
    (one.envs / "victim").write_text("x")
    (receipt,) = one.envs.glob(".conda-prune/*/receipt.json")
    receipt.write_text(receipt.read_text().replace('"own_files": ["work"]', f'"own_files": ["{path}"]'))

    one.run("prune", "restore", "last", "--json")

    assert (one.envs / "victim").read_text() == "x"
    assert (receipt.parent / "environment-files" / "e" / "work" / "0.ipynb").exists()


@pytest.mark.parametrize("second", [0, 1, 2])
def test_interrupted_after_any_change_each_file_is_in_one_place_and_the_next_try_ends_it(second: int) -> None:
    paths = ["work", "lib/mine/.git", "lib/mine/a", "lib/b"]
    entry = ReceiptEntry("e", (), record={OWN_FILES: paths})
    for number in count(1):
        with temporary() as name:
            top = Path(name)
            for path in ("work/deep/x", "lib/mine/.git", "lib/mine/a", "lib/b", "lib/package"):
                (top / "run" / "0.deleting" / path).parent.mkdir(parents=True, exist_ok=True)
                (top / "run" / "0.deleting" / path).write_text(path)
            before = sorted(path.read_text() for path in top.rglob("*") if path.is_file())
            (top / "e" / "lib").mkdir(parents=True)
            with Directory.open(str(top)) as parent, parent.child("run") as folder:
                for step in (lambda: move_out(folder, "0.deleting", entry), lambda: bring_back(folder, entry, parent)):
                    with interrupted({number, number + second}) as changes, suppress(KeyboardInterrupt):
                        step()
                    assert sorted(path.read_text() for path in top.rglob("*") if path.is_file()) == before
                    step()
            assert sorted(path.read_text() for path in (top / "e").rglob("*") if path.is_file()) == sorted(
                ("work/deep/x", "lib/mine/.git", "lib/mine/a", "lib/b")
            )
            assert not (top / "run" / "environment-files").exists()
        if len(changes) < number:
            break
    assert number > 5
