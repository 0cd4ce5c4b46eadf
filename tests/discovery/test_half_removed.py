"""What looks like a broken environment: half-removed ones are found and kept safe, other directories are left alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import Answer, Machine
from paused import paused
from tiny import Tiny, tiny_on

from conda_prune_plugin.core.model import RootState
from conda_prune_plugin.discovery.links.soft_link_signs import why_soft_links
from conda_prune_plugin.discovery.links.soft_links import environments_of, soft_links
from conda_prune_plugin.discovery.packages.cache_listing import find_caches
from conda_prune_plugin.discovery.roots.environments import Sources
from conda_prune_plugin.discovery.roots.watch import RootWatch

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """A small cache with a package, and its environments."""
    made = Tiny(tmp_path / "it")
    made.add("a-1-0")
    return made


@pytest.fixture
def small(empty: Machine) -> Machine:
    """A machine with a package and the environment ``e``, both registered."""
    tiny = tiny_on(empty)
    tiny.add("a-1-0")
    empty.registry.parent.mkdir()
    empty.registry.write_text(f"{tiny.use('e', 'a-1-0')}\n")
    return empty


def _envs(machine: Machine, *arguments: str | os.PathLike[str], **environ: str) -> Answer:
    return machine.run("prune", "envs", "--min-age", "0", "--ignore-running", *arguments, **environ)


def _listed(machine: Machine, **environ: str) -> dict[str, dict[str, Any]]:
    answer = _envs(machine, "--json", **environ)
    assert answer.code == 0, answer.out + answer.err
    return {item["path"]: item for item in answer.json["environments"]}


def _register(machine: Machine, *prefixes: Path | str) -> None:
    with machine.registry.open("a") as stream:
        stream.write("".join(f"{prefix}\n" for prefix in prefixes))


def _stale(machine: Machine) -> dict[str, str]:
    (registry,) = _envs(machine, "--json").json["registries"]
    return {item["prefix"]: item["kind"] for item in registry["stale"]}


def _states(tiny: Tiny, *registered: Path) -> dict[str, RootState]:
    registry = tiny.cache.parent / "environments.txt"
    registry.write_text("".join(f"{path}\n" for path in registered))
    caches, _ = find_caches((str(tiny.cache),), ())
    watch = RootWatch(Sources(envs_dirs=(str(tiny.envs),), registries=(str(registry),)), caches)
    return {os.path.basename(root.path): root.state for root in watch.roots}


def _dangling(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_symlink() and not path.exists()]


@pytest.mark.parametrize("name", ["hard", "soft", "copy"])
def test_a_half_removed_environment_is_listed_until_it_is_removed_and_keeps_what_it_links(
    machine: Machine, name: str
) -> None:
    prefix = machine.envs / name
    shutil.rmtree(prefix / "conda-meta")
    assert _stale(machine)[str(prefix)] == "no-environment"

    assert _envs(machine, "--fix-registry", "--yes").code == 0

    assert str(prefix) not in machine.registry.read_text()
    item = _listed(machine)[str(prefix)]
    assert (item["state"], item["name"]) == ("half-removed", name)
    assert [problem["kind"] for problem in item["problems"]] == ["half-removed"]
    assert machine.prune("--yes", "--ignore-running").code == 0
    assert _dangling(prefix) == []
    dist = {"hard": "libalpha-2.0-0", "soft": "libbeta-1.0-0", "copy": "allprefix-2.0-0"}[name]
    keeping = [item for item in machine.prune("--dry-run", "--json", "-v").json["keep"] if item["dist"] == dist]
    assert (str(prefix), name) in {(one.get("root"), one.get("link")) for item in keeping for one in item["reasons"]}
    answer = _envs(machine, name, "--remove", "--prune", "--yes", "--json")
    assert answer.code == 0, answer.out
    (loss,) = answer.json["remove"]
    assert loss["not_rebuildable"]["files"] == 0, loss
    assert not prefix.exists()
    assert str(prefix) not in _listed(machine)
    assert machine.entry(dist).exists() == (name == "hard")


def test_a_half_removed_environment_that_only_its_line_leads_to_keeps_that_line(
    machine: Machine,
) -> None:
    prefix = machine.elsewhere
    shutil.rmtree(prefix / "conda-meta")

    fixed = _envs(machine, "--fix-registry", "--yes", "--json")

    assert fixed.code == 0, fixed.out
    assert [warning["path"] for warning in fixed.json["warnings"]] == [str(prefix)]
    assert _listed(machine)[str(prefix)]["state"] == "half-removed"
    assert _envs(machine, prefix, "--remove", "--yes").code == 0
    assert not prefix.exists()
    assert str(prefix) not in machine.registry.read_text()


def test_a_half_removed_environment_set_aside_keeps_its_links_and_comes_back_as_it_was(machine: Machine) -> None:
    prefix = machine.envs / "soft"
    shutil.rmtree(prefix / "conda-meta")
    assert _envs(machine, "--fix-registry", "--yes").code == 0
    (prefix / "notes.txt").write_text("by hand")
    before = sorted(path.relative_to(prefix) for path in prefix.rglob("*"))

    dry = _envs(machine, "soft", "--remove", "--backup", "--dry-run", "--json")
    assert dry.json["remove"][0]["not_rebuildable"]["files"] == 1
    answer = _envs(machine, "soft", "--remove", "--backup", "--yes", "--json")
    assert answer.code == 0, answer.out
    assert machine.prune("--yes", "--ignore-running", "--all").code == 0

    assert machine.run("prune", "restore", answer.json["run"]).code == 0
    assert sorted(path.relative_to(prefix) for path in prefix.rglob("*")) == before
    assert _dangling(prefix) == []


def test_a_deleted_one_has_no_export_and_a_restore_says_so_and_makes_nothing(small: Machine) -> None:
    prefix = small.envs / "e"
    shutil.rmtree(prefix / "conda-meta")

    answer = _envs(small, "e", "--remove", "--yes", "--json")

    (outcome,) = answer.json["outcomes"]
    assert (outcome["result"], outcome["exports"]) == ("removed", None)
    assert [item["name"] for item in answer.json["remove"][0]["not_rebuildable"]["packages"]] == ["e"]
    restored = small.run("prune", "restore", "last", "--json")
    assert [item["result"] for item in restored.json["outcomes"]] == ["failed"]
    assert not prefix.exists()


def test_what_a_killed_conda_has_left_is_found(machine: Machine) -> None:
    machine.install("create", "-n", "going", "libalpha=1.0")
    prefix = machine.envs / "going"
    with paused(machine, "conda.gateways.disk.delete:backoff_rmdir", "env", "remove", "-n", "going", "--yes"):
        # It removes the directory in the order of the listing, and has come as far as this.
        shutil.rmtree(prefix / "conda-meta")
        left = [path for path in prefix.rglob("*") if path.is_file()]
        (prefix / "lib").mkdir(exist_ok=True)
        (prefix / "lib" / "libalpha.so.1.conda_trash").touch()

    item = _listed(machine)[str(prefix)]

    assert item["state"] == "half-removed"
    assert item["packages"] == (1 if left else 0)
    assert _envs(machine, "going", "--remove", "--yes").code == 0
    assert not prefix.exists()


def _work(path: Path) -> None:
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "job.sh").write_text("#!/bin/sh\n" * 100)
    (path / "results.txt").write_text("r" * 9000)


def _with_meta(path: Path) -> None:
    _work(path)
    (path / "conda-meta").mkdir()


def _with_file(path: Path) -> None:
    _work(path)
    (path / "conda-meta").touch()


def _with_link(path: Path) -> None:
    _with_meta(path.parent / "elsewhere")
    _work(path)
    (path / "conda-meta").symlink_to(path.parent / "elsewhere" / "conda-meta")


def _file(path: Path) -> None:
    path.write_text("x" * 9000)


def _venv(path: Path) -> None:
    _work(path)
    (path / "pyvenv.cfg").write_text("home = /usr/bin\n")


@pytest.mark.parametrize("make", [_work, _with_meta, _with_file, _with_link, _file, _venv, Path.mkdir])
def test_a_line_on_what_is_no_environment_is_stale_and_its_files_are_left_alone(
    small: Machine, make: Callable[[Path], None]
) -> None:
    work = small.directory / "work"
    make(work)
    _register(small, work)
    before = sorted(work.rglob("*"))

    assert str(work) not in _listed(small)
    assert _stale(small) == {str(work): "no-environment"}
    usage = small.run("prune", "usage", "--json").json
    assert [item["path"] for item in usage["environments"]] == [str(small.envs / "e")]
    for force in ((), ("--force",)):
        refused = _envs(small, work, "--remove", "--yes", "--json", *force)
        assert (refused.code, refused.json["exception_name"]) == (1, "NoSuchEnvironmentError")
    fixed = _envs(small, "--fix-registry", "--yes", "--json")
    assert (fixed.code, fixed.json["outcomes"]) == (0, [])
    assert small.registry.read_text() == f"{small.envs / 'e'}\n"
    assert sorted(work.rglob("*")) == before
    assert work.exists()


@pytest.mark.parametrize("kind", ["/", "home", "cache", "package"])
def test_no_line_makes_an_environment_of_the_system_a_home_or_a_cache(small: Machine, kind: str) -> None:
    (small.home / "lib").mkdir()
    os.link(small.entry("a-1-0") / "lib" / "one", small.home / "lib" / "one")
    path = {"/": Path("/"), "home": small.home, "cache": small.cache, "package": small.entry("a-1-0")}[kind]
    _register(small, path)

    assert list(_listed(small)) == [str(small.envs / "e")]
    assert _stale(small) == {str(path): "no-environment"}


def test_what_is_no_environment_is_not_walked_for_soft_links(tiny: Tiny) -> None:
    work = tiny.cache.parent / "work"
    _work(work)
    registry = tiny.cache.parent / "environments.txt"
    registry.write_text(f"{work}\n")
    caches, _ = find_caches((str(tiny.cache),), ())
    watch = RootWatch(Sources(registries=(str(registry),)), caches)
    seen: list[int] = []

    soft_links(environments_of(watch.roots), caches, seen.append)
    why_soft_links(watch.roots, caches, seen.append)

    assert seen == []
    assert watch.notices == ()


def test_an_empty_directory_may_be_where_a_disk_is_to_be_mounted(tiny: Tiny) -> None:
    point = tiny.cache.parent / "point"
    point.mkdir()
    registry = tiny.cache.parent / "environments.txt"
    registry.write_text(f"{point}\n")
    caches, _ = find_caches((str(tiny.cache),), ())

    (notice,) = RootWatch(Sources(registries=(str(registry),)), caches).notices

    assert notice.hides_roots


def test_what_proves_it_lies_where_a_package_puts_it(tiny: Tiny) -> None:
    package = tiny.add("py-1-0")
    source = package / "site-packages" / "py"
    source.mkdir(parents=True)
    for name in ("one.py", "two.py"):
        (source / name).write_text(f"{name} = 1\n" * 50)
    for name in ("hard", "misplaced", "compiled", "copied", "single", "differs", "trash", "user"):
        (tiny.envs / name / "lib").mkdir(parents=True)
    os.link(tiny.cache / "a-1-0" / "lib" / "one", tiny.envs / "hard" / "lib" / "one")
    os.link(tiny.cache / "a-1-0" / "lib" / "one", tiny.envs / "misplaced" / "lib" / "other")
    packages = tiny.envs / "compiled" / "lib" / "python3.11" / "site-packages" / "py" / "__pycache__"
    packages.mkdir(parents=True)
    for name in ("one.py", "two.py"):
        status = (source / name).stat()
        header = (0, int(status.st_mtime), status.st_size)
        code = b"\xa7\r\r\n" + b"".join(value.to_bytes(4, "little") for value in header) + b"code" * 50
        (packages / f"{name[:-3]}.cpython-311.pyc").write_bytes(code)
    for env, names in {"copied": ("one", "two"), "single": ("one",), "differs": ("one", "two")}.items():
        for name in names:
            shutil.copy(tiny.cache / "a-1-0" / "lib" / name, tiny.envs / env / "lib" / name)
    # Who has built the same library has the same headers, and another library.
    (tiny.add("a-2-0") / "lib" / "built").write_text("theirs" * 50)
    (tiny.envs / "differs" / "lib" / "built").write_text("mine" * 50)
    (tiny.envs / "trash" / "lib" / "x.so.conda_trash_1").touch()
    (tiny.envs / "user" / "lib" / "x.c~").write_text("an editor's backup" * 50)

    states = _states(tiny)

    assert {name for name, state in states.items() if state is RootState.HALF_REMOVED} == {
        "hard",
        "compiled",
        "copied",
        "trash",
    }
    assert RootState.OK not in states.values()


def test_a_creation_that_was_interrupted_is_moved_aside_only_without_files_of_the_user(small: Machine) -> None:
    for name in ("theirs", "mine"):
        tiny_on(small).use(name, "a-1-0", record=False)
        (small.envs / name / "conda-meta" / "history").unlink()
    (small.envs / "mine" / "thesis.tex").write_text("by hand")
    problems = {path: [one["kind"] for one in item["problems"]] for path, item in _listed(small).items()}
    assert problems[str(small.envs / "theirs")] == problems[str(small.envs / "mine")] == ["interrupted"]

    answer = _envs(small, "--fix-registry", "--yes", "--json")

    assert [outcome["path"] for outcome in answer.json["outcomes"]] == [str(small.envs / "theirs")]
    assert [warning["path"] for warning in answer.json["warnings"]] == [str(small.envs / "mine")]
    assert (small.envs / "mine" / "thesis.tex").exists()


@pytest.mark.parametrize("history", [True, False])
def test_micromamba_s_base_is_a_base_and_not_broken(small: Machine, history: bool) -> None:
    # `create_target_directory` (libmamba/src/api/install.cpp) and `root_prefix_hook` (configuration.cpp).
    base = small.directory / "mamba"
    for name in ("conda-meta", "pkgs", "envs"):
        (base / name).mkdir(parents=True)
    if history:
        (base / "conda-meta" / "history").touch()
    _register(small, base)

    item = _listed(small)[str(base)]

    assert item["problems"] == []
    assert "base" in {protection["kind"] for protection in item["protected"]}
    assert _envs(small, "--fix-registry", "--yes", "--json").json["outcomes"] == []
    assert (base / "conda-meta").is_dir()


def test_an_empty_history_makes_an_environment_which_the_user_may_fill(small: Machine) -> None:
    tools = small.envs / "tools"
    (tools / "conda-meta").mkdir(parents=True)
    (tools / "conda-meta" / "history").touch()
    (tools / "bin").mkdir()
    (tools / "bin" / "mytool").write_text("#!/bin/sh\n")
    _register(small, tools)

    assert _listed(small)[str(tools)]["problems"] == []
    assert _stale(small) == {}
    assert _envs(small, "--fix-registry", "--yes").code == 0
    assert (tools / "bin" / "mytool").exists()


def test_conda_s_own_empty_environment_is_not_broken(machine: Machine) -> None:
    assert machine.run("create", "-n", "blank", "--yes").code == 0
    (machine.envs / "blank" / "mine").write_text("x")

    assert _listed(machine)[str(machine.envs / "blank")]["problems"] == []


def test_what_other_programs_leave_beside_records_is_read_as_conda_reads_it(machine: Machine) -> None:
    from conda.core.prefix_data import PrefixData

    meta = machine.envs / "hard" / "conda-meta"
    for name in (".DS_Store", "._.DS_Store", "libalpha-2.0-0.json~", ".libalpha-2.0-0.json.swp", "#libalpha.json#"):
        (meta / name).write_bytes(b"\0\5\26\7")
    expected = {
        f"{record.name}-{record.version}-{record.build}"
        for record in PrefixData(str(meta.parent), False).iter_records()
    }
    # Before 26.3 conda fails on these.
    (meta / "._libalpha-2.0-0.json").write_bytes(b"\0\5\26\7")
    (meta / "._other-1-0.json").write_bytes(b"\0\5\26\7" * 100)

    (root,) = (root for root in tiny_on(machine).watch().roots if root.name == "hard")

    assert root.dists == expected
    assert root.state is RootState.OK
    assert not {"corrupt-record"} & {item["kind"] for item in machine.prune("--dry-run", "--json").json["warnings"]}


def test_a_lock_of_emacs_beside_a_record_is_reported_as_conda_fails_on_it(machine: Machine) -> None:
    (machine.envs / "hard" / "conda-meta" / ".#libalpha-2.0-0.json").symlink_to("user@host.1234:5678")

    assert machine.run("list", "-n", "hard").code != 0
    assert "corrupt-record" in {notice.kind for notice in tiny_on(machine).watch().notices}


def test_an_interpreter_is_missing_only_if_its_own_package_brings_one(small: Machine) -> None:
    tiny = tiny_on(small)
    kinds = {}
    for number, files in enumerate(([], ["bin/python"])):
        prefix = tiny.use(f"p{number}", "a-1-0")
        record = tiny.record(prefix, "python-3.11.0-0_graalpy")
        record.write_text(json.dumps({**json.loads(record.read_text()), "files": files}))
        kinds[number] = [problem["kind"] for problem in _listed(small)[str(prefix)]["problems"]]

    assert kinds == {0: [], 1: ["missing-interpreter"]}
