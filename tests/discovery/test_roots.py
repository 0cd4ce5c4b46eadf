"""Roots beyond environments: revisions, lockfiles and rules, read from what real tools write."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tiny import Tiny

from conda_prune_plugin.core.model import Root, RootKind, RootState
from conda_prune_plugin.discovery.packages.cache_listing import find_caches
from conda_prune_plugin.discovery.packages.match_spec import matching
from conda_prune_plugin.discovery.roots.lockfiles import lockfile_root, read_lockfile
from conda_prune_plugin.discovery.roots.revisions import earlier_revisions
from conda_prune_plugin.errors import LockfileError

if TYPE_CHECKING:
    from machine import Machine

DATA = Path(__file__).parent / "data"
FORGE = "https://conda.anaconda.org/conda-forge"


def _dists(decisions: list[dict[str, str]]) -> set[str]:
    return {decision["dist"] for decision in decisions}


def _environment(prefix: Path) -> Root:
    return Root(str(prefix), prefix.name, RootState.OK, frozenset())


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path / "it")


@pytest.mark.slow
def test_conda_goes_back_to_a_kept_revision_out_of_the_cache(machine: Machine) -> None:
    """And to one that was not kept it can't, when the channel has the packages no more."""
    machine.install("create", "-n", "work", "bothformats=2.0", "symlinks=2.0")
    machine.install("install", "-n", "work", "bothformats=1.0")
    machine.install("remove", "-n", "work", "symlinks")

    plan = machine.prune("--yes", "--json", "--ignore-unreadable", "--keep-revisions", "1").json
    # conda wants the channel's index, but there is nothing to be had from it any more.
    for archive in (*(machine.directory / "channel").rglob("*.conda"), *(machine.directory / "channel").rglob("*.bz2")):
        archive.unlink()

    assert "symlinks-2.0-0" not in _dists(plan["remove"])
    assert "bothformats-2.0-0" in _dists(plan["remove"])
    machine.install("install", "-n", "work", "--revision", "1")
    assert (machine.envs / "work" / "conda-meta" / "symlinks-2.0-0.json").exists()
    assert (machine.envs / "work" / "lib" / "real.so.1").exists()
    lost = machine.run(
        "install", "-n", "work", "--revision", "0", "--yes", "--override-channels", "-c", machine.channel
    )
    assert lost.code != 0


@pytest.mark.slow
def test_a_revision_is_a_root_with_a_name_and_a_setting_asks_for_it_too(machine: Machine) -> None:
    asked = machine.prune("--dry-run", "--json", "--keep-revisions", "1").json
    configured = machine.prune("--dry-run", "--json", CONDA_PLUGINS_PRUNE_KEEP_REVISIONS="1").json
    overridden = machine.prune(
        "--dry-run", "--json", "--keep-revisions", "0", CONDA_PLUGINS_PRUNE_KEEP_REVISIONS="1"
    ).json

    revision = next(root for root in asked["roots"] if root["kind"] == "revision")
    assert (revision["path"], revision["name"]) == (str(machine.envs / "hard"), "revision 0 of hard")
    kept = next(item for item in asked["keep"] if item["dist"] == "libalpha-1.0-0")
    assert [(reason["kind"], reason["root"]) for reason in kept["reasons"]] == [
        ("revision", str(machine.envs / "hard"))
    ]
    assert kept["verdict"] == "reachable"
    assert configured["remove"] == asked["remove"]
    assert "libalpha-1.0-0" in _dists(overridden["remove"])


