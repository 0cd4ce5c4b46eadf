"""Caches of mamba, rattler and pixi: what is found, what stays, what goes, and what every environment is left with."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from clients import Mamba, rattler_install
from machine import UNREFERENCED, allocated, contents, listing

from conda_prune_plugin.core.model import Client
from conda_prune_plugin.discovery.clients.mamba_pixi import other_clients, pixi_cache_roots
from conda_prune_plugin.discovery.clients.tool_environments import tool_places
from conda_prune_plugin.discovery.roots.envs_dirs import EnvsDir
from conda_prune_plugin.discovery.usage.other_tools import other_caches

if TYPE_CHECKING:
    from pathlib import Path

    from machine import Answer, Machine


@pytest.fixture
def channel(built: tuple[Machine, Path]) -> Path:
    """A channel of real packages that nobody changes."""
    return built[1] / "channel"


@pytest.fixture
def pixi(empty: Machine, channel: Path) -> Path:
    """Rattler's own cache and three pixi projects, one of which is gone; the directory of the projects."""
    cache, projects = rattlers_cache(empty), empty.directory / "projects"
    rattler_install(channel, cache, projects / "one/.pixi/envs/default", "libbeta", "metaonly=1.0", "allprefix=1.0")
    rattler_install(channel, cache, projects / "two/.pixi/envs/test", "innerlinks=2.0", "libalpha=1.0", origin=True)
    rattler_install(channel, cache, projects / "gone/.pixi/envs/default", "bothformats=1.0", "metaonly=2.0")
    rattler_install(channel, cache, projects / "gone/.pixi/envs/other", "symlinks=1.0", origin=True)
    shutil.rmtree(projects / "gone")
    return projects


def rattlers_cache(machine: Machine) -> Path:
    return machine.home / ".cache" / "rattler" / "cache" / "pkgs"


def dists(answer: Answer, part: str, cache: Path) -> set[str]:
    """Return what a plan removes or keeps in a cache, without the hashes that rattler puts behind a name."""
    return {item["dist"][:-65] if len(item["dist"]) > 70 else item["dist"] for item in items(answer, part, cache)}


def items(answer: Answer, part: str, cache: Path) -> list[dict[str, Any]]:
    return [item for item in answer.json[part] if item["cache"] == str(cache)]


KEPT = {"libalpha-1.0-0", "libalpha-2.0-0", "libbeta-1.0-0", "metaonly-1.0-0", "allprefix-1.0-0", "innerlinks-2.0-0"}
GONE = {"bothformats-1.0-0", "metaonly-2.0-0", "symlinks-1.0-0"}


def test_rattlers_cache_is_reported_and_not_touched_without_a_search(empty: Machine, pixi: Path) -> None:
    cache = rattlers_cache(empty)
    before = listing(cache)

    answer = empty.prune("--yes", "--json")

    assert answer.code == 0, answer.err
    assert [(item["path"], item["client"], item["entries"]) for item in answer.json["caches"]] == [
        (str(empty.cache), "conda", 0),
        (str(cache), "rattler", len(KEPT | GONE)),
    ]
    assert dists(answer, "keep", cache) == KEPT | GONE
    assert {reason["kind"] for item in answer.json["keep"] for reason in item["reasons"]} == {"unknown"}
    assert all("--search" in reason["detail"] for item in answer.json["keep"] for reason in item["reasons"])
    (warning,) = (item for item in answer.json["warnings"] if item["kind"] == "unsearched-cache")
    assert "--search" in warning["message"]
    assert listing(cache) == before
    # Whoever names the cache has not named its environments.
    named = empty.prune("--yes", "--json", "--pkgs-dir", cache)
    assert named.json["remove"] == []
    assert listing(cache) == before
    shutil.rmtree(pixi)


