"""Wheels that conda-pypi makes conda install as they are: real ones, written here, on a conda that knows them."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
from machine import PYTHON, Machine

from conda_prune_plugin.demo.demo_packages import build_channel
from conda_prune_plugin.discovery.clients.archive_names import archive_suffixes
from conda_prune_plugin.discovery.packages.archive_metadata import dist_in_archive
from conda_prune_plugin.discovery.packages.package_identity import describe

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("conda_pypi", "conda_rattler_solver"))) or ".whl" not in archive_suffixes(),
    reason="needs a conda with conda-pypi and conda-rattler-solver",
)

#: The name of the file, and what conda-pypi's channel calls what is in it: it has a table of names of conda-forge.
GRAPHVIZ, IN_CHANNEL = "graphviz-0.20.3-py3-none-any", "python-graphviz-0.20.3-py3_none_any_0"


def write_wheel(directory: Path, file_name: str, name: str | None = None, tags: tuple[str, ...] = ()) -> Path:
    """Write a wheel with one module (PEP 427)."""
    distribution, version, *_ = file_name.split("-")
    tag = "-".join(file_name.split("-")[-3:])
    info = f"{distribution}-{version}.dist-info"
    files = {
        f"{distribution}/__init__.py": b"VALUE = 1\n" * 500,
        f"{distribution}/data.txt": file_name.encode() * 300,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name or distribution}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": ("Wheel-Version: 1.0\nRoot-Is-Purelib: true\n" + _tags(tags or (tag,))).encode(),
    }
    record = "".join(f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items())
    directory.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(directory / f"{file_name}.whl", "w") as archive:
        for path, content in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            archive.writestr(path, content)
    return directory / f"{file_name}.whl"


def _tags(tags: tuple[str, ...]) -> str:
    return "".join(f"Tag: {tag}\n" for tag in tags)


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


WHEELS = {
    GRAPHVIZ: "graphviz",
    "six-1.16.0-py2.py3-none-any": "six",
    "Flask_Thing-1.0-py3-none-any": "Flask.Thing",
    "built-2.0-3-py3-none-any": "built",
}


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of wheels that is a channel too."""
    directory = tmp_path_factory.mktemp("wheels")
    for file_name, name in WHEELS.items():
        write_wheel(directory / name, file_name, name)
    return directory


@pytest.fixture
def pypi(empty: Machine, wheels: Path) -> Machine:
    """A machine with a channel that offers wheels."""
    build_channel(empty.directory / "channel", [PYTHON])
    shutil.copytree(wheels, empty.directory / "wheels")
    done = empty.run("pypi", "index", empty.directory / "wheels")
    assert done.code == 0, done.out + done.err
    return empty


SPECS = ("python-graphviz", "six", "flask.thing", "built")


def _install(machine: Machine, env: str, *specs: str, **environ: str) -> Path:
    channel = (machine.directory / "wheels").as_uri()
    machine.install("create", "-n", env, "-c", channel, "python", *(specs or SPECS), CONDA_SOLVER="rattler", **environ)
    return machine.envs / env


def _dangling(prefix: Path) -> list[Path]:
    return [path for path in prefix.rglob("*") if path.is_symlink() and not path.exists()]


def _removed(machine: Machine, *options: str) -> dict[str, list[str]]:
    answer = machine.prune("--dry-run", "--json", *options).json
    return {item["dist"]: sorted(Path(path).name for path in item["paths"]) for item in answer["remove"]}


LINKS: dict[str, dict[str, str]] = {
    "soft": {"CONDA_ALWAYS_SOFTLINK": "true"},
    "copy": {"CONDA_ALWAYS_COPY": "true"},
    "hard": {},
}


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize("link", LINKS)
def test_what_a_wheel_brought_stays_in_use(pypi: Machine, link: str, record: bool) -> None:
    prefix = _install(pypi, "e", **LINKS[link])
    for name in () if record else WHEELS:
        (pypi.cache / name / "info" / "repodata_record.json").unlink()

    answer = pypi.prune("--dry-run", "--json", "-v").json
    kinds = {item["dist"]: [(reason["kind"], reason["link"]) for reason in item["reasons"]] for item in answer["keep"]}
    assert {name: kinds[name] for name in WHEELS} == {name: [("environment", link)] for name in WHEELS}
    assert pypi.prune("--yes").code == 0

    assert _dangling(prefix) == []
    assert {path.name for path in pypi.cache.iterdir()} >= WHEELS.keys()


