"""``conda prune dedupe``: what it promises to free is freed, and every file reads as before for whoever reads it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from crash import run, run_decided, run_failing
from disks import BTRFS, KINDS, XFS, free, mounted
from machine import PYTHON, Machine, listing
from places import as_another

from conda_prune_plugin.core.model import Inventory
from conda_prune_plugin.demo.demo_packages import PLACEHOLDER, File, Package, build_channel
from conda_prune_plugin.discovery.dedupe.duplicates import find_duplicates
from conda_prune_plugin.discovery.packages.cache_listing import find_caches
from conda_prune_plugin.discovery.roots.environments import Sources
from conda_prune_plugin.discovery.roots.watch import RootWatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from disks import Kind

pytestmark = [pytest.mark.debian, pytest.mark.slow]


_NOBODY = 65534


def _bytes(size: int, seed: str) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311


#: Two versions have a library in common; one file is too small to be worth it, and one gets the prefix.
_COMMON = File(_bytes(300_000, "common"))
_PACKAGES = (
    PYTHON,
    *(
        Package(
            "stored",
            version,
            files={
                "lib/common.so": _COMMON,
                "lib/own.so": File(_bytes(40_001, version)),
                "lib/small": File(b"s" * 100),
                "etc/prefix": File(f"{PLACEHOLDER}\n".encode() + _bytes(9_000, "text")),
            },
        )
        for version in ("1.0", "2.0")
    ),
)


def _blocks(size: int) -> int:
    return -(-size // 4096) * 4096


#: What the common library in all but one package or environment takes, the wheel in one of two environments, and the
#: text in one of two packages; and the library that each version has of its own, in an environment beside its package.
_COMMON_AGAIN = 4 * _blocks(300_000) + _blocks(70_000) + _blocks(9_000 + len(PLACEHOLDER) + 1)
_OWN_AGAIN = 3 * _blocks(40_001)


def _wheel(directory: Path) -> Path:
    """Build a real wheel."""
    content = {"big/__init__.py": b"", "big/data.bin": _bytes(70_000, "wheel")}
    info = "big-1.0.dist-info"
    content[f"{info}/METADATA"] = b"Metadata-Version: 2.1\nName: big\nVersion: 1.0\n"
    content[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    rows = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip('=')},{len(data)}"
        for name, data in content.items()
    ]
    path = directory / "big-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
        archive.writestr(f"{info}/RECORD", "\n".join([*rows, f"{info}/RECORD,,"]))
    return path


def _fill(machine: Machine) -> None:
    """Make environments by copies, by hard links, and with a wheel from pip in two of them."""
    machine.create()
    build_channel(machine.directory / "channel", _PACKAGES)
    machine.install("create", "-n", "linked", "python", "stored=1.0")
    machine.install("create", "-n", "newer", "stored=2.0", CONDA_ALWAYS_COPY="true")
    for name in ("one", "two"):
        machine.install("create", "-n", name, "python", "stored=1.0", CONDA_ALWAYS_COPY="true")
        site = machine.envs / name / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile"),
                *("--target", site, _wheel(machine.directory)),
            ],
            check=True,
            env={"PATH": os.environ["PATH"], "HOME": str(machine.home)},
        )


@pytest.fixture(scope="module", params=[XFS, BTRFS], ids=lambda kind: kind.name)
def filled(request: pytest.FixtureRequest) -> Iterator[tuple[Kind, Path]]:
    """A file system that can share, and on it a machine nothing of which is shared yet. Every user may go there."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        with mounted(request.param, Path(directory, "disk")) as top:
            _fill(Machine(top))
            yield request.param, top


@pytest.fixture
def place(filled: tuple[Kind, Path]) -> Iterator[tuple[Kind, Machine]]:
    """The machine as it was made: copied without sharing, and back."""
    kind, directory = filled
    kept = directory.parent / "kept"
    if not kept.exists():
        _copy(directory, kept)
    os.sync()
    yield kind, Machine(directory)
    shutil.rmtree(directory)
    _copy(kept, directory)
    os.sync()


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", "--reflink=never", "--", source, target], check=True)  # noqa: S607


def _dedupe(machine: Machine, *arguments: str) -> Any:
    answer = machine.run("prune", "dedupe", "--json", *arguments)
    assert answer.code == 0, answer.out + answer.err
    return answer.json


def _seen(machine: Machine) -> dict[str, tuple[object, ...]]:
    """Return what every reader sees of the packages and environments: content, owner, mode, links, times."""
    return {**listing(machine.cache), **listing(machine.envs)}


def test_what_is_promised_is_freed_and_every_file_stays_as_it_is(place: tuple[Kind, Machine]) -> None:
    kind, machine = place
    before, room = _seen(machine), free(kind, machine.directory)

    planned = _dedupe(machine, "--dry-run")
    done = _dedupe(machine, "--yes")

    expected = _COMMON_AGAIN + _OWN_AGAIN
    assert planned["totals"]["frees"] == done["totals"]["frees"] == expected
    assert {outcome["result"] for outcome in done["outcomes"]} == {"shared"}
    assert sum(outcome["freed"] for outcome in done["outcomes"]) == expected
    freed = free(kind, machine.directory) - room
    # btrfs takes and gives metadata in nodes of 16 KiB.
    assert freed == expected if kind is XFS else abs(freed - expected) <= 8 * (16 << 10)
    assert _seen(machine) == before
    assert _dedupe(machine, "--yes")["totals"] == {"files": 0, "frees": 0, "exact": True}


