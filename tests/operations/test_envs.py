"""Environments: what speaks for their use is found, nothing in use is taken, and what was taken comes back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import PACKAGES, Answer, Machine, copy_tree, listing, space, told
from pythons import PYTHON, pip, wheel

from conda_prune_plugin.core.units import NO_SPACE
from conda_prune_plugin.demo.demo_packages import File, Package, build_channel

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, Path]:
    """A machine with environments that have a real python, pip and a pip package; and its untouched copy."""
    directory = tmp_path_factory.mktemp("environments")
    machine = Machine(directory / "it")
    machine.create()
    others = (package for package in PACKAGES if package.name != "python")
    build_channel(machine.directory / "channel", (PYTHON, pip(), *others))
    machine.install("create", "-n", "work", "pip", "libbeta=1.0", "pynoarch=1.0")
    machine.install("create", "-n", "twin", "libbeta=1.0")
    machine.install("create", "-n", "same", "libbeta=1.0")
    machine.install("create", "-n", "lone", "innerlinks=1.0", "symlinks=1.0")
    machine.install("create", "-n", "soft", "libalpha=1.0", "symlinks=2.0", CONDA_ALWAYS_SOFTLINK="true")
    machine.install("create", "-p", machine.elsewhere, "allprefix=1.0")
    package = wheel(machine.directory, "tinywheel", "1.5")
    _python(machine, "-m", "pip", "install", "--no-index", str(package))
    (machine.envs / "work" / "notes.txt").write_text("by hand" * 4000)
    assert machine.run("env", "config", "vars", "set", "-n", "work", "GREETING=hello").code == 0
    (machine.envs / "work" / "conda-meta" / "pinned").write_text("libbeta 1.0\n")
    copy_tree(machine.directory, directory / "copy")
    return machine, directory / "copy"


@pytest.fixture
def house(furnished: tuple[Machine, Path]) -> Machine:
    """That machine, to be changed."""
    machine, copy = furnished
    shutil.rmtree(machine.directory)
    copy_tree(copy, machine.directory)
    return machine


def _python(machine: Machine, *arguments: str) -> str:
    command = [str(machine.envs / "work" / "bin" / "python"), *arguments]
    return subprocess.run(command, env=machine.environ(), check=True, capture_output=True, text=True).stdout


def _envs(machine: Machine, *arguments: str | os.PathLike[str], **environ: str) -> Answer:
    # Whatever else is installed on the machine of the tests meanwhile.
    return machine.run("prune", "envs", "--min-age", "0", "--ignore-running", *arguments, **environ)


def _listed(machine: Machine, *arguments: str | os.PathLike[str], **environ: str) -> dict[str, dict[str, Any]]:
    answer = _envs(machine, "--json", *arguments, **environ)
    assert answer.code == 0, answer.out + answer.err
    return {os.path.basename(item["path"]): item for item in answer.json["environments"]}


def _records(prefix: Path) -> set[tuple[str, ...]]:
    found = set()
    for path in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        found.add(tuple(str(record[key]) for key in ("name", "version", "build", "channel", "sha256", "md5")))
    return found


def _tree(directory: Path, *but: Path) -> dict[str, tuple[object, ...]]:
    """Return what there is to know of a tree, but the time of the last status change, which a rename sets."""
    return {
        path: (*known[:4], *known[5:], os.lstat(path).st_ino)
        for path, known in listing(directory).items()
        if not any(Path(path) == out or out in Path(path).parents for out in but)
    }


def _registry(machine: Machine) -> list[str]:
    return machine.registry.read_text().splitlines()


def test_a_removed_environment_is_rebuilt_offline_with_the_same_packages_of_conda_and_of_pip(house: Machine) -> None:
    prefix = house.envs / "work"
    records, with_pip = _records(prefix), json.loads(_python(house, "-m", "pip", "list", "--format=json"))

    answer = _envs(house, "work", "--remove", "--yes", "--json")

    assert answer.code == 0, answer.out
    assert not prefix.exists()
    assert str(prefix) not in _registry(house)
    (loss,) = answer.json["remove"]
    assert loss["not_rebuildable"]["files"] == 1
    assert loss["not_rebuildable"]["largest"][0]["path"] == str(prefix / "notes.txt")
    # The caches still hold everything of conda's.
    (house.directory / "channel").rename(house.directory / "away")
    restored = house.run("prune", "restore", "last", "--json")
    assert [outcome["result"] for outcome in restored.json["outcomes"]] == ["restored"], restored.out
    (warning,) = restored.json["warnings"]
    assert "it had 1 file of no package" in warning["message"]
    assert _records(prefix) == records
    assert json.loads(_python(house, "-m", "pip", "list", "--format=json")) == with_pip
    assert _python(house, "-c", "import tinywheel; print(tinywheel.VERSION)").strip() == "1.5"
    assert str(prefix) in _registry(house)
    assert "GREETING" in house.run("env", "config", "vars", "list", "-n", "work").out
    assert (prefix / "conda-meta" / "pinned").read_text() == "libbeta 1.0\n"


def test_what_pip_can_not_have_again_is_told_before_and_after(house: Machine) -> None:
    project = house.directory / "project"
    info = house.envs / "work" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "mine-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 0.1\n")
    (info / "INSTALLER").write_text("pip\n")
    (info / "RECORD").write_text("mine-0.1.dist-info/METADATA,,\n")
    direct = {"url": project.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(direct))

    answer = _envs(house, "work", "--remove", "--yes")

    assert answer.code == 0
    assert re.search(r"can't be rebuilt: mine 0.1 .* editable", answer.out)
    restored = house.run("prune", "restore", "last")
    assert restored.code == 0, restored.err
    assert "mine can't be installed again" in restored.err
    assert _python(house, "-c", "import tinywheel").strip() == ""


def test_what_pip_can_not_install_is_a_failure_that_tells_how_to_go_on(house: Machine) -> None:
    assert _envs(house, "work", "--remove", "--yes").code == 0
    (away,) = house.directory.glob("tinywheel*.whl")
    away.unlink()

    answer = house.run("prune", "restore", "last", "--json")

    assert answer.code == 1
    (outcome,) = answer.json["outcomes"]
    assert outcome["result"] == "failed"
    assert "-m pip install --no-deps --requirement" in outcome["error"]
    assert _python(house, "-c", "import pynoarch").strip() == ""


def test_the_exported_file_is_what_conda_exports(house: Machine) -> None:
    expected = house.run("env", "export", "-n", "work").out
    (recorded,) = (house.envs / "work").rglob("tinywheel-*/direct_url.json")
    # An older pip records no hash of a file that it was given.
    hashed = "sha256" in recorded.read_text()

    answer = _envs(house, "work", "--remove", "--yes", "--json")

    exports = Path(answer.json["outcomes"][0]["exports"])
    assert (exports / "environment.yml").read_text() == expected.rstrip("\n") + "\n"
    assert ("#sha256=" in (exports / "requirements.txt").read_text()) is hashed
    assert exports.stat().st_mode & 0o077 == 0


def test_a_backup_comes_back_byte_for_byte_and_nothing_else_has_changed(house: Machine) -> None:
    prefixes = [house.envs / "work", house.envs / "soft", house.elsewhere]
    before, registry = _tree(house.directory), sorted(_registry(house))

    answer = _envs(house, *prefixes, "--remove", "--backup", "--yes", "--json")

    assert answer.code == 0, answer.out
    assert [outcome["result"] for outcome in answer.json["outcomes"]] == ["backed-up"] * 3
    # Besides the environments, notes of where they are.
    noting = (house.envs, house.elsewhere.parent, house.registry.parent, house.cache, house.registry.parent / "envs")
    changed = (*prefixes, *(path / ".conda-prune" for path in noting), house.registry)
    parents = set(map(str, noting))
    left = {path: known for path, known in _tree(house.directory, *changed).items() if path not in parents}
    assert left == {
        path: known
        for path, known in before.items()
        if path not in parents and not any(Path(path) == out or out in Path(path).parents for out in changed)
    }
    assert set(registry) - set(_registry(house)) == set(map(str, prefixes))

    restored = house.run("prune", "restore", answer.json["run"], "--json")

    assert [outcome["result"] for outcome in restored.json["outcomes"]] == ["restored"] * 3
    after = _tree(house.directory, house.registry)
    expected = _tree_without(before, house.registry)
    for path in parents:
        after.pop(path)
        expected.pop(path)
    assert after == expected
    assert sorted(_registry(house)) == registry
    assert _python(house, "-c", "import tinywheel, pynoarch").strip() == ""


def _tree_without(tree: dict[str, tuple[object, ...]], *but: Path) -> dict[str, tuple[object, ...]]:
    return {path: known for path, known in tree.items() if Path(path) not in but}


def test_a_deletion_changes_nothing_outside_and_frees_what_was_predicted(house: Machine) -> None:
    prefix = house.envs / "lone"
    ours = (prefix, house.envs / ".conda-prune", house.registry)
    size = space(house.envs, house.cache)
    parents = {str(house.envs), str(house.registry.parent)}
    before = {path: known for path, known in _tree(house.directory, *ours, house.cache).items() if path not in parents}

    answer = _envs(house, prefix, "--remove", "--yes", "--json")

    freed = told(answer.json["outcomes"][0], by="freed")
    assert freed == told(answer.json["totals"], by="released") != NO_SPACE
    assert size - space(house.envs, house.cache) == freed
    after = {path: known for path, known in _tree(house.directory, *ours, house.cache).items() if path not in parents}
    assert after == before
    totals, then = answer.json["totals"], house.prune("--dry-run", "--json").json["totals"]
    assert totals["reclaimable_then"] == then["reclaimable"] > totals["reclaimable"]
    assert totals["reclaimable_inodes_then"] == then["reclaimable_inodes"] > totals["reclaimable_inodes"]


def test_the_caches_are_pruned_in_the_same_run_if_that_is_asked_for(house: Machine) -> None:
    answer = _envs(house, "lone", "--remove", "--prune", "--yes", "--json")

    assert answer.code == 0, answer.out
    assert {item["dist"] for item in answer.json["prune"]["remove"]} == {"innerlinks-1.0-0", "symlinks-1.0-0"}
    assert not house.entry("innerlinks-1.0-0").exists()


def test_what_is_set_aside_keeps_its_packages_until_it_is_purged(house: Machine) -> None:
    assert _envs(house, "soft", house.elsewhere, "--remove", "--backup", "--yes").code == 0

    kept = house.prune("--dry-run", "--json").json
    assert kept["remove"] == []
    assert "soft" not in _listed(house)

    assert house.run("prune", "purge", "last", "--yes").code == 0
    going = {item["dist"] for item in house.prune("--dry-run", "--json").json["remove"]}
    assert going == {"libalpha-1.0-0", "symlinks-2.0-0", "allprefix-1.0-0"}
    assert not [path for path in house.envs.glob(".conda-prune/*") if path.is_dir()]
    assert not (house.elsewhere.parent / ".conda-prune").exists()


@pytest.fixture
def sleeper(house: Machine) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs from the environment ``lone``."""
    program = house.envs / "lone" / "bin" / "sleeper"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "600"]) as process:
        yield process
        process.kill()


