"""What a package is, conda decides: packages whose channel, file, directory and metadata have different names."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conda.core.package_cache_data import PackageCacheData
from machine import Machine, listing

from conda_prune_plugin.core.model import Part, PartKind
from conda_prune_plugin.demo.demo_packages import File, Package, build_channel, build_package
from conda_prune_plugin.discovery.clients.archive_names import archive_dist, archive_suffixes
from conda_prune_plugin.discovery.packages.cache_listing import find_caches
from conda_prune_plugin.discovery.packages.package_identity import describe

#: What the channel calls it, what its file and so its directory in a cache is called, and what it calls itself.
CHANNEL, FILE, INSIDE = "channel-name-1.0-0", "File_Name-7-h0", "inner.name-1.0-0"

LINKS = {
    "soft": {"CONDA_ALWAYS_SOFTLINK": "true"},
    "copy": {"CONDA_ALWAYS_COPY": "true"},
    "hard": dict[str, str](),
}


def _record(dist: str, archive: Path, **more: Any) -> dict[str, Any]:
    name, version, build = dist.rsplit("-", 2)
    content = archive.read_bytes()
    return {
        "name": name,
        "version": version,
        "build": build,
        "build_number": 0,
        "depends": [],
        "subdir": "linux-64",
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "size": len(content),
        **more,
    }


def _package(version: str = "1.0") -> Package:
    files = {f"lib/odd/{name}": File(f"{name} {version}\n".encode() * 999) for name in "abc"}
    return Package(INSIDE.rsplit("-", 2)[0], version, files=files)


@pytest.fixture
def odd(empty: Machine) -> Machine:
    """A machine whose channel calls a package, and its file, otherwise than the package does."""
    channel = empty.directory / "channel"
    build_channel(channel, [Package("plain", "1", files={"lib/plain": File(b"plain\n" * 999)})])
    _offer(channel, CHANNEL, FILE, _package())
    return empty


def _offer(channel: Path, dist: str, file_name: str, package: Package) -> None:
    # The members of a .conda bear its name, so this format can't be called otherwise.
    archive = build_package(package, channel / "build", ".tar.bz2")
    archive = archive.rename(channel / "linux-64" / f"{file_name}.tar.bz2")
    index = channel / "linux-64" / "repodata.json"
    repodata = json.loads(index.read_text())
    repodata["packages"][archive.name] = _record(dist, archive)
    index.write_text(json.dumps(repodata))


def _install(machine: Machine, env: str, *specs: str, **environ: str) -> Path:
    """Make an environment and return the record of the odd package, called as the package is.

    That is how conda 26 calls it. 24.7 calls it like the archive, and takes it for malformed from then on.
    """
    machine.install("create", "-n", env, *(specs or (CHANNEL.rsplit("-", 2)[0],)), **environ)
    meta = machine.envs / env / "conda-meta"
    record = meta / f"{CHANNEL}.json"
    if not record.exists():
        (meta / f"{FILE}.json").rename(record)
    record.write_text(json.dumps({**json.loads(record.read_text()), "fn": f"{CHANNEL}.whl"}))
    return record


def _dangling(prefix: Path) -> list[Path]:
    return [path for path in prefix.rglob("*") if path.is_symlink() and not path.exists()]


def _removed(machine: Machine, *options: str) -> set[str]:
    return {item["dist"] for item in machine.prune("--dry-run", "--json", *options).json["remove"]}


def _reasons(machine: Machine, dist: str) -> dict[str, str | None]:
    """Return the kinds of the reasons for which an entry stays, with the link where there is one."""
    answer = machine.prune("--dry-run", "--json", "-v").json
    (keep,) = (item for item in answer["keep"] if item["dist"] == dist)
    return {reason["kind"]: reason.get("link") for reason in keep["reasons"]}


def _lose(path: Path) -> None:
    path.unlink()


def _break(path: Path) -> None:
    path.write_text('{"name": ')


def _nonsense(path: Path) -> None:
    path.write_text('{"name": ["x"], "url": 7}')


def _keep(path: Path) -> None:
    assert path.exists()


@pytest.mark.parametrize("harm", [_keep, _lose, _break, _nonsense])
@pytest.mark.parametrize("link", LINKS)
def test_a_package_that_its_channel_calls_otherwise_is_in_use(odd: Machine, link: str, harm: Any) -> None:
    _install(odd, "e", "channel-name", "plain", **LINKS[link])
    harm(odd.cache / FILE / "info" / "repodata_record.json")

    assert _reasons(odd, FILE)["environment"] == link
    assert odd.prune("--yes").code == 0

    assert _dangling(odd.envs / "e") == []
    assert (odd.cache / FILE / "lib" / "odd" / "a").exists()


@pytest.mark.parametrize("field", ["fn", "url", "extracted_package_dir", "package_tarball_full_path", "link", "name"])
def test_a_record_means_a_package_by_each_of_its_fields(odd: Machine, field: str) -> None:
    path = _install(odd, "e", CONDA_ALWAYS_SOFTLINK="true")
    _lose(odd.cache / FILE / "info" / "repodata_record.json")
    record = json.loads(path.read_text())
    for name in {"fn", "url", "extracted_package_dir", "package_tarball_full_path", "link"} - {field}:
        record.pop(name)
    if field == "name":
        record["name"] = INSIDE.rsplit("-", 2)[0]
    if field == "fn":
        record["fn"] = f"{FILE}.tar.bz2"
    path.write_text(json.dumps(record))

    assert FILE not in _removed(odd)


def test_the_index_inside_counts_too(odd: Machine) -> None:
    record = _install(odd, "e")
    record.unlink()
    record.with_name(f"{INSIDE}.json").write_text(
        json.dumps({**_record(INSIDE, odd.cache / f"{FILE}.tar.bz2"), "x": "y" * 300})
    )

    assert FILE not in _removed(odd)


def test_a_record_that_is_a_link_tells_what_it_leads_to(odd: Machine, tmp_path: Path) -> None:
    _install(odd, "e", CONDA_ALWAYS_COPY="true")
    record = odd.cache / FILE / "info" / "repodata_record.json"
    record.rename(tmp_path / "moved")
    record.symlink_to(tmp_path / "moved")

    assert describe(str(odd.cache / FILE)).dist == CHANNEL
    assert FILE not in _removed(odd)


def test_a_record_without_an_index_is_a_damaged_package_of_its_environment(odd: Machine) -> None:
    _install(odd, "e", CONDA_ALWAYS_SOFTLINK="true")
    (odd.cache / FILE / "info" / "index.json").unlink()

    assert FILE not in _removed(odd)
    answer = odd.prune("--repair", "--yes", "--json").json

    assert [item["result"] for item in answer["outcomes"]] == ["repaired"], answer
    assert _dangling(odd.envs / "e") == []
    assert describe(str(odd.cache / FILE)).dist == CHANNEL


@pytest.mark.parametrize(
    "spec", ["channel-name", "channel-name=1.0", "inner.name", "File_Name", FILE, CHANNEL, "*/linux-64::channel-name"]
)
@pytest.mark.parametrize("install", [_install, lambda odd, *specs: odd.install("create", "-n", *specs)])
def test_specifications_know_a_package_by_every_name(odd: Machine, spec: str, install: Any) -> None:
    install(odd, "e", "channel-name", "plain")
    used = odd.prune("why", spec, "--json")
    assert used.code == 0, used.err
    shutil.rmtree(odd.envs / "e")
    assert _removed(odd) == {FILE, "plain-1-0"}

    assert odd.prune("why", spec, "--json").code == 0
    assert _removed(odd, "--keep", spec) == {"plain-1-0"}
    assert _removed(odd, "--only", spec) == {FILE}


def test_the_newest_version_counts_by_the_name_of_the_channel(odd: Machine) -> None:
    _offer(odd.directory / "channel", "channel-name-0.9-0", "other-file-9-0", _package("0.9"))
    odd.install("create", "-n", "old", "channel-name=0.9")
    _install(odd, "new", "channel-name=1.0")
    shutil.rmtree(odd.envs / "old")

    # The one in use is the newest, though it is called otherwise.
    assert _removed(odd, "--keep-newest", "1") == {"other-file-9-0"}
    shutil.rmtree(odd.envs / "new")
    assert _removed(odd, "--keep-newest", "1") == {"other-file-9-0"}


def test_usage_shows_a_package_once_and_by_the_name_of_the_channel(odd: Machine) -> None:
    _install(odd, "e")

    document = odd.run("prune", "usage", "--packages", "--json").json

    (package,) = document["packages"]
    assert package["name"] == "channel-name"
    assert [version["cached"] for version in package["versions"]] == [True]
    assert [item["packages"] for item in document["environments"]] == [1]


@pytest.mark.parametrize("options", [(), ("--backup",)])
def test_such_a_package_is_restored_by_its_channels_name(odd: Machine, options: tuple[str, ...]) -> None:
    odd.install("create", "-n", "e", CHANNEL.rsplit("-", 2)[0], "plain")
    shutil.rmtree(odd.envs / "e")
    before = {path.relative_to(odd.cache): path.read_bytes() for path in odd.cache.rglob("*.json")}
    assert odd.prune("--yes", *options).code == 0
    assert not (odd.cache / FILE).exists()

    answer = odd.run("prune", "restore", "last", "--only", "channel-name", "--json")

    assert answer.code == 0, answer.err
    assert (odd.cache / FILE / "lib" / "odd" / "a").exists()
    assert not (odd.cache / "plain-1-0").exists()
    assert json.loads((odd.cache / FILE / "info" / "repodata_record.json").read_text()) == json.loads(
        before[Path(FILE, "info", "repodata_record.json")]
    )


def test_a_channel_is_asked_by_the_name_of_its_file(odd: Machine) -> None:
    odd.install("create", "-n", "e", CHANNEL.rsplit("-", 2)[0])
    shutil.rmtree(odd.envs / "e")

    assert _removed(odd, "--check-remote") == {FILE}
    index = odd.directory / "channel" / "linux-64" / "repodata.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "packages": {}}))
    assert _removed(odd, "--check-remote") == set()


def test_a_job_keeps_the_directory_without_which_conda_would_not_know_a_package_again(odd: Machine) -> None:
    _install(odd, "e", "channel-name", "plain", CONDA_ALWAYS_COPY="true")

    assert odd.run("prune", "--ci", "cache").code == 0

    assert (odd.cache / FILE / "info" / "index.json").exists()


def test_two_environments_may_know_one_package_by_different_names(odd: Machine) -> None:
    _install(odd, "e", CONDA_ALWAYS_SOFTLINK="true")
    shutil.copytree(odd.envs / "e", odd.envs / "f", symlinks=True)
    meta = odd.envs / "f" / "conda-meta"
    record = json.loads((meta / f"{CHANNEL}.json").read_text())
    (meta / f"{CHANNEL}.json").unlink()
    (meta / "third-3-0.json").write_text(json.dumps({**record, "name": "third", "version": "3", "build": "0"}))

    answer = odd.prune("why", "third", "--json").json
    shutil.rmtree(odd.envs / "e")

    assert [item["dist"] for item in answer["packages"]] == [FILE]
    assert FILE not in _removed(odd)


def test_nothing_is_opened_where_every_entry_is_called_like_a_record(
    odd: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conda_prune_plugin.discovery.roots import conda_meta
    from conda_prune_plugin.discovery.roots.conda_meta import read_environment
    from conda_prune_plugin.discovery.roots.watch import with_odd_contents
    from conda_prune_plugin.discovery.system.safe_read import read_object

    odd.install("create", "-n", "e", "plain")
    _install(odd, "f")
    shutil.rmtree(odd.cache / FILE)
    (odd.cache / f"{FILE}.tar.bz2").unlink()
    opened: list[str] = []

    def read(path: str) -> Mapping[str, Any]:
        opened.append(path)
        return read_object(path)

    monkeypatch.setattr(conda_meta, "read_object", read)
    roots = tuple(read_environment(str(odd.envs / name), name)[0] for name in "ef")
    caches, _ = find_caches((str(odd.cache),), ())

    assert with_odd_contents(roots, caches) == roots
    assert opened == []
    (odd.cache / "unused-1-0" / "info").mkdir(parents=True)
    caches, _ = find_caches((str(odd.cache),), ())
    found = with_odd_contents(roots, caches)

    assert [Path(path).name for path in opened] == [f"{CHANNEL}.json"]
    assert found[1].aliases == {FILE: CHANNEL}
    assert found[1].packages == roots[1].dists


def _of_conda(cache: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return what conda's own class says that the extracted entries of a cache are, with its writing switched off."""
    monkeypatch.setattr(PackageCacheData, "is_writable", False)
    PackageCacheData.clear()
    found = {}
    for directory in cache.iterdir():
        archives = [path for path in cache.iterdir() if archive_dist(path.name) == directory.name]
        if (directory / "info" / "index.json").is_file():
            record = PackageCacheData(str(cache))._make_single_record((archives or [directory])[0].name)
            found[directory.name] = f"{record.name}-{record.version}-{record.build}"
    PackageCacheData.clear()
    return found


