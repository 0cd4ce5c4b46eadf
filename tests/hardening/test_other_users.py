"""A cache with several owners: what is not ours to remove is kept and named before anything begins.

These tests become another user for real, so they run as root only.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock  # noqa: F401  # In the processes of others it could not be imported any more.
import pytest
from places import as_another
from tiny import Tiny

from conda_prune_plugin.core.rules.targets import Target
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.discovery.leftovers.conda_clean import find_other
from conda_prune_plugin.discovery.leftovers.leftover_search import Search, find_leftovers
from conda_prune_plugin.discovery.packages.cache_listing import list_cache
from conda_prune_plugin.discovery.packages.inspection import Memory
from conda_prune_plugin.discovery.system.measure import measure
from conda_prune_plugin.execution.locks.run_lock import Patience
from conda_prune_plugin.execution.ports import Fetch, UnfetchableError
from conda_prune_plugin.execution.purge_backups import purge
from conda_prune_plugin.execution.restore_backups import restore
from conda_prune_plugin.execution.state.state_dir import locked
from conda_prune_plugin.execution.state.stored_runs import stored_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

NOBODY = 65534
ALL = ("a-1-0", "b-1-0", "c-1-0")


@pytest.fixture
def shared() -> Iterator[Tiny]:
    """A cache that belongs to nobody, in a place that everybody may enter."""
    directory = Path(tempfile.mkdtemp(prefix="conda-prune-test-"))
    directory.chmod(0o755)
    tiny = Tiny(directory / "it")
    for dist in ALL:
        tiny.add(dist, archive=True)
    _give(directory / "it", NOBODY)
    yield tiny
    shutil.rmtree(directory)


def _give(path: Path, user: int) -> None:
    for item in (path, *path.rglob("*")):
        os.chown(item, user, user, follow_symlinks=False)


def _as_nobody(do: Callable[[], Any]) -> Any:
    """Return what a function returns in a process of another user."""

    def become() -> None:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)

    return as_another(become, do)


def _prune(tiny: Tiny) -> dict[str, list[str]]:
    """Plan and execute; return what was kept and why, and what was removed and how."""
    plan = tiny.plan()
    kept = {decision.entry.dist: [reason.kind.value for reason in decision.reasons] for decision in plan.keep}
    done = {
        outcome.entry.dist: [outcome.result.value, *([outcome.error] if outcome.error else [])]
        for outcome in tiny.execute(plan).outcomes
    }
    return kept | done


def test_our_own_goes_even_where_directories_forbid_their_owner_to_write(shared: Tiny) -> None:
    for path in (shared.cache / "a-1-0" / "lib", shared.cache / "a-1-0"):
        path.chmod(0o555)

    assert _as_nobody(lambda: _prune(shared)) == {dist: ["removed"] for dist in ALL}
    assert shared.names() == {"urls.txt"}


def test_what_holds_a_directory_of_somebody_else_is_kept(shared: Tiny) -> None:
    _give(shared.cache / "b-1-0" / "lib", 0)

    answer = _as_nobody(lambda: _prune(shared))

    assert answer == {"a-1-0": ["removed"], "b-1-0": ["read-only"], "c-1-0": ["removed"]}
    assert (shared.cache / "b-1-0" / "lib" / "one").exists()


def test_an_archive_that_may_not_be_read_is_said_to_be_unreadable_and_not_to_be_no_package(shared: Tiny) -> None:
    shutil.rmtree(shared.cache / "b-1-0")
    os.chown(shared.cache / "b-1-0.conda", 0, 0)
    (shared.cache / "b-1-0.conda").chmod(0o600)

    answer = _as_nobody(lambda: _prune(shared))

    assert answer["b-1-0"] == ["unreadable"]


def test_in_a_sticky_cache_only_our_own_goes(shared: Tiny) -> None:
    _give(shared.cache / "b-1-0", 0)
    os.chown(shared.cache / "c-1-0.conda", 0, 0)
    os.chown(shared.cache, 0, 0)
    shared.cache.chmod(0o1777)

    answer = _as_nobody(lambda: _prune(shared))

    assert answer == {"a-1-0": ["removed"], "b-1-0": ["read-only"], "c-1-0": ["read-only"]}


def test_in_a_sticky_cache_leftovers_of_others_are_kept_before_anything_begins(shared: Tiny) -> None:
    for name in ("ours-1-0.conda.partial", "theirs-1-0.conda.partial"):
        (shared.cache / name).touch()
    _give(shared.cache, NOBODY)
    os.chown(shared.cache / "theirs-1-0.conda.partial", 0, 0)
    os.chown(shared.cache, 0, 0)
    shared.cache.chmod(0o1777)

    def obstacles() -> dict[str, bool]:
        found = find_leftovers(shared.inventory(), (), Search(contents=False), Memory(), lambda done: None).leftovers
        return {item.entry.dist: bool(item.measurement and item.measurement.obstacle) for item in found}

    assert _as_nobody(obstacles) == {"ours-1-0.conda.partial": False, "theirs-1-0.conda.partial": True}


def test_logs_in_a_directory_of_somebody_else_are_not_offered_and_told(shared: Tiny) -> None:
    logs = shared.cache / ".logs"
    logs.mkdir()
    (logs / "x.log").touch()

    def offered() -> tuple[list[str], list[str]]:
        found, notices = find_other(Target.LOGFILES, shared.inventory(), measure, 2e9, lambda done: None)
        return [other.path for other in found], [notice.path for notice in notices]

    assert _as_nobody(offered) == [[], [str(logs / "x.log")]]
    _give(logs, NOBODY)
    assert _as_nobody(offered) == [[str(logs / "x.log")], []]


def test_of_a_cache_that_is_not_ours_nothing_is_offered(shared: Tiny) -> None:
    os.chown(shared.cache, 0, 0)

    answer = _as_nobody(lambda: _prune(shared))

    assert answer == {dist: ["read-only"] for dist in ALL}


def test_an_entry_that_we_may_not_look_into_is_kept_as_unreadable(shared: Tiny) -> None:
    _give(shared.cache / "b-1-0" / "lib", 0)
    (shared.cache / "b-1-0" / "lib").chmod(0o700)

    assert _as_nobody(lambda: _prune(shared))["b-1-0"] == ["unreadable"]


def test_an_environment_that_we_may_not_look_into_is_unreadable_and_not_empty(shared: Tiny) -> None:
    (shared.envs / "secret" / "conda-meta").mkdir(parents=True)
    (shared.envs / "secret").chmod(0o700)
    (shared.envs / "half" / "conda-meta").mkdir(parents=True)
    (shared.envs / "half" / "conda-meta").chmod(0o700)

    states = _as_nobody(lambda: {root.path: root.state.value for root in shared.watch().roots})

    assert states == {str(shared.envs / name): "unreadable" for name in ("half", "secret")}


def test_a_cache_that_cannot_be_read_is_told_and_left_alone(shared: Tiny) -> None:
    os.chown(shared.cache, 0, 0)
    shared.cache.chmod(0o700)

    notices = _as_nobody(lambda: [notice.kind for notice in shared.plan().inventory.notices])

    assert notices == ["unreadable-cache"]


def _backup_as_root(tiny: Tiny) -> None:
    tiny.execute(tiny.plan(), run=Run("run-1", 1.0, Disposal.BACKUP))


def _restore(tiny: Tiny) -> dict[str, str]:
    (stored,) = stored_runs(list_cache(str(tiny.cache)))
    with locked(stored.cache, Patience(2.0)) as cache:
        done = restore(cache, stored, lambda entry: True, _NO_FETCH, lambda count: None)
    return {outcome.entry.dist: outcome.result.value for outcome in done.outcomes}


def _nothing_again(*arguments: object) -> None:
    raise UnfetchableError("nothing is fetched here")


_NO_FETCH = Fetch(_nothing_again, _nothing_again)


def test_what_root_backed_up_in_a_cache_of_somebody_else_he_can_restore_himself(shared: Tiny) -> None:
    _backup_as_root(shared)
    assert {path.lstat().st_uid for path in (shared.cache, *shared.cache.rglob("*"))} == {NOBODY}

    assert _as_nobody(lambda: _restore(shared)) == dict.fromkeys(ALL, "restored")
    assert {path.lstat().st_uid for path in (shared.cache, *shared.cache.rglob("*"))} == {NOBODY}


def test_root_that_restores_archives_there_makes_nothing_of_its_own_and_nothing_that_runs_as_root(
    shared: Tiny, tmp_path: Path
) -> None:
    tool = shared.cache / "a-1-0" / "lib" / "one"
    os.chown(tool, 0, 0)
    tool.chmod(0o4755)
    shared.execute(shared.plan(), run=Run("run-1", 1.0, Disposal.ARCHIVE, str(tmp_path / "elsewhere")))

    assert _restore(shared) == dict.fromkeys(ALL, "restored")

    restored = tool.lstat()
    assert (restored.st_uid, stat.S_IMODE(restored.st_mode)) == (NOBODY, 0o755)
    assert {path.lstat().st_uid for path in shared.cache.rglob("*")} == {NOBODY}


def test_in_a_sticky_cache_nobody_purges_or_restores_the_backup_of_another(shared: Tiny) -> None:
    _give(shared.cache, 0)
    shared.cache.chmod(0o1777)
    _backup_as_root(shared)
    before = {path: path.lstat().st_mtime_ns for path in shared.cache.rglob("*") if path.name[0].isdigit()}

    def purge_it() -> bool:
        (stored,) = stored_runs(list_cache(str(shared.cache)))
        with locked(stored.cache, Patience(2.0)) as cache:
            return purge(cache, stored, lambda path, fd: measure(path, dir_fd=fd), lambda files: None).error is None

    assert _as_nobody(purge_it) is False
    assert set(_as_nobody(lambda: _restore(shared)).values()) == {"failed"}
    assert {path: path.lstat().st_mtime_ns for path in before} == before
    assert _restore(shared) == dict.fromkeys(ALL, "restored")


def test_in_a_sticky_cache_the_receipt_of_another_stays_and_stops_no_purge(shared: Tiny) -> None:
    _give(shared.cache, 0)
    shared.cache.chmod(0o1777)
    shared.execute(shared.plan())
    _give(shared.add("d-1-0"), NOBODY)

    def prune_and_purge() -> dict[str, str | None]:
        shared.execute(shared.plan(), run=Run("run-2", 2.0, Disposal.DELETE))
        errors = {}
        for stored in stored_runs(list_cache(str(shared.cache))):
            with locked(stored.cache, Patience(2.0)) as cache:
                done = purge(cache, stored, lambda path, fd: measure(path, dir_fd=fd), lambda files: None)
            errors[stored.id] = done.error
        return errors

    told = "its receipt stays: Operation not permitted (receipt.json)"
    assert _as_nobody(prune_and_purge) == {"run-1": told, "run-2": None}
    (left,) = stored_runs(list_cache(str(shared.cache)))
    assert (left.id, left.complete) == ("run-1", True)


def test_in_a_cache_of_a_group_each_member_can_restore_what_another_backed_up(shared: Tiny) -> None:
    for path in (shared.cache, *shared.cache.rglob("*")):
        os.chown(path, 0, NOBODY, follow_symlinks=False)
        path.chmod(path.stat().st_mode | (0o2070 if path.is_dir() else 0o060))
    _backup_as_root(shared)

    assert _as_nobody(lambda: _restore(shared)) == dict.fromkeys(ALL, "restored")
