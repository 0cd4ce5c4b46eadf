"""``--ci``: the smallest image layer, and the smallest cache by which the environments can be made again offline."""

from __future__ import annotations

import functools
import shutil
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from machine import PACKAGES, PYTHON, Answer, Machine, allocated, contents, listing
from tiny import tiny_on

from conda_prune_plugin.demo.packages import build_channel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What the environment with soft links has.
SOFT = {"libalpha-2.0-0", "libbeta-1.0-0", "symlinks-1.0-0"}

#: What the other environments have.
USED = {
    "allprefix-1.0-0",
    "allprefix-2.0-0",
    "bothformats-1.0-0",
    "innerlinks-1.0-0",
    "libalpha-2.0-0",
    "metaonly-1.0-0",
    "pynoarch-1.0-0",
    f"python-{PYTHON.version}-0",
}


@pytest.fixture
def job(machine: Machine) -> Machine:
    """A machine all of whose registered environments are there, as in an image or a job."""
    lines = machine.registry.read_text().splitlines()
    machine.registry.write_text("".join(f"{line}\n" for line in lines if not line.endswith("/deleted")))
    return machine


def _cached(machine: Machine) -> set[str]:
    """Return what is in the cache, but for what conda and we keep there ourselves."""
    return {path.name for path in machine.cache.iterdir()} - {"urls.txt", "urls", "cache", ".conda-prune"}


@pytest.mark.slow
def test_an_image_keeps_only_what_environments_soft_link(job: Machine) -> None:
    """No ``--min-age``, no ``--yes``: in an image everything is young, and nobody is there."""
    before = {env: contents(env) for env in job.environments}
    held = allocated(job.cache)

    answer = job.run("prune", "--ci", "image", "--json")

    assert answer.code == 0, answer.err
    assert {name for name in _cached(job) if (job.cache / name).is_dir()} == SOFT
    assert {env: contents(env) for env in job.environments} == before
    document = answer.json
    assert document["ci"]["preset"] == "image"
    assert document["ci"]["before"] == held
    assert document["ci"]["after"] == allocated(job.cache)
    assert document["totals"]["reclaimable"] == sum(outcome["freed"] for outcome in document["outcomes"])
    assert (job.cache / "urls.txt").exists()
    assert not (job.cache / ".conda-prune").exists()
    assert document["run"] is None


@pytest.mark.slow
def test_a_cache_for_the_next_run_makes_the_environments_again_offline(job: Machine, tmp_path: Path) -> None:
    """All that is saved is the cache: the channel is gone, the extracted directories too, and there is no network."""
    explicit = {}
    for name in ("hard", "copy"):
        explicit[name] = tmp_path / f"{name}.txt"
        explicit[name].write_text(job.run("list", "-n", name, "--explicit", "--md5").out)
    before = {name: _payload(job.envs / name) for name in explicit}
    shutil.rmtree(job.envs / "soft")

    answer = job.run("prune", "--ci", "cache", "--ignore-unreadable")
    saved = tmp_path / "saved"
    shutil.copytree(job.cache, saved, symlinks=True)

    assert answer.code == 0, answer.err
    assert "--ci cache: the caches held" in answer.out
    assert {name for name in _cached(job) if (job.cache / name).is_dir()} == set()
    assert {name.removesuffix(".conda").removesuffix(".tar.bz2") for name in _cached(job)} == USED
    for path in (job.directory / "channel", job.cache, *(job.envs / name for name in explicit)):
        shutil.rmtree(path)
    for name, lines in explicit.items():
        again = job.run("create", "-n", name, "--file", lines, "--yes", "--offline", CONDA_PKGS_DIRS=str(saved))
        assert again.code == 0, again.out + again.err
    assert {name: _payload(job.envs / name) for name in explicit} == before


