"""All that ``conda clean`` does, measured against conda itself on the same tree; and what ``conda doctor`` says."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from machine import Machine, allocated, contents, copy_tree, listing
from tiny import Tiny, tiny_on

from conda_prune_plugin.cli.parsing.arguments import targets_of
from conda_prune_plugin.cli.parsing.option_table import add_options
from conda_prune_plugin.core.rules.targets import ALL, DEFAULT, Target

if TYPE_CHECKING:
    from pathlib import Path


def _litter(machine: Machine) -> None:
    """Leave what conda leaves."""
    (machine.cache / "cut-1-0.conda.partial").write_bytes(b"x" * 9000)
    (machine.cache / "old-1-0.conda.c~").write_bytes(b"x" * 9000)
    (machine.cache / ".logs").mkdir(exist_ok=True)
    (machine.cache / ".logs" / "conda.log").write_bytes(b"x" * 9000)
    for number, prefix in enumerate(machine.environments):
        (prefix / "lib").mkdir(exist_ok=True)
        (prefix / "lib" / f"in-use-{number}.so.c~").write_bytes(b"x" * 9000)
    (machine.envs / "hard" / "x.trash").write_bytes(b"x")


def _paths(machine: Machine) -> set[str]:
    state = str(machine.cache / ".conda-prune")
    return {path for path in listing(machine.directory) if not path.startswith(state)}


@pytest.mark.slow
def test_on_the_same_tree_prune_all_removes_what_clean_all_rightly_removes_and_nothing_that_it_breaks(
    machine: Machine,
) -> None:
    _litter(machine)
    copy_tree(machine.directory, machine.directory.with_name("as-littered"))
    before = _paths(machine)
    whole = {prefix: contents(prefix) for prefix in machine.environments}
    prefixes = [str(prefix) for prefix in machine.environments]

    # conda looks for temporary files in one environment unless it is told of others.
    assert machine.run("clean", "--all", "--tempfiles", *prefixes, "--yes").code == 0
    cleaned = before - _paths(machine)
    shutil.rmtree(machine.directory)
    os.rename(machine.directory.with_name("as-littered"), machine.directory)
    everything = (machine.cache, machine.envs, machine.elsewhere)
    held = allocated(*everything)
    document = machine.prune("--all", "--yes", "--ignore-unreadable", "--json").json
    pruned = before - _paths(machine)

    assert document["success"]
    freed = held - allocated(*everything)
    # The directories of environments and caches may shrink by themselves.
    assert sum(outcome["freed"] for outcome in document["outcomes"]) == freed
    assert document["totals"]["reclaimable"] == freed

    def of(paths: set[str], *dists: str) -> set[str]:
        tops = tuple(str(machine.entry(dist)) + os.sep for dist in dists)
        return {path for path in paths if path.startswith(tops) or f"{path}{os.sep}" in tops}

    # Soft-linked, copied, all placeholder, metadata only: environments have these.
    wrongly = of(cleaned, "libbeta-1.0-0", "symlinks-1.0-0", "allprefix-1.0-0", "allprefix-2.0-0", "metaonly-1.0-0")
    wrongly |= of(cleaned, "libalpha-2.0-0", f"python-3.{sys.version_info.minor}.0-0")
    assert of(cleaned, "symlinks-1.0-0")
    assert cleaned - wrongly - pruned == set()
    assert of(pruned - cleaned, "innerlinks-2.0-0")
    for prefix, was in whole.items():
        now = contents(prefix)
        gone = was.keys() - now.keys()
        assert all(path.endswith((".c~", ".trash")) for path in gone)
        assert now == {path: what for path, what in was.items() if path not in gone}
    # What is reachable can be installed again from what is left, though the channel is away and no archive is left.
    os.rename(machine.directory / "channel", machine.directory / "away")
    assert not list(machine.cache.glob("*.conda"))
    explicit = machine.run("list", "-n", "soft", "--explicit", "--md5").out
    (machine.directory / "explicit.txt").write_text(explicit)
    again = machine.run("create", "-n", "again", "--offline", "--file", machine.directory / "explicit.txt", "--yes")
    assert again.code == 0, again.out + again.err


def test_each_target_takes_its_own_and_nothing_else(empty: Machine) -> None:
    tiny = _place(empty)
    (tiny.envs / "e" / "x.c~").write_bytes(b"x" * 5000)
    record = tiny.envs / "e" / "conda-meta" / "owned-1-0.json"
    names = {"name": "owned", "version": "1", "build": "0"}
    record.write_text(json.dumps({**names, "files": ["own.trash"], "fill": "x" * 300}))
    (tiny.envs / "e" / "own.trash").write_bytes(b"a package has brought this")
    tiny.add("free-1-0", archive=True)
    whole = {
        "-i": tiny.cache / "cache",
        "-l": tiny.cache / ".logs" / "x.log",
        "-c": tiny.envs / "e" / "x.c~",
        "--leftovers": tiny.cache / "x-1-0.conda.partial",
    }
    for target, path in whole.items():
        others = [other for other in whole.values() if other != path and other.exists()]
        before = allocated(tiny.cache, tiny.envs)

        document = empty.prune(target, "--yes", "--json").json

        assert not path.exists()
        assert all(other.exists() for other in others)
        assert document["totals"]["reclaimable"] == before - allocated(tiny.cache, tiny.envs) > 0
        assert [outcome["result"] for outcome in document["outcomes"]] == ["removed"]
        assert document["totals"]["remove"] + document["totals"]["other"] == 1
        # Nothing of it could be restored.
        assert document["run"] is None
        assert empty.run("prune", "restore", "--json").json["runs"] == []
    assert (tiny.cache / "free-1-0").exists()
    assert (tiny.envs / "e" / "own.trash").exists()
    assert (tiny.cache / "urls.txt").exists()


def _files(found: Any) -> list[str]:
    """Return the paths in a part of the document of ``conda clean``; old ones have a list of logs."""
    return list(found["files"] if isinstance(found, dict) else found)


def test_index_caches_and_logs_are_those_that_conda_finds(empty: Machine, tmp_path: Path) -> None:
    _place(empty)
    caches = [empty.cache, *(tmp_path / name for name in ("bare", "files", "linked"))]
    for cache in caches[1:]:
        cache.mkdir()
        (cache / "urls.txt").touch()
    for name in ("cache", ".logs"):
        (caches[2] / name).touch()
        (caches[3] / name).symlink_to(empty.cache / name)
    (empty.cache / ".logs" / "older").mkdir()
    (empty.cache / ".logs" / "older" / "y.log").touch()
    (empty.cache / ".logs" / "dangling").symlink_to("nothing")
    environ = {"CONDA_PKGS_DIRS": ",".join(map(str, caches))}

    theirs = json.loads(empty.run("clean", "-i", "-l", "--dry-run", "--json", **environ).out)
    ours = empty.prune("-i", "-l", "--dry-run", "--json", **environ).json["other"]

    assert len(ours["index_cache"]) == 2
    for name in ("index_cache", "logfiles"):
        assert sorted(item["path"] for item in ours[name]) == sorted(_files(theirs[name]))


def test_all_takes_what_mamba_clean_takes(empty: Machine) -> None:
    """The caches are those of mamba's ``micromamba/tests/test_clean.py``."""
    user = empty.home / ".cache" / "conda" / "pkgs"
    user.mkdir(parents=True)
    for cache in (empty.cache, user):
        (cache / "urls.txt").touch()
        nested = cache / "https" / "conda.anaconda.org" / "conda-forge" / "linux-64"
        tree = nested / "x-1-0" / "info"
        tree.mkdir(parents=True)
        (tree / "index.json").write_text("{}")
        for dist in ("x-1-0", "in-use-1-0"):
            (nested / f"{dist}.conda").write_bytes(b"dummy")
        (cache / "cache" / "shards").mkdir(parents=True)
        (cache / "cache" / "shards" / "dummy.msgpack.zst").write_bytes(b"dummy")
    tiny_on(empty).use("work", "in-use-1-0", link=False)

    document = empty.prune("--all", "--yes", "--json", XDG_CACHE_HOME=str(empty.home / ".cache")).json

    assert document["success"]
    for cache in (empty.cache, user):
        assert not (cache / "cache").exists()
        assert [path.name for path in cache.rglob("*-1-0*")] == ["in-use-1-0.conda"]