@pytest.mark.linux  # /proc tells of executables.
def test_an_environment_with_a_running_process_is_not_taken(house: Machine, sleeper: subprocess.Popen[bytes]) -> None:
    assert [process["pid"] for process in _listed(house)["lone"]["running"]] == [sleeper.pid]
    _require_protected(house, "running")


def test_an_environment_with_a_kernel_is_not_taken(house: Machine) -> None:
    kernel = house.home / ".local" / "share" / "jupyter" / "kernels" / "lone" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": [str(house.envs / "lone" / "bin" / "python"), "-m", "ipykernel"]}))

    _require_protected(house, "pointer")


def test_a_path_that_json_escapes_is_found(house: Machine) -> None:
    prefix = house.envs / "schön"
    house.install("create", "-p", prefix, "libalpha=1.0")
    kernel = house.home / ".local/share/jupyter/kernels/k/kernel.json"
    kernel.parent.mkdir(parents=True)
    # As Jupyter, conda-global and others write it: in ASCII.
    kernel.write_text(json.dumps({"argv": [str(prefix / "bin" / "python"), {"more": 1}]}))

    assert [pointer["kind"] for pointer in _listed(house)["schön"]["pointers"]] == ["kernel"]


def test_the_environment_of_a_tool_of_conda_global_is_not_taken(house: Machine) -> None:
    pytest.importorskip("conda_global", reason="comes with conda from 26.7 on")
    home = house.home / "elsewhere"
    build_channel(
        house.directory / "tools", [Package("tool", "1", files={"bin/tool": File(b"#!/bin/sh\n", executable=True)})]
    )
    channel = ("--override-channels", "-c", (house.directory / "tools").as_uri())
    installed = house.run("global", "install", "tool", *channel, CONDA_GLOBAL_HOME=str(home))
    assert installed.code == 0, installed.out + installed.err
    prefix = home / "envs" / "tool"
    assert (home / "bin" / "tool").exists()

    listed = _listed(house, CONDA_GLOBAL_HOME=str(home))["tool"]
    answer = _envs(house, "--unused-for", "0", "--remove", "--dry-run", "--json", CONDA_GLOBAL_HOME=str(home))

    assert [pointer["kind"] for pointer in listed["pointers"]] == ["trampoline"]
    assert str(prefix) not in {item["path"] for item in answer.json["remove"]}
    assert _envs(house, prefix, "--remove", "--yes", CONDA_GLOBAL_HOME=str(home)).code == 1
    assert (prefix / "bin" / "tool").exists()


