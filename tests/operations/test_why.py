"""``conda prune why``: every reason that it gives is true, and no true one is missing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import UNREFERENCED, listing
from tiny import Tiny

if TYPE_CHECKING:
    from machine import Answer, Machine


@pytest.fixture
def tiny(empty: Machine) -> Tiny:
    """A cache written by hand on a machine that runs conda."""
    tiny = Tiny.__new__(Tiny)
    tiny.cache, tiny.envs = empty.cache, empty.envs
    return tiny


def _why(machine: Machine, *arguments: str | os.PathLike[str], **environ: str) -> Answer:
    return machine.run("prune", "why", "--min-age", "0", *arguments, **environ)


def _packages(machine: Machine, *arguments: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    answer = _why(machine, "--json", *arguments)
    assert answer.code == 0, answer.out + answer.err
    assert (answer.json["schema"], answer.json["success"]) == (1, True)
    return {package["dist"]: package for package in answer.json["packages"]}


def _link(tree: Path, prefix: Path, dist: str) -> str:
    """Return how an environment holds an entry, by comparing every file of the one with every file of the other."""
    payload = [path for path in tree.rglob("*") if path.relative_to(tree).parts[0] != "info"] if tree.exists() else []
    own = {(path.lstat().st_dev, path.lstat().st_ino) for path in payload if not path.is_dir()}
    installed = [path for path in prefix.rglob("*") if path.is_symlink() or path.is_file()]
    if any((path.lstat().st_dev, path.lstat().st_ino) in own for path in installed):
        return "hard"
    if any(path.is_symlink() and tree in path.resolve().parents for path in installed):
        return "soft"
    files = json.loads((prefix / "conda-meta" / f"{dist}.json").read_text()).get("files", [])
    return "copy" if payload and any((prefix / name).exists() for name in files) else "recorded"


def _inodes(directory: Path) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for path in directory.rglob("*"):
        if path.is_symlink() or path.is_file():
            key = (path.lstat().st_dev, path.lstat().st_ino)
            found[key] = found.get(key, 0) + 1
    return found


def _assert_true(machine: Machine, packages: dict[str, dict[str, Any]]) -> None:
    """Check every package's reasons against the disk, slowly and without any code of ours."""
    in_cache = _inodes(machine.cache)
    for dist, package in packages.items():
        tree = machine.entry(dist)
        users = [prefix for prefix in machine.environments if (prefix / "conda-meta" / f"{dist}.json").exists()]
        given = {(reason["root"], reason["link"]) for reason in package["reasons"] if reason["kind"] == "environment"}
        assert given == {(str(prefix), _link(tree, prefix, dist)) for prefix in users}, dist
        kinds = [reason["kind"] for reason in package["reasons"]]
        assert kinds
        if package["remove"]:
            assert kinds == ["unreferenced"]
            assert package["verdict"] == "unreferenced"
            assert not users
            assert all(in_cache[key] == links for key, links in _links(tree).items())
            assert package["last_used"] is not None
        elif users:
            assert package["verdict"] == "reachable"


def _links(tree: Path) -> dict[tuple[int, int], int]:
    files = [path for path in tree.rglob("*") if path.is_symlink() or path.is_file()]
    return {(path.lstat().st_dev, path.lstat().st_ino): path.lstat().st_nlink for path in files}


@pytest.mark.slow
def test_every_reason_for_every_entry_is_true(machine: Machine) -> None:
    entries = {path.name for path in machine.cache.iterdir() if (path / "info").exists()} | {"onlyarchive-1.0-0"}

    packages = _packages(machine, "*")

    assert packages.keys() == entries
    assert {dist for dist, package in packages.items() if package["remove"]} == UNREFERENCED
    _assert_true(machine, packages)
    # And after a change that only the disk tells of: a hard link became a copy, a copy is gone.
    for prefix, name in ((machine.envs / "hard", "bin"), (machine.envs / "copy", "bin")):
        files = [path for path in (prefix / name).iterdir() if path.name.startswith("inner")]
        for path in files:
            content = path.read_bytes()
            path.unlink()
            if prefix.name == "hard":
                path.write_bytes(content)
    changed = _packages(machine, "innerlinks=1.0")
    _assert_true(machine, changed)
    links = {reason["root"]: reason["link"] for reason in changed["innerlinks-1.0-0"]["reasons"]}
    assert links == {str(machine.envs / "hard"): "copy", str(machine.envs / "copy"): "recorded"}


