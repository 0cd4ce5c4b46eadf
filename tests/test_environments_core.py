"""What decides on environments, as pure functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune_plugin.core.environments import (
    ABSOLUTE,
    Environment,
    Mentions,
    Pointer,
    ProtectionKind,
    Running,
    duplicates,
    is_unused_for,
    last_evidence,
    protections,
)
from conda_prune_plugin.core.model import Root, RootState
from conda_prune_plugin.core.report import EnvironmentUsage, PipPackages
from conda_prune_plugin.core.usage import Account

_NOW = 1e9
_TIMES = st.none() | st.floats(0, _NOW)


def _environment(
    *,
    created: float | None = None,
    changed: float | None = None,
    used: float | None = None,
    keeps_access: bool = True,
    **more: object,
) -> Environment:
    root = Root("/envs/e", "e", RootState.OK, frozenset({"a-1-0"}))
    usage = EnvironmentUsage(root, Account(0, 0, 0, 0, 0, 0, 0), PipPackages(), changed, used, keeps_access)
    return Environment(usage, created=created, **more)  # type: ignore[arg-type]


@given(_TIMES, _TIMES, _TIMES, st.booleans(), st.sampled_from([None, "cron", "systemd", "kernel"]), st.floats(0, _NOW))
def test_the_newest_of_all_evidence_decides(
    created: float | None, changed: float | None, used: float | None, runs: bool, pointing: str | None, age: float
) -> None:
    running = (Running(1, "x"),) if runs else ()
    pointers = (Pointer(pointing, "/p"),) if pointing else ()
    environment = _environment(created=created, changed=changed, used=used, running=running, pointers=pointers)

    in_use_now = runs or pointing in ("cron", "systemd")
    times = [time for time in (created, changed, used, _NOW if in_use_now else None) if time is not None]
    last = last_evidence(environment, _NOW)

    assert (last.time if last else None) == max(times, default=None)
    assert is_unused_for(environment, age, _NOW) == (bool(times) and _NOW - max(times) >= age)


def test_what_no_force_lifts() -> None:
    base = _environment(base=True, active=True, frozen=True, is_link=True, holds=("/envs/e/pkgs",))

    kinds = {item.kind for item in protections(base, by_age=False)}

    assert kinds - ABSOLUTE == {ProtectionKind.ACTIVE, ProtectionKind.FROZEN}
    assert kinds & ABSOLUTE == {ProtectionKind.BASE, ProtectionKind.LINK, ProtectionKind.HOLDS}


def test_where_no_access_is_kept_nothing_goes_for_its_age() -> None:
    unknown = _environment(changed=1.0, keeps_access=False)

    assert [item.kind for item in protections(unknown, by_age=True)] == [ProtectionKind.UNKNOWN_USE]
    assert protections(unknown, by_age=False) == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("#!/envs/a/bin/python", {"/envs/a"}),
        ('"/envs/a"', {"/envs/a"}),
        ("file:///envs/a/bin", {"/envs/a"}),
        ("PATH=/x:/envs/a:/y", {"/envs/a"}),
        ("/envs/a/envs/inner/bin/python", {"/envs/a/envs/inner"}),
        ("/envs/ab /envs/a.old /envs/a-b", set()),
        ("/data/envs/a/bin", set()),
        ("~/env/bin ${HOME}/env $HOME/env/x", {"/home/me/env"}),
        ("~user/env", set()),
    ],
)
def test_a_path_is_found_and_what_only_looks_like_it_is_not(text: str, found: set[str]) -> None:
    prefixes = ("/envs/a", "/envs/a/envs/inner", "/home/me/env")

    assert Mentions(prefixes, {}, "/home/me").paths(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("conda activate work", {"/envs/work"}),
        ("  source activate 'work'", {"/envs/work"}),
        ("exec conda run -n work python x.py", {"/envs/work"}),
        ("micromamba run --name work x", {"/envs/work"}),
        ("layout anaconda work", {"/envs/work"}),
        ("# conda activate work", set()),
        ("conda activate worker", set()),
        ("conda create -n work", set()),
    ],
)
def test_a_name_counts_where_it_is_activated(text: str, found: set[str]) -> None:
    assert Mentions(("/envs/work",), {"work": "/envs/work"}, "/home/me").activated(text) == found


@given(st.lists(st.frozensets(st.sampled_from("abc"), max_size=3), max_size=6))
def test_duplicates_are_those_with_exactly_the_same_packages(sets: list[frozenset[str]]) -> None:
    roots = [Root(f"/{number}", None, RootState.OK, dists) for number, dists in enumerate(sets)]

    found = duplicates(roots)

    for root in roots:
        expected = [one.path for one in roots if one is not root and one.dists == root.dists and root.dists]
        assert list(found.get(root.path, ())) == expected