def test_temporary_files_of_named_environments_only(empty: Machine) -> None:
    tiny = _place(empty)
    record = tiny.use("e/envs/inner", "used-1-0", link=False) / "conda-meta" / "owned-1-0.json"
    record.write_text(json.dumps({"name": "owned", "version": "1", "build": "0", "files": ["own.trash"]}))
    tiny.use("other", "used-1-0", link=False)
    (tiny.cache / "cache" / "x.json.tmp").touch()
    left = [tiny.envs / name / "x.c~" for name in ("e", "e/envs/inner", "other")]
    for path in (*left, record.parents[1] / "own.trash"):
        path.touch()

    for named in ([tiny.envs / "e"], [tiny.envs / "e", tiny.envs / "e" / "envs" / "inner"]):
        document = empty.prune("--dry-run", "--json", "--tempfiles", *named).json
        # What is in an environment inside of it is its own, and what a package has brought stays.
        assert {item["path"] for item in document["other"]["tempfiles"]} == set(map(str, left[:2]))
        assert document["totals"]["remove"] == 0
    # Nobody knows the inner one.
    everything = empty.prune("-c", "--dry-run", "--json").json["other"]["tempfiles"]
    assert {item["path"] for item in everything} == {
        *map(str, (left[0], left[2], tiny.cache / "cache" / "x.json.tmp")),
    }
    for place in (tiny.cache, tiny.envs / "none"):
        assert empty.prune("--tempfiles", place, "--yes", "--json").json["error"]


