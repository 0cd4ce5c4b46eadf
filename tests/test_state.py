"""Runs that begin and end at once find the state directory of a cache, or make it anew."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from conda_prune_plugin.core.names import STATE
from conda_prune_plugin.discovery.caches import list_cache
from conda_prune_plugin.errors import StateError
from conda_prune_plugin.execution import state
from conda_prune_plugin.execution.directory import Directory
from conda_prune_plugin.execution.lock import Patience
from conda_prune_plugin.execution.state import locked, locked_state, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conda_prune_plugin.core.model import Cache


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


def test_what_the_lock_finds_and_then_does_not_is_made_anew(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish() -> None:
        raise FileExistsError(17, "File exists")

    happened = _before(monkeypatch, state, "exclusive", vanish)

    _require_lockable(cache)

    assert happened


def test_in_a_cache_that_is_gone_nobody_waits_for_its_state_directory(cache: Cache) -> None:
    with opened(cache) as directory:
        shutil.rmtree(cache.path)

        with pytest.raises(StateError, match="No such file"), locked_state(directory, cache, Patience(2.0)):
            pass

    assert not os.path.exists(cache.path)