def test_conda_knows_each_wheel_as_we_do(pypi: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    from conda.core.package_cache_data import PackageCacheData

    _install(pypi, "e")
    monkeypatch.setattr(PackageCacheData, "is_writable", False)
    for record in (True, False):
        for name in WHEELS:
            if not record:
                (pypi.cache / name / "info" / "repodata_record.json").unlink()
            PackageCacheData.clear()
            theirs = PackageCacheData(str(pypi.cache))._make_single_record(f"{name}.whl")
            dist = f"{theirs.name}-{theirs.version}-{theirs.build}"
            assert describe(str(pypi.cache / name)).dist == dist
            # Without the record of the channel the wheel is what the index says that is made of it.
            assert record or dist_in_archive(str(pypi.cache / f"{name}.whl")) == dist
    PackageCacheData.clear()


@pytest.mark.parametrize(
    ("file_name", "tags"),
    [
        ("a-1-py3-none-any", ()),
        ("a-1-py2.py3-none-any", ("py2-none-any", "py3-none-any")),
        ("a-1-py2-none-any", ()),
        ("A_b-1.0-7-py3-none-any", ()),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64", ("cp311-cp311-manylinux_2_17_x86_64",)),
    ],
)
def test_a_wheel_is_known_as_what_conda_extracts_from_it(tmp_path: Path, file_name: str, tags: tuple[str, ...]) -> None:
    from conda.base.context import context

    wheel = write_wheel(tmp_path, file_name, tags=tags)
    context.plugin_manager.extract_package(str(wheel), str(tmp_path / "out"))

    assert dist_in_archive(str(wheel)) == describe(str(tmp_path / "out")).dist


@pytest.mark.parametrize("options", [("--tarballs",), ("--all",), ("--all-tarballs",)])
def test_wheels_go_as_archives_where_conda_clean_takes_them(pypi: Machine, options: tuple[str, ...]) -> None:
    _install(pypi, "used", "six")
    _install(pypi, "unused", "python-graphviz")
    shutil.rmtree(pypi.envs / "unused")

    paths = [path for paths in _removed(pypi, *options).values() for path in paths]

    theirs = pypi.run("clean", "--tarballs", "--dry-run", "--json").json["tarballs"]["pkgs_dirs"][str(pypi.cache)]
    assert {f"{GRAPHVIZ}.whl", "six-1.16.0-py2.py3-none-any.whl"} <= set(theirs)
    assert f"{GRAPHVIZ}.whl" in paths
    assert ("six-1.16.0-py2.py3-none-any.whl" in paths) == (options != ("--tarballs",))


@pytest.mark.parametrize(
    ("spec", "dist"),
    [
        ("six", "six-1.16.0-py2.py3-none-any"),
        ("python-graphviz", GRAPHVIZ),
        ("graphviz", GRAPHVIZ),
        ("python-graphviz>=0.20", GRAPHVIZ),
        (GRAPHVIZ, GRAPHVIZ),
        (IN_CHANNEL, GRAPHVIZ),
        ("flask.thing", "Flask_Thing-1.0-py3-none-any"),
        ("flask_thing", "Flask_Thing-1.0-py3-none-any"),
        ("built=2.0", "built-2.0-3-py3-none-any"),
    ],
)
@pytest.mark.parametrize("extracted", [True, False])
def test_specifications_know_a_wheel_by_every_name(pypi: Machine, spec: str, dist: str, extracted: bool) -> None:
    _install(pypi, "e")
    assert [item["dist"] for item in pypi.prune("why", spec, "--json").json["packages"]] == [dist]
    shutil.rmtree(pypi.envs / "e")
    if not extracted:
        # Of the wheel alone the name that only the channel has can't be known.
        if spec.startswith("python-") or spec == "flask.thing":
            pytest.skip("only the channel calls it so")
        shutil.rmtree(pypi.cache / dist)

    assert dist not in _removed(pypi, "--keep", spec)
    assert dist in _removed(pypi, "--only", spec)
    assert len(_removed(pypi, "--only", spec)) == 1


@pytest.mark.parametrize("options", [(), ("--backup",)])
def test_a_wheel_is_restored_as_it_was(pypi: Machine, options: tuple[str, ...]) -> None:
    _install(pypi, "e")
    shutil.rmtree(pypi.envs / "e")
    before = _contents(pypi.cache)
    assert pypi.prune("--yes", *options).code == 0
    assert not set(_contents(pypi.cache)) & set(before)

    one = pypi.run("prune", "restore", "last", "--only", "python-graphviz", "--json")
    assert one.code == 0, one.err
    assert {name.parts[0] for name in _contents(pypi.cache)} == {GRAPHVIZ, f"{GRAPHVIZ}.whl"}
    assert pypi.run("prune", "restore", "last").code == 0

    assert _contents(pypi.cache) == before


def _contents(cache: Path) -> dict[Path, Any]:
    """Return what the entries hold; of metadata only that it is there."""
    paths = (path for path in cache.rglob("*") if path.is_file())
    return {
        path.relative_to(cache): path.suffix == ".json" or path.read_bytes()
        for path in paths
        if path.relative_to(cache).parts[0] not in {".conda-prune", "cache", "urls", "urls.txt"}
    }


def test_an_archive_of_a_wheel_in_use_is_fetched_again(pypi: Machine) -> None:
    _install(pypi, "e")
    before = (pypi.cache / f"{GRAPHVIZ}.whl").read_bytes()
    assert pypi.prune("--all-tarballs", "--yes").code == 0
    assert list(pypi.cache.glob("*.whl")) == []

    assert pypi.run("prune", "restore", "last", "--only", "python-graphviz").code == 0

    assert [path.name for path in pypi.cache.glob("*.whl")] == [f"{GRAPHVIZ}.whl"]
    assert (pypi.cache / f"{GRAPHVIZ}.whl").read_bytes() == before


@pytest.mark.parametrize("record", [True, False])
def test_a_damaged_wheel_is_extracted_anew(pypi: Machine, record: bool) -> None:
    prefix = _install(pypi, "e", CONDA_ALWAYS_SOFTLINK="true")
    (pypi.cache / GRAPHVIZ / "site-packages" / "graphviz" / "data.txt").unlink()
    if not record:
        (pypi.cache / GRAPHVIZ / "info" / "repodata_record.json").unlink()
    assert _dangling(prefix)

    answer = pypi.prune("--repair", "--yes", "--json").json

    assert [item["result"] for item in answer["outcomes"]] == ["repaired"]
    assert _dangling(prefix) == []


@pytest.mark.parametrize("damage", ["short", "changed"])
def test_a_wheel_that_is_damaged_is_a_leftover(pypi: Machine, damage: str) -> None:
    _install(pypi, "e")
    wheel = pypi.cache / f"{GRAPHVIZ}.whl"
    content = wheel.read_bytes()
    wheel.write_bytes(content[:-100] if damage == "short" else content.replace(b"VALUE = 1", b"VALUE = 2", 1))

    assert set(_removed(pypi, "--leftovers", "--verify")) == {f"{GRAPHVIZ}.whl"}


def test_usage_shows_wheels_by_the_names_of_environments(pypi: Machine) -> None:
    _install(pypi, "e")

    document = pypi.run("prune", "usage", "--packages", "--json").json

    found = {item["name"]: item for item in document["packages"]}
    assert found.keys() == {*SPECS, "python"}
    assert all(len(item["versions"]) == 1 and item["versions"][0]["cached"] for item in found.values())
    wheels = sum((pypi.cache / f"{name}.whl").lstat().st_blocks * 512 for name in WHEELS)
    assert document["caches"][0]["kinds"]["archives"] >= wheels


def test_the_channel_of_a_wheel_is_asked_though_the_file_lies_elsewhere(pypi: Machine) -> None:
    _install(pypi, "e")
    shutil.rmtree(pypi.envs / "e")

    assert _removed(pypi, "--check-remote").keys() >= WHEELS.keys()
    shutil.rmtree(pypi.directory / "wheels" / "six")
    assert pypi.run("pypi", "index", pypi.directory / "wheels").code == 0
    (pypi.directory / "wheels" / "six").mkdir()
    kept = WHEELS.keys() - _removed(pypi, "--check-remote").keys()
    assert kept <= {"six-1.16.0-py2.py3-none-any"}