@pytest.mark.parametrize("harm", [_keep, _lose, _break])
def test_conda_says_the_same_of_a_package(odd: Machine, harm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    odd.install("create", "-n", "e", CHANNEL.rsplit("-", 2)[0], "plain")
    harm(odd.cache / FILE / "info" / "repodata_record.json")
    before = listing(odd.cache)

    theirs = _of_conda(odd.cache, monkeypatch)

    assert theirs[FILE] == (CHANNEL if harm is _keep else INSIDE)
    assert {name: describe(str(odd.cache / name)).dist for name in theirs} == theirs
    assert listing(odd.cache) == before


def test_conda_says_the_same_of_all_packages(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = _of_conda(machine.cache, monkeypatch)

    assert len(theirs) > 10
    assert {name: describe(str(machine.cache / name)).dist for name in theirs} == theirs


def test_archives_are_what_conda_takes_for_them(tmp_path: Path) -> None:
    from conda.base.context import context

    assert {".conda", ".tar.bz2"} <= set(archive_suffixes())
    hook = getattr(context.plugin_manager, "get_package_extractors", None)
    assert hook is None or set(archive_suffixes()) == set(hook())
    for suffix in archive_suffixes():
        (tmp_path / f"x-1-0{suffix}").touch()
    (tmp_path / "x-1-0.txt").touch()

    (cache,), _ = find_caches((str(tmp_path),), ())

    (entry,) = cache.entries
    assert set(entry.parts) == {Part(PartKind.ARCHIVE, f"x-1-0{suffix}") for suffix in archive_suffixes()}
