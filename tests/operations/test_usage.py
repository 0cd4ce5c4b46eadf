"""``conda prune usage`` from outside: the bytes are du's, the reclaimable those of ``conda prune``."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import Machine, allocated, listing, space, told
from rich.console import Console
from schema import check
from tiny import Tiny

from conda_prune_plugin.core.model import Inventory
from conda_prune_plugin.core.plan import Plan
from conda_prune_plugin.core.units import Space, Unit, format_size
from conda_prune_plugin.core.usage.usage_report import FileSystem, Quota, QuotaKind, Usage
from conda_prune_plugin.demo.demo_packages import File, Item, Package, build_channel
from conda_prune_plugin.presentation.environment_documents import usage_document
from conda_prune_plugin.presentation.usage.usage_text import show_usage

if TYPE_CHECKING:
    from collections.abc import Iterator


def _tiny(machine: Machine) -> Tiny:
    tiny = Tiny.__new__(Tiny)
    tiny.cache, tiny.envs = machine.cache, machine.envs
    return tiny


def _usage(machine: Machine, *arguments: str | os.PathLike[str], **environ: str) -> Any:
    answer = machine.run("prune", "usage", "--json", "--min-age", "0", *arguments, **environ)
    assert answer.code == 0, answer.out + answer.err
    return answer.json


def _by_name(document: Any) -> dict[str, Any]:
    return {item["name"] or item["path"]: item for item in document["environments"]}


@pytest.mark.slow
def test_everything_together_is_what_du_says_and_reclaimable_what_prune_says(machine: Machine) -> None:
    document = _usage(machine)
    plan = machine.prune("--dry-run", "--json").json

    assert (document["schema"], document["success"]) == (1, True)
    assert {item["path"] for item in document["environments"]} == {str(path) for path in machine.environments}
    everything = space(machine.cache, *machine.environments)
    assert (document["totals"]["allocated"], document["totals"]["inodes"]) == (everything.bytes, everything.inodes)
    (only,) = document["file_systems"]
    assert (only["allocated"], only["allocated_inodes"]) == (everything.bytes, everything.inodes)
    assert [told(cache) for cache in document["caches"]] == [told(plan["totals"])] == [told(document["totals"])]
    assert document["caches"][0]["allocated"] == allocated(machine.cache)
    assert document["caches"][0]["entries"] == plan["caches"][0]["entries"]
    kinds = (sum(document["caches"][0][name].values()) for name in ("kinds", "kinds_inodes"))
    assert Space(*kinds) == space(machine.cache)
    for item in (*document["environments"], *document["caches"]):
        assert told(item, by="own") + told(item, by="shared") == space(Path(item["path"]))
        assert (item["allocated"], item["inodes"]) == (
            item["own"] + item["shared"],
            item["own_inodes"] + item["shared_inodes"],
        )
    assert _by_name(document)["hard"]["shared_with_caches"] > 0
    assert _by_name(document)["copy"]["shared"] == 0


@pytest.mark.slow
def test_what_conda_and_nobody_recorded_is_told_apart(machine: Machine) -> None:
    prefix = machine.envs / "hard"
    (prefix / "notes of mine.bin").write_bytes(b"n" * 50_000)
    site = next(prefix.glob("lib/python*/site-packages"))
    (site / "wheel_1.dist-info").mkdir()
    (site / "mine.py").write_bytes(b"m" * 9_000)
    info = site / "mine-1.0.dist-info"
    info.mkdir()
    (info / "INSTALLER").write_text("pip\n")
    (info / "METADATA").write_text("Name: mine\n")
    (info / "RECORD").write_text("mine.py,,\nmine-1.0.dist-info/INSTALLER,,\n../../../../outside,,\n/etc/passwd,,\n")
    # uv links what it installs from a cache of its own.
    linked = site / "linked-2.0.dist-info"
    linked.mkdir()
    (linked / "INSTALLER").write_text("uv")
    (linked / "RECORD").write_text("linked.py,,\n")
    for path in (linked / "METADATA", site / "linked.py"):
        (machine.home / path.name).write_bytes(b"l" * 9_000)
        os.link(machine.home / path.name, path)

    document = _usage(machine, "hard")
    zoomed = document["environment"]

    assert zoomed["pip"]["packages"] == ["linked==2.0", "mine==1.0"]
    assert zoomed["pip"]["files"] == 3
    assert zoomed["pip"]["allocated"] == sum(
        path.stat().st_blocks * 512 for path in (site / "mine.py", info / "INSTALLER", site / "linked.py")
    )
    assert zoomed["unrecorded"]["largest"][0] == {
        "path": str(prefix / "notes of mine.bin"),
        "allocated": (prefix / "notes of mine.bin").stat().st_blocks * 512,
    }
    assert {share["dist"] for share in zoomed["dists"]} >= {"libalpha-2.0-0", "innerlinks-1.0-0"}
    # Everything that is not hard-linked has an owner, and nothing two.
    assert (
        zoomed["unrecorded"]["files"]
        + zoomed["pip"]["files"]
        + sum(share["files"] for share in zoomed["dists"])
        + len(os.listdir(prefix / "conda-meta"))
        == zoomed["files"]
    )


@pytest.mark.slow
@pytest.mark.parametrize("links", ["hard", "soft", "copy"])
def test_a_package_of_conda_with_another_name_is_not_pip_s_however_it_was_linked(empty: Machine, links: str) -> None:
    site = "lib/python3.11/site-packages"
    info = f"{site}/graph-1.5.dist-info"
    files: dict[str, Item] = {
        f"{info}/INSTALLER": File(b"pip"),
        f"{info}/METADATA": File(b"Name: graph\n" * 1000),
        f"{info}/RECORD": File(f"graph.py,,\n{os.path.basename(info)}/METADATA,,\n".encode()),
        f"{site}/graph.py": File(b"#" * 20_000),
    }
    build_channel(empty.directory / "channel", (Package("python-graph", "1.5", "0", files=files),))
    settings = {"soft": {"CONDA_ALWAYS_SOFTLINK": "true"}, "copy": {"CONDA_ALWAYS_COPY": "true"}}
    empty.install("create", "-n", "work", "python-graph", **settings.get(links, {}))
    # pip's own, compiled when it was first imported.
    own = empty.envs / "work" / site
    (own / "mine-1.5.dist-info").mkdir()
    (own / "mine-1.5.dist-info" / "INSTALLER").write_text("pip")
    (own / "mine-1.5.dist-info" / "METADATA").write_text("Name: mine\n")
    (own / "mine-1.5.dist-info" / "RECORD").write_text("mine.py,,\n")
    (own / "mine.py").write_bytes(b"#" * 9_000)
    (own / "__pycache__").mkdir(exist_ok=True)
    (own / "__pycache__" / "mine.cpython-311.pyc").write_bytes(b"x" * 5_000)

    (listed,) = (item for item in _usage(empty)["environments"] if item["name"] == "work")
    zoomed = _usage(empty, "work")["environment"]

    assert listed["pip"]["packages"] == ["mine==1.5"]
    assert listed["pip"] == {name: zoomed["pip"][name] for name in listed["pip"]}
    assert listed["pip"]["files"] == 2
    assert f"Installed by pip, {format_size(listed['pip']['allocated'])}:" in empty.prune("usage", "work").out


@pytest.mark.slow
def test_what_only_one_environment_keeps_goes_when_it_goes(machine: Machine) -> None:
    zoomed = _usage(machine, "soft")["environment"]
    before, reclaimable = space(machine.cache), told(machine.prune("--dry-run", "--json").json["totals"])

    removed = machine.run("remove", "-n", "soft", "--all", "--yes")
    assert removed.code == 0, removed.err
    done = machine.prune("--yes", "--json")

    assert done.code == 0
    assert zoomed["kept"] > 0
    assert told(done.json["totals"]) == reclaimable + told(zoomed, by="kept") == before - space(machine.cache)


def test_with_a_name_only_the_packages_of_that_environment_are_listed(machine: Machine) -> None:
    everything = {item["name"] for item in _usage(machine, "--packages")["packages"]}
    named = _usage(machine, "hard", "--packages")

    listed = {item["name"]: item for item in named["packages"]}
    assert set() < set(listed) < everything
    assert len(listed) == named["environment"]["packages"]
    hard = str(next(path for path in machine.environments if path.name == "hard"))
    assert all(any(hard in version["environments"] for version in item["versions"]) for item in listed.values())


def test_what_is_too_recent_for_a_prune_is_told_with_its_size(machine: Machine) -> None:
    recent = machine.run("prune", "usage", "--min-age", "100000d").out
    short = machine.run("prune", "usage", "--summary", "--min-age", "100000d").out
    frees = _usage(machine)["totals"]["reclaimable"]

    assert frees > 0
    for text in (recent, short):
        (line,) = [line for line in text.splitlines() if "too recent" in line]
        assert f"({format_size(frees)})" in line
        assert line.endswith("conda prune --min-age 0")
    assert "too recent" not in machine.run("prune", "usage", "--min-age", "0").out
    for age in ("0", "100000d"):
        zoomed = machine.run("prune", "usage", "hard", "--min-age", age).out
        assert ("conda prune --min-age 0" in zoomed) == (age != "0")


@pytest.mark.slow
def test_packages_say_who_has_which_version(machine: Machine) -> None:
    found = {item["name"]: item for item in _usage(machine, "--packages")["packages"]}

    alpha = found["libalpha"]
    assert {version["dist"] for version in alpha["versions"]} == {"libalpha-1.0-0", "libalpha-2.0-0"}
    assert alpha["environments"] == 2
    assert alpha["duplicated"] == min(version["allocated"] for version in alpha["versions"])
    assert [version["environments"] for version in found["metaonly"]["versions"] if "1.0" in version["dist"]] == [
        [str(machine.envs / "hard")]
    ]
    # Copied into one environment and hard-linked into another.
    assert found["innerlinks"]["shared"] > 0
    assert found["onlyarchive"]["environments"] == 0


@pytest.mark.slow
def test_reading_writes_nothing(machine: Machine) -> None:
    before = listing(machine.directory)

    for arguments in ((), ("hard",), ("--packages",), ("--packages", "--json", "-v")):
        assert machine.run("prune", "usage", *arguments).code == 0

    assert listing(machine.directory) == before


def test_an_installation_s_own_cache_and_environments_are_not_counted_twice(empty: Machine) -> None:
    base = empty.directory / "base"
    inner = Tiny(base)
    inner.add("shared-1-0")
    inner.use("inside", "shared-1-0")
    (base / "conda-meta").mkdir()
    (base / "conda-meta" / "history").touch()
    (base / "bin").mkdir()
    os.link(inner.cache / "shared-1-0" / "lib" / "one", base / "bin" / "one")
    (empty.directory / "again").symlink_to(base / "envs" / "inside")
    places = {"CONDA_PKGS_DIRS": str(inner.cache), "CONDA_ENVS_DIRS": str(inner.envs)}

    document = _usage(empty, "--root", base, "--root", empty.directory / "again", **places)

    assert len(document["environments"]) == 2
    assert document["totals"]["allocated"] == allocated(base)
    counted = next(item for item in document["environments"] if item["path"] == str(base))
    assert counted["files"] == 2
    assert counted["allocated"] == allocated(base) - allocated(inner.cache, inner.envs / "inside") + (
        (base / "bin" / "one").stat().st_blocks * 512
    )


def test_options_count_wherever_they_stand(empty: Machine) -> None:
    _tiny(empty).add("unused-1-0")

    young = empty.run("prune", "usage", "--json").json
    for arguments in (("--min-age", "0", "usage", "--json"), ("--json", "usage", "--min-age", "0")):
        assert empty.run("prune", *arguments).json["totals"]["reclaimable"] == allocated(empty.cache / "unused-1-0")

    assert (young["totals"]["reclaimable"], young["caches"][0]["recent"]) == (0, 1)
    assert "too recent" in empty.run("prune", "usage").out


def test_a_machine_with_nothing_has_a_document_too(empty: Machine) -> None:
    document = _usage(empty)

    assert document["environments"] == []
    assert document["totals"]["allocated"] == allocated(empty.cache)


@pytest.mark.parametrize("name", ["no such", "/no/such", "envs/../nowhere", ""])
def test_an_environment_that_is_not_there_is_an_error_that_names_it(empty: Machine, name: str) -> None:
    answer = empty.run("prune", "usage", name, "--json")

    assert answer.code == 1
    assert answer.json["exception_name"] == "NoSuchEnvironmentError"
    assert f"No environment {name}" in answer.json["message"]


@pytest.mark.parametrize("width", [30, 60, 80, 140])
@pytest.mark.parametrize("arguments", [(), ("--packages",), ("a\tb\x1b[31m ü",)], ids=["all", "packages", "zoom"])
def test_the_text_fits_the_terminal_and_hostile_names_do_no_harm(
    empty: Machine, width: int, arguments: tuple[str, ...]
) -> None:
    tiny = _tiny(empty)
    tiny.add("pkg-1-0")
    tiny.use("a\tb\x1b[31m ü", "pkg-1-0")
    tiny.use("an-environment-with-a-name-that-is-far-too-long-for-any-column-of-a-terminal", "pkg-1-0")
    shown = _at_a_terminal(empty, width, *arguments)

    assert "\x1b" not in shown
    assert "\\x1b[31m" in shown.replace("\n", "") or arguments == ("--packages",)
    # A path or command is never broken, so that it can be copied: the terminal itself continues it on the next line.
    assert not [
        line for line in shown.splitlines() if len(line) > width and " " in line.strip() and "conda prune" not in line
    ]


def _at_a_terminal(machine: Machine, width: int, *arguments: str) -> str:
    """Return what a terminal of a width shows on standard output, where no colours are wanted."""
    script = (
        "import fcntl, os, pty, struct, sys, termios\n"
        "pid, fd = pty.fork()\n"
        "if not pid:\n"
        f"    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, {width}, 0, 0))\n"
        "    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)\n"
        "    os.execv(sys.executable, [sys.executable, '-m', 'conda_prune_plugin.embedded', 'prune', 'usage', "
        f"*{list(arguments)!r}])\n"
        "try:\n"
        "    while data := os.read(fd, 65536):\n"
        "        sys.stdout.buffer.write(data)\n"
        "except OSError:\n"
        "    pass\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    environ = {**machine.environ(NO_COLOR="1"), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # Bold and dim are no colours.
    return re.sub(r"\x1b\[[012]m", "", done.stdout.replace("\r", ""))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of its own, where this may be mounted."""
    image, point = tmp_path / "image", tmp_path / "disk"
    point.mkdir()
    with image.open("wb") as stream:
        stream.truncate(64 << 20)
    made = subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], capture_output=True, text=True, check=False)  # noqa: S607
    mounted = (
        made.returncode
        or subprocess.run(
            ["mount", "-o", "loop", str(image), str(point)],  # noqa: S607
            capture_output=True,
            check=False,
        ).returncode
    )
    if mounted:
        pytest.skip("no file system may be mounted here")
    yield point
    subprocess.run(["umount", str(point)], check=True)  # noqa: S607