def test_with_a_search_exactly_what_no_pixi_environment_has_goes_with_its_locks(empty: Machine, pixi: Path) -> None:
    cache = rattlers_cache(empty)
    environments = contents(pixi)

    answer = empty.prune("--yes", "--json", "--search", pixi)

    assert answer.code == 0, answer.err
    assert dists(answer, "keep", cache) == KEPT
    assert {reason["kind"] for item in answer.json["keep"] for reason in item["reasons"]} == {"environment"}
    assert dists(answer, "remove", cache) == GONE
    assert {item["result"] for item in answer.json["outcomes"]} == {"removed"}
    left = {name.removesuffix(".lock") for name in os.listdir(cache)} - {".cache", ".conda-prune"}
    assert {name[:-65] if len(name) > 70 else name for name in left} == KEPT
    assert {name for name in left if (cache / f"{name}.lock").is_file() and (cache / name).is_dir()} == left
    assert contents(pixi) == environments
    totals = answer.json["totals"]
    assert sum(item["freed"] for item in answer.json["outcomes"]) == totals["reclaimable"] > 0


def test_what_rattler_has_checked_can_be_had_again_and_what_it_has_not_is_irreplaceable(
    empty: Machine, pixi: Path
) -> None:
    cache = rattlers_cache(empty)
    lock = cache / "bothformats-1.0-0.lock"
    # As rattler writes it for a package of which no hash was known: the revision alone.
    lock.write_bytes(lock.read_bytes()[:8])

    answer = empty.prune("--json", "--dry-run", "--search", pixi)

    assert dists(answer, "remove", cache) == GONE - {"bothformats-1.0-0"}
    (kept,) = (item for item in answer.json["keep"] if item["dist"] == "bothformats-1.0-0")
    assert [reason["kind"] for reason in kept["reasons"]] == ["irreplaceable"]


def test_a_backup_of_rattlers_cache_comes_back_byte_for_byte_and_rattler_installs_from_it(
    empty: Machine, pixi: Path, channel: Path
) -> None:
    cache = rattlers_cache(empty)
    before = contents(cache)

    assert empty.prune("--yes", "--backup", "--search", pixi).code == 0
    assert contents(cache) != before
    assert empty.run("prune", "restore", "last", "--yes").code == 0

    assert contents(cache) == before
    rattler_install(channel, cache, pixi / "new/.pixi/envs/default", "bothformats=1.0")
    assert (cache / "bothformats-1.0-0" / "lib" / "both").stat().st_nlink == 2


