"""Choosing among what nothing references, on real trees and real conda: targets, age, sources, copies."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from machine import UNREFERENCED, allocated, contents, listing, space, told
from tiny import Tiny, write_archive

from conda_prune_plugin.core.model import ReasonKind, Root, RootState
from conda_prune_plugin.demo.demo_packages import File
from conda_prune_plugin.discovery.links.soft_link_signs import why_soft_links
from conda_prune_plugin.discovery.links.soft_links import soft_links
from conda_prune_plugin.discovery.packages.cache_listing import find_caches

if TYPE_CHECKING:
    from pathlib import Path

    from machine import Machine


@pytest.fixture
def tiny(empty: Machine) -> Tiny:
    """A cache written by hand on a machine that runs conda."""
    tiny = Tiny.__new__(Tiny)
    tiny.cache, tiny.envs = empty.cache, empty.envs
    return tiny


def _dists(decisions: list[dict[str, Any]]) -> set[str]:
    return {decision["dist"] for decision in decisions}


def _removed(machine: Machine, *options: str | os.PathLike[str], **environ: str) -> set[str]:
    answer = machine.prune("--dry-run", "--json", *options, **environ)
    assert answer.code == 0, answer.out
    return _dists(answer.json["remove"])


def _kinds(machine: Machine, *options: str) -> dict[str, list[str]]:
    plan = machine.prune("--dry-run", "--json", *options).json
    return {item["dist"]: [reason["kind"] for reason in item["reasons"]] for item in plan["keep"]}


def _unused_for(tree: Path, seconds: float) -> None:
    """Make an entry look fetched that long ago; its payload is from now, as only the kernel sets ctimes."""
    shutil.rmtree(tree / "lib")
    (tree / "info" / "paths.json").write_text('{"paths": [], "paths_version": 1}')
    for path in (tree / "info" / "repodata_record.json", tree):
        os.utime(path, (time.time() - seconds,) * 2)


def test_keep_only_and_older_than_choose(empty: Machine, tiny: Tiny) -> None:
    for number, dist in enumerate(("a-1-0", "a-2-0", "b-1-0")):
        _unused_for(tiny.add(dist), number * 86_400 + 3600)

    assert _removed(empty) == {"a-1-0", "a-2-0", "b-1-0"}
    assert _removed(empty, "--keep", "a>=2") == {"a-1-0", "b-1-0"}
    assert _removed(empty, "--keep", "b", CONDA_PLUGINS_PRUNE_KEEP="a=1") == {"a-2-0"}
    assert _removed(empty, "--only", "a", "--only", "c") == {"a-1-0", "a-2-0"}
    assert _removed(empty, "--older-than", "1d") == {"a-2-0", "b-1-0"}
    assert _removed(empty, "--older-than", "0", CONDA_PLUGINS_PRUNE_OLDER_THAN="8w") == {"a-1-0", "a-2-0", "b-1-0"}
    assert _removed(empty, CONDA_PLUGINS_PRUNE_OLDER_THAN="2d") == {"b-1-0"}
    assert _removed(empty, "--keep-newest", "1") == {"a-1-0"}
    assert _removed(empty, "--keep-newest", "1", "--only", "b") == set()
    assert _kinds(empty, "--keep", "a=1", "--older-than", "1d")["a-1-0"] == ["keep"]


def test_what_matches_nothing_is_told(empty: Machine, tiny: Tiny) -> None:
    tiny.add("a-1-0")

    plan = empty.prune(
        "--dry-run", "--json", "--keep", "a", "--keep", "nunpy", "--only", "scypi>=1", "--only", "a"
    ).json

    assert [warning["kind"] for warning in plan["warnings"]] == ["no-match", "no-match"]
    assert "--keep nunpy" in plan["warnings"][0]["message"]
    assert "--only scypi>=1" in plan["warnings"][1]["message"]
    # A setting is for all machines and all times.
    assert not empty.prune("--dry-run", "--json", CONDA_PLUGINS_PRUNE_KEEP="nunpy").json["warnings"]


def test_an_entry_whose_version_has_an_epoch_can_be_named(empty: Machine, tiny: Tiny) -> None:
    dist = "x264-1!164.3095-h1_2"
    tiny.add(dist)
    tiny.add("a-1-0")

    assert _removed(empty, "--keep", dist) == {"a-1-0"}
    assert _removed(empty, "--only", dist) == {dist}
    assert _removed(empty, CONDA_PLUGINS_PRUNE_KEEP=dist) == {"a-1-0"}
    assert empty.run("prune", "why", dist).code == 0
    assert empty.prune("--yes", "--backup").code == 0
    assert empty.run("prune", "restore", "last", "--only", dist).code == 0
    assert sorted(path.name for path in tiny.cache.glob("*-*-*")) == [dist]


def test_the_newest_is_found_as_conda_sorts_versions(empty: Machine, tiny: Tiny) -> None:
    for dist in ("a-1.9-0", "a-1.10-0", "a-1.10rc1-0", "a-1!0.1-0", "b-2.0-0", "b-2.0-1", "b-1-0"):
        tiny.add(dist)

    assert _removed(empty, "--keep-newest", "1") == {"a-1.9-0", "a-1.10-0", "a-1.10rc1-0", "b-1-0"}
    assert _removed(empty, "--keep-newest", "2") == {"a-1.9-0", "a-1.10rc1-0"}


def test_a_target_is_met_by_the_least_recently_used_and_a_miss_is_told(empty: Machine, tiny: Tiny) -> None:
    for number, dist in enumerate(("new-1-0", "older-1-0", "oldest-1-0")):
        _unused_for(tiny.add(dist), number * 86_400 + 3600)
        write_archive(tiny.cache / f"{dist}.conda", 100_000)
        os.utime(tiny.cache / f"{dist}.conda", (time.time() - number * 86_400,) * 2)
    held = allocated(empty.cache)

    assert _removed(empty, "--free", "1B") == {"oldest-1-0"}
    assert _removed(empty, "--free", "150kB") == {"oldest-1-0", "older-1-0"}
    assert _removed(empty, "--free", "0") == set()
    assert _removed(empty, "--max-size", f"{held}B") == set()
    assert _removed(empty, "--max-size", f"{held - 1}B") == {"oldest-1-0"}
    assert _removed(empty, "--max-size", f"{held - 1}B", "--free", "150kB") == {"oldest-1-0", "older-1-0"}
    both = empty.prune("--dry-run", "--json", "--free", "1GB", "--max-size", f"{held - 1}B").json
    assert both["warnings"][0]["message"].startswith("Can't free 1 GB: ")
    missed = empty.prune("--dry-run", "--json", "--free", "1GB").json
    assert len(missed["remove"]) == 3
    (warning,) = missed["warnings"]
    assert warning["kind"] == "target-missed"
    shown = empty.prune("--dry-run", "--free", "1GB").err
    assert re.search(r"Can't free 1 GB: [\d.]+ MB short", shown)
    assert "conda prune envs" in shown
    recent = empty.prune("--dry-run", "--free", "1GB", "--free-inodes", "50000", min_age="30d").err
    assert "3 unused packages" in recent
    assert "    conda prune --free 1GB --free-inodes 50000 --min-age 0\n" in recent
    assert "conda prune envs" not in recent


def test_a_target_of_inodes_is_met_by_the_least_recently_used_and_a_miss_is_told(empty: Machine, tiny: Tiny) -> None:
    for number, dist in enumerate(("new-1-0", "older-1-0", "oldest-1-0")):
        _unused_for(tiny.add(dist, {f"lib/{part}": File(b"x") for part in range(20)}), number * 86_400 + 3600)
    held, one = space(empty.cache).inodes, space(empty.cache / "oldest-1-0").inodes

    assert _removed(empty, "--free-inodes", "0") == set()
    assert _removed(empty, "--free-inodes", "1") == _removed(empty, "--free-inodes", str(one)) == {"oldest-1-0"}
    assert _removed(empty, "--free-inodes", str(one + 1)) == {"oldest-1-0", "older-1-0"}
    assert _removed(empty, "--max-inodes", str(held)) == set()
    assert _removed(empty, "--max-inodes", str(held - 1)) == {"oldest-1-0"}
    assert _removed(empty, "--max-inodes", str(held - one - 1)) == {"oldest-1-0", "older-1-0"}
    # Limits of both units are met.
    assert _removed(empty, "--free", "1B", "--free-inodes", str(one + 1)) == {"oldest-1-0", "older-1-0"}
    assert _removed(empty, "--max-size", "0", "--max-inodes", str(held)) == {"oldest-1-0", "older-1-0", "new-1-0"}
    missed = empty.prune("--dry-run", "--json", "--free-inodes", str(3 * one + 7), "--free", "1B").json
    assert [warning["kind"] for warning in missed["warnings"]] == ["target-missed"]
    assert f"Can't free {3 * one + 7} inodes: 7 inodes short" in missed["warnings"][0]["message"]
    kept = empty.prune("--dry-run", "--json", "--free-inodes", "1").json["keep"]
    assert {reason["detail"].partition("(")[2] for item in kept for reason in item["reasons"]} == {"--free-inodes)"}


def test_logs_count_towards_a_target_of_inodes(empty: Machine, tiny: Tiny) -> None:
    tiny.add("a-1-0")
    (empty.cache / ".logs").mkdir()
    for number in range(9):
        (empty.cache / ".logs" / f"conda{number}.log").touch()
    held = space(empty.cache).inodes

    for target in (("--free-inodes", "9"), ("--max-inodes", str(held - 9))):
        document = empty.prune("--logfiles", "--leftovers", "--packages", *target, "--dry-run", "--json").json
        assert (document["remove"], document["warnings"]) == ([], [])
        assert told(*document["other"]["logfiles"]).inodes == 9


def test_after_max_inodes_the_caches_hold_no_more(empty: Machine, tiny: Tiny) -> None:
    for number in range(6):
        tiny.add(f"a-{number}-0", archive=True)
    limit = space(empty.cache).inodes // 2

    assert empty.prune("--yes", "--max-inodes", str(limit)).code == 0

    assert 0 < len(list(empty.cache.glob("a-*"))) < 12
    assert space(empty.cache).inodes <= limit


def test_what_is_no_package_and_goes_as_well_counts_towards_a_target(empty: Machine, tiny: Tiny) -> None:
    tiny.add("a-1-0")
    (empty.cache / ".logs").mkdir()
    (empty.cache / ".logs" / "conda.log").write_bytes(b"x" * 200_000)
    held = allocated(empty.cache)

    for target in (("--free", "100kB"), ("--max-size", f"{held - 100_000}B")):
        document = empty.prune("--logfiles", "--leftovers", "--packages", *target, "--dry-run", "--json").json
        assert (document["remove"], document["warnings"]) == ([], [])
        assert len(document["other"]["logfiles"]) == 1
    # What environments hold is not in the caches.
    (tiny.use("e", "a-1-0") / "it.c~").write_bytes(b"x" * 200_000)
    document = empty.prune("--tempfiles", "--max-size", f"{held - 100_000}B", "--dry-run", "--json").json
    assert [warning["kind"] for warning in document["warnings"]] == ["target-missed"]


def test_after_max_size_the_caches_hold_no_more(empty: Machine, tiny: Tiny) -> None:
    for number in range(6):
        tiny.add(f"a-{number}-0", archive=True)
    limit = allocated(empty.cache) // 2

    assert empty.prune("--yes", "--max-size", f"{limit}B").code == 0

    assert 0 < len(list(empty.cache.glob("a-*"))) < 12
    assert allocated(empty.cache) <= limit


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--free", "lots"), ("--free", "'lots'", "500MB")),
        (("--max-size", "10"), ("--max-size", "10MB")),
        (("--older-than", "30"), ("--older-than", "30d")),
        (("--free-inodes", "-1"), ("--free-inodes", "whole number")),
        (("--free-inodes", "20000 files"), ("--free-inodes", "'20000 files'", "whole number")),
        (("--max-inodes", "5GB"), ("--max-inodes", "'5GB'", "whole number")),
        (("--max-inodes", "1.5"), ("--max-inodes", "'1.5'", "whole number")),
        (("--keep-newest", "-1"), ("--keep-newest", "whole number")),
        (("--keep-revisions", "x"), ("--keep-revisions", "whole number")),
        (("--keep", "a>>1"), ("--keep", "'a>>1'")),
        (("--keep", "a ^(1$"), ("--keep", "'a ^(1$'")),
        (("--only", ""), ("--only",)),
    ],
)
def test_a_value_that_makes_no_sense_is_bad_usage(
    empty: Machine, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    answer = empty.prune("--yes", *options)

    assert answer.code == 2
    assert all(word in answer.err for word in words), answer.err


def _set_url(tree: Path, url: str | None) -> None:
    record = tree / "info" / "repodata_record.json"
    document = json.loads(record.read_text())
    document.pop("url")
    record.write_text(json.dumps(document if url is None else {**document, "url": url}))


def test_what_cannot_be_fetched_again_stays_and_is_named(empty: Machine, tiny: Tiny, tmp_path: Path) -> None:
    channel = tmp_path / "chan nel"
    channel.mkdir()
    (channel / "there-1-0.conda").touch()
    builds = empty.home / "conda-bld" / "linux-64"
    builds.mkdir(parents=True)
    (builds / "built-1-0.conda").touch()
    urls = {
        "there-1-0": (channel / "there-1-0.conda").as_uri(),
        "gone-1-0": (channel / "gone-1-0.conda").as_uri(),
        "built-1-0": (builds / "built-1-0.conda").as_uri(),
        "without-1-0": None,
        "odd-1-0": "odd-1-0.conda",
        "remote-1-0": "https://host/linux-64/remote-1-0.conda",
    }
    for dist, url in urls.items():
        _set_url(tiny.add(dist), url)

    kept = _kinds(empty)

    assert kept == {dist: ["irreplaceable"] for dist in ("gone-1-0", "built-1-0", "without-1-0", "odd-1-0")}
    text = empty.prune("--dry-run").out
    assert all(dist in text for dist in kept)
    assert "chan nel" in text
    assert _removed(empty, "--include-irreplaceable") == urls.keys()


def test_a_removal_that_no_restore_undoes_is_told_before_and_promises_nothing_after(
    empty: Machine, tiny: Tiny, tmp_path: Path
) -> None:
    gone = tmp_path / "noarch" / "gone-1-0.conda"
    _set_url(tiny.add("gone-1-0"), gone.as_uri())
    _set_url(tiny.add("remote-1-0"), "https://host/linux-64/remote-1-0.conda")
    every = ("--include-irreplaceable", "--ignore-unreadable")

    def told(*options: str) -> list[str]:
        warnings = empty.prune("--dry-run", "--json", *every, *options).json["warnings"]
        return [item["message"] for item in warnings if item["kind"] == "irreplaceable-removal"]

    assert [re.findall(r"\d+", message) for message in told()] == [["1"]]
    assert told("--backup") == told("--keep", "gone") == []
    removed = empty.prune("--yes", "--keep", "remote", *every)
    assert not tiny.cache.joinpath("gone-1-0").exists()
    assert "can't be undone" in removed.err
    assert "conda prune restore" not in removed.out
    (run,) = (item["run"] for item in empty.run("prune", "restore", "--json").json["runs"])
    answer = empty.run("prune", "restore", run)
    (failed,) = (line for line in answer.err.splitlines() if "gone-1-0" in line)
    assert failed.endswith(f"its source {gone} no longer exists")
    assert "downloads them again" in empty.prune("--yes", *every).out


@pytest.mark.slow
def test_what_a_channel_has_no_more_stays_when_it_is_asked(machine: Machine) -> None:
    for subdir in ("linux-64", "noarch"):
        for name in ("repodata.json", "current_repodata.json"):
            path = machine.directory / "channel" / subdir / name
            if path.exists():
                index = json.loads(path.read_text())
                for records in (index["packages"], index["packages.conda"]):
                    records.pop("libalpha-1.0-0.conda", None)
                path.write_text(json.dumps(index))
    before = listing(machine.directory)

    plan = machine.prune("--dry-run", "--json", "--check-remote").json

    assert _dists(plan["remove"]) == UNREFERENCED - {"libalpha-1.0-0"}
    kept = next(item for item in plan["keep"] if item["dist"] == "libalpha-1.0-0")
    assert [reason["kind"] for reason in kept["reasons"]] == ["irreplaceable"]
    assert "no longer has it" in kept["reasons"][0]["detail"]
    assert _removed(machine) == UNREFERENCED
    # Though conda, which was asked, keeps indexes in the cache.
    assert listing(machine.directory) == before


def test_a_channel_with_a_malformed_index_could_not_be_asked(empty: Machine, tiny: Tiny) -> None:
    broken = (
        '{"packages": []}',
        '{"packages": {"a": 1}}',
        '{"packages.conda": {"x.conda": []}}',
        "[]",
        "{",
        '{"a": 1}',
    )
    for number, index in enumerate((*broken, '{"packages.conda": {"a-6-0.conda": {}}}')):
        channel = empty.directory / f"channel{number}" / "linux-64"
        channel.mkdir(parents=True)
        (channel / "repodata.json").write_text(index)
        (channel / f"a-{number}-0.conda").touch()
        _set_url(tiny.add(f"a-{number}-0"), (channel / f"a-{number}-0.conda").as_uri())

    plan = empty.prune("--dry-run", "--json", "--check-remote").json

    assert _dists(plan["remove"]) == {f"a-{len(broken)}-0"}
    assert [warning["kind"] for warning in plan["warnings"]] == ["channel-not-asked"] * len(broken)
    assert {reason["kind"] for item in plan["keep"] for reason in item["reasons"]} == {"irreplaceable"}


def test_what_no_channel_can_be_asked_for_stays(empty: Machine, tiny: Tiny) -> None:
    # A port that there is not, and a stray % that ends the formatting of conda's own message.
    for dist, url in (
        ("port-1-0", "http://127.0.0.1:99999/linux-64"),
        ("percent-1-0", "http://127.0.0.1:1/a%b/linux-64"),
    ):
        _set_url(tiny.add(dist), f"{url}/{dist}.conda")

    online = {"CONDA_OFFLINE": "false", "CONDA_REMOTE_MAX_RETRIES": "0"}
    plan = empty.prune("--dry-run", "--json", "--check-remote", **online).json

    assert {item["dist"]: item["reasons"][0]["kind"] for item in plan["keep"]} == {
        "port-1-0": "irreplaceable",
        "percent-1-0": "irreplaceable",
    }
    assert plan["remove"] == []


def test_offline_a_channel_is_not_asked_and_what_is_from_it_stays(empty: Machine, tiny: Tiny) -> None:
    tiny.add("a-1-0")

    plan = empty.prune("--dry-run", "--json", "--check-remote").json

    assert [warning["kind"] for warning in plan["warnings"]] == ["channel-not-asked"]
    assert "offline" in plan["warnings"][0]["message"]
    assert [item["reasons"][0]["kind"] for item in plan["keep"]] == ["irreplaceable"]


@pytest.mark.slow
def test_unlinked_removes_copies_and_no_environment_loses_anything(machine: Machine) -> None:
    before = {prefix: contents(prefix) for prefix in machine.environments}
    everything = (machine.cache, machine.envs, machine.elsewhere)
    held = space(*everything)

    document = machine.prune("--yes", "--json", "--unlinked", "--ignore-unreadable").json

    removed = {item["dist"]: item for item in document["remove"]}
    # allprefix is copied wherever it is, metaonly has no files; innerlinks is copied in one and linked in another.
    assert removed.keys() == UNREFERENCED | {"allprefix-1.0-0", "allprefix-2.0-0", "metaonly-1.0-0"}
    assert {outcome["result"] for outcome in document["outcomes"]} == {"removed"}
    assert [reason["kind"] for reason in removed["allprefix-2.0-0"]["reasons"]] == ["unlinked"]
    assert removed["allprefix-2.0-0"]["reasons"][0]["root"] == str(machine.envs / "copy")
    assert {prefix: contents(prefix) for prefix in machine.environments} == before
    assert held - space(*everything) == told(document["totals"]) == told(*document["outcomes"], by="freed")
    # conda still takes the environments for whole, and can fetch what it needs again.
    machine.install("create", "-n", "again", "allprefix=2.0")


def test_unlinked_never_takes_what_is_soft_linked_even_if_no_record_says_so(empty: Machine, tiny: Tiny) -> None:
    """By an environment that has the package, through another link, or by one that only links to it."""
    for dist in ("own-1-0", "other-1-0", "chain-1-0", "directory-1-0", "copied-1-0"):
        tiny.add(dist)
        tiny.use("e", dist, link=False)
    prefix, other = tiny.envs / "e", tiny.use("other", "copied-1-0", link=False)
    (prefix / "own").symlink_to(tiny.cache / "own-1-0" / "lib" / "one")
    (other / "other").symlink_to(tiny.cache / "other-1-0" / "lib" / "one")
    (empty.directory / "way").symlink_to(tiny.cache)
    (prefix / "chain").symlink_to(empty.directory / "way" / "chain-1-0" / "lib" / "two")
    (prefix / "directory").symlink_to(os.path.relpath(tiny.cache / "directory-1-0", prefix))

    assert _removed(empty, "--unlinked") == {"copied-1-0"}
    kept = _kinds(empty, "--unlinked")
    # One is named by the environment that has it, and by the one that links it.
    assert kept["other-1-0"] == ["environment", "environment"]
    assert {kind for kinds in kept.values() for kind in kinds} == {"environment"}


def test_unlinked_looks_behind_a_link_to_a_directory_elsewhere(empty: Machine, tiny: Tiny) -> None:
    for dist in ("moved-1-0", "away-1-0", "copied-1-0"):
        tiny.add(dist)
    prefix, other = tiny.use("e", "moved-1-0", link=False), tiny.use("other", "away-1-0", link=False)
    tiny.use("copies", "copied-1-0", link=False)
    disk = empty.directory / "disk" / "lib"
    (disk / "sub").mkdir(parents=True)
    (disk / "sub" / "one").symlink_to(tiny.cache / "moved-1-0" / "lib" / "one")
    (disk / "again").symlink_to(empty.directory / "disk")
    (prefix / "lib").symlink_to(disk)
    # To a disk that is not mounted: what is there nobody knows.
    (other / "lib").symlink_to(empty.directory / "unmounted")

    assert _removed(empty, "--unlinked") == {"copied-1-0"}


def test_unlinked_never_takes_what_has_a_hard_link_or_another_root(empty: Machine, tiny: Tiny) -> None:
    for dist in ("linked-1-0", "ruled-1-0", "stray-1-0", "copied-1-0"):
        tiny.add(dist)
        tiny.use("e", dist, link=dist.startswith("linked"))
    os.link(tiny.cache / "stray-1-0" / "lib" / "one", empty.directory / "stray")

    assert _removed(empty, "--unlinked", "--keep", "ruled") == {"copied-1-0"}


def test_an_unlinked_entry_that_is_not_chosen_is_kept_for_both_reasons(empty: Machine, tiny: Tiny) -> None:
    tiny.add("a-1-0")
    tiny.use("e", "a-1-0", link=False)

    plan = empty.prune("--dry-run", "--json", "--unlinked", "--only", "b").json

    assert "1 of these is in use, but its environments" in empty.prune("--dry-run", "--unlinked").out
    (keep,) = plan["keep"]
    assert keep["verdict"] == "reachable"
    assert [reason["kind"] for reason in keep["reasons"]] == ["environment", "not-selected"]


def test_what_an_environment_does_with_an_unlinked_entry_after_the_plan_keeps_it(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path / "it")
    for dist in ("same-1-0", "changed-1-0", "linked-1-0"):
        tiny.add(dist)
        tiny.use(dist.split("-")[0], dist, link=False)
    plan, watch = tiny.plan_unlinked()
    assert {decision.reasons[0].kind for decision in plan.remove} == {ReasonKind.UNLINKED}

    tiny.record(tiny.envs / "changed", "another-1-0")
    os.link(tiny.cache / "linked-1-0" / "lib" / "one", tiny.envs / "linked" / "one")
    outcomes = tiny.execute(plan, watch).outcomes

    results = {outcome.entry.dist: outcome.result.value for outcome in outcomes}
    assert results == {"same-1-0": "removed", "changed-1-0": "skipped", "linked-1-0": "skipped"}
    assert {"changed-1-0", "linked-1-0"} <= tiny.names()


@pytest.mark.slow
def test_the_time_at_which_an_environment_was_removed_is_the_last_use(empty: Machine) -> None:
    from conda_prune_plugin.demo.demo_packages import File, Package, build_channel

    build_channel(empty.directory / "channel", (Package("a", "1", files={"lib/a": File(b"a" * 9000)}),))
    empty.install("create", "-n", "e", "a")
    built = datetime.now(timezone.utc)
    time.sleep(2.1)
    removing = datetime.now(timezone.utc).replace(microsecond=0)
    assert empty.run("remove", "-n", "e", "--all", "--yes").code == 0
    removed = datetime.now(timezone.utc)

    (decision,) = empty.prune("--dry-run", "--json").json["remove"]

    used = datetime.fromisoformat(decision["last_used"].replace("Z", "+00:00"))
    assert built < removing <= used <= removed
    assert decision["last_used_from"] == "link"


def test_soft_links_are_seen_however_cache_and_environment_are_named(tmp_path: Path) -> None:
    """A cache inside of the environment, both known by a link, as a root prefix and its pkgs may be."""
    base, known_as = tmp_path / "base", tmp_path / "known as"
    (base / "conda-meta").mkdir(parents=True)
    (base / "pkgs" / "a-1-0" / "lib").mkdir(parents=True)
    (base / "pkgs" / "a-1-0" / "lib" / "x").touch()
    known_as.symlink_to(base)
    (base / "inside").symlink_to("pkgs/a-1-0/lib/x")
    (base / "own").symlink_to("conda-meta")
    caches, _ = find_caches((str(known_as / "pkgs"),), ())
    root = Root(str(known_as), None, RootState.OK, frozenset())

    found = soft_links((root.path,), caches, lambda seen: None)

    assert set(found.entries) == {(str(known_as / "pkgs"), "a-1-0")}
    assert found.unseen == frozenset()
    assert "inside leads to a-1-0" in str(why_soft_links((root,), caches, lambda seen: None))


def test_a_link_however_long_and_a_chain_of_any_length_hide_no_other_soft_link(tmp_path: Path) -> None:
    prefix, entry = tmp_path / "e", tmp_path / "pkgs" / "a-1-0"
    (prefix / "lib").mkdir(parents=True)
    (entry / "lib").mkdir(parents=True)
    (prefix / "far").symlink_to("/" + "a/" * 1500 + "b")
    (prefix / "deep").symlink_to(f"{entry}/" + "a/" * 1500 + "b")
    for number in range(1500):
        (prefix / "lib" / str(number)).symlink_to(str(number + 1))
    caches, _ = find_caches((), (str(tmp_path / "pkgs"),))
    root = Root(str(prefix), None, RootState.OK, frozenset())

    found = soft_links((root.path,), caches, lambda seen: None)

    assert set(found.entries) == {(str(tmp_path / "pkgs"), "a-1-0")}
    # Where one of them leads, or what is there, can't be said.
    assert found.unseen == {str(prefix)}
    assert "deep leads to a-1-0" in str(why_soft_links((root,), caches, lambda seen: None))


@pytest.mark.parametrize(
    ("name", "text", "possible"),
    [
        (".condarc", "allow_softlinks: true", True),
        (".mambarc", "always_softlink: true", True),
        (".condarc", "allow_softlinks: false", False),
        (".mambarc", "[", False),
    ],
)
def test_configuration_files_in_the_home_tell_of_soft_links(
    empty: Machine, tiny: Tiny, name: str, text: str, possible: bool
) -> None:
    tiny.add("a-1-0")
    empty.registry.parent.mkdir()
    empty.registry.write_text(f"{empty.directory}/gone\n")
    (empty.home / name).write_text(text)

    assert empty.prune("--yes").code == (1 if possible else 0)
    assert (tiny.cache / "a-1-0").exists() is possible


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--free", "5GB"), "Can't free 5 GB: "),
        (("--max-size", "1B"), "Can't shrink the caches to 1 B: "),
        (("--free-inodes", "20000"), "Can't free 20,000 inodes: "),
        (("--max-inodes", "1", "--free", "2.5GiB"), "Can't shrink the caches to 1 inode or free 2.5 GiB: "),
    ],
)
def test_a_goal_that_can_not_be_met_is_named_as_it_was_typed(
    machine: Machine, options: tuple[str, ...], words: str
) -> None:
    document = machine.prune(*options, "--dry-run", "--json").json

    (missed,) = (item for item in document["warnings"] if item["kind"] == "target-missed")
    assert missed["message"].startswith(words)


def test_what_a_goal_spares_is_told_with_the_option_that_was_typed_only(machine: Machine) -> None:
    shown = machine.prune("--free", "1B", "--dry-run").out

    assert "excluded by --free\n" in shown
    assert "--max-size" not in shown
