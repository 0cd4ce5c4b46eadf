"""The main job on real conda: what the plan holds, what a prune leaves, what it frees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from conda.core.package_cache_data import PackageCacheData
from conda.core.prefix_data import PrefixData
from machine import UNREFERENCED, contents, listing, space, told

from conda_prune_plugin.discovery.packages.cache_listing import list_cache
from conda_prune_plugin.discovery.roots.environments import Sources, read_roots

if TYPE_CHECKING:
    from machine import Machine

pytestmark = pytest.mark.slow


def _dists(decisions: list[dict[str, str]]) -> set[str]:
    return {decision["dist"] for decision in decisions}


def test_the_plan_holds_exactly_the_unreferenced_entries_where_conda_clean_names_wrong_ones(machine: Machine) -> None:
    plan = machine.prune("--dry-run", "--json").json
    clean = machine.run("clean", "--packages", "--dry-run", "--json").json
    offered = {name for names in clean["packages"]["pkgs_dirs"].values() for name in names}

    assert _dists(plan["remove"]) == UNREFERENCED
    assert _dists(plan["keep"]).isdisjoint(UNREFERENCED)
    in_use = offered - UNREFERENCED
    # Soft-linked, copied, all placeholder, metadata only: conda clean would take them from their environments.
    assert {"libbeta-1.0-0", "symlinks-1.0-0", "allprefix-2.0-0", "metaonly-1.0-0"} <= in_use
    # And it never finds the one with hard links inside.
    assert "innerlinks-2.0-0" not in offered


def test_after_a_prune_every_environment_reads_as_before_and_every_link_resolves(machine: Machine) -> None:
    before = {prefix: contents(prefix) for prefix in machine.environments}

    answer = machine.prune("--yes", "--ignore-unreadable")

    assert answer.code == 0, answer.err
    assert {prefix: contents(prefix) for prefix in machine.environments} == before
    left = {path.name for path in machine.cache.iterdir()}
    assert not {name for name in left if name.startswith(tuple(UNREFERENCED))}


def test_after_a_prune_conda_can_use_what_is_left_and_fetch_what_is_gone(machine: Machine) -> None:
    machine.prune("--yes", "--ignore-unreadable")

    machine.install("create", "-n", "again", "libalpha=1.0", "innerlinks=1.0", "metaonly=1.0", "symlinks=2.0")

    assert contents(machine.envs / "again")


def test_a_dry_run_changes_nothing_anywhere(machine: Machine) -> None:
    assert (machine.cache / "onlyarchive-1.0-0.conda").exists()
    assert not (machine.cache / "onlyarchive-1.0-0").exists()
    assert str(machine.envs / "deleted") in machine.registry.read_text()
    before = listing(machine.directory)

    for options in ((), ("--json",), ("-v",), ("--quiet",), ("--search", machine.directory)):
        assert machine.prune("--dry-run", *options).code == 0

    assert listing(machine.directory) == before


def test_predicted_bytes_and_inodes_are_those_that_the_file_system_gives_back(machine: Machine) -> None:
    everything = (machine.cache, machine.envs, machine.elsewhere)
    before = space(*everything)

    document = machine.prune("--yes", "--ignore-unreadable", "--json").json

    freed = before - space(*everything)
    assert freed.bytes > 0
    assert told(document["totals"]) == freed
    assert told(*document["outcomes"], by="freed") == freed
    assert told(*document["remove"]) == freed


def test_the_files_of_a_decision_are_the_files_that_go(machine: Machine) -> None:
    plan = machine.prune("--dry-run", "--json").json
    inner = next(decision for decision in plan["remove"] if decision["dist"] == "innerlinks-2.0-0")

    files = [path for path in machine.entry("innerlinks-2.0-0").rglob("*") if not path.is_dir()]
    archive = machine.cache / "innerlinks-2.0-0.conda"

    assert inner["files"] == len(files) + 1
    assert inner["apparent"] == sum(path.lstat().st_size for path in files) + archive.stat().st_size
    assert inner["parts"] == ["extracted", "archive"]
    assert inner["paths"] == [str(machine.entry("innerlinks-2.0-0")), str(archive)]
    assert inner["source"] == f"{machine.channel}/linux-64/innerlinks-2.0-0.conda"
    # Three names of one file count three times as lengths and once as blocks.
    assert inner["apparent"] - inner["reclaimable"] > 50_000


def test_both_archives_of_one_distribution_go_with_it(machine: Machine) -> None:
    plan = machine.prune("--dry-run", "--json").json

    both = next(decision for decision in plan["remove"] if decision["dist"] == "bothformats-2.0-0")

    assert [path.rsplit("/", 1)[1] for path in both["paths"]] == [
        "bothformats-2.0-0",
        "bothformats-2.0-0.conda",
        "bothformats-2.0-0.tar.bz2",
    ]


def test_packages_removes_only_extracted_directories(machine: Machine) -> None:
    archives = {path.name for path in machine.cache.iterdir() if path.is_file()}

    document = machine.prune("--packages", "--yes", "--ignore-unreadable", "--json").json

    assert {tuple(decision["parts"]) for decision in document["remove"]} == {("extracted",)}
    assert {path.name for path in machine.cache.iterdir() if path.is_file()} == archives
    assert not any(machine.entry(dist).exists() for dist in UNREFERENCED)
    only_archive = next(decision for decision in document["keep"] if decision["dist"] == "onlyarchive-1.0-0")
    assert only_archive["reasons"][0]["kind"] == "not-selected"


def test_tarballs_removes_only_archives_of_unreferenced_entries(machine: Machine) -> None:
    directories = {path.name for path in machine.cache.iterdir() if path.is_dir()}

    document = machine.prune("--tarballs", "--yes", "--ignore-unreadable", "--json").json

    assert {tuple(decision["parts"]) for decision in document["remove"]} == {("archive",)}
    assert {path.name for path in machine.cache.iterdir() if path.is_dir()} == directories | {".conda-prune"}
    assert not list(machine.cache.glob("bothformats-2.0-0.*"))
    assert len(list(machine.cache.glob("bothformats-1.0-0.*"))) == 2


def test_what_was_fetched_a_moment_ago_stays(machine: Machine) -> None:
    # A slow run of the tests takes longer than the default of ten minutes.
    plan = machine.prune("--dry-run", "--json", min_age="1d").json

    assert plan["remove"] == []
    recent = [decision for decision in plan["keep"] if decision["dist"] in UNREFERENCED]
    assert {reason["kind"] for decision in recent for reason in decision["reasons"]} == {"recent"}
    assert _dists(recent) == UNREFERENCED


def test_the_reasons_name_the_environments_and_verbose_says_how_they_are_linked(machine: Machine) -> None:
    plan = machine.prune("--dry-run", "--json", "-v").json
    links = {
        (decision["dist"], reason["root"]): reason["link"]
        for decision in plan["keep"]
        for reason in decision["reasons"]
        if reason["kind"] == "environment"
    }
    hard, soft, copy = (str(machine.envs / name) for name in ("hard", "soft", "copy"))

    assert links["libalpha-2.0-0", hard] == "hard"
    assert links["pynoarch-1.0-0", hard] == "hard"
    assert links["metaonly-1.0-0", hard] == "recorded"
    assert links["libalpha-2.0-0", soft] == "soft"
    assert links["symlinks-1.0-0", soft] == "soft"
    assert links["innerlinks-1.0-0", copy] == "copy"
    assert links["innerlinks-1.0-0", hard] == "hard"
    assert links["allprefix-1.0-0", str(machine.elsewhere)] == "copy"


def test_the_roots_are_the_environments_with_their_states(machine: Machine) -> None:
    roots = {root["path"]: root for root in machine.prune("--dry-run", "--json").json["roots"]}
    here = {path: root for path, root in roots.items() if path.startswith(str(machine.directory))}

    assert here.keys() == {str(prefix) for prefix in (*machine.environments, machine.envs / "deleted")}
    assert here[str(machine.envs / "hard")]["name"] == "hard"
    assert here[str(machine.envs / "hard")]["state"] == "ok"
    assert here[str(machine.envs / "hard")]["packages"] == 6
    assert here[str(machine.elsewhere)]["name"] is None
    assert here[str(machine.envs / "deleted")]["state"] == "missing"


def test_listing_gives_the_same_answer_as_the_classes_of_conda(machine: Machine) -> None:
    prefixes = tuple(map(str, machine.environments))
    roots, notices = read_roots(Sources(named=prefixes))
    listed = {root.path: set(root.dists) for root in roots}
    # By position: the parameter was renamed in 25.5, and anything but False deletes records in 24.7.1.
    loaded = {path: {_dist(record) for record in PrefixData(path, False).iter_records()} for path in prefixes}

    assert listed == loaded
    assert notices == ()

    entries = {entry.dist for entry in list_cache(str(machine.cache)).entries}
    # Loading the cache extracts the archive that has no directory: it comes last.
    records = {_dist(record) for record in PackageCacheData(str(machine.cache)).iter_records()}

    assert entries == records


def _dist(record: object) -> str:
    return "{name}-{version}-{build}".format(**json.loads(json.dumps(record.dump(), default=str)))  # type: ignore[attr-defined]