def test_the_last_revisions_before_the_present_one_are_roots(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "history").write_text(
        "==> 2020-01-01 00:00:00 <==\n+conda-forge/linux-64::a-1-0\n+defaults::b-1-0.tar.bz2\n"
        "==> 2021-01-01 00:00:00 <==\n# cmd: conda update a\n-conda-forge/linux-64::a-1-0\n"
        f"+{FORGE}/linux-64::a-2-0\n==> 2022-01-01 00:00:00 <==\n-defaults::b-1-0.tar.bz2\n"
    )

    roots, notices = earlier_revisions(_environment(tmp_path), 5)

    assert [(root.name, set(root.dists)) for root in roots] == [
        (f"revision 1 of {tmp_path.name}", {"a-2-0", "b-1-0"}),
        (f"revision 0 of {tmp_path.name}", {"a-1-0", "b-1-0"}),
    ]
    assert notices == ()
    assert earlier_revisions(_environment(tmp_path), 1)[0] == roots[:1]


@pytest.mark.parametrize(
    "content",
    [
        b"==> x <==\n+c::a-1-0\nwhat\n",
        b"==> x <==\n\xff\xfe\n-c::a-1-0\n",
        b"+c::a-1-0\n==> y <==\n# cmd: conda install b-1-0\n",
        b"=> 2020-01-01 00:00:00 <==\n+c::a-1-0\n=> 2021-01-01 00:00:00 <==\n-c::a-1-0\n",
        b"==> 2020-01-01 00:00:00 <==\nc::a-1-0\n==> 2021-01-01 00:00:00\n==> 2022-01-01 00:00:00 <==\n",
        b"==> x <==\nc::a-1-0.tar.bz2\n+c::a-1-0\n==> y <==\n-c::a-1-0\n",
    ],
)
def test_of_a_broken_history_every_package_that_it_names_stays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "history").write_bytes(content)

    (root,), (notice,) = earlier_revisions(_environment(tmp_path), 1)

    assert root.dists == {"a-1-0"}
    assert root.kind is RootKind.REVISION
    assert notice.kind == "broken-history"


@pytest.mark.posix
@pytest.mark.parametrize("kind", ["directory", "pipe", "loop"])
def test_a_history_that_cannot_be_read_stops_a_removal_that_asks_for_it(empty: Machine, kind: str) -> None:
    tiny = Tiny.__new__(Tiny)
    tiny.cache, tiny.envs = empty.cache, empty.envs
    for dist in ("a-1-0", "b-1-0"):
        tiny.add(dist)
    path = tiny.use("e", "a-1-0") / "conda-meta" / "history"
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path)

    refused = empty.prune("--yes", "--json", "--keep-revisions", "1")

    assert refused.code == 1
    assert refused.json["exception_name"] == "UnreadableEnvironmentError"
    assert refused.json["path"] == str(path)
    assert "stays" not in refused.json["message"]
    assert (tiny.cache / "b-1-0").exists()
    assert empty.prune("--yes", "--keep-revisions", "1", "--ignore-unreadable").code == 0
    assert not (tiny.cache / "b-1-0").exists()


@pytest.mark.parametrize("kind", ["none", "empty"])
def test_no_history_has_no_revisions(tmp_path: Path, kind: str) -> None:
    (tmp_path / "conda-meta").mkdir()
    path = tmp_path / "conda-meta" / "history"
    if kind != "none":
        path.touch()

    assert earlier_revisions(_environment(tmp_path), 3) == ((), ())


@pytest.mark.slow
def test_what_conda_exports_keeps_what_the_environment_had(machine: Machine) -> None:
    explicit = machine.run("list", "-n", "hard", "--explicit", "--md5").out
    yaml = machine.run("env", "export", "-n", "soft").out
    for name, text in (("explicit.txt", explicit), ("environment.yml", yaml)):
        (machine.directory / name).write_text(text)
    for environment in ("hard", "soft"):
        assert machine.run("remove", "-n", environment, "--all", "--yes").code == 0
    options = ("--lockfile", machine.directory / "explicit.txt", "--lockfile", machine.directory / "environment.yml")

    plan = machine.prune("--dry-run", "--json", *options).json

    held = {"libalpha-2.0-0", "pynoarch-1.0-0", "bothformats-1.0-0", "libbeta-1.0-0", "symlinks-1.0-0"}
    assert held <= _dists(machine.prune("--dry-run", "--json").json["remove"]) | {"pynoarch-1.0-0"}
    kept = {item["dist"]: item["reasons"] for item in plan["keep"]}
    assert held <= kept.keys()
    lines = explicit.splitlines()
    reason = next(reason for reason in kept["bothformats-1.0-0"] if reason["kind"] == "lockfile")
    assert reason["root"] == str(machine.directory / "explicit.txt")
    assert "bothformats-1.0-0" in lines[int(reason["detail"].rsplit(" ", 1)[1]) - 1]