def test_young_temporary_files_stay_and_are_told(empty: Machine) -> None:
    tiny = _place(empty)
    (tiny.envs / "e" / "x.c~").touch()

    document = empty.prune("--tempfiles", "--dry-run", "--json", min_age="10m").json

    assert document["other"]["tempfiles"] == []
    assert "recent-tempfiles" in {warning["kind"] for warning in document["warnings"]}


def test_all_tarballs_takes_archives_in_use_only_beside_a_whole_directory(empty: Machine) -> None:
    tiny = _place(empty)
    for dist in ("whole-1-0", "half-1-0", "alone-1-0"):
        tiny.add(dist, archive=True)
        tiny.use(dist, dist)
    (tiny.cache / "urls.txt").write_text(
        "".join(f"https://host/linux-64/{name}-1-0.conda\n" for name in ("whole", "half", "alone"))
    )
    (tiny.cache / "half-1-0" / "lib" / "one").unlink()
    shutil.rmtree(tiny.cache / "alone-1-0")

    document = empty.prune("--all-tarballs", "--yes", "--json").json

    assert [(one["dist"], one["parts"], one["reasons"][0]["kind"]) for one in document["remove"]] == [
        ("whole-1-0", ["archive"], "tarball")
    ]
    assert {path.name for path in tiny.cache.glob("*.conda")} == {"half-1-0.conda", "alone-1-0.conda"}
    assert (tiny.cache / "whole-1-0").exists()