@pytest.mark.slow
def test_revisions_lines_of_lockfiles_and_rules_are_named(machine: Machine) -> None:
    lock = machine.directory / "lock.txt"
    lock.write_text("# comment\n@EXPLICIT\nhttps://host/noarch/metaonly-2.0-0.conda\n")
    options = ("--keep-revisions", "1", "--lockfile", lock, "--keep", "symlinks=2", "--keep-newest", "1")

    packages = _packages(machine, "*", *options)

    reasons = {dist: [(r["kind"], r["detail"]) for r in package["reasons"]] for dist, package in packages.items()}
    assert reasons["libalpha-1.0-0"] == [("revision", "part of revision 0 of hard")]
    assert reasons["metaonly-2.0-0"] == [("lockfile", "listed in lock.txt, line 3")]
    assert reasons["symlinks-2.0-0"] == [("keep", "kept by the rule symlinks=2")]
    assert reasons["innerlinks-2.0-0"][0][0] == "newest"
    assert {package["verdict"] for dist, package in packages.items() if dist in reasons.keys() - UNREFERENCED} == {
        "reachable"
    }
    _assert_true(machine, {dist: package for dist, package in packages.items() if dist not in UNREFERENCED})


@pytest.mark.slow
def test_what_a_root_alone_keeps_is_what_its_end_would_bring_back(machine: Machine) -> None:
    roots = _why(machine, "--all", "--json").json["roots"]
    alone = {root["path"]: root["reclaimable"] for root in roots}
    before = machine.prune("--dry-run", "--json").json["totals"]["reclaimable"]

    assert alone[str(machine.envs / "deleted")] == 0
    for prefix in machine.environments:
        shutil.rmtree(prefix)
        after = machine.prune("--dry-run", "--json").json["totals"]["reclaimable"]
        assert alone[str(prefix)] == after - before, prefix
        before = after
        # It stays away: what the others alone keep may have grown.
        roots = _why(machine, "--all", "--json").json["roots"]
        alone = {root["path"]: root["reclaimable"] for root in roots}


@pytest.mark.slow
def test_it_reads_only(machine: Machine) -> None:
    before = listing(machine.directory)

    for options in (("*",), ("*", "--json"), ("--all",), ("--find", machine.directory), ("--unlinked", "*")):
        assert _why(machine, *options).code == 0

    assert listing(machine.directory) == before


def test_stray_links_are_found_with_their_environment(empty: Machine, tiny: Tiny) -> None:
    for dist in ("a-1-0", "b-1-0", "c-1-0"):
        tiny.add(dist)
    hidden, loose = empty.directory / "hid den" / "e", empty.directory / "loose"
    (hidden / "conda-meta").mkdir(parents=True)
    (hidden / "lib").mkdir()
    os.link(tiny.cache / "a-1-0" / "lib" / "one", hidden / "lib" / "one")
    os.link(tiny.cache / "b-1-0" / "lib" / "one", loose)

    answer = _why(empty, "--json", "--find", empty.directory).json
    text = _why(empty, "--find", empty.directory).out
    elsewhere = _packages(empty, "--find", empty.home)
    only = _packages(empty, "b", "--find", empty.directory)

    found = {package["dist"]: package["found"] for package in answer["packages"]}
    assert found == {
        "a-1-0": [{"path": str(hidden / "lib" / "one"), "environment": str(hidden)}],
        "b-1-0": [{"path": str(loose), "environment": None}],
    }
    assert str(hidden) in text
    assert [package["found"] for package in elsewhere.values()] == [[], []]
    assert only.keys() == {"b-1-0"}


def test_it_says_of_a_package_in_use_that_it_is_damaged_and_of_no_other(empty: Machine, tiny: Tiny) -> None:
    for env, dist in enumerate(("asked-1-0", "other-1-0", "whole-1-0")):
        tiny.add(dist)
        tiny.use(str(env), dist)
    for dist in ("asked-1-0", "other-1-0"):
        (empty.entry(dist) / "lib" / "one").unlink()

    answer = _why(empty, "asked", "whole", "--json")

    assert answer.code == 0
    assert [(warning["kind"], warning["path"]) for warning in answer.json["warnings"]] == [
        ("damaged-package", str(empty.entry("asked-1-0")))
    ]
    assert "1 of 2 files missing (lib/one)" in _why(empty, "asked").err