#: In an interpreter of its own: importing conda-lock brings warnings, and its conda under another name.
_WRITE_CONDA_LOCK = """
import pathlib, sys
from conda_lock.lockfile import write_conda_lock_file
from conda_lock.lockfile.v2prelim.models import HashModel, LockedDependency, Lockfile, LockMeta
from conda_lock.models.channel import Channel

def package(name, manager, url):
    return LockedDependency(
        name=name, version="1.0", manager=manager, platform="linux-64", url=url, dependencies={},
        hash=HashModel(md5="0" * 32, sha256="0" * 64), categories={"main"},
    )

packages = [package(*arguments.split()) for arguments in sys.argv[2:]]
metadata = LockMeta(content_hash={}, channels=[Channel.from_string("conda-forge")], platforms=["linux-64"], sources=[])
write_conda_lock_file(Lockfile(package=packages, metadata=metadata), pathlib.Path(sys.argv[1]), metadata_choices=set())
"""


def test_conda_lock_s_own_writer_is_understood(tmp_path: Path) -> None:
    if find_spec("conda_lock") is None:
        pytest.skip("conda-lock is not installed beside a conda that is")
    path = tmp_path / "conda-lock.yml"
    packages = (
        f"a conda {FORGE}/linux-64/a-1.0-h1_0.conda",
        f"b conda {FORGE}/noarch/b-1!2.0-0.tar.bz2",
        "c pip https://files.pythonhosted.org/c-1.0-py3-none-any.whl",
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", _WRITE_CONDA_LOCK, str(path), *packages], check=True)

    found = read_lockfile(str(path)).dists

    assert found.keys() == {"a-1.0-h1_0", "b-1!2.0-0"}
    lines = path.read_text().splitlines()
    assert all(dist in lines[number - 1] for dist, number in found.items())


def test_rattler_s_own_writer_is_understood(tmp_path: Path) -> None:
    rattler = pytest.importorskip("rattler")
    from rattler.lock import LockChannel, LockFile, LockPlatform
    from rattler.package import BuildString

    record = rattler.PackageRecord(
        name="a", version="1.0", build=BuildString("h1_0"), build_number=0, subdir="linux-64", sha256=b"0" * 32
    )
    platform = LockPlatform("linux-64")
    lock = LockFile([platform])
    lock.set_channels("default", [LockChannel(FORGE)])
    url = f"{FORGE}/linux-64/a-1.0-h1_0.conda"
    lock.add_conda_package("default", platform, rattler.RepoDataRecord(record, "a-1.0-h1_0.conda", url, FORGE))
    wheel = "https://files.pythonhosted.org/c-1.0-py3-none-any.whl"
    lock.add_pypi_package("default", platform, "c", "1.0", wheel)
    lock.to_path(tmp_path / "pixi.lock")

    assert read_lockfile(str(tmp_path / "pixi.lock")).dists.keys() == {"a-1.0-h1_0"}


@pytest.mark.parametrize("path", sorted(DATA.glob("pixi-v*.lock")), ids=lambda path: path.stem)
def test_every_published_version_of_pixi_s_format_is_read_as_rattler_reads_it(path: Path) -> None:
    rattler = pytest.importorskip("rattler")
    lock = rattler.LockFile.from_path(path)
    expected = set()
    for _, environment in lock.environments():
        for packages in environment.packages_by_platform().values():
            expected |= {
                Path(package.location).name.removesuffix(".conda").removesuffix(".tar.bz2")
                for package in packages
                if package.location.endswith((".conda", ".tar.bz2"))
            }

    found = read_lockfile(str(path)).dists

    assert expected
    assert found.keys() == expected
    lines = path.read_text().splitlines()
    assert all(dist in lines[number - 1] for dist, number in found.items())


def test_an_environment_yml_keeps_all_that_matches_and_leaves_pip_s_alone(tiny: Tiny, tmp_path: Path) -> None:
    for dist in ("numpy-1.26.0-0", "numpy-2.0.0-0", "scipy-1.0-0", "pip-24-0"):
        tiny.add(dist)
    path = tmp_path / "environment.yml"
    path.write_text(
        "name: e\nchannels: [conda-forge]\ndependencies:\n  - numpy>=2  # the new one\n  - pip\n  - pip:\n    - scipy\n"
    )

    root, _ = lockfile_root(read_lockfile(str(path)), find_caches((str(tiny.cache),), ())[0])

    assert root.dists == {"numpy-2.0.0-0", "pip-24-0"}
    assert root.notes["numpy-2.0.0-0"] == ", line 4"


def test_dependencies_for_other_platforms_are_kept_too(tiny: Tiny, tmp_path: Path) -> None:
    for dist in ("numpy-1.26.0-0", "gcc-13-0", "winpy-1-0", "other-1-0", "scipy-1.0-0"):
        tiny.add(dist)
    path = tmp_path / "environment.yml"
    path.write_text(
        "dependencies:\n- numpy\n- sel(linux): gcc\n- sel(win): [winpy, other]\n- pip:\n  - scipy\n- uv: [scipy]\n"
    )

    lockfile = read_lockfile(str(path))

    assert lockfile.specs == {"numpy": 2, "gcc": 3, "winpy": 4, "other": 4}
    root, _ = lockfile_root(lockfile, find_caches((str(tiny.cache),), ())[0])
    assert root.dists == {"numpy-1.26.0-0", "gcc-13-0", "winpy-1-0", "other-1-0"}


def test_the_lockfile_of_conda_workspaces_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "conda.lock"
    path.write_text(
        "version: 1\nenvironments:\n  default:\n    channels:\n"
        f"    - url: {FORGE}/\n    packages:\n      linux-64:\n      - conda: {FORGE}/noarch/a-1.0-0.conda\n"
        "      osx-64: []\n  dev:\n    channels: []\n    packages: {}\n"
        f"packages:\n- conda: {FORGE}/noarch/a-1.0-0.conda\n  md5: 0123\n"
        "- pypi: https://files.pythonhosted.org/c-1.0-py3-none-any.whl\n"
    )

    assert read_lockfile(str(path)).dists == {"a-1.0-0": 14}


def test_wheels_in_an_explicit_file_are_packages(tmp_path: Path) -> None:
    path = tmp_path / "explicit.txt"
    wheel = "https://host/graphviz-0.20.3-py3-none-any.whl"
    path.write_text(f"@EXPLICIT\n{FORGE}/noarch/a-1.0-0.conda\n{wheel}#sha256=0123\n")

    assert read_lockfile(str(path)).dists == {"a-1.0-0": 2, "graphviz-0.20.3-py3-none-any": 3}


def test_a_format_that_only_conda_s_plugins_know_is_read_by_them(tmp_path: Path) -> None:
    from conda.base.context import context

    hooks: dict[str, Any] = getattr(context.plugin_manager, "get_environment_specifiers", dict)()
    if not hasattr(next(iter(hooks.values()), None), "default_filenames"):
        pytest.skip("this conda has no environment specifiers that name their files")
    for name in ("requirements.txt", "other.txt"):
        (tmp_path / name).write_text("numpy>=2\nscipy\n")

    assert set(read_lockfile(str(tmp_path / "requirements.txt")).specs) == {"numpy[version='>=2']", "scipy"}
    # conda would take any text for requirements.
    with pytest.raises(LockfileError):
        read_lockfile(str(tmp_path / "other.txt"))
    # A lockfile's reader would download its packages.
    (tmp_path / "explicit.txt").write_text("numpy\n")
    with pytest.raises(LockfileError):
        read_lockfile(str(tmp_path / "explicit.txt"))


_SHARED = "packages: &all\n- &one {conda: first}\n- *one\nmore: *all\n"

#: Texts that are no YAML, or not one document, and the line of the error.
_NO_YAML = {
    "a: b\n c: d\n": 2,
    "a\n---\nb": 2,
    "a: *b": 1,
    "\xe9: 1\nb: \x1b": 2,
    "[" * 1500: 1,
    "a:\n- [" + "{a: " * 1500: 2,
}

_COMPOSE = """
import ast, sys
if sys.argv[1]:
    sys.modules[sys.argv[1]] = None
from conda_prune_plugin.embedded import activate; activate()
from conda_prune_plugin.discovery.system.yaml_nodes import BrokenYamlError, compose
shared, broken = ast.literal_eval(sys.argv[2])
for node in compose(shared).mapping["more"].value:
    print(node.line, node.mapping["conda"])
for text in broken:
    try:
        print(compose(text))
    except BrokenYamlError as error:
        print(error.line)
"""


@pytest.mark.parametrize("missing", ["", "yaml"])
def test_every_parser_of_yaml_gives_the_same_nodes_and_lines(missing: str) -> None:
    texts = repr((_SHARED, list(_NO_YAML)))

    done = subprocess.run(
        [sys.executable, "-c", _COMPOSE, missing, texts], capture_output=True, text=True, check=True, encoding="utf-8"
    )

    node = "2 Node(value='first', line=2)"
    assert done.stdout.splitlines() == [node, node, *map(str, _NO_YAML.values())]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("@EXPLICIT\nhttps://host/linux-64/a-1-0.conda#0123\nnonsense\n", 3),
        ("# platform: linux-64\n\n@EXPLICIT\nhttps://host/linux-64/a.conda\n", 4),
        ("version: 1\npackage:\n- name: a\n  manager: conda\n", 3),
        ("version: 1\npackage:\n- manager: conda\n  url: https://host/a\n", 4),
        ("version: 9\npackage: []\n", 1),
        ("package: []\n", 1),
        ("version: 6\npackages:\n- conda: https://host/linux-64/a-1-0.zip\n", 3),
        ("version: 6\npackages:\n- something: else\n", 3),
        ("version: 6\npackages:\n- conda:\n", 3),
        ("version: 6\npackages:\n- conda: ''\n", 3),
        ("version: 6\npackages:\n- conda: [a]\n", 3),
        ("version: 6\npackages:\n- conda: .\n- conda: {a: b}\n", 4),
        ("version: 6\npackages:\n- conda: https://host/linux-64/a-1\n", 3),
        ("version: 6\npackages:\n- conda: https:/\n", 3),
        ("version: 6\npackages:\n- conda: http\n", 3),
        ("version: 6\npackages: {}\n", 2),
        ("version: 99\npackages: []\n", 1),
        ("dependencies:\n- a\n- b>>1\n", 3),
        ("dependencies:\n- a\n- numpy: '>=1'\n", 3),
        ("dependencies:\n- sel(linux): b>>1\n", 2),
        ("dependencies:\n- sel(linux): {a: b}\n", 2),
        ("dependencies:\n- sel(linux): &x [*x]\n", 2),
        ("dependencies:\n-\n", 2),
        ("dependencies: a\n", 1),
        ("version: 6\npackages:\n- conda: [\n", 4),
        ("a: b\n c: d\n", 2),
        ("just text\n", 1),
        ("dependencies:\n- numpy\n- 'a\x1b[31m'\n", 3),
        ("dependencies:\n- numpy\n- a ^(1$\n", 3),
        ("", 1),
        ("[" * 1000, 1),
        ("\tversion: 6", 1),
        ("version: 6\n---\nversion: 6\n", 2),
    ],
)
def test_a_broken_lockfile_is_refused_with_file_and_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "lock"
    path.write_text(text)

    with pytest.raises(LockfileError) as caught:
        read_lockfile(str(path))

    assert f"{path} is broken in line {line}:" in caught.value.message
    assert caught.value.return_code == 1