def test_a_dry_run_changes_nothing(place: tuple[Kind, Machine]) -> None:
    kind, machine = place
    before, room = listing(machine.directory), free(kind, machine.directory)

    assert _dedupe(machine, "--dry-run")["outcomes"] == []

    assert listing(machine.directory) == before
    assert free(kind, machine.directory) == room


def test_only_named_environments_are_changed(place: tuple[Kind, Machine]) -> None:
    _, machine = place

    document = _dedupe(machine, "two", "--yes")

    assert {item["name"] for item in document["places"]} == {"two"}
    assert all(item["path"].startswith(str(machine.envs / "two")) for item in document["share"])
    assert document["totals"]["files"] == 3


def test_a_record_that_lies_changes_nothing(place: tuple[Kind, Machine]) -> None:
    _, machine = place
    changed = machine.envs / "one" / "lib" / "common.so"
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)

    document = _dedupe(machine, "--yes")

    refused = [outcome for outcome in document["outcomes"] if outcome["result"] != "shared"]
    assert [outcome["path"] for outcome in refused] == [str(changed)]
    assert changed.read_bytes() == content
    assert (machine.envs / "two" / "lib" / "common.so").read_bytes() == _COMMON.content


def test_names_outside_of_a_place_and_links_on_the_way_are_not_followed(place: tuple[Kind, Machine]) -> None:
    _, machine = place
    outside = machine.directory / "outside"
    outside.mkdir()
    for name in ("common.so", "own.so"):
        shutil.copy(machine.envs / "one" / "lib" / name, outside / name)
    shutil.rmtree(machine.envs / "one" / "lib")
    (machine.envs / "one" / "lib").symlink_to(outside)
    record = next((machine.envs / "two" / "conda-meta").glob("stored-*.json"))
    data = json.loads(record.read_text())
    for item in data["paths_data"]["paths"]:
        item["_path"] = f"../../outside/{Path(item['_path']).name}"
    record.write_text(json.dumps(data))
    before = listing(outside)

    document = _dedupe(machine, "--yes")

    shared = [outcome["path"] for outcome in document["outcomes"] if outcome["result"] == "shared"]
    assert shared
    assert not [path for path in shared if "outside" in path or "/one/" in path]
    assert listing(outside) == before


def test_what_the_kernel_refuses_is_said_and_stops_nothing_else(place: tuple[Kind, Machine]) -> None:
    _, machine = place
    fixed = machine.envs / "one" / "lib" / "common.so"
    subprocess.run(["chattr", "+i", fixed], check=True)  # noqa: S607
    try:
        document = _dedupe(machine, "--yes")
    finally:
        subprocess.run(["chattr", "-i", fixed], check=True)  # noqa: S607

    outcomes = {outcome["path"]: outcome["result"] for outcome in document["outcomes"]}
    assert outcomes.pop(str(fixed)) == "skipped"
    assert set(outcomes.values()) == {"shared"}


def test_storage_that_another_file_holds_is_not_promised(place: tuple[Kind, Machine]) -> None:
    kind, machine = place
    for name in ("one", "two"):
        library = machine.envs / name / "lib" / "own.so"
        clone = machine.directory / f"clone-of-{name}"
        subprocess.run(["cp", "--reflink=always", library, clone], check=True)  # noqa: S607
    room = free(kind, machine.directory)

    document = _dedupe(machine, "--yes")

    # Of 1.0 the package goes over to what a clone keeps anyway. The library of 2.0 has no clone.
    assert document["totals"]["frees"] == _COMMON_AGAIN + _OWN_AGAIN // 3 * 2
    if kind is XFS:
        assert free(kind, machine.directory) - room == document["totals"]["frees"]


def test_clones_share_already(place: tuple[Kind, Machine]) -> None:
    _, machine = place
    for path in ("lib/common.so", "lib/own.so"):
        for name in ("one", "two"):
            target = machine.envs / name / path
            target.unlink()
            source = machine.cache / "stored-1.0-0" / path
            subprocess.run(["cp", "--reflink=always", "--preserve", source, target], check=True)  # noqa: S607
    os.sync()

    document = _dedupe(machine, "--yes")

    assert [item["path"].rpartition("/envs/")[2] for item in document["share"] if "stored-1" in item["package"]] == []