def _used_on(path: Path) -> Space:
    os.sync()
    status = os.statvfs(path)
    return Space((status.f_blocks - status.f_bfree) * status.f_frsize, status.f_files - status.f_ffree)


@pytest.mark.posix
def test_reclaimable_is_what_the_file_system_gets_back(disk: Path) -> None:
    machine = Machine(disk / "it")
    machine.create()
    tiny = _tiny(machine)
    for number in range(20):
        tiny.add(f"unused-{number}-0", {f"lib/f{part}": File(b"x" * 3000 * part) for part in range(20)}, archive=True)
    tiny.add("used-1-0")
    tiny.use("env", "used-1-0")
    predicted = told(_usage(machine)["caches"][0])
    assert told(machine.prune("--dry-run", "--json").json["totals"]) == predicted
    before, directory = _used_on(disk), machine.cache.stat().st_blocks

    done = machine.prune("--yes", "--json")

    assert done.json["success"], json.dumps(done.json)
    assert machine.run("prune", "purge", "--all", "--yes").code == 0  # The receipt takes room too.
    assert told(*done.json["outcomes"], by="freed") == predicted
    assert before - _used_on(disk) == predicted + Space((directory - machine.cache.stat().st_blocks) * 512)


def test_inodes_are_sorted_by_and_shown_if_asked_for(empty: Machine) -> None:
    tiny = _tiny(empty)
    for name, count, size in (("many", 30, 10), ("large", 2, 90_000)):
        dist = f"{name}-1-0"
        tiny.add(dist, {f"lib/{name}{part}": File(b"x" * size) for part in range(count)})
        tiny.use(name, dist, link=False)
        for part in range(count):
            (empty.envs / name / f"own{part}").write_bytes(b"x" * size)

    def order(*options: str) -> list[str]:
        return [item["name"] for item in _usage(empty, *options)["environments"]]

    assert (order(), order("--inodes")) == (["large", "many"], ["many", "large"])
    found = [item["name"] for item in _usage(empty, "--packages", "--inodes")["packages"]]
    assert (found, found[::-1]) == (
        ["many", "large"],
        [item["name"] for item in _usage(empty, "--packages")["packages"]],
    )
    counted = _by_name(_usage(empty))["many"]
    for options in (("--inodes",), ("-v",), ("many", "--inodes"), ("many", "-v")):
        shown = empty.run("prune", "usage", "--min-age", "0", *options, COLUMNS="200").out
        assert re.search(rf"\b{counted['own_inodes']}\b", shown), options
        assert "own inodes" in shown, options
    assert "own inodes" not in empty.run("prune", "usage", COLUMNS="200").out
    summary = empty.run("prune", "usage", "--summary", "--inodes").out
    assert re.search(rf"Total +{_usage(empty)['totals']['inodes']} ", summary)