def test_a_frozen_environment_is_not_taken(house: Machine) -> None:
    (house.envs / "lone" / "conda-meta" / "frozen").write_text("{}")

    _require_protected(house, "frozen")


def test_the_active_environment_is_not_taken(house: Machine) -> None:
    _require_protected(house, "active", CONDA_PREFIX=str(house.envs / "lone"))


def _require_protected(machine: Machine, kind: str, **environ: str) -> None:
    assert kind in {item["kind"] for item in _listed(machine, **environ)["lone"]["protected"]}
    before = _tree(machine.directory)
    for arguments in (("lone", "--yes"), ("lone", "--yes", "--backup"), ("lone", "twin", "--yes", "--json")):
        assert _envs(machine, *arguments, "--remove", **environ).code == 1
    by_age = _envs(machine, "--unused-for", "0", "--remove", "--dry-run", "--json", **environ)
    assert str(machine.envs / "lone") not in {item["path"] for item in by_age.json["remove"]}
    assert _tree(machine.directory) == before

    assert _envs(machine, "lone", "--remove", "--backup", "--force", "--yes", **environ).code == 0
    assert not (machine.envs / "lone").exists()


def test_the_base_environment_and_what_others_lie_in_are_never_taken(house: Machine) -> None:
    inner = house.envs / "twin" / "envs" / "inner"
    house.install("create", "-p", inner, "libalpha=1.0")
    for kind, name, environ in (
        ("base", "lone", {"CONDA_ROOT_PREFIX": str(house.envs / "lone"), "CONDA_ROOT": str(house.envs / "lone")}),
        ("holds", "twin", {}),
    ):
        if kind == "base":
            # What makes a base of it wherever conda itself is: both of these are only there.
            (house.envs / "lone" / "condabin").mkdir()
            (house.envs / "lone" / "pkgs").mkdir()
        answer = _envs(house, house.envs / name, "--remove", "--force", "--yes", "--json", **environ)
        assert answer.code == 1
        assert (house.envs / name / "conda-meta").is_dir()
        listed = {item["path"]: item for item in _envs(house, "--json", **environ).json["environments"]}
        assert kind in {item["kind"] for item in listed[str(house.envs / name)]["protected"]}