@pytest.mark.parametrize("targets", [("--all-tarballs",), ("--all",), ("--all-tarballs", "--packages")])
def test_all_tarballs_takes_archives_of_what_an_unknown_environment_links(
    empty: Machine, targets: tuple[str, ...]
) -> None:
    tiny = _place(empty)
    urls = []
    # An environment that is registered nowhere.
    (empty.directory / "unknown").mkdir()
    for dist in ("linked-1-0", "half-1-0"):
        os.link(tiny.add(dist, archive=True) / "lib" / "one", empty.directory / "unknown" / dist)
        urls.append(f"https://host/linux-64/{dist}.conda\n")
    (tiny.cache / "urls.txt").write_text("".join(urls))
    (tiny.cache / "half-1-0" / "lib" / "two").unlink()

    document = empty.prune(*targets, "--yes", "--json").json

    parts = {one["dist"]: (one["parts"], [reason["kind"] for reason in one["reasons"]]) for one in document["remove"]}
    assert parts["linked-1-0"] == (["archive"], ["tarball"])
    assert (tiny.cache / "linked-1-0" / "info" / "index.json").exists()
    assert not (tiny.cache / "linked-1-0.conda").exists()
    # Of what is not whole the directory stays for its links; its archive is what it can be repaired from.
    assert (tiny.cache / "half-1-0" / "lib" / "one").exists()
    assert (tiny.cache / "half-1-0.conda").exists()


def test_a_backup_keeps_no_index_cache_and_says_so(empty: Machine) -> None:
    tiny = _place(empty)

    document = empty.prune("--all", "--backup", "--yes", "--json").json

    results = {outcome["dist"]: outcome["result"] for outcome in document["outcomes"]}
    assert results == {"x-1-0.conda.partial": "backed-up", "cache": "removed", "x.log": "removed"}
    assert not (tiny.cache / "cache").exists()


def test_the_targets_of_the_command_line_are_one_value() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, "prune")

    def targets(*options: str) -> Target:
        return targets_of(parser.parse_args(options))

    assert targets() == DEFAULT
    assert targets("--unlinked") == DEFAULT | Target.UNLINKED
    assert targets("-p") == Target.PACKAGES
    assert targets("-t", "-i") == Target.TARBALLS | Target.INDEX_CACHE
    assert targets("--all-tarballs") == Target.TARBALLS | Target.ALL_TARBALLS
    assert targets("-a") == ALL
    assert Target.UNLINKED not in targets("-a")


def test_a_link_in_the_place_of_an_index_cache_is_not_followed(empty: Machine, tmp_path: Path) -> None:
    tiny = _place(empty)
    victim = tmp_path / "victim"
    (victim / "sub").mkdir(parents=True)
    (victim / "sub" / "file.c~").touch()
    shutil.rmtree(tiny.cache / "cache")
    (tiny.cache / "cache").symlink_to(victim)
    shutil.rmtree(tiny.cache / ".logs")
    (tiny.cache / ".logs").symlink_to(victim / "sub")
    (tiny.envs / "e" / "to").symlink_to(victim)
    before = listing(victim)

    empty.prune("--all", "--yes", "--json")

    assert listing(victim) == before


def _place(machine: Machine) -> Tiny:
    shutil.rmtree(machine.cache)
    shutil.rmtree(machine.envs)
    tiny = Tiny(machine.directory)
    (tiny.cache / "cache").mkdir()
    (tiny.cache / "cache" / "1.json").write_bytes(b"x" * 9000)
    (tiny.cache / ".logs").mkdir()
    (tiny.cache / ".logs" / "x.log").write_bytes(b"x" * 9000)
    (tiny.cache / "x-1-0.conda.partial").write_bytes(b"x" * 9000)
    tiny.add("used-1-0")
    tiny.use("e", "used-1-0")
    return tiny


def test_conda_doctor_tells_of_damage_and_changes_nothing(empty: Machine) -> None:
    tiny = _place(empty)
    (tiny.cache / "used-1-0" / "lib" / "one").unlink()
    before = listing(tiny.cache)

    answer = empty.run("doctor", "-p", tiny.envs / "e")

    # A leftover that is young may be somebody's at work.
    assert "leftover" not in answer.out
    assert f"{tiny.cache / 'used-1-0'} is in use and damaged" in answer.out.replace("\n", " ")
    assert listing(tiny.cache) == before
    shutil.rmtree(tiny.cache / "used-1-0")
    assert "conda prune --verify --repair" in empty.run("doctor", "-p", tiny.envs / "e").out
