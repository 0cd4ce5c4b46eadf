"""Receipts, archives and caches that somebody has tampered with, or that are in a bad way: nothing else is harmed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from crash import run
from machine import Machine, contents, listing
from paused import paused
from tiny import Tiny

from conda_prune_plugin.demo.demo_packages import File, Package, build_package
from conda_prune_plugin.demo.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from crash import End

PRUNE = ("prune", "--min-age", "0", "--yes")
DISTS = ("a-1-0", "b-1-0")


class Place:
    """A cache with two unreferenced entries, commands on it, and a victim beside it."""

    def __init__(self, directory: Path) -> None:
        self.tiny = Tiny(directory)
        self.sandbox = Sandbox(directory)
        self.sandbox.create()
        for dist in DISTS:
            self.tiny.add(dist, archive=True)
        self.victim = directory / "victim"
        (self.victim / "empty").mkdir(parents=True)

    def run(self, *command: str) -> End:
        """Run a command of conda."""
        return run(self.sandbox, *command)

    def json(self, *command: str) -> Any:
        """Run a command and return its document."""
        return json.loads(self.run(*command, "--json").output)

    @property
    def receipt(self) -> Path:
        """The receipt of the only run."""
        (found,) = self.sandbox.cache.glob(".conda-prune/*/receipt.json")
        return found

    def tamper(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the receipt."""
        document = json.loads(self.receipt.read_text())
        change(document)
        self.receipt.write_text(json.dumps(document))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "it")