def test_a_lockfile_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")

    for name in ("none", ".", "bytes"):
        with pytest.raises(LockfileError, match="can't be read"):
            read_lockfile(str(tmp_path / name))


def test_a_broken_lockfile_stops_before_anything_is_removed(empty: Machine) -> None:
    (empty.cache / "a-1-0" / "info").mkdir(parents=True)
    (empty.directory / "lock").write_text("@EXPLICIT\nwhat\n")

    answer = empty.prune("--yes", "--json", "--lockfile", empty.directory / "lock")

    assert answer.code == 1
    assert answer.json["exception_name"] == "LockfileError"
    assert answer.json["path"] == str(empty.directory / "lock")
    assert (empty.cache / "a-1-0").exists()


@pytest.mark.parametrize(
    ("spec", "certain", "possible"),
    [
        ("numpy", {"numpy-1.26.0-0", "numpy-2.0.0-py_1"}, set()),
        ("numpy>=2", {"numpy-2.0.0-py_1"}, set()),
        ("num*", {"numpy-1.26.0-0", "numpy-2.0.0-py_1"}, set()),
        ("numpy=2.0.0=py*", {"numpy-2.0.0-py_1"}, set()),
        ("numpy-2.0.0-py_1", {"numpy-2.0.0-py_1"}, set()),
        ("host::numpy", set(), set()),
        ("https://host::numpy", {"numpy-1.26.0-0"}, {"numpy-2.0.0-py_1"}),
        ("NumPy", {"numpy-1.26.0-0", "numpy-2.0.0-py_1"}, set()),
        ("nothing", set(), set()),
    ],
)
def test_specifications_match_as_conda_matches_and_doubt_is_told_apart(
    tiny: Tiny, spec: str, certain: set[str], possible: set[str]
) -> None:
    tiny.add("numpy-1.26.0-0")
    # Without a url nobody knows the channel.
    tree = tiny.add("numpy-2.0.0-py_1")
    (tree / "info" / "repodata_record.json").unlink()
    tiny.add("scipy-1.0-0")
    caches, _ = find_caches((str(tiny.cache),), ())

    def found(*, doubtful: bool) -> set[str]:
        return {entry.dist for entry in matching((spec,), caches, doubtful=doubtful)}

    if spec == "host::numpy":
        possible = {"numpy-2.0.0-py_1"}
    assert found(doubtful=False) == certain
    assert found(doubtful=True) == certain | possible