@pytest.mark.posix
def test_what_a_killed_rattler_leaves_goes_with_a_search_and_what_only_looks_like_it_stays(
    empty: Machine, pixi: Path, channel: Path
) -> None:
    import fcntl

    cache = rattlers_cache(empty)
    entry = cache / "allprefix-1.0-0"
    # As `validate_package_common` (rattler_cache) leaves them: a lock with a hash, and what it was about to extract.
    shutil.copytree(entry, cache / ".onlyarchive-1.0-0x7KpQ2")
    shutil.copy(f"{entry}.lock", cache / "onlyarchive-1.0-0.lock")
    (cache / "never-1.0-0.lock").write_bytes(bytes(8))
    (cache / "conda-linux-64.lock").write_text("@EXPLICIT\n# of somebody\n")
    (cache / ".hidden").mkdir()
    left = {".onlyarchive-1.0-0x7KpQ2", "onlyarchive-1.0-0.lock", "never-1.0-0.lock"}

    before = listing(cache)
    untouched = empty.prune("--yes", "--json")
    assert untouched.json["remove"] == []
    assert listing(cache) == before

    answer = empty.prune("--yes", "--json", "--leftovers", "--search", pixi)

    kinds = {item["dist"]: item["reasons"][0]["kind"] for item in answer.json["remove"]}
    assert kinds == dict.fromkeys(left, "trash") | {".onlyarchive-1.0-0x7KpQ2": "incomplete-extraction"}
    assert {item["result"] for item in answer.json["outcomes"]} == {"removed"}
    gone = {os.path.relpath(path, cache).split(os.sep)[0] for path in before.keys() - listing(cache).keys()}
    assert gone == left
    rattler_install(channel, cache, pixi / "new/.pixi/envs/default", "onlyarchive=1.0")
    # While somebody holds it, a lock is no leftover.
    (cache / "never-1.0-0.lock").write_bytes(bytes(8))
    with (cache / "never-1.0-0.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        held = empty.prune("--yes", "--json", "--leftovers", "--search", pixi)
    assert [(item["dist"], item["result"]) for item in held.json["outcomes"]] == [("never-1.0-0.lock", "skipped")]


def test_rattler_installs_what_was_pruned_anew(empty: Machine, pixi: Path, channel: Path) -> None:
    assert empty.prune("--yes", "--search", pixi).code == 0

    prefix = pixi / "new/.pixi/envs/default"
    rattler_install(channel, rattlers_cache(empty), prefix, "bothformats=1.0", "metaonly=2.0")

    assert (prefix / "conda-meta" / "metaonly-2.0-0.json").is_file()


def test_the_environments_that_pixi_keeps_in_known_places_are_roots(
    empty: Machine, channel: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tomllib", reason="pixi's configuration is read from Python 3.11 on")
    cache, home, projects = rattlers_cache(empty), empty.home, tmp_path / "projects"
    elsewhere = tmp_path / "detached"
    places = {
        "metaonly=2.0": home / ".pixi/envs/tool",
        "innerlinks=1.0": cache.parent / "cached-envs-v0/4f1c",
        "innerlinks=2.0": cache.parent / "envs/project-123/envs/default",
        "symlinks=1.0": tmp_path / "ws/.pixi/envs/default",
        "symlinks=2.0": elsewhere / "project-456/envs/default",
        "allprefix=1.0": tmp_path / "behind-a-link/default",
    }
    for spec, place in places.items():
        rattler_install(channel, cache, place, spec)
    rattler_install(channel, cache, tmp_path / "gone", "libalpha=1.0")
    shutil.rmtree(tmp_path / "gone")
    (home / ".pixi/workspaces.toml").write_text(f"[named-workspaces]\nws = {json.dumps(str(tmp_path / 'ws'))}\n")
    (home / ".pixi/config.toml").write_text(f"detached-environments = {json.dumps(str(elsewhere))}\n")
    (projects / "one/.pixi").mkdir(parents=True)
    # As pixi does it where environments are detached.
    (projects / "one/.pixi/envs").symlink_to(tmp_path / "behind-a-link")

    answer = empty.prune("--yes", "--json", "--search", projects)

    assert dists(answer, "remove", cache) == {"libalpha-1.0-0"}
    assert dists(answer, "keep", cache) == {f"{spec.replace('=', '-')}-0" for spec in places}
    assert {reason["kind"] for item in answer.json["keep"] for reason in item["reasons"]} == {"environment"}


def test_caches_are_looked_for_where_variables_and_configurations_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    # What other systems have instead, `platformdirs` knows.
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ".config"))
    (tmp_path / ".pixi").mkdir()
    (tmp_path / ".pixi/config.toml").write_text('[cache]\nroot = "/root"\nconda-packages = "~/packages"\n')
    (tmp_path / ".config/pixi").mkdir(parents=True)
    (tmp_path / ".config/pixi/config.toml").write_bytes(b"[cache\xff")
    (tmp_path / ".mambarc").write_text("pkgs_dirs: [~/one, /two]\nenvs_dirs: [/envs]\n")
    (tmp_path / ".mamba/mambarc.d").mkdir(parents=True)
    (tmp_path / ".mamba/mambarc.d/more.yml").write_text("pkgs_dirs:\n  - /three\n")
    environ = {
        "MAMBA_ROOT_PREFIX": "/mamba",
        "RATTLER_CACHE_DIR": "/rattler",
        "PIXI_CACHE_DIR": "/pixi",
        "PIXI_CACHE_CONDA_PACKAGES_DIR": "/packages",
        "XDG_CACHE_HOME": "/cache",
    }

    found = other_clients(environ)

    home, reads_toml = str(tmp_path), find_spec("tomllib") is not None
    clients = set(found.caches.values())
    assert {client: [path for path in found.caches if found.caches[path] is client] for client in clients} == {
        Client.MAMBA: [
            "/mamba/pkgs",
            f"{home}/micromamba/pkgs",
            f"{home}/.local/share/mamba/pkgs",
            f"{home}/.mamba/pkgs",
            "/cache/conda/pkgs",
            "/three",
            f"{home}/one",
            "/two",
        ],
        Client.RATTLER: [
            "/pixi/pkgs",
            "/rattler/pkgs",
            *(["/root/pkgs"] if reads_toml else []),
            "/cache/pixi/pkgs",
            "/cache/rattler/cache/pkgs",
            "/packages",
            *([f"{home}/packages"] if reads_toml else []),
        ],
    }
    assert {"/mamba/envs", "/envs", f"{home}/micromamba/envs"} < set(found.envs_dirs)
    places = tool_places(environ, {"pixi_cache": pixi_cache_roots(environ)})
    assert {
        EnvsDir(f"{home}/.pixi", ("envs", "*")),
        EnvsDir("/pixi", ("cached-envs-v0", "*")),
        EnvsDir("/rattler", ("exec", "*")),
    } < set(places)


