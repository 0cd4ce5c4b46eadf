"""A disk that fails at any call is never taken for an empty one: the failure is named, with exit code 1."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest
from crash import End, run, run_failing
from syscalls import ACCESS
from tiny import Tiny

from conda_prune_plugin.demo.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.debian, pytest.mark.slow]

#: Commands that change nothing, so that one state serves for all faults.
COMMANDS = (
    ("prune", "--min-age", "0", "--dry-run", "--json"),
    ("prune", "--min-age", "0", "--dry-run"),
    ("prune", "--min-age", "0", "--check", "1GB"),
    ("prune", "--all", "--verify", "--repair", "--dry-run", "--json"),
    ("prune", "--ci", "cache", "--dry-run", "--json"),
    ("prune", "usage", "--packages", "--json"),
    ("prune", "usage", "--export", "ncdu"),
    ("prune", "why", "--all", "--json"),
    ("prune", "why", "a", "--json"),
    ("prune", "envs", "--json"),
    ("prune", "envs", "e", "--remove", "--dry-run", "--json"),
    ("prune", "restore", "--json"),
    ("prune", "purge", "--all", "--dry-run", "--json"),
)


#: Every so manieth call fails; with ``CONDA_PRUNE_TESTS_ALL_FAULTS=1`` each.
_STEP = 1 if os.environ.get("CONDA_PRUNE_TESTS_ALL_FAULTS") else 13


class Place:
    """A sandbox with a package in use, two that are not, an archive, and a backup of an earlier run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "it"
        tiny = Tiny(self.directory)
        tiny.add("old-1-0")
        tiny.add("a-1-0", archive=True)
        tiny.add("c-1-0")
        tiny.use("e", "c-1-0")
        self.sandbox = Sandbox(self.directory)
        self.sandbox.create()
        (self.sandbox.home / ".conda").mkdir()
        self.sandbox.registry.write_text(f"{self.sandbox.envs / 'e'}\n")
        kept = run(self.sandbox, "prune", "--only", "old", "--min-age", "0", "--backup", "--yes")
        assert kept.code == 0, kept.output
        tiny.add("b-1-0", {})

    def holds(self, path: str) -> bool:
        """Return whether a path is what a command is asked about: not what it prints to, nor conda's own settings."""
        tops = (self.sandbox.cache, self.sandbox.envs, self.sandbox.registry)
        return path.startswith(tuple(map(str, tops)))

    def calls(self, command: tuple[str, ...]) -> tuple[End, list[tuple[str, str]]]:
        """Run a command; return its end, and the calls it made, with the paths they are about."""
        made: list[tuple[str, str]] = []

        def see(call: str, path: str) -> str:
            if self.holds(path):
                made.append((call, path))
            return ""

        return run_failing(self.sandbox, command, see), made

    def failed_at(self, command: tuple[str, ...], number: int, *, onward: bool = False) -> End:
        """Run a command of which one call fails, by its number, or all from that one onward."""
        seen = 0

        def decide(call: str, path: str) -> str:
            nonlocal seen
            if not self.holds(path):
                return ""
            seen += 1
            return "error=EIO" if seen == number or (onward and seen > number) else ""

        return run_failing(self.sandbox, command, decide)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"))


def _told(end: End) -> str:
    """Return what a command printed, without times and the widths of their columns, and without free disk space."""
    times = r"\d{4}-\d\d-\d\dT[\d:.]+Z?|(< )?\d+ (minute|hour)s?( ago|\*)"
    return re.sub(r"\s+", " ", re.sub(rf"{times}|\"(free|free_inodes|timestamp)\": ?\d+", "", end.output))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_failing_call_is_an_error_or_changes_nothing(place: Place, command: tuple[str, ...]) -> None:
    whole, calls = place.calls(command)
    assert whole.code == 0, whole.output
    silent = []
    for number, (call, path) in list(enumerate(calls, 1))[::_STEP]:
        end = place.failed_at(command, number)
        if "Traceback" in end.output or end.code not in (0, 1) or (end.code == 0 and _told(end) != _told(whole)):
            silent.append((number, call, path, end.code, end.output[-600:]))

    assert not silent, f"{len(silent)} of {len(calls)}: {silent[:5]}"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_disk_that_fails_from_some_moment_on_is_told(place: Place, command: tuple[str, ...]) -> None:
    whole, calls = place.calls(command)
    for number in range(1, len(calls) + 1, 3 * _STEP):
        end = place.failed_at(command, number, onward=True)

        assert "Traceback" not in end.output
        assert end.code == 1 or (end.code == 0 and _told(end) == _told(whole)), (calls[number - 1], end.output)
        if end.code and "--json" in command:
            document = json.loads(end.output[end.output.index("{") : end.output.rindex("}") + 1])
            assert document["success"] is False


def test_an_archive_that_the_disk_cant_read_is_not_taken_for_a_broken_one(place: Place) -> None:
    archive = str(place.sandbox.cache / "a-1-0.conda")
    command = ("prune", "--all", "--verify", "--dry-run", "--json")

    end = run_failing(
        place.sandbox, command, lambda call, path: "error=EIO" if (call, path) == ("read", archive) else ""
    )

    assert end.code == 1
    assert "corrupt" not in end.output
    assert f"The disk failed at {archive}" in end.output


def test_a_state_directory_that_cant_be_read_is_named(place: Place) -> None:
    state = str(place.sandbox.cache / ".conda-prune")
    for error in ("EIO", "EACCES"):
        end = run_failing(
            place.sandbox,
            ("prune", "purge", "--all", "--dry-run", "--json"),
            lambda _, path, error=error: f"error={error}" if path == state else "",  # type: ignore[misc]
        )

        assert end.code == 1
        assert state in end.output


@pytest.mark.parametrize("error", ["EIO", "EROFS"])
def test_a_cache_of_which_the_disk_does_not_say_whether_it_can_be_written_is_no_read_only_one(
    place: Place, error: str
) -> None:
    cache = str(place.sandbox.cache)
    command = ("prune", "--min-age", "0", "--dry-run", "--json")

    end = run_failing(
        place.sandbox, command, lambda call, path: f"error={error}" if call in ACCESS and path == cache else "", ACCESS
    )

    assert (end.code, f"The disk failed at {cache}" in end.output) == ((1, True) if error == "EIO" else (0, False))