def test_of_an_archive_alone_the_build_number_is_not_known(tiny: Tiny) -> None:
    (tiny.cache / "x-1-h3_3.conda").write_bytes(b"archive")
    caches, _ = find_caches((str(tiny.cache),), ())

    for spec in ("x[build_number=3]", "x[build_number=0]"):
        assert matching((spec,), caches, doubtful=True)
        assert not matching((spec,), caches, doubtful=False)
    assert matching(("x=1=h3_3",), caches, doubtful=False)


def test_any_archive_of_an_entry_can_be_named_by_its_url(tiny: Tiny) -> None:
    tiny.add("x-1-0", archive=True)
    (tiny.cache / "x-1-0.tar.bz2").write_bytes(b"archive")
    (tiny.cache / "urls.txt").write_text("https://host/linux-64/x-1-0.conda\nhttps://other/noarch/x-1-0.tar.bz2\n")
    caches, _ = find_caches((str(tiny.cache),), ())

    for name in ("https://host/linux-64/x-1-0.conda", "https://other/noarch/x-1-0.tar.bz2", "x[fn=x-1-0.tar.bz2]"):
        assert matching((name,), caches, doubtful=False), name
    assert not matching(("https://other/noarch/x-1-0.conda",), caches, doubtful=True)


def test_what_pixi_builds_from_sources_names_nothing(tmp_path: Path) -> None:
    sources = (".", "../a b", "/tmp/x/linux-64/liba-1.0-0", "git+https://host/a.git", "C:/sources")
    text = "".join(f"- conda: {source!r}\n" for source in sources)
    (tmp_path / "pixi.lock").write_text(f"version: 6\npackages:\n{text}- conda: ./a-1-0.conda\n")

    assert read_lockfile(str(tmp_path / "pixi.lock")).dists == {"a-1-0": 8}