@pytest.mark.posix
def test_configurations_that_make_no_sense_say_nothing_and_stop_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    untold = other_clients({})
    for directory in (".pixi", ".mamba", ".config/pixi", ".config/mamba/mambarc.d"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / ".pixi/config.toml").write_text(
        'detached-environments = "a\\u0000"\n[cache]\nroot = "a\\u0000"\nconda-packages = ["a"]\n'
    )
    (tmp_path / ".pixi/workspaces.toml").write_text('[named-workspaces]\na = "/a\\u0000"\nb = {}\n')
    (tmp_path / ".config/pixi/config.toml").write_text("a = " + "[" * 1000)
    (tmp_path / ".mambarc").write_text('pkgs_dirs: ["a\\0b", "\\uD800", "", 5, null]\nenvs_dirs: {a: b}\n')
    (tmp_path / ".mamba/.mambarc").write_text("day: 2026-13-45\n")
    (tmp_path / ".mamba/mambarc").write_text("a: !!bool maybe\n")
    (tmp_path / ".config/mamba/mambarc.d/c.yml").write_text('a: !!int ""\n')
    (tmp_path / ".config/mamba/mambarc.d/d.yml").write_text("? !!seq [[a]]\n: b\n")
    (tmp_path / ".config/mamba/mambarc.d/a.yml").write_text("[" * 1000)
    (tmp_path / ".config/mamba/mambarc.d/b.yml").write_text("pkgs_dirs: [/one\n")
    # Who opens that waits for somebody to write.
    os.mkfifo(tmp_path / ".config/mamba/.mambarc")

    assert other_clients({}) == untold


def test_usage_tells_what_other_tools_have_cached_and_what_cleans_it(empty: Machine, tmp_path: Path) -> None:
    data = b"x" * 10_000
    cache, croot, channel = empty.home / ".cache", tmp_path / "croot", empty.home / "data/conda-pypi"
    places = {
        croot / "work/file": ("conda-build", croot, "conda build purge"),
        channel / "noarch/a-1-0.conda": ("conda-pypi", channel, f"rm -r {channel}"),
        cache / "conda/pkgs/cache/shards/1": ("solver", cache / "conda", "mamba clean --index-cache"),
        rattlers_cache(empty).parent / "repodata/1": (
            "solver",
            rattlers_cache(empty).parent / "repodata",
            "pixi clean cache --repodata",
        ),
        cache / "pixi/uv-cache/1": ("uv", cache / "pixi/uv-cache", "pixi clean cache --pypi"),
        cache / "pip/http/1": ("pip", cache / "pip", "pip cache purge"),
        cache / "uv/1": ("uv", cache / "uv", "uv cache clean"),
    }
    for path in places:
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    (cache / "pip/http/again").hardlink_to(cache / "pip/http/1")
    environ = {"CONDA_BLD_PATH": str(croot), "XDG_DATA_HOME": str(empty.home / "data")}
    before = listing(tmp_path)

    told = empty.run("prune", "usage", "--json", **environ)
    untold = empty.run("prune", "usage", "--json", "--no-other-caches", **environ)

    assert {
        (item["kind"], item["path"], item["command"]): (item["allocated"], item["complete"])
        for item in told.json["other_caches"]
    } == {(kind, str(path), command): (allocated(path), True) for kind, path, command in places.values()}
    assert untold.json["other_caches"] == []
    assert told.json["totals"] == untold.json["totals"]
    assert listing(tmp_path) == before


