"""``prune_auto``: what happens after conda's own commands, and what never does."""

from __future__ import annotations

import errno
import json
import os
import time
from typing import TYPE_CHECKING

import pytest
from machine import Answer, Machine, age, listing
from tiny import tiny_on

from conda_prune_plugin import failures
from conda_prune_plugin.cli import auto_prune
from conda_prune_plugin.core.layout import STATE
from conda_prune_plugin.execution.state.notes import LAST_CHECK, claim

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3600.0


@pytest.fixture
def used_up(empty: Machine) -> Machine:
    """A machine with an old package that nothing references, and environments that conda can remove."""
    tiny = tiny_on(empty)
    tree = tiny.add("unused-1-0", archive=True)
    tiny.add("used-1-0")
    tiny.use("stays", "used-1-0")
    for env in ("one", "two", "three"):
        # conda removes it as an environment without packages.
        (empty.envs / env / "conda-meta").mkdir(parents=True)
        (empty.envs / env / "conda-meta" / "history").touch()
    for path in (tree / "info" / "repodata_record.json", empty.cache / "unused-1-0.conda"):
        age(path, HOUR)
    return empty


def _remove(machine: Machine, env: str, mode: str, *options: str, threshold: str = "1KB", **environ: str) -> Answer:
    """Let conda remove an environment, after which something may happen on its own."""
    settings = {"CONDA_PLUGINS_PRUNE_AUTO": mode, "CONDA_PLUGINS_PRUNE_AUTO_THRESHOLD": threshold}
    answer = machine.run("env", "remove", "-n", env, "--yes", *options, **settings, **environ)
    assert answer.code == 0, answer.out + answer.err
    assert not (machine.envs / env).exists()
    return answer


def test_without_the_setting_nothing_happens(used_up: Machine) -> None:
    before = listing(used_up.cache)

    answer = used_up.run("env", "remove", "-n", "one", "--yes")

    assert answer.code == 0
    assert "prune" not in answer.out + answer.err
    # Removing the environment has changed link counts and times of change, as ever.
    assert listing(used_up.cache).keys() == before.keys()


def test_a_hint_is_one_line_on_standard_error_once_a_day(used_up: Machine) -> None:
    reclaimable = used_up.run("prune", "--dry-run", "--json").json["totals"]["reclaimable"]
    assert reclaimable

    first, second = _remove(used_up, "one", "hint"), _remove(used_up, "two", "hint")
    stamp = used_up.cache / STATE / LAST_CHECK
    age(stamp, 25 * HOUR)
    third = _remove(used_up, "three", "hint")

    for answer, said in ((first, True), (second, False), (third, True)):
        assert ("can be freed" in answer.err) is said, answer.err
        assert "prune" not in answer.out
        assert sum("prune" in line for line in answer.err.splitlines()) == said
    assert used_up.entry("unused-1-0").is_dir()
    assert time.time() - stamp.stat().st_mtime < HOUR


def test_below_the_threshold_nothing_is_said(used_up: Machine) -> None:
    assert "prune" not in _remove(used_up, "one", "hint", threshold="1GB").err


@pytest.mark.parametrize("option", ["--json", "--quiet"])
@pytest.mark.parametrize("mode", ["hint", "on", "nonsense"])
def test_nothing_is_printed_where_conda_was_asked_to_be_silent(used_up: Machine, mode: str, option: str) -> None:
    answer = _remove(used_up, "one", mode, option)

    assert "prune" not in answer.out + answer.err
    assert used_up.entry("unused-1-0").exists() is (mode != "on")


def test_on_moves_aside_what_may_go_and_it_can_be_restored(used_up: Machine) -> None:
    before = listing(used_up.entry("unused-1-0"))

    answer = _remove(used_up, "one", "on", CONDA_PLUGINS_PRUNE_KEEP="kept", CONDA_ALWAYS_YES="false")

    assert "moved 1 package aside" in answer.err
    assert not used_up.entry("unused-1-0").exists()
    assert used_up.entry("used-1-0").exists()
    assert used_up.run("prune", "restore", "last", "--yes").code == 0
    assert [item[:4] for item in listing(used_up.entry("unused-1-0")).values()] == [
        item[:4] for item in before.values()
    ]


def test_on_prunes_by_the_configured_policy(used_up: Machine) -> None:
    answer = _remove(used_up, "one", "on", CONDA_PLUGINS_PRUNE_KEEP="unused")

    assert "prune" not in answer.err
    assert used_up.entry("unused-1-0").exists()