def test_a_path_that_may_be_a_package_without_its_suffix_keeps_it_or_is_told(tiny: Tiny, tmp_path: Path) -> None:
    tiny.add("here-1.0-0")
    path = tmp_path / "pixi.lock"
    path.write_text("version: 6\npackages:\n- conda: /c/linux-64/here-1.0-0\n- conda: ../gone-1.0-0\n- conda: .\n")
    caches, _ = find_caches((str(tiny.cache),), ())

    root, (notice,) = lockfile_root(read_lockfile(str(path)), caches)

    assert root.dists == {"here-1.0-0"}
    assert notice.kind == "no-match"
    assert "line 4: ../gone-1.0-0" in notice.message


def _long_history(prefix: Path, revisions: int) -> Path:
    """Write a history in which each revision replaces one package of a hundred."""
    (prefix / "conda-meta").mkdir(parents=True)
    lines = ["==> 2020-01-01 00:00:00 <==", *(f"+ch/noarch::p{number}-0-0" for number in range(100))]
    for revision in range(1, revisions):
        package, version = revision % 100, (revision - 1) // 100
        old, new = (f"ch/noarch::p{package}-{count}-0" for count in (version, version + 1))
        if revision < 100:
            old = f"ch/noarch::p{package}-0-0"
        lines += [f"==> 2020-01-02 00:00:{revision} <==", f"-{old}", f"+{new}"]
    (prefix / "conda-meta" / "history").write_text("\n".join(lines) + "\n")
    return prefix