def test_what_would_go_says_since_when_nothing_uses_it(empty: Machine, tiny: Tiny) -> None:
    tree = tiny.add("a-1-0", {})
    for path in (tree / "info" / "repodata_record.json", tree):
        os.utime(path, (1_000_000_000, 1_000_000_000))

    package = _packages(empty, "a")["a-1-0"]
    text = _why(empty, "a").out

    assert (package["last_used"], package["last_used_from"]) == ("2001-09-09T01:46:40Z", "extraction")
    assert "(2001-09-09T01:46:40Z)" in text
    assert "removable: no environment uses it" in text


def test_unlinked_entries_are_reachable_and_would_go(empty: Machine, tiny: Tiny) -> None:
    tiny.add("a-1-0")
    tiny.use("e", "a-1-0", link=False)

    package = _packages(empty, "a", "--unlinked")["a-1-0"]

    assert (package["verdict"], package["remove"]) == ("reachable", True)
    assert [(reason["kind"], reason["root"], reason["link"]) for reason in package["reasons"]] == [
        ("unlinked", str(tiny.envs / "e"), "recorded")
    ]


def test_what_matches_nothing_fails_and_what_else_matches_is_told_all_the_same(empty: Machine, tiny: Tiny) -> None:
    tiny.add("a-1-0")

    nothing, document, some = _why(empty, "b"), _why(empty, "--json", "b"), _why(empty, "--json", "a", "b")

    assert nothing.code == document.code == 1
    assert "No package in the caches matches b" in nothing.err
    assert str(empty.cache) in nothing.err
    assert document.json["exception_name"] == "NoSuchPackageError"
    assert (some.code, some.json["success"]) == (1, False)
    assert [package["dist"] for package in some.json["packages"]] == ["a-1-0"]
    assert [warning["kind"] for warning in some.json["warnings"]] == ["no-match"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [((), 2), (("a>>1",), 2), (("",), 2), (("--find", "/does/not/exist"), 1), (("--no-such-option",), 2)],
)
def test_bad_input_is_refused_in_text_and_in_json(empty: Machine, arguments: tuple[str, ...], code: int) -> None:
    text, document = _why(empty, *arguments), _why(empty, "--json", *arguments)

    assert (text.code, text.out) == (code, "")
    assert (document.code, document.json["success"]) == (code, False)


def test_options_before_the_command_count(empty: Machine, tiny: Tiny) -> None:
    tiny.add("a-1-0")

    answer = empty.run("prune", "--json", "--keep", "a", "why", "a")

    assert [reason["kind"] for reason in answer.json["packages"][0]["reasons"]] == ["keep"]


def test_hostile_names_are_printed_on_one_line(empty: Machine) -> None:
    cache = empty.directory / "ca\nche \x1b[31m"
    (cache / "a-1-0" / "info").mkdir(parents=True)
    (cache / "a-1-0" / "info" / "index.json").symlink_to("/not/there\x1b[31m")

    answer = _why(empty, "--pkgs-dir", cache, "a-1-0")

    assert answer.code == 0, answer.err
    assert "\x1b" not in answer.out
    assert r"a-1-0 in " in answer.out
    assert r"ca\nche \x1b[31m: can't be judged" in answer.out


@pytest.mark.parametrize(
    ("options", "command"),
    [
        (("-t",), ("why", "a")),
        (("-p",), ("why", "a")),
        (("--packages",), ("usage",)),
        (("--unlinked",), ("restore",)),
    ],
)
def test_an_option_that_a_command_can_t_honour_is_bad_usage_before_it_too(
    empty: Machine, options: tuple[str, ...], command: tuple[str, ...]
) -> None:
    answer = empty.run("prune", *options, "--json", *command)

    assert answer.code == 2
    assert answer.json["exception_name"] == "UsageError"
    assert options[0] in answer.json["message"]