def test_everything_that_points_into_an_environment_is_found(house: Machine) -> None:
    lone, home = house.envs / "lone", house.home
    project, tools = house.directory / "project", house.directory / "tools"
    files = {
        home / ".local/share/jupyter/kernels/k/kernel.json": json.dumps({"argv": [f"{lone}/bin/python"]}),
        home / ".config/Code/User/settings.json": f'{{"python.defaultInterpreterPath": "{lone}/bin/python"}}',
        home / ".local/share/direnv/allow/0a1b": f"{project}/.envrc",
        project / ".envrc": "layout anaconda lone\n",
        home / ".bashrc": "alias l='conda activate lone'\n# conda activate twin\n",
        home / ".config/systemd/user/job.service": f"[Service]\nExecStart={lone}/bin/tool --daemon\n",
        home / ".local/bin/tool": f"#!{lone}/bin/python\n",
        home / ".conda/global/bin/trampoline/cg.json": json.dumps(
            {"exe": f"{lone}/bin/cg", "path_diff": "", "env": {}}
        ),
        home / ".cg/bin/trampoline/old.json": json.dumps({"exe": f"{lone}/bin/old", "env": {}}),
        home / ".pixi/bin/trampoline_configuration/rg.json": json.dumps({"exe": f"{lone}/bin/rg"}),
        home / ".pixi/bin/script": f'#!/bin/sh\n"{lone}/bin/script" "$@"\n',
        tools / "crontab": f"#!/bin/sh\necho '0 3 * * * {lone}/bin/python job.py'\n",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tools / "crontab").chmod(0o755)
    (home / ".local/bin/linked").symlink_to(lone / "bin" / "inner")
    (home / ".local/bin/unlike").write_text(f"#!{lone}-other/bin/python\n")
    search = f"{tools}{os.pathsep}{os.environ['PATH']}"

    listed = _listed(house, PATH=search)

    found = {(pointer["kind"], pointer["path"]) for pointer in listed["lone"]["pointers"]}
    assert found == {
        ("kernel", str(home / ".local/share/jupyter/kernels/k/kernel.json")),
        ("editor", str(home / ".config/Code/User/settings.json")),
        ("direnv", str(project / ".envrc")),
        ("shell", str(home / ".bashrc")),
        ("systemd", str(home / ".config/systemd/user/job.service")),
        ("script", str(home / ".local/bin/tool")),
        ("script", str(home / ".local/bin/linked")),
        ("script", str(home / ".pixi/bin/script")),
        ("trampoline", str(home / ".conda/global/bin/trampoline/cg.json")),
        ("trampoline", str(home / ".cg/bin/trampoline/old.json")),
        ("trampoline", str(home / ".pixi/bin/trampoline_configuration/rg.json")),
        ("cron", "crontab -l"),
    }
    assert listed["twin"]["pointers"] == []
    assert listed["lone"]["last_evidence"]["kind"] in ("cron", "systemd")