def test_revisions_are_those_that_conda_constructs(tmp_path: Path) -> None:
    from conda.history import History

    prefix = _long_history(tmp_path / "it", 60)
    states = [
        frozenset(dist.rsplit("::", 1)[-1] for dist in dists) for _, dists in History(str(prefix)).construct_states()
    ]

    roots, _ = earlier_revisions(_environment(prefix), 1_000)

    assert [root.dists for root in roots] == states[-2::-1]


def test_very_many_revisions_hold_all_that_they_name_in_memory_that_grows_with_the_history(tmp_path: Path) -> None:
    held = {}
    for count in (2_000, 8_000):
        prefix = _long_history(tmp_path / str(count), count)
        lines = (prefix / "conda-meta" / "history").read_text().splitlines()
        roots, _ = earlier_revisions(_environment(prefix), count)
        held[count] = sum(len(root.dists) for root in roots)
        # All but what the present revision has brought.
        named = {line.split("::")[1] for line in lines[:-1] if "::" in line}
        assert frozenset[str]().union(*(root.dists for root in roots)) == named
    assert held[8_000] < 4 * held[2_000]


@pytest.mark.parametrize(
    "text",
    [
        "@EXPLICIT\nhttps://host/noarch/" + "a" * 100_000 + "-1-0.conda\n",
        "version: 1\npackage:\n- url: " + "a" * 100_000 + "\n",
        "dependencies:\n- a[" + "a[" * 2_000 + "\n",
    ],
    ids=["explicit", "conda-lock", "environment"],
)
def test_a_lockfile_with_a_line_that_no_tool_writes_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lock"
    path.write_text(text)

    with pytest.raises(LockfileError) as refused:
        read_lockfile(str(path))

    assert f"line {len(text.splitlines())}" in refused.value.message
    assert len(refused.value.message) < 1_000
