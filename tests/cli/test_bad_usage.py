"""A command line that makes no sense: what is wrong with it, and what was meant. Help and version."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import pytest
from machine import Answer, Machine
from tiny import tiny_on


def _errors(machine: Machine, *arguments: str) -> Answer:
    """Run ``conda prune`` wrongly; whatever it is, it is an error of ours, as text and as JSON."""
    answer, document = machine.run("prune", *arguments), machine.run("prune", "--json", *arguments)
    assert (answer.code, answer.out, document.code, document.err) == (2, "", 2, "")
    error, hint = answer.err.splitlines()
    assert (error, hint) == (f"error: {document.json['message']}", document.json["hint"])
    assert document.json["exception_name"] == "UsageError"
    assert document.json["success"] is False
    return answer


@pytest.mark.parametrize(
    ("arguments", "wrong", "meant"),
    [
        (("--olderthan", "30d"), "--olderthan", "--older-than"),
        (("--olderthan=30d",), "--olderthan", "--older-than"),
        (("--only", "usage", "--dryrun"), "--dryrun", "--dry-run"),
        (("-v", "--pkgs-dir=/x", "--serch", "/y", "usage"), "--serch", "--search"),
        (("envs", "--unusedfor", "30d"), "--unusedfor", "--unused-for"),
        (("purge", "--al"), "--al could match", "--help"),
        (("--unused-for", "30d"), "--unused-for", "conda prune envs --unused-for"),
        (("usage", "--older-than", "30d"), "--older-than", "conda prune --older-than ... usage"),
        (("restore", "--older", "30d"), "--older", "conda prune restore --help"),
        (("-z",), "-z", "conda prune --help"),
        (("--nothing-like-it",), "--nothing-like-it", "conda prune --help"),
        (("usag",), "usag", "conda prune usage"),
        (("--only", "x", "usag"), "usag", "conda prune usage"),
        (("numpy",), "numpy", "See `conda prune --help`"),
        (("~/projects",), "~/projects", "See `conda prune --help`"),
        (("undo",), "undo", "`conda prune restore`"),
        (("doctor",), "doctor", "`conda doctor`"),
        (("clean",), "clean", "`conda prune`"),
        (("remove", "paper"), "remove", "`conda prune envs paper --remove`"),
        (("remove",), "remove", "`conda prune envs NAME --remove`"),
        (("-n", "paper"), "-n", "`conda prune envs paper`"),
        (("usage", "-n", "paper"), "-n", "`conda prune usage paper`"),
        (("envs", "-n", "paper"), "-n", "`conda prune envs paper`"),
        (("--max-size", "-5GB"), "--max-size can't be negative", "conda prune --help"),
        (("--check", "-5files"), "--check can't be negative", "conda prune --help"),
        (("--older-than",), "--older-than needs an age", "conda prune --help"),
        (("--check",), "--check needs a size or a number of files", "conda prune --help"),
        (("--check", "20000"), "20000 has no unit; use 20000MB or 20000files", "conda prune --help"),
        (("--check", "5 parsecs"), "'5 parsecs' is not a limit", "conda prune --help"),
        (("--check", "20000", "files"), "files", "20000files"),
        (("--free-inodes", "20000", "files"), "files", "20000files"),
        (("--max-size", "10", "GB"), "GB", "10GB"),
        (("--free-inodes", "-5"), "--free-inodes", "conda prune --help"),
        (("--max-inodes",), "--max-inodes needs a number", "conda prune --help"),
        (("envs", "--free-inodes", "5"), "--free-inodes", "conda prune --free-inodes"),
        (("--older-than", "30"), "30 has no unit; use 30m, 30h or 30d", "conda prune --help"),
        (("--free", "10"), "10 has no unit; use 10MB", "conda prune --help"),
        (("--keep-newest", "-1"), "--keep-newest", "conda prune --help"),
        (("help", "usag"), "usag", "conda prune usage"),
        (("--", "usag"), "usag", "conda prune --help"),
        (("usage", "one", "other"), "other", "conda prune usage --help"),
        (("--pkgs-dir",), "--pkgs-dir", "conda prune --help"),
        (("--check", "much"), "--check", "conda prune --help"),
        (("--ci", "dessert"), "--ci", "conda prune --help"),
        (("demo", "--keep"), "--keep", "conda prune demo --help"),
    ],
)
def test_bad_usage_names_what_is_wrong_and_suggests_what_was_meant(
    empty: Machine, arguments: tuple[str, ...], wrong: str, meant: str
) -> None:
    error, hint = _errors(empty, *arguments).err.splitlines()

    assert wrong in error
    assert meant in hint


def test_an_unknown_command_may_be_a_package_or_an_environment(empty: Machine) -> None:
    tiny = tiny_on(empty)
    tiny.add("some-tool-1-0")
    tiny.use("paper", "some-tool-1-0")

    hints = {word: _errors(empty, word).err.splitlines()[1] for word in ("some-tool", "some-tool>=2", "paper")}

    assert "`conda prune --only some-tool`" in hints["some-tool"]
    assert "`conda prune why 'some-tool>=2'`" in hints["some-tool>=2"]
    assert "`conda prune envs paper`" in hints["paper"]


def test_the_beginning_of_an_option_is_no_mistake(empty: Machine) -> None:
    assert empty.run("prune", "--older", "30d", "--dry-r").code == 0


def test_the_stand_alone_command_explains_bad_usage_too(empty: Machine) -> None:
    code = "import sys; from conda_prune_plugin.embedded import prune; sys.exit(prune())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--olderthan", "30d", "--json"],
        env=empty.environ(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "--older-than" in json.loads(done.stdout)["hint"]


@pytest.mark.parametrize("command", [("usage",), ("envs",)])
def test_an_unknown_environment_gets_the_nearest_name(empty: Machine, command: tuple[str, ...]) -> None:
    tiny = tiny_on(empty)
    for name in ("work", "analysis"):
        tiny.add(f"in-{name}-1-0")
        tiny.use(name, f"in-{name}-1-0")

    hints = {
        name: empty.run("prune", *command, name, "--json").json["hint"]
        for name in ("wrok", "analisys", str(empty.envs / "wok"), "zzz")
    }

    assert "Did you mean work?" in hints["wrok"]
    assert "Did you mean analysis?" in hints["analisys"]
    assert f"Did you mean {empty.envs / 'work'}?" in hints[str(empty.envs / "wok")]
    assert "Did you mean" not in hints["zzz"]


def test_a_package_is_told_from_an_environment(empty: Machine) -> None:
    tiny = tiny_on(empty)
    tiny.add("some-tool-1-0")
    tiny.use("paper", "some-tool-1-0")

    for command, hint in (
        (("why", "paper"), "conda prune usage paper"),
        (("usage", "some-tool"), "conda prune why some-tool"),
        (("envs", "some-tool"), "conda prune why some-tool"),
        (("envs", "remove", "paper"), "conda prune envs NAME --remove"),
    ):
        assert hint in empty.run("prune", *command, "--json").json["hint"]


def test_the_base_environment_is_never_removed_by_its_name(empty: Machine) -> None:
    answer = empty.run("prune", "envs", "base", "--remove", "--force", "--yes", "--json")

    assert (answer.code, answer.json["exception_name"]) == (1, "ProtectedEnvironmentError")
    assert "base environment" in answer.json["message"]


def test_missing_environments_are_counted_after_those_that_keep_something(empty: Machine) -> None:
    tiny = tiny_on(empty)
    tiny.add("some-tool-1-0")
    tiny.use("paper", "some-tool-1-0")
    empty.registry.parent.mkdir(exist_ok=True)
    with empty.registry.open("a") as registry:
        registry.writelines(f"/does/not/exist{number}\n" for number in range(99))

    lines = empty.run("prune", "why", "--all").out.splitlines()

    assert lines[2].split()[0] == "paper"
    assert [line for line in lines if "missing" in line] == ["  and 99 missing environments"]


def test_environments_can_be_chosen_by_age_with_either_name_of_the_option(empty: Machine) -> None:
    tiny = tiny_on(empty)
    tiny.add("used-1-0")
    tiny.use("old", "used-1-0")

    for option in ("--unused-for", "--older-than"):
        for age, count in (("0 days", 1), ("1 year", 0)):
            assert len(empty.run("prune", "envs", option, age, "--json").json["environments"]) == count


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version_is_that_of_this_program(empty: Machine, option: str) -> None:
    from importlib.metadata import version

    answer = empty.run("prune", option)

    assert (answer.code, answer.out, answer.err) == (0, f"conda-prune {version('conda-prune')}\n", "")


@pytest.mark.parametrize("command", ["", "usage", "why", "envs", "restore", "purge", "demo", "help"])
def test_help_is_what_the_option_gives(empty: Machine, command: str) -> None:
    by_command = empty.run("prune", "help", *command.split())
    by_option = empty.run("prune", *command.split(), "--help")

    assert (by_command.code, by_command.err) == (0, "")
    assert by_command.out == by_option.out
    assert by_command.out.startswith(f"usage: conda prune {command}".rstrip())


def test_a_message_of_argparse_that_is_not_known_is_passed_on() -> None:
    from conda_prune_plugin.cli.parsing.bad_usage import explained

    parser = argparse.ArgumentParser(prog="conda prune")

    message, hint = explained(parser, (), "something else", parser, {})

    assert message == "Something else."
    assert "conda prune --help" in hint