def test_listing_tells_what_environments_are_and_writes_nothing(house: Machine) -> None:
    (house.envs / "twin" / "conda-meta" / "history").unlink()
    (house.envs / "work" / "bin" / "python").unlink()
    half = house.envs / "half"
    (half / "lib").mkdir(parents=True)
    (half / "conda-meta").mkdir()
    # As micromamba makes it: empty, with a history.
    blank = house.envs / "blank"
    (blank / "conda-meta").mkdir(parents=True)
    (blank / "conda-meta" / "history").touch()
    (blank / "tool").write_text("by hand")
    before = listing(house.directory)

    listed = _listed(house)

    assert listing(house.directory) == before
    assert {name: [problem["kind"] for problem in item["problems"]] for name, item in listed.items()} == {
        "work": ["missing-interpreter"],
        "twin": ["no-history"],
        "same": [],
        "lone": [],
        "soft": [],
        "my-env": [],
        "half": ["interrupted"],
        "blank": [],
    }
    assert listed["twin"]["duplicates"] == [str(house.envs / "same")]
    assert listed["lone"]["duplicates"] == []
    assert listed["work"]["python"] == f"3.{sys.version_info.minor}.0"
    assert listed["work"]["pip_packages"] == ["tinywheel==1.5"]
    assert abs(_seconds(listed["work"]["created"]) - time.time()) < 86_400
    assert [item for item in listed if not listed[item]["registered"]] == ["blank", "half"]
    for item in listed.values():
        if os.path.basename(item["path"]) not in ("half", "blank"):
            assert item["own"] + item["shared"] > 0


