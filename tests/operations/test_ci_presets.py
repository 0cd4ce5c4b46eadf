"""``--ci``: the smallest image layer, and the smallest cache by which the environments can be made again offline."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import shutil
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from conda import __version__
from conda.models.version import VersionOrder
from machine import PACKAGES, PYTHON, Answer, Machine, contents, listing, space, told
from tiny import Tiny, tiny_on

from conda_prune_plugin.cli.parsing.ci_presets import targets_of_preset
from conda_prune_plugin.core.rules.targets import Target
from conda_prune_plugin.demo.demo_packages import build_channel

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


#: Whether conda's classic solver makes its index of extracted packages, and conda knows no sha256 in explicit files.
IS_OLD = VersionOrder(__version__) < VersionOrder("24.9")

#: All that `--ci cache` leaves of an extracted directory where conda needs that to find the archive.
RECORD_ONLY = ["info", "info/repodata_record.json"]


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
    held = space(job.cache)

    answer = job.run("prune", "--ci", "image", "--json")

    assert answer.code == 0, answer.err
    assert {name for name in _cached(job) if (job.cache / name).is_dir()} == SOFT
    assert {env: contents(env) for env in job.environments} == before
    document = answer.json
    assert document["ci"]["preset"] == "image"
    assert told(document["ci"], by="before") == held
    assert told(document["ci"], by="after") == space(job.cache)
    assert told(document["totals"]) == told(*document["outcomes"], by="freed")
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
    assert "--ci cache:" in answer.out
    left = {path.name: _below(path) for path in job.cache.iterdir() if path.name in _cached(job) and path.is_dir()}
    assert left == {} if IS_OLD else left == dict.fromkeys(USED, RECORD_ONLY)
    assert {name.removesuffix(".conda").removesuffix(".tar.bz2") for name in _cached(job)} == USED
    for path in (job.directory / "channel", job.cache, *(job.envs / name for name in explicit)):
        shutil.rmtree(path)
    for name, lines in explicit.items():
        again = job.run("create", "-n", name, "--file", lines, "--yes", "--offline", CONDA_PKGS_DIRS=str(saved))
        assert again.code == 0, again.out + again.err
    assert {name: _payload(job.envs / name) for name in explicit} == before


def _below(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


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


#: What conda exports an environment as: a name for it, the command, and how it is read again.
EXPORTS = {
    "plain.txt": ("list", "--explicit"),
    "md5.txt": ("list", "--explicit", "--md5"),
    "environment.yml": ("env", "export"),
    "without-builds.yml": ("env", "export", "--no-builds"),
    "from-history.yml": ("env", "export", "--from-history"),
}
NEW_EXPORTS = {
    "sha256.txt": ("list", "--explicit", "--sha256"),
    "environment.json": ("export", "--format", "environment-json"),
    "requirements.txt": ("export", "--format", "requirements"),
}
LOCKFILES = {
    "conda-lock.yml": ("export", "--format", "conda-lock-v1"),
    "pixi.lock": ("export", "--format", "rattler-lock-v6"),
}
if not IS_OLD:
    EXPORTS |= NEW_EXPORTS
if importlib.util.find_spec("conda_lockfiles"):
    EXPORTS |= LOCKFILES

SOLVERS = ["classic", *(["rattler"] if importlib.util.find_spec("conda_rattler_solver") else [])]


@pytest.mark.slow
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_export_of_this_conda_makes_the_environments_again_from_what_a_cache_preset_leaves(
    empty: Machine, tmp_path: Path, solver: str
) -> None:
    """Whatever the kind of links. The channel answers no more; each form begins with the cache as it was saved."""
    build_channel(tmp_path / "channel", PACKAGES)
    settings = {"CONDA_SOLVER": solver}
    hard = ("libalpha=2.0", "pynoarch=1.0", "innerlinks=1.0", "bothformats=1.0", "metaonly=1.0")
    kinds = {
        "hard": (hard, {}),
        "copied": (("allprefix=2.0", "innerlinks=1.0"), {"CONDA_ALWAYS_COPY": "true"}),
        "soft": (("symlinks=1.0",), {"CONDA_ALWAYS_SOFTLINK": "true"}),
    }
    exports: dict[str, list[Path]] = {}
    with _served(tmp_path / "channel") as url:
        settings |= {"CONDA_CHANNELS": url, "CONDA_OFFLINE": "false"}
        for name, (specs, links) in kinds.items():
            made = empty.run("create", "-n", name, *specs, "--yes", **settings, **links)
            assert made.code == 0, made.out + made.err
        for name in kinds:
            exports[name] = [_exported(empty, name, tmp_path / name, form, settings) for form in EXPORTS]
    before = {name: _inside(empty.envs / name) for name in kinds}

    pruned = empty.run("prune", "--ci", "cache", "--json", **settings)
    assert pruned.code == 0, pruned.err
    assert {item["dist"] for item in pruned.json["remove"]} >= {f"{spec.replace('=', '-')}-0" for spec in hard}
    assert (empty.cache / "symlinks-1.0-0" / "info" / "index.json").exists()
    assert _inside(empty.envs / "soft") == before["soft"]

    saved = tmp_path / "saved"
    empty.cache.rename(saved)
    settings["CONDA_OFFLINE"] = "true"
    failed = []
    # The soft links of the last one lead into the cache, which is not at its place between two of these.
    for name in ("hard", "copied", "soft"):
        for export in (*exports[name], None):
            if empty.cache.exists():
                shutil.rmtree(empty.cache)
            shutil.copytree(saved, empty.cache, symlinks=True)
            shutil.rmtree(empty.envs / "again", ignore_errors=True)
            made = empty.run(*_making(export, name), "--offline", **settings, **kinds[name][1])
            if made.code != 0 or _inside(empty.envs / "again") != before[name]:
                failed.append((name, export, made.out + made.err))
    assert failed == []


def _exported(machine: Machine, name: str, folder: Path, form: str, settings: dict[str, str]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / form
    command = EXPORTS[form]
    file = ("--file", path) if command[0] == "export" else ()
    answer = machine.run(*command, "-n", name, *file, **settings)
    assert answer.code == 0, answer.out + answer.err
    if not file:
        path.write_text(answer.out)
    return path


def _making(export: Path | None, name: str) -> tuple[str | Path, ...]:
    """Return the command that makes an environment from an export, or as a clone of that name."""
    if export is None:
        return ("create", "-n", "again", "--clone", name, "--yes")
    if export.suffix == ".txt":
        return ("create", "-n", "again", "--file", export, "--yes")
    return ("env", "create", "-n", "again", "--file", export)


def _inside(environment: Path) -> dict[str, tuple[object, ...]]:
    """Return the files of an environment that packages have brought, by their paths in it, without its own path."""
    found: dict[str, tuple[object, ...]] = {}
    for path in environment.rglob("*"):
        relative = path.relative_to(environment)
        if relative.parts[0] == "conda-meta" or "__pycache__" in relative.parts or path.is_dir():
            continue
        content = path.read_bytes().replace(str(environment).encode(), b"PREFIX")
        found[str(relative)] = (path.stat().st_mode, hashlib.sha256(content).hexdigest())
    return found


def _recorded(tiny: Tiny, dist: str, env: str, suffix: str = ".conda") -> Path:
    """Add a package with an archive whose hash conda has recorded, to a cache and an environment."""
    tree = tiny.add(dist, archive=True)
    archive = tiny.cache / f"{dist}{suffix}"
    if suffix != ".conda":
        archive.write_bytes((tiny.cache / f"{dist}.conda").read_bytes())
    record = json.loads((tree / "info" / "repodata_record.json").read_text())
    record["url"] = f"https://host/linux-64/{archive.name}"
    record["sha256"] = hashlib.sha256(archive.read_bytes()).hexdigest()
    (tree / "info" / "repodata_record.json").write_text(json.dumps(record))
    tiny.use(env, dist)
    return tree


#: A conda that needs records, whichever runs the tests.
NEEDS_RECORDS = {"CONDA_SOLVER": "libmamba"}


def test_a_record_stays_where_conda_needs_it_and_what_was_predicted_comes_back(empty: Machine) -> None:
    tiny = tiny_on(empty)
    tree = _recorded(tiny, "used-1-0", "e")
    record = tree / "info" / "repodata_record.json"
    before = (record.read_bytes(), record.stat().st_mtime_ns, record.stat().st_ino)
    held = space(empty.cache, empty.envs)

    document = empty.run("prune", "--ci", "cache", "--json", **NEEDS_RECORDS).json

    assert _below(tree) == RECORD_ONLY
    assert (record.read_bytes(), record.stat().st_mtime_ns, record.stat().st_ino) == before
    (outcome,) = document["outcomes"]
    assert outcome["result"] == "removed"
    assert told(document["totals"]) == told(outcome, by="freed") == held - space(empty.cache, empty.envs)
    assert not (empty.cache / ".conda-prune").exists()
    again = empty.run("prune", "--ci", "cache", "--json", **NEEDS_RECORDS).json
    assert (again["remove"], again["warnings"]) == ([], [])


def test_a_record_that_shares_its_inode_stays_and_the_bytes_are_right(empty: Machine) -> None:
    tree = _recorded(tiny_on(empty), "used-1-0", "e")
    (empty.directory / "copy").hardlink_to(tree / "info" / "repodata_record.json")
    held = space(empty.cache, empty.envs)

    document = empty.run("prune", "--ci", "cache", "--json", **NEEDS_RECORDS).json

    assert _below(tree) == RECORD_ONLY
    freed = held - space(empty.cache, empty.envs)
    assert told(document["totals"]) == told(document["outcomes"][0], by="freed") == freed


@pytest.mark.parametrize("options", [(), ("--all",), ("--leftovers",), ("--all-tarballs",), ("--verify",)])
def test_a_record_and_its_archive_are_neither_damaged_nor_whole(empty: Machine, options: tuple[str, ...]) -> None:
    """Not damaged: nothing warns of it, or removes or extracts it. Not whole: its archive is needed."""
    tiny = tiny_on(empty)
    tree = _recorded(tiny, "used-1-0", "e")
    _recorded(tiny, "other-1-0", "f")
    assert empty.run("prune", "--ci", "cache", "--json", **NEEDS_RECORDS).code == 0
    shutil.rmtree(empty.envs / "f")

    document = empty.prune("--yes", "--json", *options).json

    assert document["warnings"] == []
    assert _below(tree) == RECORD_ONLY
    assert (empty.cache / "used-1-0.conda").exists()
    stay = {"--leftovers": {"other-1-0", "other-1-0.conda"}, "--all-tarballs": {"other-1-0"}}
    left = {path.name for path in empty.cache.glob("other*")}
    assert left == stay.get("".join(options), set())


def test_a_record_without_its_archive_is_an_incomplete_package(empty: Machine) -> None:
    tree = _recorded(tiny_on(empty), "used-1-0", "e")
    assert empty.run("prune", "--ci", "cache", "--json", **NEEDS_RECORDS).code == 0
    (empty.cache / "used-1-0.conda").unlink()

    (item,) = empty.prune("--leftovers", "--yes", "--json").json["remove"]

    assert [reason["kind"] for reason in item["reasons"]] == ["incomplete-extraction"]
    assert not tree.exists()


def test_of_two_archives_conda_takes_the_one_with_the_recorded_hash_or_the_directory_stays(empty: Machine) -> None:
    """Of two archives conda extracts the .conda, whichever the record is of."""
    tiny = tiny_on(empty)
    whole = _below(_recorded(tiny, "used-1-0", "e", ".tar.bz2"))

    assert empty.run("prune", "--ci", "cache", "--json", **NEEDS_RECORDS).json["remove"] == []
    assert _below(empty.cache / "used-1-0") == whole


@pytest.mark.slow
def test_conda_takes_a_record_for_no_package_and_extracts_the_archive(job: Machine, tmp_path: Path) -> None:
    explicit = tmp_path / "explicit.txt"
    explicit.write_text(job.run("list", "-n", "hard", "--explicit", "--md5").out)
    before = _inside(job.envs / "hard")
    assert job.run("prune", "--ci", "cache", "--json", "--ignore-unreadable", **NEEDS_RECORDS).code == 0
    assert _below(job.cache / "innerlinks-1.0-0") == RECORD_ONLY

    made = job.run("create", "-n", "again", "--file", explicit, "--yes", "--offline")

    assert made.code == 0, made.out + made.err
    assert _inside(job.envs / "again") == before
    assert (job.cache / "innerlinks-1.0-0" / "info" / "index.json").exists()
    # What was not asked for is as it was: a record is all that conda needs to know of an archive.
    assert _below(job.cache / "allprefix-2.0-0") == RECORD_ONLY


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


@pytest.mark.parametrize(
    ("version", "solver", "kept"),
    [
        ("24.7.1", "classic", Target(0)),
        ("24.9.0", "classic", Target.REDUNDANT),
        ("25.5.1", "classic", Target.REDUNDANT),
        ("25.7.0", "classic", Target.RECORDS | Target.INDEX_CACHE),
        ("24.7.1", "libmamba", Target.RECORDS),
        ("26.9.0", "libmamba", Target.RECORDS),
        ("26.9.0", "rattler", Target.RECORDS | Target.INDEX_CACHE),
    ],
)
def test_what_this_conda_needs_offline_stays(
    monkeypatch: pytest.MonkeyPatch, version: str, solver: str, kept: Target
) -> None:
    """The versions by conda's changelog and sources: none of 24.9 to 25.5 can be had here."""
    monkeypatch.setattr("conda.__version__", version)
    monkeypatch.setattr("conda.base.context.context", SimpleNamespace(solver=solver))

    needed = Target.REDUNDANT | Target.RECORDS | Target.INDEX_CACHE
    assert needed & ~targets_of_preset("cache") == kept


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
