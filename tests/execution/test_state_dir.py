"""Runs that begin and end at once find the state directory of a cache, or make it anew."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conda_prune_plugin.core.layout import STATE
from conda_prune_plugin.discovery.packages.cache_listing import list_cache
from conda_prune_plugin.errors import LockTimeoutError, StateError
from conda_prune_plugin.execution.files.dir_fd import Directory
from conda_prune_plugin.execution.locks.run_lock import Patience, exclusive_in_place
from conda_prune_plugin.execution.state import state_dir
from conda_prune_plugin.execution.state.state_dir import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conda_prune_plugin.core.model import Cache


#: Windows locks no directories.
_LOCKABLE = pytest.mark.posix


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    (tmp_path / "pkgs").mkdir()
    (tmp_path / "pkgs" / "urls.txt").touch()
    return list_cache(str(tmp_path / "pkgs"))


def _before(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, happen: Callable[[], object]) -> list[str]:
    """Let something happen just before the next call of a function; return what is filled when it has."""
    real = getattr(place, name)
    happened: list[str] = []

    def called(*arguments: Any) -> Any:
        if not happened:
            happened.append(name)
            happen()
        return real(*arguments)

    monkeypatch.setattr(place, name, called)
    return happened


def _require_lockable(cache: Cache) -> None:
    with locked(cache, Patience(2.0)) as here:
        assert [name for name, _ in here.state.names()] == ["lock"]
        assert here.state.own_status().st_ino == os.stat(os.path.join(cache.path, STATE)).st_ino
    assert os.listdir(cache.path) == ["urls.txt"]


def test_the_state_directory_that_another_run_makes_just_before_us_is_used(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.path.join(cache.path, STATE)
    happened = _before(monkeypatch, Directory, "mkdir", lambda: os.mkdir(path))

    _require_lockable(cache)

    assert happened


@pytest.mark.parametrize("step", ["child", "hand_over"])
def test_the_state_directory_that_another_run_takes_away_at_its_end_is_made_anew(
    cache: Cache, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = os.path.join(cache.path, STATE)
    happened = _before(monkeypatch, Directory, step, lambda: os.rmdir(path))

    _require_lockable(cache)

    assert happened


def test_a_state_directory_that_is_taken_away_while_it_is_locked_is_made_anew(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish() -> None:
        raise FileNotFoundError(2, "No such file or directory")

    happened = _before(monkeypatch, state_dir, "exclusive", vanish)

    _require_lockable(cache)

    assert happened


def test_in_a_cache_that_is_gone_nobody_waits_for_its_state_directory(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    _before(monkeypatch, Directory, "make_own", lambda: shutil.rmtree(cache.path))

    with pytest.raises(StateError, match="No such file"), locked(cache, Patience(2.0)):
        pass

    assert not os.path.exists(cache.path)


@pytest.mark.posix
@pytest.mark.parametrize("kind", ["link", "further name", "pipe"])
def test_a_lock_that_is_another_file_too_is_refused_and_not_touched(cache: Cache, tmp_path: Path, kind: str) -> None:
    victim, lock = tmp_path / "victim", Path(cache.path, STATE, "lock")
    victim.write_text("precious")
    lock.parent.mkdir()
    if kind == "link":
        lock.symlink_to(victim)
    elif kind == "further name":
        os.link(victim, lock)
    else:
        os.mkfifo(lock)

    with pytest.raises(StateError, match="lock"), locked(cache, Patience(2.0)):
        pass

    assert victim.read_text() == "precious"
    assert lock.is_symlink() == (kind == "link")


def test_the_lock_is_private_where_the_cache_is_and_is_never_emptied(cache: Cache) -> None:
    lock = Path(cache.path, STATE, "lock")
    lock.parent.mkdir()
    lock.write_text("of an earlier version")

    with locked(cache, Patience(2.0)):
        assert lock.read_text() == "of an earlier version"
    assert not lock.exists()
    with locked(cache, Patience(2.0)):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    Path(cache.path).chmod(0o775)
    with locked(cache, Patience(2.0)):
        assert stat.S_IMODE(lock.stat().st_mode) == 0o644


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_a_lock_of_a_user_who_may_not_change_the_cache_is_refused(cache: Cache) -> None:
    lock = Path(cache.path, STATE, "lock")
    lock.parent.mkdir()
    lock.touch()
    os.chown(lock, 65534, 65534)
    Path(cache.path).chmod(0o755)

    with pytest.raises(StateError, match="lock"), locked(cache, Patience(2.0)):
        pass


@_LOCKABLE
def test_on_a_full_disk_one_run_at_a_time_makes_room(tmp_path: Path) -> None:
    told: list[str] = []
    with Directory.open(str(tmp_path)) as first, Directory.open(str(tmp_path)) as second:
        with exclusive_in_place(first, Patience()):
            with pytest.raises(LockTimeoutError), exclusive_in_place(second, Patience(0.05, told.append)):
                pass
            again = first.again()
        with exclusive_in_place(second, Patience(0.0)):
            assert len(told) == 1
        again.close()


@_LOCKABLE
def test_without_room_for_its_file_a_lock_is_taken_on_the_directory(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def full(state_dir: Directory, cache: Directory, patience: Patience) -> Iterator[None]:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
        yield

    monkeypatch.setattr("conda_prune_plugin.execution.state.state_dir.exclusive", full)
    with (
        locked(cache, Patience()),
        Directory.open(cache.real_path) as other,
        pytest.raises(LockTimeoutError),
        exclusive_in_place(other, Patience(0.0)),
    ):
        pass
    assert os.listdir(cache.real_path) == ["urls.txt"]