@pytest.mark.posix
def test_what_is_free_on_a_file_system_and_conda_s_part_of_it_are_shown(empty: Machine) -> None:
    _tiny(empty).add("a-1-0")

    (system,) = _usage(empty)["file_systems"]
    shown = empty.run("prune", "usage", COLUMNS="300").out

    status = os.statvfs(empty.cache)
    assert system["size"] == status.f_blocks * status.f_frsize
    assert system["inodes"] == (status.f_files or None)
    assert (system["allocated"], system["allocated_inodes"]) == tuple(
        _usage(empty)["totals"][name] for name in ("allocated", "inodes")
    )
    assert "Environments and caches take less than 1% of its space" in shown
    assert (f" of {status.f_files:,} inodes." in shown) == bool(status.f_files)


def test_quotas_are_told_with_what_they_limit(empty: Machine) -> None:
    bytes_ = Quota(QuotaKind.USER, "1000", Unit.BYTES, 5 << 30, 8 << 30, 10 << 30)
    files = Quota(QuotaKind.GROUP, "100", Unit.INODES, 98_000, 90_000, None)
    one = FileSystem("/home", "nfs4", 1 << 40, 1 << 39, False, quotas=(bytes_, files))
    usage = Usage((), (), (one, replace(one, quotas=(), quota_error="it is late")), 0, Plan(Inventory((), ()), (), ()))
    stream = io.StringIO()

    show_usage(Console(file=stream, width=200), usage, now=0.0)

    assert "Your quota on /home: 5.0 GiB of 10.0 GiB used (soft limit: 8.0 GiB)." in stream.getvalue()
    assert "The quota of group 100 on /home: 98,000 of 90,000 inodes used." in stream.getvalue()
    assert "Your quota on /home is unknown: it is late." in stream.getvalue()
    document = usage_document(usage, ())
    assert document["file_systems"][0]["quotas"][1] == {
        "kind": "group",
        "owner": "100",
        "unit": "inodes",
        "used": 98_000,
        "soft": 90_000,
        "hard": None,
    }
    check(document)