def test_what_is_too_large_to_be_measured_in_time_is_at_least_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for place, count in (("conda", 3), ("pip", 100), ("uv", 3)):
        for number in range(count):
            path = tmp_path / ".cache" / place / str(number)
            path.mkdir(parents=True)
            (path / "file").write_bytes(b"x" * 10_000)
    ticks = itertools.count()

    found = {item.kind.value: item for item in other_caches({}, lambda files: None, 60, lambda: float(next(ticks)))}
    whole = {item.kind.value: item for item in other_caches({}, lambda files: None, None)}

    sizes = {kind: allocated(tmp_path / ".cache" / name) for kind, name in (("solver", "conda"), ("pip", "pip"))}
    assert (found["solver"].complete, found["solver"].allocated) == (True, sizes["solver"])
    assert not found["pip"].complete
    assert 0 < found["pip"].allocated < sizes["pip"]
    # The time is not all gone for the last one.
    assert found["uv"].complete
    assert (whole["pip"].complete, whole["pip"].allocated) == (True, sizes["pip"])


def test_keep_rules_and_why_know_an_entry_with_a_hash_by_its_package(empty: Machine, pixi: Path) -> None:
    cache = rattlers_cache(empty)

    kept = empty.prune("--json", "--dry-run", "--search", pixi, "--keep", "symlinks>=1")
    why = empty.run("prune", "why", "innerlinks", "--json", "--search", pixi)

    assert dists(kept, "remove", cache) == GONE - {"symlinks-1.0-0"}
    (package,) = why.json["packages"]
    assert package["verdict"] == "reachable"
    assert [(reason["kind"], reason["root"], reason["link"]) for reason in package["reasons"]] == [
        ("environment", str(pixi / "two/.pixi/envs/test"), "hard")
    ]


def test_conda_and_rattler_share_a_cache_and_neither_loses_anything(machine: Machine, channel: Path) -> None:
    project = machine.directory / "projects/one/.pixi/envs/default"
    rattler_install(channel, machine.cache, project, "symlinks=2.0", "allprefix=2.0")
    gone = machine.directory / "projects/two/.pixi/envs/default"
    rattler_install(channel, machine.cache, gone, "metaonly=2.0", "innerlinks=2.0")
    shutil.rmtree(gone)
    before = {prefix: contents(prefix) for prefix in (*machine.environments, project)}
    # Damage is no reason to judge it.
    (machine.entry("innerlinks-2.0-0") / "bin/inner-again").unlink()

    careful = machine.prune("--json", "--dry-run", "--ignore-unreadable")
    answer = machine.prune("--yes", "--json", "--ignore-unreadable", "--search", machine.directory / "projects")

    assert [(item["client"], item["path"]) for item in answer.json["caches"]] == [("conda", str(machine.cache))]
    # Whatever rattler has locked once stays until its environments were looked for.
    by_rattler = {"symlinks-2.0-0", "metaonly-2.0-0", "innerlinks-2.0-0"}
    assert dists(careful, "remove", machine.cache) == UNREFERENCED - by_rattler
    assert dists(answer, "remove", machine.cache) == UNREFERENCED - {"symlinks-2.0-0"}
    assert {prefix: contents(prefix) for prefix in before} == before


def test_a_cache_of_rattler_inside_of_condas_is_rattlers(machine: Machine, channel: Path) -> None:
    cache, projects = machine.cache / "pkgs", machine.directory / "projects"
    rattler_install(channel, cache, projects / "one/.pixi/envs/default", "symlinks=2.0")
    rattler_install(channel, cache, projects / "gone/.pixi/envs/default", "metaonly=2.0")
    shutil.rmtree(projects / "gone")
    environ = {"RATTLER_CACHE_DIR": str(machine.cache)}

    careful = machine.prune("--json", "--dry-run", **environ)
    answer = machine.prune("--yes", "--json", "--ignore-unreadable", "--search", projects, **environ)

    assert [(item["client"], item["path"]) for item in careful.json["caches"]] == [
        ("conda", str(machine.cache)),
        ("rattler", str(cache)),
    ]
    assert dists(careful, "remove", cache) == set()
    assert dists(answer, "remove", cache) == {"metaonly-2.0-0"}
    assert {item["result"] for item in answer.json["outcomes"]} == {"removed"}


