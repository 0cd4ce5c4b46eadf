"""Marks of the browser: what they free together is what the disk gets back, and nothing else goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browsing import fill, inside
from machine import Machine, allocated
from tiny import tiny_on, write_archive

from conda_prune_plugin.cli.browse import carry_out
from conda_prune_plugin.core.run import Disposal
from conda_prune_plugin.operations.browse.browser import Browser
from conda_prune_plugin.operations.interaction import Output
from conda_prune_plugin.operations.options import EnvsOptions, PruneOptions
from conda_prune_plugin.presentation.browse.browse_source import Action, Intent
from conda_prune_plugin.presentation.browse.rows import Marked, Row, Rows, View
from conda_prune_plugin.presentation.browse.scan_reporter import ScanReporter

#: What a typed yes is for the command.
YES = Output(json=False, dry_run=False, yes=True, quiet=False, verbosity=0)
OPTIONS, PACKAGES = EnvsOptions(min_age=0.0), PruneOptions(min_age=0.0)


@pytest.fixture
def real(machine: Machine) -> Iterator[Machine]:
    """The machine made by real conda, which this process uses."""
    # An environment that is missing and may have soft links stops every prune.
    machine.registry.write_text("".join(f"{path}\n" for path in machine.environments))
    with inside(machine):
        yield machine


@pytest.fixture
def small(empty: Machine) -> Iterator[Machine]:
    """A small machine to browse, which this process uses."""
    fill(empty)
    with inside(empty):
        yield empty


def _scanned() -> tuple[Browser, Rows]:
    browser = Browser(OPTIONS, 1.0)
    return browser, browser.scan(ScanReporter(), lambda rows: None, lambda path, size: None)


def _row(rows: Rows, name: str) -> Row:
    return next(row for view in View for row in rows[view] if row.name == name)


def _marked(*names: str) -> Marked:
    browser, rows = _scanned()
    return browser.marked([_row(rows, name).key for name in names])


def _held(machine: Machine) -> tuple[int, int]:
    """Return the bytes and the inodes of everything but our receipts."""
    places = (machine.cache, machine.envs, *(path for path in (machine.elsewhere,) if path.exists()))
    found = {
        (path.lstat().st_dev, path.lstat().st_ino)
        for place in places
        for path in (place, *place.rglob("*"))
        if ".conda-prune" not in path.parts
    }
    return allocated(*places), len(found)


MARKS = {
    "one environment": ("hard",),
    "environments that share files": ("hard", "copy"),
    "an environment and what only it uses": ("hard", "metaonly-1.0-0", "bothformats-1.0-0"),
    "environments with hard, soft and copied files, and their packages": (
        *("hard", "soft", "copy", "libalpha-2.0-0", "libbeta-1.0-0", "symlinks-1.0-0", "innerlinks-1.0-0"),
        *("allprefix-2.0-0", "metaonly-1.0-0", "bothformats-1.0-0"),
    ),
    "unused packages": ("libalpha-1.0-0", "innerlinks-2.0-0", "onlyarchive-1.0-0"),
}


@pytest.mark.parametrize("names", MARKS.values(), ids=MARKS)
def test_what_marks_free_together_is_what_the_disk_gets_back(real: Machine, names: tuple[str, ...]) -> None:
    marked = _marked(*names)
    assert not marked.refused
    before = _held(real)

    assert carry_out(Intent(Action.REMOVE, marked), OPTIONS, PACKAGES, YES)

    after = _held(real)
    assert (before[0] - after[0], before[1] - after[1]) == (marked.freed.bytes, marked.freed.inodes)
    assert marked.freed.bytes > 0
    _, rows = _scanned()
    assert not {row.name for view in View for row in rows[view]} & set(names)


def test_the_plan_shown_frees_what_the_marks_say(real: Machine) -> None:
    browser, rows = _scanned()
    names = ("hard", "copy", "innerlinks-1.0-0", "symlinks-2.0-0")
    marked = browser.marked([_row(rows, name).key for name in names])

    plan, removal = browser.plan(marked), browser.removal(marked)

    assert plan.reclaimable + removal.result.released == marked.freed.bytes
    assert {decision.entry.dist for decision in plan.remove} == {name for name in names if "-" in name}


def test_only_what_is_marked_goes(small: Machine) -> None:
    marked = _marked("unused-1-0", "broken-1-0.conda.partial")
    there = {path for path in small.directory.rglob("*") if ".conda-prune" not in path.parts}

    carry_out(Intent(Action.REMOVE, marked), OPTIONS, PACKAGES, YES)

    left = {path for path in small.directory.rglob("*") if ".conda-prune" not in path.parts}
    gone = {path.relative_to(small.cache).parts[0] for path in there - left}
    assert gone == {"unused-1-0", "unused-1-0.conda", "broken-1-0.conda.partial"}


def test_a_package_that_came_since_is_not_removed_with_its_name(small: Machine) -> None:
    marked = _marked("older-2.0-1")
    write_archive(small.cache / "older-2.0-1.conda", 5000)

    carry_out(Intent(Action.REMOVE, marked), OPTIONS, PACKAGES, YES)

    assert small.entry("older-2.0-1").is_dir()


def test_a_backup_comes_back_with_the_last_run(small: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    marked = _marked("work", "unused-1-0", "alone-1-0")

    assert carry_out(Intent(Action.BACKUP, marked), OPTIONS, PACKAGES, YES)
    assert not small.entry("unused-1-0").exists()
    # The backup of the environment uses it.
    assert small.entry("alone-1-0").exists()
    assert not (small.envs / "work").exists()
    for _ in range(2):
        assert carry_out(Intent(Action.RESTORE, Marked()), OPTIONS, PACKAGES, YES)

    assert small.entry("unused-1-0").is_dir()
    assert (small.envs / "work" / "lib" / "model.bin").read_bytes() == b"x" * 9000
    assert "Restored" in capsys.readouterr().out


def test_a_dry_run_changes_nothing(small: Machine) -> None:
    marked, before = _marked("work", "unused-1-0"), _held(small)

    for action in (Action.REMOVE, Action.BACKUP):
        assert not carry_out(Intent(action, marked), OPTIONS, PACKAGES, replace(YES, yes=False, dry_run=True))

    assert _held(small) == before
    assert not list(small.directory.rglob(".conda-prune"))


def test_an_obstacle_is_said_and_the_browser_goes_on(small: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    marked = _marked("work")
    (small.envs / "work" / "conda-meta" / "frozen").touch()

    assert carry_out(Intent(Action.REMOVE, marked), OPTIONS, PACKAGES, YES)
    assert carry_out(Intent(Action.RESTORE, Marked()), OPTIONS, PACKAGES, YES)

    printed = capsys.readouterr().err
    assert "it is frozen" in printed
    assert printed.count("error: ") == 2
    assert (small.envs / "work").is_dir()


def test_the_setting_for_backups_holds_for_what_is_removed(small: Machine) -> None:
    backup = Disposal.BACKUP

    carry_out(Intent(Action.REMOVE, _marked("unused-1-0")), replace(OPTIONS, disposal=backup), PACKAGES, YES)

    assert list((small.cache / ".conda-prune").glob("*/[0-9]*"))


def test_other_tools_caches_are_shown_with_their_command_and_never_marked(small: Machine) -> None:
    cache = small.home / ".cache" / "pip"
    cache.mkdir(parents=True)
    (cache / "wheel").write_bytes(b"x" * 5000)
    browser, rows = _scanned()

    row = _row(rows, str(cache))

    assert row.size is not None
    assert row.size.own == allocated(cache)
    assert row.refusal is not None
    assert "pip cache purge" in row.refusal
    assert browser.marked([row.key]).refused
    assert [child.name for child in browser.below(row)] == list(row.notes)


def test_a_scan_reads_only(small: Machine) -> None:
    before = {path: path.lstat() for path in small.directory.rglob("*")}

    browser, rows = _scanned()
    for row in (*rows[View.ENVIRONMENTS], *rows[View.PACKAGES]):
        browser.below(row)

    now = {path: path.lstat() for path in small.directory.rglob("*")}
    assert [(p, s.st_ctime_ns, s.st_mtime_ns) for p, s in now.items()] == [
        (p, s.st_ctime_ns, s.st_mtime_ns) for p, s in before.items()
    ]


def test_the_largest_files_are_listed_and_the_rest_is_counted(small: Machine) -> None:
    tiny = tiny_on(small)
    prefix: Path = tiny.use("many", "unused-1-0")
    names = [f"lib/f{number}" for number in range(2003)]
    for name in names:
        (prefix / name).write_bytes(b"")
    record = prefix / "conda-meta" / "unused-1-0.json"
    record.write_text(json.dumps({"name": "unused", "version": "1", "build": "0", "files": names}))
    browser, rows = _scanned()
    many = _row(rows, "many")

    package = next(row for row in browser.below(many) if row.name == "unused-1-0")
    files = browser.below(package)

    assert len(files) == 2001
    assert "3 smaller files" in files[-1].name