def test_empty_names_are_bad_usage(empty: Machine) -> None:
    for arguments in (
        ("usage", "--html", ""),
        ("--dry-run", "--lockfile", ""),
        ("why", "--find", ""),
        ("--dry-run", "--search", ""),
        ("envs", "--root", ""),
        ("restore", "--pkgs-dir", ""),
    ):
        answer = empty.run("prune", *arguments)
        assert (answer.code, answer.out) == (2, ""), arguments
        assert empty.run("prune", *arguments, "--json").json["exception_name"] == "UsageError"
        assert next(word for word in arguments if word.startswith("--") and word != "--dry-run") in answer.err


def test_a_dry_run_writes_no_report_and_says_so(empty: Machine) -> None:
    report = empty.directory / "u.html"

    answer = empty.run("prune", "usage", "--dry-run", "--quiet", "--html", report)

    assert answer.code == 0
    assert f"Would write the report to {report}" in answer.out.replace("\n", " ")
    assert not report.exists()


def test_quiet_silences_progress_and_not_the_results(empty: Machine) -> None:
    tiny = _tiny(empty)
    tiny.add("a-1-0")
    tiny.use("e", "a-1-0")

    for arguments in (("usage",), ("why", "a")):
        loud, quiet = (empty.run("prune", *arguments, *more) for more in ((), ("--quiet",)))
        assert quiet.code == 0
        assert quiet.out.splitlines()[:1] == loud.out.splitlines()[:1] != []