def mamba(machine: Machine, channel: Path) -> Mamba:
    """A root prefix in micromamba's usual place: two environments, and packages that none has."""
    found = Mamba(machine.home / "micromamba", channel)
    found.create("work", found.fetch("libalpha-2.0-0"), found.fetch("libbeta-1.0-0"))
    found.create("soft", found.fetch("symlinks-1.0-0"), soft=True)
    found.fetch("innerlinks-2.0-0")
    found.fetch("bothformats-1.0-0", ".tar.bz2")
    return found


def test_a_nested_cache_of_mamba_is_pruned_and_its_environments_are_whole(empty: Machine, channel: Path) -> None:
    found = mamba(empty, channel)
    before = contents(found.root / "envs")

    answer = empty.prune("--yes", "--json")

    assert answer.code == 0, answer.out
    assert [(item["path"], item["client"], item["entries"]) for item in answer.json["caches"]] == [
        (str(empty.cache), "conda", 0),
        (str(found.pkgs), "mamba", 0),
        (str(found.nested), "mamba", 5),
    ]
    assert dists(answer, "keep", found.nested) == {"libalpha-2.0-0", "libbeta-1.0-0", "symlinks-1.0-0"}
    assert dists(answer, "remove", found.nested) == {"innerlinks-2.0-0", "bothformats-1.0-0"}
    (tarball,) = (item for item in answer.json["remove"] if item["dist"].startswith("both"))
    assert tarball["source"] == "https://conda.anaconda.org/conda-forge/linux-64/bothformats-1.0-0.tar.bz2"
    assert tarball["parts"] == ["extracted", "archive"]
    assert {item["result"] for item in answer.json["outcomes"]} == {"removed"}
    assert contents(found.root / "envs") == before


def test_a_flat_cache_of_mamba_and_environments_elsewhere_that_it_registers(empty: Machine, channel: Path) -> None:
    found = Mamba(empty.home / "elsewhere", channel)
    found.create("work", found.fetch("libalpha-2.0-0", flat=True), registry=empty.registry)
    found.fetch("innerlinks-2.0-0", flat=True)
    (empty.home / ".mambarc").write_text(f"pkgs_dirs:\n  - {found.pkgs}\n")

    answer = empty.prune("--yes", "--json")

    assert (str(found.pkgs), "mamba", 2) in [
        (item["path"], item["client"], item["entries"]) for item in answer.json["caches"]
    ]
    assert dists(answer, "keep", found.pkgs) == {"libalpha-2.0-0"}
    assert dists(answer, "remove", found.pkgs) == {"innerlinks-2.0-0"}


def test_the_root_prefix_that_mamba_is_told_counts_with_its_environments(
    empty: Machine, channel: Path, tmp_path: Path
) -> None:
    found = Mamba(tmp_path / "root", channel)
    found.create("work", found.fetch("libalpha-2.0-0"), soft=True)

    answer = empty.prune("--json", "--dry-run", MAMBA_ROOT_PREFIX=str(found.root))

    assert dists(answer, "keep", found.nested) == {"libalpha-2.0-0"}
    assert ("work", str(found.root / "envs/work")) in [(root["name"], root["path"]) for root in answer.json["roots"]]


def test_one_package_from_two_channels_is_two_entries(empty: Machine, channel: Path) -> None:
    first = Mamba(empty.home / "micromamba", channel)
    first.create("work", first.fetch("libalpha-2.0-0"))
    second = Mamba.__new__(Mamba)
    second.__dict__.update(vars(first), _url="oci://ghcr.io:443/mirror/channel")
    second.fetch("libalpha-2.0-0")
    second.fetch("libalpha-1.0-0")

    answer = empty.prune("--json", "--dry-run")

    assert str(second.nested).endswith("pkgs/oci/ghcr.io_443/mirror/channel/linux-64")
    assert dists(answer, "keep", first.nested) == {"libalpha-2.0-0"}
    # The record names no channel that could be compared: on doubt both stay.
    assert dists(answer, "keep", second.nested) == {"libalpha-2.0-0"}
    assert dists(answer, "remove", second.nested) == {"libalpha-1.0-0"}