def _seconds(time_text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(time_text.replace("Z", "+00:00")).timestamp()


def test_the_documentation_shows_what_is_printed(house: Machine) -> None:
    kernel = house.home / ".local" / "share" / "jupyter" / "kernels" / "twin" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": [str(house.envs / "twin" / "bin" / "python"), "-m", "ipykernel"]}))
    with house.registry.open("a") as registry:
        registry.write(f"{house.envs / 'gone'}\n")
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "environments.md").read_text()
    shown = page.partition("<!-- output: envs -->\n```text\n")[2].partition("\n```")[0]

    printed = _envs(house).out.replace(str(house.directory), "/tmp/machine/it")

    assert _shape(printed) == _shape(shown)


def _shape(text: str) -> list[str]:
    """Return lines, sorted, without what differs from one file system, interpreter or moment to the next."""
    text = re.sub(r"[\d.,]+ (?=B|KiB|MiB)", "N ", text)
    text = re.sub(r"N (B|KiB|MiB)", "SIZE", text)
    text = re.sub(r"(< )?\d+ minutes? ago|never", "AGE", text)
    text = re.sub(r"\b3\.\d+\.0\b", "PYTHON", text)
    return sorted(" ".join(line.split()) for line in text.strip().splitlines())


def test_unused_for_takes_the_newest_evidence_and_says_which_it_is(house: Machine) -> None:
    year_ago = time.time() - 365 * 86_400
    old = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(year_ago))
    for name in ("lone", "twin"):
        prefix = house.envs / name
        for path in [prefix, *prefix.rglob("*")]:
            # Also of what the caches share: nobody has read it since.
            os.utime(path, (year_ago, year_ago), follow_symlinks=False)
        history = prefix / "conda-meta" / "history"
        history.write_text(re.sub(r"==> .*? <==", f"==> {old} <==", history.read_text()))
        os.utime(history, (year_ago, year_ago))
        if (created := prefix / "conda-meta" / "created_at").exists():
            created.write_text(str(year_ago))
    if _listed(house)["lone"]["keeps_access"]:
        read = house.envs / "twin" / "own-file"
        read.write_text("x")
        os.utime(read, (year_ago + 300 * 86_400, year_ago))

    listed = _listed(house, "--unused-for", "90d")

    assert list(listed) == ["lone"]
    assert listed["lone"]["last_evidence"]["kind"] == "changed"
    assert _listed(house)["twin"]["last_evidence"]["kind"] == "used"
    answer = _envs(house, "--unused-for", "90d", "--remove", "--backup", "--yes", "--json")
    assert [Path(outcome["path"]).name for outcome in answer.json["outcomes"]] == ["lone"]


def test_stale_lines_are_told_and_fixed_with_a_copy_and_what_may_be_unmounted_stays(house: Machine) -> None:
    lines = _registry(house)
    gone, away = house.envs / "gone", house.directory / "unmounted" / "env"
    not_one = house.directory / "just-a-directory"
    not_one.mkdir()
    half = house.envs / "half"
    (half / "lib").mkdir(parents=True)
    (half / "conda-meta").mkdir()
    text = "\n".join([*lines, str(gone), str(away), str(not_one), ""])
    house.registry.write_text(text)
    (registry,) = _envs(house, "--json").json["registries"]
    assert {item["prefix"]: item["kind"] for item in registry["stale"]} == {
        str(gone): "gone",
        str(away): "away",
        str(not_one): "no-environment",
    }
    assert house.registry.read_text() == text
    assert _envs(house, "--fix-registry").code == 1
    assert house.registry.read_text() == text

    answer = _envs(house, "--fix-registry", "--yes", "--json")

    assert answer.code == 0, answer.out
    assert _registry(house) == [*lines, str(away)]
    assert [Path(copy).read_text() for copy in answer.json["copies"]] == [text]
    assert not half.exists()
    assert not_one.exists()
    assert house.run("prune", "restore", answer.json["run"]).code == 0
    assert (half / "lib").is_dir()
    assert _envs(house, "--fix-registry", "--force", "--yes").code == 0
    assert _registry(house) == lines