def _part(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["entries"][0]["parts"][0].update(changes)


def _entry(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["entries"][0].update(changes)


@pytest.mark.parametrize("how", ["--backup", "--no-backup"])
@pytest.mark.parametrize(
    "change",
    [
        _part(name="../victim"),
        _part(name="/etc/victim"),
        _part(name="victim\0"),
        _part(name=7),
        _part(number="../../../victim"),
        _part(number="-1"),
        _part(kind="everything"),
        _entry(files=float("inf")),
        _entry(reclaimable=None),
        _entry(record=[1]),
        _entry(record="text"),
        _entry(record={"size": "x", "md5": 7, "fn": []}),
        _entry(source=7),
        _entry(parts=[]),
        _entry(archived={"name": "../x", "sha256": "", "size": -1}),
        lambda document: document.update(started=float("nan")),
        lambda document: document.update(disposal="archive", destination="../victim"),
        lambda document: document.update(entries={"a": 1}),
        lambda document: document.update(schema=2),
    ],
)
def test_a_receipt_that_somebody_changed_harms_nothing_and_is_no_traceback(
    place: Place, how: str, change: Callable[[dict[str, Any]], object]
) -> None:
    assert place.run(*PRUNE, how).code == 0
    place.tamper(change)
    before = listing(place.victim)

    for command in (("prune", "restore"), ("prune", "restore", "last"), ("prune", "purge", "--all", "--yes"), PRUNE):
        end = place.run(*command)
        assert end.code in (0, 1), end.output
        assert "Traceback" not in end.output
        assert "conda.exceptions" not in end.output
    assert listing(place.victim) == before


def test_a_purge_deletes_no_directory_that_does_not_prove_to_be_the_run_s(place: Place) -> None:
    assert place.run(*PRUNE).code == 0
    place.tamper(lambda document: document.update(disposal="archive", destination=str(place.victim / "empty")))

    place.run("prune", "purge", "--all", "--yes")

    assert (place.victim / "empty").is_dir()


@pytest.mark.parametrize("gone", [False, True])
def test_what_lies_on_a_disk_that_may_not_be_mounted_is_not_purged_with_nothing_left_to_tell_of_it(
    place: Place, tmp_path: Path, gone: bool
) -> None:
    disk = tmp_path / "disk"
    assert place.run(*PRUNE, "--backup-to", str(disk / "archives")).code == 0
    disk.rename(tmp_path / "unmounted")

    (run,) = place.json("prune", "purge", "--all", "--yes")["runs"]

    assert run["result"] == "failed"
    assert f"{disk / 'archives'} and the directory above it" in run["error"]
    assert place.json("prune", "restore")["runs"][0]["dists"] == list(DISTS)
    if gone:
        disk.mkdir()
    else:
        (tmp_path / "unmounted").rename(disk)
    assert place.run("prune", "purge", "--all", "--yes").code == 0
    assert list(disk.glob("*/*")) == []
    assert place.json("prune", "restore")["runs"] == []


@pytest.mark.parametrize("left", ["no directory", "no folder", "nothing", ".DS_Store"])
def test_archives_that_somebody_has_deleted_are_no_obstacle_to_a_purge(place: Place, tmp_path: Path, left: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert place.run(*PRUNE, "--backup-to", str(elsewhere)).code == 0
    (folder,) = elsewhere.glob("*/0")
    shutil.rmtree(elsewhere if left == "no directory" else folder)
    if left in ("nothing", ".DS_Store"):
        folder.mkdir()
    if left == ".DS_Store":
        (folder / left).touch()

    assert place.run("prune", "purge", "--all", "--yes").code == 0

    assert not list(place.sandbox.cache.glob(".conda-prune/*"))
    assert left != ".DS_Store" or (folder / left).exists()


def test_archives_without_the_receipt_that_proves_whose_they_are_stay_and_are_named(
    place: Place, tmp_path: Path
) -> None:
    assert place.run(*PRUNE, "--backup-to", str(tmp_path / "elsewhere")).code == 0
    (receipt,) = (tmp_path / "elsewhere").glob("*/0/receipt.json")
    receipt.unlink()

    (run,) = place.json("prune", "purge", "--all", "--yes")["runs"]

    assert run["result"] == "failed"
    assert str(receipt.parent) in run["error"]
    assert len(list(receipt.parent.glob("*.tar.zst"))) == len(DISTS)


def test_a_stray_file_in_the_folder_of_a_backup_is_no_obstacle_and_stays(place: Place) -> None:
    before = {dist: contents(place.sandbox.cache / dist) for dist in DISTS}
    assert place.run(*PRUNE, "--backup").code == 0
    stray = place.receipt.parent / ".DS_Store"
    stray.touch()

    assert place.run("prune", "restore", "last").code == 0

    assert {dist: contents(place.sandbox.cache / dist) for dist in DISTS} == before
    assert stray.exists()
    assert place.json("prune", "restore")["runs"] == []
    assert place.run(*PRUNE).code == 0


def test_what_an_interrupted_restore_has_put_back_counts_as_restored(place: Place) -> None:
    assert place.run(*PRUNE, "--backup").code == 0
    os.rename(place.receipt.parent / "0", place.sandbox.cache / "a-1-0")

    document = place.json("prune", "restore", "last")

    assert {outcome["result"] for outcome in document["outcomes"]} == {"restored"}
    assert place.json("prune", "restore")["runs"] == []


@pytest.mark.posix
def test_a_lock_that_is_held_in_the_second_cache_leaves_the_first_as_it_is(tmp_path: Path) -> None:
    import fcntl

    place, other = Place(tmp_path / "it"), Place(tmp_path / "other")
    both = ("--pkgs-dir", str(place.sandbox.cache), "--pkgs-dir", str(other.sandbox.cache))
    assert place.run(*PRUNE, "--backup", *both).code == 0
    lock = other.sandbox.cache / ".cache.lock"
    lock.touch()
    before = listing(place.sandbox.cache)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for command in (("restore", "last"), ("purge", "--all", "--yes")):
            document = place.json("prune", *command, *both, "--lock-timeout", "0")
            assert document["exception_name"] == "LockTimeoutError"
    after = listing(place.sandbox.cache)
    # Taking the locks has changed the directory's own times, and nothing else.
    for path in (str(place.sandbox.cache), str(place.sandbox.cache / ".conda-prune")):
        del before[path], after[path]
    assert after == before


def test_an_archive_that_is_not_the_one_is_not_used_and_a_broken_one_stops_none_of_the_others(place: Place) -> None:
    channel = place.sandbox.directory / "channel"
    for dist, version in (("x-1-0", "1"), ("y-1-0", "1"), ("z-1-0", "1")):
        build_package(Package(dist[0], version, files={"lib/it": File(dist.encode() * 999)}), channel, ".conda")
    explicit = place.sandbox.directory / "explicit.txt"
    urls = [f"{(channel / f'{name}-1-0.conda').as_uri()}" for name in "xyz"]
    explicit.write_text("@EXPLICIT\n" + "\n".join(urls) + "\n")
    assert place.run("create", "-n", "e", "--file", str(explicit), "--yes").code == 0
    assert place.run("remove", "-n", "e", "--all", "--yes").code == 0
    before = contents(place.sandbox.cache / "z-1-0")
    assert place.run(*PRUNE, "--packages", "--include-irreplaceable").code == 0
    cache = place.sandbox.cache
    (cache / "x-1-0.conda").write_bytes((cache / "y-1-0.conda").read_bytes())
    (cache / "y-1-0.conda").write_bytes((cache / "y-1-0.conda").read_bytes()[:500])
    for archive in channel.glob("*.conda"):
        archive.unlink()

    document = place.json("prune", "restore", "last")

    results = {outcome["dist"]: outcome["result"] for outcome in document["outcomes"]}
    assert {name: results[f"{name}-1-0"] for name in "xyz"} == {"x": "failed", "y": "failed", "z": "restored"}
    assert not (cache / "x-1-0").exists()
    assert not (cache / "y-1-0").exists()
    after = contents(cache / "z-1-0")
    record = str(cache / "z-1-0" / "info" / "repodata_record.json")
    assert {**after, record: None} == {**before, record: None}


@pytest.mark.parametrize("disposal", ["--backup-to", "--no-backup"])
def test_what_a_restore_was_about_to_make_when_it_was_interrupted_does_not_count_as_restored(
    place: Place, tmp_path: Path, disposal: str
) -> None:
    assert place.run(*PRUNE, disposal, *([str(tmp_path / "elsewhere")] if disposal == "--backup-to" else [])).code == 0
    machine = Machine(place.sandbox.directory)
    moment = "conda_prune_plugin.execution.restore_backups:_Restoration._attempt"

    with paused(machine, moment, "prune", "restore", "last", "--json") as restore:
        assert restore.interrupt() == 130

    document = json.loads(restore.output)
    assert {outcome["result"] for outcome in document["outcomes"]} == {"skipped"}
    assert not (place.tiny.cache / "a-1-0").exists()
    (run,) = place.json("prune", "restore")["runs"]
    assert run["dists"] == list(DISTS)


def _fill(path: Path) -> None:
    """Fill the disk to its last byte."""
    with suppress(OSError), path.open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 4096)


@contextmanager
def _small_disk(path: Path, options: str) -> Iterator[Path]:
    """Mount a file system in memory that can be filled."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)  # noqa: S607


def test_a_backup_can_be_purged_from_a_full_disk(tmp_path: Path) -> None:
    with _small_disk(tmp_path / "full", "size=2m") as full:
        place = Place(tmp_path / "it")
        os.rename(place.sandbox.cache, place.sandbox.cache.with_name("empty"))
        tiny = Tiny(full)
        tiny.add("a-1-0", archive=True)
        there = ("--pkgs-dir", str(tiny.cache))
        assert place.run(*PRUNE, "--backup", *there).code == 0
        _fill(full / "fill")

        assert place.run("prune", "restore", "last", *there).code in (0, 1)
        assert (tiny.cache / "a-1-0" / "lib" / "one").exists()
        (full / "fill").unlink()
        assert place.run(*PRUNE, "--backup", *there).code == 0
        _fill(full / "fill")
        end = place.run("prune", "purge", "--all", "--yes", *there)

        assert end.code == 0, end.output
        assert tiny.names() == {"urls.txt"}


@pytest.mark.parametrize("lacking", ["bytes", "inodes"])
def test_what_finds_no_room_at_a_restore_takes_none_from_the_others(tmp_path: Path, lacking: str) -> None:
    with _small_disk(tmp_path / "full", "size=4m,nr_inodes=500") as full:
        place = Place(tmp_path / "it")
        tiny = Tiny(full / "it")
        tiny.add("a-1-0", {f"lib/{number}": File(b"a" * 20_000) for number in range(80)})
        for dist in ("b-1-0", "c-1-0"):
            tiny.add(dist)
        there = ("--pkgs-dir", str(tiny.cache))
        assert place.run(*PRUNE, "--backup-to", str(tmp_path / "elsewhere"), *there).code == 0
        if lacking == "bytes":
            _fill(full / "fill")
            os.truncate(full / "fill", (full / "fill").stat().st_size - 500_000)
        else:
            with suppress(OSError):
                for number in count():
                    (full / f"fill{number}").touch()
            for number in range(60):
                (full / f"fill{number}").unlink()

        document = place.json("prune", "restore", "last", *there)

        results = {outcome["dist"]: outcome["result"] for outcome in document["outcomes"]}
        assert results == {"a-1-0": "failed", "b-1-0": "restored", "c-1-0": "restored"}
        assert "No space left on device" in document["outcomes"][0]["error"]
        assert tiny.names() - {".conda-prune"} == {"b-1-0", "c-1-0", "urls.txt"}
        for fill in full.glob("fill*"):
            fill.unlink()
        assert place.run("prune", "restore", "last", "--only", "a", *there).code == 0
        assert len(list((tiny.cache / "a-1-0" / "lib").iterdir())) == 80


@pytest.mark.parametrize("how", ["--no-backup", "--backup-to"])
def test_a_tree_deeper_than_files_may_be_open_is_removed(place: Place, how: str) -> None:
    directory = place.sandbox.cache / "a-1-0"
    for number in range(300):
        directory /= f"d{number}"[:4]
    directory.mkdir(parents=True)
    (directory / "file").touch()
    target = (str(place.sandbox.directory / "elsewhere"),) if how == "--backup-to" else ()

    end = place.run(*PRUNE, how, *target)

    assert end.code == 0, end.output
    assert not (place.sandbox.cache / "a-1-0").exists()


@pytest.mark.parametrize("command", [("prune", "--dry-run", "--json"), ("prune", "restore", "--json")])
def test_a_receipt_that_is_too_large_is_not_read(place: Place, command: tuple[str, ...]) -> None:
    place.run(*PRUNE)
    with place.receipt.open("ab") as stream:
        stream.truncate(2 << 30)

    done = place.run(*command)

    assert done.code == 0, done.output
    assert any(place.receipt.parent.name in item["message"] for item in json.loads(done.output)["warnings"])


def test_an_archive_that_is_a_device_is_not_read(place: Place, tmp_path: Path) -> None:
    place.run(*PRUNE, "--backup-to", str(tmp_path / "archives"))
    document = json.loads(place.receipt.read_text())
    document["destination"] = "/dev"
    for entry in document["entries"]:
        entry["archived"]["name"] = "zero"
    place.receipt.write_text(json.dumps(document))

    done = place.json("prune", "restore", "last")

    assert {outcome["result"] for outcome in done["outcomes"]} == {"failed"}
