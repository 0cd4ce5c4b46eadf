"""What decides on environments, as pure functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conda_prune_plugin.core.envs.environment_use import (
    ABSOLUTE,
    Environment,
    EvidenceKind,
    LastEvidence,
    Pointer,
    ProtectionKind,
    Running,
    alike,
    is_unused_for,
    last_evidence,
    protections,
)
from conda_prune_plugin.core.envs.own_files import OwnFiles
from conda_prune_plugin.core.envs.prefix_mentions import Mentions
from conda_prune_plugin.core.model import Root, RootState
from conda_prune_plugin.core.usage.disk_usage import Account
from conda_prune_plugin.core.usage.usage_report import EnvironmentUsage, PipPackages

_NOW = 1e9
_TIMES = st.none() | st.floats(0, _NOW)


def _environment(
    *,
    created: float | None = None,
    changed: float | None = None,
    used: float | None = None,
    keeps_access: bool = True,
    state: RootState = RootState.OK,
    **more: Any,
) -> Environment:
    root = Root("/envs/e", "e", state, frozenset({"a-1-0"}))
    usage = EnvironmentUsage(root, Account(0, 0, 0, 0, 0, 0, 0), PipPackages(), changed, used, keeps_access)
    return Environment(usage, created=created, **more)


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


@pytest.mark.parametrize(
    ("more", "kind", "time", "words"),
    [
        ({"active": True}, EvidenceKind.ACTIVE, _NOW, "active in this shell"),
        (
            {"running": (Running(7, "python"), Running(8, "jupyter"))},
            EvidenceKind.RUNNING,
            _NOW,
            "process 7 is running from it",
        ),
        (
            {"pointers": (Pointer("kernel", "/k"), Pointer("cron", "/c"))},
            EvidenceKind.CRON,
            _NOW,
            "/c runs a program in it",
        ),
        ({"used": 9.0, "changed": 8.0, "created": 7.0}, EvidenceKind.USED, 9.0, "one of its files was read"),
        ({"changed": 8.0, "created": 7.0}, EvidenceKind.CHANGED, 8.0, "conda changed it"),
        ({"created": 7.0}, EvidenceKind.CREATED, 7.0, "it was created"),
    ],
)
def test_the_evidence_that_decides_is_told_and_of_two_at_one_time_the_first(
    more: dict[str, Any], kind: EvidenceKind, time: float, words: str
) -> None:
    same = {key: time for key in ("used", "changed", "created") if time == _NOW}

    assert last_evidence(_environment(**{**same, **more}), _NOW) == LastEvidence(kind, time, words)


@pytest.mark.parametrize("later", [0.0, 4e-7, 1e-6])
def test_a_creation_noted_as_later_by_rounding_does_not_hide_the_change(later: float) -> None:
    changed = 1_764_485_921.123_456_7
    environment = _environment(changed=changed, created=changed + later)

    last = last_evidence(environment, 2e9)

    assert last == LastEvidence(EvidenceKind.CHANGED, changed + later, "conda changed it")
    truly_later = last_evidence(_environment(changed=changed, created=changed + 2e-5), 2e9)
    assert truly_later is not None
    assert truly_later.kind is EvidenceKind.CREATED


def test_an_age_is_reached_to_the_second() -> None:
    environment = _environment(used=_NOW - 10)

    assert [is_unused_for(environment, age, _NOW) for age in (9, 10, 11)] == [True, True, False]


def test_every_protection_is_told_in_its_own_words() -> None:
    environment = _environment(
        base=True,
        active=True,
        frozen=True,
        is_link=True,
        holds=("/envs/e/pkgs",),
        running=(Running(7, "python x.py", "uses a file in it"),),
        pointers=(Pointer("kernel", "/k"),),
        keeps_access=False,
        state=RootState.UNREADABLE,
    )

    assert [(item.kind.value, item.detail) for item in protections(environment, by_age=True)] == [
        ("base", "it is a base environment"),
        ("link", "its path is a symbolic link; name the directory it points to"),
        ("state", "it is unreadable"),
        ("active", "it is active; deactivate it first"),
        ("frozen", "it is frozen (conda-meta/frozen)"),
        ("unknown-use", "its file system keeps no access times, so its last use is unknown"),
        ("holds", "it contains /envs/e/pkgs"),
        ("running", "process 7 (python x.py) uses a file in it"),
        ("pointer", "/k refers to it (kernel)"),
    ]


@pytest.mark.parametrize("by_age", [False, True])
def test_own_work_is_told_by_each_of_its_signs_and_force_lifts_it(by_age: bool) -> None:
    few = OwnFiles(("src/x", "."), ("old", "older"), ("old", "older"), ("old", "older"))
    many = OwnFiles((), (), ("a", "b", "c", "d"), ("a", "b", "c", "d"))

    assert [item.detail for item in protections(_environment(own_files=few), by_age=by_age)] == [
        "it contains a git repository (src/x)",
        "it contains a git repository (.)",
        "it contains 2 files older than the environment (such as old)",
    ]
    (found,) = protections(_environment(own_files=many), by_age=by_age)
    assert (found.kind.value, found.detail) == (
        "own-files",
        "it contains 4 files that belong to no package (such as a)",
    )
    assert found.kind not in ABSOLUTE


@pytest.mark.parametrize("state", RootState)
def test_only_what_can_be_read_is_removed(state: RootState) -> None:
    protected = state in (RootState.MISSING, RootState.UNREADABLE)

    assert bool(protections(_environment(state=state), by_age=True)) is protected
    assert _environment(state=state).path == "/envs/e"


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
        ("/envs/a b/c /envs/a", {"/envs/a b/c", "/envs/a"}),
        ("/envs/a b/d", {"/envs/a"}),
        ("/envs/a /envs/a/envs/other/envs/inner", {"/envs/a"}),
        ("//envs/a/envs/a", {"/envs/a"}),
        ("C:\\envs\\w\\python.exe C:/envs/w", {"C:\\envs\\w"}),
    ],
)
def test_a_path_is_found_and_what_only_looks_like_it_is_not(text: str, found: set[str]) -> None:
    prefixes = ("/envs/a", "/envs/a/envs/inner", "/envs/a b/c", "/home/me/env", "C:\\envs\\w")

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


def test_a_prefix_within_a_longer_one_is_not_named_with_it() -> None:
    assert Mentions(("/x/(a)/e", "/e"), {}, "/home/me").paths("cd /x/(a)/e") == {"/x/(a)/e"}


def test_a_prefix_may_be_a_single_character() -> None:
    assert Mentions(("/",), {}, "/home/me").paths("cd / x") == {"/"}


def test_where_there_is_no_environment_no_text_names_one() -> None:
    assert Mentions((), {}, "/home/me").activated("/ ~/ conda activate x") == frozenset()


def test_a_name_that_no_environment_has_activates_none() -> None:
    mentions = Mentions(("/envs/a",), {"a": "/envs/a"}, "/home/me")

    assert mentions.activated("conda activate b\nconda activate a\ncat /envs/a/x") == {"/envs/a"}
    assert mentions.activated("conda activate b") == frozenset()


@given(st.lists(st.frozensets(st.sampled_from("abc"), max_size=3), max_size=6))
@example([frozenset("a"), frozenset("b"), frozenset("a"), frozenset()])
def test_alike_are_those_with_exactly_the_same_packages(sets: list[frozenset[str]]) -> None:
    roots = [Root(f"/{number}", None, RootState.OK, dists) for number, dists in enumerate(sets)]

    found = alike(roots)

    for root in roots:
        expected = [one.path for one in roots if one.dists == root.dists and root.dists]
        assert list(found.get(root.path, ())) == expected
        assert all(found[path] is found[root.path] for path in expected)


def test_what_can_t_be_read_whole_is_nobody_s_duplicate() -> None:
    roots = [Root(f"/{state}", None, state, frozenset("a")) for state in RootState]

    assert alike(roots) == {"/ok": ("/ok",)}


@pytest.mark.parametrize("by_age", [True, False])
def test_what_only_another_user_lists_is_never_chosen_but_may_be_named(by_age: bool) -> None:
    foreign = replace(_environment(), listed_by="/home/b/.conda/environments.txt")

    (found,) = protections(foreign, by_age=by_age, named=False)

    assert (found.kind, found.kind in ABSOLUTE) == (ProtectionKind.OTHER_REGISTRY, True)
    assert found.detail == (
        "only another user's registry lists it (/home/b/.conda/environments.txt); to remove it, name it: "
        f"conda prune envs {foreign.path}"
    )
    assert protections(foreign, by_age=False, named=True) == protections(foreign, by_age=False) == ()
    assert protections(_environment(), by_age=False, named=False) == ()