def test_a_restore_overwrites_nothing(house: Machine) -> None:
    assert _envs(house, "lone", "--remove", "--backup", "--yes").code == 0
    (house.envs / "lone").mkdir()
    (house.envs / "lone" / "new").write_text("new")

    answer = house.run("prune", "restore", "last", "--json")

    assert [outcome["result"] for outcome in answer.json["outcomes"]] == ["skipped"]
    assert [path.name for path in (house.envs / "lone").iterdir()] == ["new"]
    shutil.rmtree(house.envs / "lone")
    assert house.run("prune", "restore", "last").code == 0
    assert (house.envs / "lone" / "bin" / "inner").is_file()


def test_options_that_mean_nothing_together_are_refused_before_anything_is_done(house: Machine) -> None:
    before = _tree(house.directory)
    useless: tuple[tuple[str, ...], ...] = (
        ("--remove",),
        ("--force", "lone"),
        ("--prune",),
        ("--fix-registry", "lone"),
        ("--unused-for", "soon"),
        ("--backup", "lone"),
    )
    for arguments in useless:
        answer = _envs(house, *arguments, "--json", "--yes")
        assert (answer.code, answer.json["success"]) == (2, False), arguments
    refused: tuple[tuple[str, ...], ...] = (("nobody", "--remove", "--yes"), ("lone", "--remove"))
    for arguments in refused:
        answer = _envs(house, *arguments, "--json")
        assert (answer.code, answer.json["success"]) == (1, False)
    assert _tree(house.directory) == before


def test_hostile_names_break_neither_text_nor_json(house: Machine) -> None:
    name = "wi\x1b[31mld\n\udce9 %s"
    shutil.copytree(house.envs / "lone", house.envs / name, symlinks=True)

    text = _envs(house)

    assert text.code == 0
    assert "\x1b[31m" not in text.out
    answer = _envs(house, house.envs / name, "--remove", "--backup", "--yes", "--json")
    assert answer.code == 0, answer.out
    assert house.run("prune", "restore", "last").code == 0
    assert (house.envs / name / "conda-meta").is_dir()
    assert _envs(house, house.envs / name, "--remove", "--yes").code == 0
    # conda itself can't make one of this name; it must be said in one document all the same.
    assert house.run("prune", "restore", "last", "--json").json["outcomes"][0]["result"] in ("restored", "failed")


@pytest.mark.slow
def test_what_removing_an_environment_and_a_prune_free_together_is_forecast(machine: Machine) -> None:
    now = machine.prune("--dry-run", "--json").json["totals"]["reclaimable"]
    listed = {item["name"]: item for item in _envs(machine, "--json").json["environments"]}
    assert all(item["kept"] > 0 for item in listed.values())
    zoomed = machine.run("prune", "usage", "hard", "--json").json["environment"]
    assert listed["hard"]["kept"] == zoomed["kept"]

    removed = _envs(machine, "hard", "--remove", "--yes", "--json").json

    (outcome,) = removed["outcomes"]
    assert outcome["freed"] == listed["hard"]["own"]
    then = machine.prune("--dry-run", "--json").json["totals"]["reclaimable"]
    assert then == now + listed["hard"]["kept"]


def test_lists_of_environments_end_in_the_command_that_removes_one(machine: Machine) -> None:
    step = "To remove an environment: conda prune envs NAME --remove"

    for arguments in (("envs",), ("envs", "hard"), ("usage",), ("why", "--all")):
        assert step in machine.run("prune", *arguments).out.splitlines()
    zoomed = machine.run("prune", "usage", "hard").out.splitlines()
    assert zoomed[-1] == "To remove it: conda prune envs hard --remove"


def test_no_environment_unused_for_so_long_is_told_in_the_unit_typed(machine: Machine) -> None:
    answer = _envs(machine, "--unused-for", "30d")

    assert answer.code == 0
    assert answer.out.splitlines()[0].startswith("No environments unused for 30 days found: ")