def test_killed_at_any_call_it_leaves_each_file_as_it_was_or_shared(place: tuple[Kind, Machine]) -> None:
    _, machine = place
    before = _seen(machine)
    calls = 0

    def count(call: str, path: str) -> str:
        nonlocal calls
        calls += 1
        return ""

    assert run_failing(machine, ("prune", "dedupe", "--dry-run"), count, ("ioctl",)).code == 0
    in_dry_run = calls
    killed = 0
    for number in range(in_dry_run + 1, in_dry_run + 30, 2):
        seen = 0

        def decide(call: str, path: str, number: int = number) -> str:
            nonlocal seen
            seen += 1
            return "signal=KILL" if seen == number else ""

        killed += run_failing(machine, ("prune", "dedupe", "--yes"), decide, ("ioctl",)).code == -9

        assert _seen(machine) == before
    assert killed
    assert _dedupe(machine, "--yes")["success"]
    assert _dedupe(machine, "--dry-run")["totals"]["files"] == 0


def test_a_writer_loses_nothing(place: tuple[Kind, Machine]) -> None:
    _, machine = place
    files = [machine.envs / name / "lib" / lib for name in ("one", "two", "newer") for lib in ("common.so", "own.so")]
    written: dict[Path, bytes] = {}
    stop = threading.Event()

    def write() -> None:
        chance = random.Random(7)  # noqa: S311
        while not stop.is_set():
            path = chance.choice(files)
            data = written.get(path) or path.read_bytes()
            place = chance.randrange(len(data) - 10)
            piece = chance.choice((data[place : place + 10], chance.randbytes(10)))
            with path.open("r+b") as stream:
                stream.seek(place)
                stream.write(piece)
            written[path] = data[:place] + piece + data[place + 10 :]

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(6):
            assert run(machine, "prune", "dedupe", "--yes").code == 0
    finally:
        stop.set()
        writer.join()

    assert written
    assert {path: path.read_bytes() for path in written} == written


def test_conda_and_pip_go_on_as_if_nothing_had_happened(place: tuple[Kind, Machine]) -> None:
    _, machine = place
    _dedupe(machine, "--yes")

    machine.install("install", "-n", "one", "stored=2.0", CONDA_ALWAYS_COPY="true")
    removed = machine.run("remove", "-n", "two", "stored", "--yes")

    assert removed.code == 0, removed.err
    assert not (machine.envs / "two" / "lib" / "own.so").exists()
    assert (machine.envs / "one" / "lib" / "own.so").read_bytes() == _bytes(40_001, "2.0")
    assert (machine.envs / "linked" / "lib" / "own.so").read_bytes() == _bytes(40_001, "1.0")
    assert (machine.cache / "stored-1.0-0" / "lib" / "own.so").read_bytes() == _bytes(40_001, "1.0")
    assert _dedupe(machine, "--yes")["success"]


def test_root_shares_the_files_of_each_user_as_that_user(place: tuple[Kind, Machine]) -> None:
    _, machine = place
    for path in (machine.envs / "one", machine.envs / "newer", *(machine.envs / "one").rglob("*")):
        os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
    theirs = machine.envs / "newer" / "lib"
    for path in (theirs, *theirs.iterdir()):
        os.chown(path, _NOBODY, _NOBODY)
    unreadable = theirs / "common.so"
    unreadable.chmod(0)
    before = _seen(machine)

    document = _dedupe(machine, "--yes")

    for item in document["share"]:
        assert os.stat(item["path"]).st_uid == os.stat(item["source"]).st_uid
    results = {outcome["path"]: outcome["result"] for outcome in document["outcomes"]}
    # Its owner can't read one of the two, which root could.
    refused = unreadable if str(unreadable) in results else machine.envs / "one" / "lib" / "common.so"
    assert results.pop(str(refused)) == "skipped"
    assert set(results.values()) == {"shared"}
    assert _seen(machine) == before


def test_files_of_others_are_left_alone(place: tuple[Kind, Machine]) -> None:
    _, machine = place
    for path in (machine.directory, *machine.directory.rglob("*")):
        os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)

    def look() -> list[object]:
        caches, _ = find_caches((str(machine.cache),), ())
        roots = RootWatch(Sources(envs_dirs=(str(machine.envs),)), caches).roots
        found = find_duplicates(Inventory(caches, roots), {}, lambda done: None)
        return [len(found.groups), list(found.left)]

    assert as_another(lambda: None, look) == [5, []]
    assert as_another(lambda: os.setuid(_NOBODY - 1), look) == [0, ["other-user"]]


def test_a_file_system_that_cant_share_is_named(tmp_path: Path) -> None:
    with mounted(next(kind for kind in KINDS if kind.name == "ext4 without blocks"), tmp_path / "disk") as top:
        machine = Machine(top / "it")
        _fill(machine)
        before = listing(machine.directory)

        document = _dedupe(machine, "--yes")

        (left,) = document["left"]
        assert (left["reason"], left["files"], document["share"]) == ("file-system", 9, [])
        # Its blocks are smaller.
        assert _COMMON_AGAIN + _OWN_AGAIN - 9 * 4096 < left["bytes"] < _COMMON_AGAIN + _OWN_AGAIN
        assert listing(machine.directory) == before


def test_no_answer_is_a_no(place: tuple[Kind, Machine]) -> None:
    _, machine = place

    answer = run_decided(machine, ("prune", "dedupe"), lambda call: "")

    assert answer.code == 1
    assert _dedupe(machine, "--dry-run")["totals"]["files"] > 0