@contextmanager
def _served(directory: Path) -> Iterator[str]:
    """Serve a channel over HTTP meanwhile; gives its url."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.slow
def test_a_cache_for_the_next_run_is_enough_for_the_solver_offline_and_holds_no_index_cache_that_it_can_do_without(
    empty: Machine, tmp_path: Path
) -> None:
    build_channel(tmp_path / "channel", PACKAGES)
    wanted = tmp_path / "environment.yml"
    with _served(tmp_path / "channel") as url:
        settings = {"CONDA_CHANNELS": url, "CONDA_OFFLINE": "false"}
        wanted.write_text(f"channels: [{url}]\ndependencies: [pynoarch=1.0, innerlinks=1.0]\n")
        made = empty.run("env", "create", "-n", "e", "-f", wanted, **settings)
        assert made.code == 0, made.out + made.err
    dists = {"pynoarch-1.0-0", "innerlinks-1.0-0", f"python-{PYTHON.version}-0"}
    assert _dists(empty.envs / "e") == dists

    assert empty.run("prune", "--ci", "cache", "--json").code == 0

    def solve(name: str, cache: Path) -> Answer:
        """The channel answers no more."""
        offline = {"CONDA_PKGS_DIRS": str(cache), "CONDA_CHANNELS": url, "CONDA_OFFLINE": "true"}
        return empty.run("env", "create", "-n", name, "-f", wanted, "--offline", **offline)

    # That of conda 24.7 needs none; that of conda 25.7 and later (classic) no longer asks what the caches have.
    with_indexes = list((empty.cache / "cache").glob("*.json"))
    shutil.copytree(empty.cache, tmp_path / "saved")
    shutil.copytree(empty.cache, tmp_path / "bare", ignore=shutil.ignore_patterns("cache"))
    solved = solve("solved", tmp_path / "saved")
    assert solved.code == 0, solved.out + solved.err
    assert _dists(empty.envs / "solved") == dists
    assert (solve("bare", tmp_path / "bare").code == 0) == (not with_indexes)


@pytest.mark.parametrize(("solver", "needed"), [("libmamba", False), ("rattler", True)])
def test_index_caches_are_saved_for_a_solver_that_needs_them_offline(empty: Machine, solver: str, needed: bool) -> None:
    tiny_on(empty).add("unused-1-0")
    indexes = empty.cache / "cache"
    indexes.mkdir()
    (indexes / "0123abcd.json").write_text("{}")

    saved = empty.run("prune", "--ci", "cache", "--json", CONDA_SOLVER=solver)
    assert saved.code == 0, saved.err
    assert (indexes / "0123abcd.json").exists() == needed
    assert empty.run("prune", "--ci", "image", "--json", CONDA_SOLVER=solver).code == 0
    assert not (indexes / "0123abcd.json").exists()


def _dists(environment: Path) -> set[str]:
    return {path.stem for path in (environment / "conda-meta").glob("*.json")}


def _payload(environment: Path) -> dict[str, tuple[object, ...]]:
    """Return the files of an environment that packages have brought: conda's own tell of the time, python's too."""
    found = contents(environment)
    return {path: item for path, item in found.items() if "/conda-meta" not in path and "__pycache__" not in path}


@pytest.mark.slow
def test_a_damaged_archive_is_not_relied_on(job: Machine) -> None:
    (archive,) = (path for path in job.cache.glob("innerlinks-1.0-0.*") if path.is_file())
    content = bytearray(archive.read_bytes())
    content[-1] ^= 1
    archive.write_bytes(content)

    document = job.run("prune", "--ci", "cache", "--dry-run", "--json").json

    going = {item["dist"]: item for item in document["remove"]}
    assert "innerlinks-1.0-0" not in going
    assert going["libalpha-1.0-0"]["parts"] == ["extracted", "archive"]
    assert going["pynoarch-1.0-0"]["parts"] == ["extracted"]
    assert [reason["kind"] for reason in going["pynoarch-1.0-0"]["reasons"]] == ["extracted"]
    assert document["ci"]["after"] is None


def test_a_package_without_an_archive_keeps_its_directory(empty: Machine) -> None:
    tiny = tiny_on(empty)
    tiny.add("used-1-0")
    tiny.add("other-1-0", archive=True)
    tiny.use("e", "used-1-0")
    tiny.use("f", "other-1-0")

    assert empty.run("prune", "--ci", "cache", "--json").json["remove"] == []
    assert {"used-1-0", "other-1-0", "other-1-0.conda"} <= {path.name for path in empty.cache.iterdir()}


@pytest.mark.parametrize("preset", ["image", "cache"])
def test_a_dry_run_and_a_check_of_a_preset_change_nothing(empty: Machine, preset: str) -> None:
    tiny = tiny_on(empty)
    tiny.add("unused-1-0", archive=True)
    tiny.add("used-1-0")
    tiny.use("e", "used-1-0")
    before = listing(empty.directory)

    dry = empty.run("prune", "--ci", preset, "--dry-run", "--json")
    check = empty.run("prune", "--ci", preset, "--check", "0", "--quiet")

    assert (dry.code, check.code, check.out) == (0, 3, "")
    going = {"unused-1-0", "used-1-0"} if preset == "image" else {"unused-1-0"}
    assert {item["dist"] for item in dry.json["remove"]} == going
    assert listing(empty.directory) == before


def test_a_preset_says_itself_what_goes(empty: Machine) -> None:
    for option in (("--tarballs",), ("--all",), ("--backup",), ("--backup-to", "/tmp/x")):
        answer = empty.run("prune", "--ci", "image", *option, "--json")
        assert answer.code == 2
        assert option[0] in answer.json["message"]
    assert empty.run("prune", "--ci", "laptop", "--json").code == 2


def test_settings_meant_for_people_do_not_count_but_options_do(empty: Machine) -> None:
    tiny_on(empty).add("unused-1-0")
    settings = {"CONDA_PLUGINS_PRUNE_OLDER_THAN": "30d", "CONDA_PLUGINS_PRUNE_KEEP_NEWEST": "1"}
    settings["CONDA_PLUGINS_PRUNE_BACKUP"] = "true"

    kept = empty.run("prune", "--ci", "image", "--keep-newest", "1", "--json", **settings).json
    gone = empty.run("prune", "--ci", "image", "--json", **settings).json

    assert kept["remove"] == []
    assert [outcome["result"] for outcome in gone["outcomes"]] == ["removed"]
    assert gone["disposal"] in ("delete", None)