def test_what_could_not_be_counted_makes_the_totals_inexact(empty: Machine) -> None:
    tiny = _tiny(empty)
    tiny.add("a-1-0")
    tiny.use("e", "a-1-0")
    assert _usage(empty)["totals"]["exact"] is not any(system["reflinks"] for system in _usage(empty)["file_systems"])

    (empty.envs / "loop").symlink_to("loop")

    assert _usage(empty)["totals"]["exact"] is False


def test_what_only_one_environment_keeps_is_what_a_prune_would_give_back_more(empty: Machine) -> None:
    tiny = _tiny(empty)
    for dist in ("alone-1-0", "ruled-1-0", "locked-1-0", "both-1-0", "built-1-0"):
        tiny.add(dist, {f"lib/{dist}": File(b"1" * 5000)})
        tiny.use("e", dist)
    tiny.use("other", "both-1-0")
    record = tiny.cache / "built-1-0" / "info" / "repodata_record.json"
    record.write_text(record.read_text().replace("https://host", "nowhere"))
    (empty.directory / "lock").write_text("@EXPLICIT\nhttps://host/linux-64/locked-1-0.conda\n")
    options = ("--lockfile", str(empty.directory / "lock"), "--keep", "ruled")

    answer = empty.prune(*options, "--json", "usage", "e")
    kept = answer.json["environment"]["kept"]
    before = empty.prune("--dry-run", "--json", *options).json["totals"]["reclaimable"]
    shutil.rmtree(empty.envs / "e")
    after = empty.prune("--dry-run", "--json", *options).json

    assert [item["dist"] for item in after["remove"]] == ["alone-1-0"]
    assert kept == after["totals"]["reclaimable"] - before > 0