@pytest.mark.parametrize("mode", ["on", "hint"])
def test_on_purges_old_backups_also_on_a_day_with_little_to_prune(used_up: Machine, mode: str) -> None:
    assert used_up.prune("--backup", "--yes").code == 0
    (receipt,) = used_up.cache.glob(f"{STATE}/*/receipt.json")
    document = json.loads(receipt.read_text())
    receipt.write_text(json.dumps({**document, "started": document["started"] - 48 * HOUR}))

    young = _remove(used_up, "one", mode, CONDA_PLUGINS_PRUNE_PURGE_AFTER="3d")
    age(used_up.cache / STATE / LAST_CHECK, 25 * HOUR)
    old = _remove(used_up, "two", mode, CONDA_PLUGINS_PRUNE_PURGE_AFTER="1d")

    assert "prune" not in young.err
    assert ("was purged" in old.err) is (mode == "on")
    assert receipt.exists() is (mode != "on")


def test_on_does_not_wait_for_another_run(used_up: Machine) -> None:
    from filelock import FileLock

    (used_up.cache / STATE).mkdir()
    with FileLock(used_up.cache / STATE / "lock"):
        answer = _remove(used_up, "one", "on")

    assert "prune" not in answer.err
    assert used_up.entry("unused-1-0").exists()


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"CONDA_PLUGINS_PRUNE_KEEP": "a>>1"}, "CONDA_PLUGINS_PRUNE_KEEP"),
        ({"CONDA_PLUGINS_PRUNE_AUTO": "often"}, "off, hint or on"),
        ({"CONDA_PLUGINS_PRUNE_AUTO_THRESHOLD": "much"}, "CONDA_PLUGINS_PRUNE_AUTO_THRESHOLD"),
    ],
)
def test_what_goes_wrong_is_said_and_never_the_outcome_of_the_command(
    used_up: Machine, environ: dict[str, str], said: str
) -> None:
    settings = {"CONDA_PLUGINS_PRUNE_AUTO": "on", **environ}

    answer = used_up.run("env", "remove", "-n", "one", "--yes", **settings)

    assert answer.code == 0
    assert "Traceback" not in answer.err
    assert said in answer.err
    # What to do about it.
    assert "conda config --describe" in answer.err
    assert used_up.entry("unused-1-0").exists()


def test_nothing_is_pruned_under_a_build(used_up: Machine) -> None:
    _remove(used_up, "one", "on", CONDA_BUILD="1")

    assert used_up.entry("unused-1-0").exists()
    assert not (used_up.cache / STATE).exists()


def test_the_time_of_the_last_look_is_kept_in_the_first_cache_that_can_be_written_to(tmp_path: Path) -> None:
    closed, missing, cache = tmp_path / "closed", tmp_path / "missing", tmp_path / "pkgs"
    cache.mkdir()
    # As closed to root as to anybody.
    closed.touch()
    caches, now = [str(closed), str(missing), str(cache)], time.time()

    assert claim(caches, now)
    assert not claim(caches, now)
    assert not claim(caches, now + 23 * HOUR)
    assert claim(caches, now + 25 * HOUR)
    assert not claim([str(missing)], now)
    assert not missing.exists()


def test_a_stamp_from_the_future_does_not_count(tmp_path: Path) -> None:
    now = time.time()
    assert claim([str(tmp_path)], now)
    os.utime(tmp_path / STATE / LAST_CHECK, (now + 1e6, now + 1e6))

    assert claim([str(tmp_path)], now)
    assert not claim([str(tmp_path)], now)


def test_a_state_directory_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    cache, victim = tmp_path / "pkgs", tmp_path / "victim"
    cache.mkdir()
    victim.mkdir()
    (cache / STATE).symlink_to(victim)

    assert not claim([str(cache)], time.time())
    assert list(victim.iterdir()) == []


def test_what_the_disk_failed_at_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def due(output: object, silent: bool) -> None:
        failures.note(OSError(errno.EIO, "Input/output error", "/pkgs/a-1-0"))

    monkeypatch.setattr(auto_prune, "_run_due", due)

    auto_prune.after_command()
    auto_prune.after_command()

    assert capsys.readouterr().err.count("The disk failed at /pkgs/a-1-0") == 2