def test_a_backup_in_a_nested_cache_is_found_again_when_nothing_else_is_left(empty: Machine, channel: Path) -> None:
    found = Mamba(empty.home / "micromamba", channel)
    found.fetch("libalpha-1.0-0")
    before = contents(found.nested)

    assert empty.prune("--yes", "--backup").code == 0
    assert not (found.nested / "libalpha-1.0-0").exists()
    assert empty.run("prune", "restore", "last", "--yes").code == 0

    assert contents(found.nested) == before


def test_mamba_clean_finds_no_package_in_a_backup(empty: Machine, channel: Path) -> None:
    found = Mamba(empty.home / "micromamba", channel)
    tree = found.fetch("libalpha-1.0-0")
    found.fetch("innerlinks-1.0-0", flat=True)
    (tree / "info").chmod(0o555)
    before = listing(tree)

    assert empty.prune("--yes", "--backup").code == 0
    # What ``mamba::clean`` (libmamba/src/api/clean.cpp) takes for archives and for packages, wherever it lies.
    inside = list(found.pkgs.rglob("*"))
    archives = [path for path in inside if path.name.endswith((".tar.bz2", ".conda"))]
    packages = [path for path in inside if path.is_dir() and (path / "info" / "index.json").exists()]
    assert empty.run("prune", "restore", "last", "--yes").code == 0

    assert len([path for path in inside if path.name == "receipt.json"]) == 2
    assert archives == packages == []
    # All but the time of the inodes' last change, which a rename sets.
    assert [(*what[:4], what[5]) for what in listing(tree).values()] == [
        (*what[:4], what[5]) for what in before.values()
    ]


def test_nothing_in_a_cache_but_packages_is_taken_for_a_nested_cache(empty: Machine, channel: Path) -> None:
    found = mamba(empty, channel)
    shutil.copytree(channel, found.pkgs / "file/local-channel")
    shutil.copytree(found.root / "envs/work", found.pkgs / "environment")
    (found.pkgs / "linked").symlink_to(found.root)
    (found.nested / "half-1.0-0" / "share" / "index-1.0-0" / "info").mkdir(parents=True)
    (found.nested / "half-1.0-0" / "share" / "index-1.0-0" / "info" / "index.json").write_text("{}")

    answer = empty.prune("--json", "--dry-run")

    assert [item["path"] for item in answer.json["caches"]] == [str(empty.cache), str(found.pkgs), str(found.nested)]


def test_a_mixed_machine_is_pruned_in_one_run_and_every_environment_is_intact(machine: Machine, channel: Path) -> None:
    found = mamba(machine, channel)
    cache, projects = rattlers_cache(machine), machine.directory / "projects"
    rattler_install(channel, cache, projects / "one/.pixi/envs/default", "libbeta", "allprefix=2.0", "pynoarch=1.0")
    rattler_install(channel, cache, projects / "gone/.pixi/envs/default", "metaonly=2.0")
    shutil.rmtree(projects / "gone")
    environments = (*machine.environments, found.root / "envs/work", found.root / "envs/soft", projects / "one")
    before = {prefix: contents(prefix) for prefix in environments}

    answer = machine.prune("--yes", "--json", "--ignore-unreadable", "--search", projects)

    assert answer.code == 0, answer.err
    assert dists(answer, "remove", machine.cache) == UNREFERENCED
    # conda has bothformats-1.0-0 in an environment: a name in use stays in every cache.
    assert dists(answer, "remove", found.nested) == {"innerlinks-2.0-0"}
    assert dists(answer, "remove", cache) == {"metaonly-2.0-0"}
    assert {item["result"] for item in answer.json["outcomes"]} == {"removed"}
    assert {prefix: contents(prefix) for prefix in environments} == before
    assert sum(item["freed"] for item in answer.json["outcomes"]) == answer.json["totals"]["reclaimable"]
    machine.install("create", "-n", "after", "innerlinks=2.0", "libalpha=1.0")
