"""What looks like a leftover and may be something else stays: files of the user, sound archives, what is unique."""

from __future__ import annotations

import bz2
import io
import json
import os
import re
import shlex
import shutil
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
from machine import Machine, listing
from tiny import Tiny

from conda_prune_plugin.core.rules.policy import Policy
from conda_prune_plugin.demo.demo_packages import File, Package, build_channel
from conda_prune_plugin.discovery.leftovers.leftover_search import Search, find_leftovers
from conda_prune_plugin.discovery.packages.archive_metadata import LARGEST_INDEX, holds_package
from conda_prune_plugin.discovery.packages.inspection import Memory
from conda_prune_plugin.discovery.packages.integrity import archive_damage, never


@pytest.fixture
def tiny(empty: Machine) -> Tiny:
    empty.cache.joinpath("urls.txt").unlink()
    empty.cache.rmdir()
    empty.envs.rmdir()
    return Tiny(empty.directory)


def _removed(machine: Machine, *options: str) -> dict[str, str]:
    plan = machine.prune("--leftovers", "--dry-run", "--json", *options).json
    return {decision["dist"]: decision["reasons"][0]["kind"] for decision in plan["remove"]}


def _set_url(tree: Path, url: str, **more: object) -> None:
    path = tree / "info" / "repodata_record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "url": url, **more}))


def test_what_somebody_has_put_into_a_cache_is_no_leftover_whatever_its_name(empty: Machine, tiny: Tiny) -> None:
    cache = tiny.cache
    data = cache / "data-2020-01"
    data.mkdir()
    (data / "measured.csv").write_text("1,2")
    with tarfile.open(cache / "data-2020-01.tar.bz2", "w:bz2") as archive:
        archive.add(data, data.name)
    # Being copied here, or with something behind its end, as bzip2 allows.
    shutil.copy(cache / "data-2020-01.tar.bz2", cache / "cut-2020-01.tar.bz2")
    os.truncate(cache / "cut-2020-01.tar.bz2", 100)
    (cache / "padded-2020-01.tar.bz2").write_bytes(bz2.compress(b"data") + b"and more")
    # An editor's backup of notes.c; a directory of somebody's own.
    (cache / "notes.c~").write_text("int main() {}")
    (cache / "photos.trash").mkdir()
    (cache / "photos.trash" / "one.jpg").touch()
    (cache / "my-project-1" / "info").mkdir(parents=True)
    (cache / "my-project-1" / "info" / "files").write_text("a list")
    before = listing(cache)

    assert _removed(empty, "--verify") == {}
    assert empty.prune("--all", "--verify", "--yes", "--json").json["remove"] == []
    assert listing(cache) == before


def test_a_package_whose_extraction_was_cut_off_is_known_by_the_archive_beside_it(empty: Machine, tiny: Tiny) -> None:
    channel = empty.directory / "channel"
    build_channel(channel, [Package("cut", "1", files={"lib/it": File(b"it")})])
    shutil.copy(channel / "linux-64" / "cut-1-0.conda", tiny.cache)
    (tiny.cache / "cut-1-0" / "lib").mkdir(parents=True)
    (tiny.cache / "cut-1-0" / "lib" / "it").write_text("i")

    assert _removed(empty) == {"cut-1-0": "incomplete-extraction"}


def test_a_sound_archive_of_another_channel_is_not_corrupt(empty: Machine, tiny: Tiny) -> None:
    tree = tiny.add("two-1-0", archive=True)
    tiny.use("e", "two-1-0")
    _set_url(tree, "https://host/one/linux-64/two-1-0.conda", size=7, sha256="0" * 64)

    (tiny.cache / "urls.txt").write_text("https://user:secret@host/one/linux-64/two-1-0.conda\n")
    assert _removed(empty) == {"two-1-0.conda": "corrupt"}
    (tiny.cache / "urls.txt").write_text("https://host/other/linux-64/two-1-0.conda\n")
    assert _removed(empty) == {}
    os.truncate(tiny.cache / "two-1-0.conda", 500)
    assert _removed(empty) == {"two-1-0.conda": "corrupt"}


def test_a_changed_package_that_can_not_be_had_again_stays_unless_that_is_asked_for(empty: Machine, tiny: Tiny) -> None:
    tree = tiny.add("mine-1-0")
    (tree / "lib" / "one").write_text("mended by hand")
    assert _removed(empty) == {"mine-1-0": "corrupt"}
    _set_url(tree, "file:///nowhere/linux-64/mine-1-0.conda")

    plan = empty.prune("--dry-run", "--json").json

    assert [(keep["dist"], keep["reasons"][0]["kind"]) for keep in plan["keep"]] == [("mine-1-0", "irreplaceable")]
    assert _removed(empty) == {}
    assert _removed(empty, "--include-irreplaceable") == {"mine-1-0": "corrupt"}


def test_an_archive_that_can_not_be_read_stops_no_verification(empty: Machine, tiny: Tiny) -> None:
    path = tiny.cache / "locked-1-0.conda"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("content", b"x" * 100)
    content = bytearray(path.read_bytes())
    content[6] |= 1  # Encrypted, says the file's own header, and that in the directory at the end.
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    (tiny.cache / "urls.txt").write_text("https://host/linux-64/locked-1-0.conda\n")
    (tiny.add("lacks-1-0") / "lib" / "one").unlink()

    assert _removed(empty, "--verify") == {"locked-1-0.conda": "corrupt", "lacks-1-0": "corrupt"}


@pytest.mark.slow
def test_what_was_set_aside_stays_while_a_soft_linked_package_is_not_whole_without_it(empty: Machine) -> None:
    build_channel(empty.directory / "channel", [Package("it", "1", files={"lib/it": File(b"it")})])
    empty.install("create", "-n", "e", "it", CONDA_ALWAYS_SOFTLINK="true")
    # As conda was killed when it had begun to extract the package anew.
    os.rename(empty.entry("it-1-0"), empty.cache / "it-1-0.c~")

    for _ in "missing", "half":
        plan = empty.prune("--leftovers", "--dry-run", "--json").json
        assert plan["remove"] == []
        assert ("it-1-0.c~", "environment") in [(keep["dist"], keep["reasons"][0]["kind"]) for keep in plan["keep"]]
        (empty.entry("it-1-0") / "lib").mkdir(parents=True, exist_ok=True)
    assert empty.prune("--repair", "--yes", "--json").json["outcomes"][0]["result"] == "repaired"
    assert _removed(empty) == {"it-1-0.c~": "trash"}


@pytest.mark.slow
def test_a_repair_goes_with_every_way_to_undo_and_is_not_promised_without_an_archive(empty: Machine) -> None:
    build_channel(empty.directory / "channel", [Package("it", "1", files={"lib/a": File(b"a"), "lib/b": File(b"b")})])
    empty.install("create", "-n", "e", "it", CONDA_ALWAYS_SOFTLINK="true")
    for undo in ("--backup", "--backup-to=elsewhere"):
        (empty.entry("it-1-0") / "lib" / "b").unlink()
        (empty.cache / "x-1-0.conda.partial").touch()
        document = empty.prune("--repair", "--leftovers", "--yes", "--json", undo).json
        assert [outcome["result"] for outcome in document["outcomes"]] == ["backed-up", "repaired"]
    (empty.entry("it-1-0") / "lib" / "b").unlink()
    (empty.cache / "it-1-0.conda").unlink()

    (empty.cache / "y-1-0.conda.partial").touch()
    document = empty.prune("--repair", "--min-age", "0", "--yes", "--json").json

    # Without a target a repair removes nothing.
    assert document["outcomes"] == []
    assert (empty.cache / "y-1-0.conda.partial").exists()
    assert ["Download its archive" in warning["message"] for warning in document["warnings"]] == [True]


def test_contents_are_read_though_no_more_threads_are_to_be_had(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path)
    for number in range(3):
        tiny.add(f"p{number}-1-0")
    (tiny.cache / "p1-1-0" / "lib" / "one").write_bytes(b"2" * 5000)
    # No thread can have a stack of that size, so none starts.
    usual = threading.stack_size(1 << 50)

    try:
        found = find_leftovers(tiny.inventory(), (), Search(hashes=True), Memory(), lambda done: None)
    finally:
        threading.stack_size(usual)

    assert [item.entry.dist for item in found.leftovers] == ["p1-1-0"]


@pytest.mark.linux  # Only Linux tells how much was read.
def test_who_interrupts_a_verification_need_not_wait_for_what_is_still_read(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path)
    tiny.add("a-1-0")
    large = tiny.add("b-1-0", {"lib/large": File(b"1")})
    length = 8 << 30
    os.truncate(large / "lib" / "large", length)
    paths = large / "info" / "paths.json"
    listed = json.loads(paths.read_text())
    listed["paths"][0]["size_in_bytes"] = length
    paths.write_text(json.dumps(listed))

    def interrupt(entries: int) -> None:
        raise KeyboardInterrupt

    before = _read_so_far()
    with pytest.raises(KeyboardInterrupt):
        find_leftovers(tiny.inventory(), (), Search(hashes=True), Memory(), interrupt)

    assert _read_so_far() - before < length / 2


@pytest.mark.parametrize("suffix", [".conda", ".tar.bz2"])
def test_nor_for_an_archive_that_only_reading_tells_of(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a-1-0{suffix}"
    content = bytes(8 << 20)
    if suffix == ".conda":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("pkg.tar.zst", content)
    else:
        path.write_bytes(bz2.compress(content))
    asked = []

    def enough() -> bool:
        asked.append(True)
        return len(asked) > 2

    with pytest.raises(InterruptedError):
        archive_damage(str(path), path.stat().st_size, {}, known=True, contents=enough)

    assert len(asked) == 3
    assert archive_damage(str(path), path.stat().st_size, {}, known=True, contents=never) is None


def _read_so_far() -> int:
    """Return how many bytes this process has read (proc_pid_io(5))."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_an_archive_whose_directory_points_before_its_beginning_is_damaged(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path)
    tiny.add("a-1-0", archive=True)
    (tiny.cache / "urls.txt").write_text("https://host/linux-64/a-1-0.conda\n")
    archive = tiny.cache / "a-1-0.conda"
    data = bytearray(archive.read_bytes())
    # Where the directory begins: one too many, so that what it lists begins one too few (APPNOTE.TXT, 4.3.16).
    data[-6] += 1
    archive.write_bytes(data)

    found = find_leftovers(tiny.inventory(), (), Search(hashes=True), Memory(), lambda done: None)

    assert [item.entry.dist for item in found.leftovers] == ["a-1-0.conda"]


def _leftovers(tiny: Tiny) -> list[str]:
    found = find_leftovers(tiny.inventory(), (), Search(), Memory(), lambda done: None)
    return [item.entry.dist for item in found.leftovers]


def test_an_environment_in_a_cache_is_no_package_though_conda_has_fetched_one_of_its_name(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path)
    (tiny.cache / "urls.txt").write_text("https://host/linux-64/a-1-0.conda\nhttps://host/linux-64/b-1-0.conda\n")
    for name, directory in (("a-1-0", "conda-meta"), ("b-1-0", "lib")):
        (tiny.cache / name / directory).mkdir(parents=True)

    assert _leftovers(tiny) == ["b-1-0"]


def test_a_record_that_is_a_link_to_nowhere_is_a_doubt(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path)
    record = tiny.add("a-1-0") / "info" / "repodata_record.json"
    record.unlink()
    tiny.add("b-1-0")
    policy = Policy(min_age=0, include_irreplaceable=True)
    assert len(tiny.plan(policy=policy).remove) == 2

    record.symlink_to("nowhere")

    plan = tiny.plan(policy=policy)
    assert [decision.entry.dist for decision in plan.remove] == ["b-1-0"]
    assert "repodata_record.json" in plan.keep[0].reasons[0].detail


@pytest.mark.parametrize("name", ["renamed", f"a-1-0-{'ab' * 32}"])
def test_a_damaged_package_stays_for_an_environment_that_knows_it_by_another_name(
    empty: Machine, tiny: Tiny, name: str
) -> None:
    package = tiny.add("a-1-0").rename(tiny.cache / name)
    prefix = tiny.use("soft", "a-1-0", link=False)
    (prefix / "one").symlink_to(package / "lib" / "one")
    # As an edit through the link does.
    (prefix / "one").write_text("changed")
    before = listing(tiny.cache)

    assert empty.prune("--verify", "--yes").code == 0
    assert listing(tiny.cache) == before
    (prefix / "one").unlink()
    assert _removed(empty, "--verify") == {name: "corrupt"}


@pytest.mark.parametrize("where", ["", "inner", "lib/inner"])
def test_an_environment_that_was_made_within_a_package_is_not_deleted_with_it(
    empty: Machine, tiny: Tiny, where: str
) -> None:
    tiny.add("plain-1-0")
    package = tiny.add("a-1-0")
    (package / where / "conda-meta").mkdir(parents=True)
    (package / where / "conda-meta" / "history").touch()

    plan = empty.prune("--dry-run", "--json").json
    assert [reason["kind"] for reason in plan["keep"][0]["reasons"]] == ["read-only"]
    assert str(package / where).rstrip("/") in plan["keep"][0]["reasons"][0]["detail"]
    # Nor where nothing but packages is looked at, nor when they are damaged.
    assert empty.prune("--packages", "--yes").code == 0
    (package / "lib" / "one").unlink()
    assert empty.prune("--yes").code == 0
    assert sorted(path.name for path in tiny.cache.glob("*-*-*")) == ["a-1-0"]


@pytest.mark.posix  # Windows has no pipes in its file system.
def test_a_pipe_that_is_called_like_an_archive_is_not_waited_for(empty: Machine, tiny: Tiny) -> None:
    (tiny.cache / "a-1-0" / "lib").mkdir(parents=True)
    (tiny.cache / "a-1-0" / "lib" / "one").touch()
    os.mkfifo(tiny.cache / "a-1-0.conda")

    assert _removed(empty) == {}


def test_an_archive_of_a_few_bytes_does_not_unpack_to_any_number_of_them(tmp_path: Path) -> None:
    index = json.dumps({"name": "a", "version": "1", "build": "0"}).encode()
    for size, understood in ((1000, True), (LARGEST_INDEX + 1, False)):
        path = tmp_path / f"{size}.tar.bz2"
        with tarfile.open(path, "w:bz2") as archive:
            member = tarfile.TarInfo("info/index.json")
            member.size = size
            archive.addfile(member, io.BytesIO(index.ljust(size)))
        assert holds_package(str(path)) is understood


def test_what_bears_a_name_for_trash_is_decided_on_once(empty: Machine, tiny: Tiny) -> None:
    tiny.add("a-1-0").rename(tiny.cache / "a-1-0.mamba_trash1")
    tiny.add("b-1-0").rename(tiny.cache / "b-1-0.conda_trash2")

    assert _removed(empty) == {"a-1-0.mamba_trash1": "trash", "b-1-0.conda_trash2": "trash"}
    document = empty.prune("--yes", "--json").json
    assert [outcome["result"] for outcome in document["outcomes"]] == ["removed", "removed"]


def _damage(path: Path) -> None:
    """Change a byte, and keep the length."""
    with path.open("r+b") as stream:
        stream.seek(10)
        stream.write(b"X")


@pytest.mark.slow
def test_a_repair_names_the_environments_with_old_files_and_the_command_it_gives_mends_them(machine: Machine) -> None:
    library = "lib/libalpha/part0.so"
    whole = (machine.entry("libalpha-2.0-0") / library).read_bytes()
    _damage(machine.envs / "hard" / library)
    _damage(machine.entry("allprefix-2.0-0") / "etc" / "a.conf")

    document = machine.prune("--verify", "--repair", "--yes", "--json", "--ignore-unreadable").json

    assert {(item["dist"], item["result"]) for item in document["outcomes"]} == {
        ("allprefix-2.0-0", "repaired"),
        ("libalpha-2.0-0", "repaired"),
    }
    told = {item["path"]: item["message"] for item in document["warnings"] if item["kind"] == "still-damaged"}
    # An environment with soft links has the repaired files.
    assert set(told) == {str(machine.envs / "hard"), str(machine.envs / "copy")}
    assert (machine.entry("libalpha-2.0-0") / library).read_bytes() == whole
    assert (machine.envs / "hard" / library).read_bytes() != whole
    command = told[str(machine.envs / "hard")].split("`")[1]
    conda, verb, *arguments = shlex.split(command)
    assert (conda, arguments[-1]) == ("conda", "libalpha=2.0=0")
    machine.install(verb, *arguments)
    assert (machine.envs / "hard" / library).read_bytes() == whole
    assert "still-damaged" not in {
        item["kind"] for item in machine.prune("--verify", "--repair", "--yes", "--json").json["warnings"]
    }


@pytest.mark.slow
def test_a_damaged_package_that_goes_because_it_was_copied_is_told_with_its_environment(machine: Machine) -> None:
    _damage(machine.entry("allprefix-2.0-0") / "etc" / "a.conf")

    document = machine.prune("--verify", "--dry-run", "--json").json
    screen = machine.prune("--verify", "--dry-run").out

    (told,) = (item for item in document["warnings"] if item["kind"] == "copied-damage")
    assert told["path"] == str(machine.entry("allprefix-2.0-0"))
    assert "conda install -n copy " in told["message"]
    assert "allprefix-2.0-0" in {item["dist"] for item in document["remove"]}
    (row,) = (line for line in screen.splitlines() if line.startswith("  allprefix-2.0-0 "))
    # No age: it is in use.
    assert " - " in row
    assert "in use" in screen


def _counts(screen: str, words: str) -> list[int]:
    """Return the numbers of packages in the lines that begin with some words."""
    return [
        int(number)
        for line in screen.splitlines()
        if line.startswith(words)
        for number in re.findall(r"(\d+) packages?", line)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--verify",), ("--verify", "--repair"), ("--repair",), ()])
@pytest.mark.parametrize("archive", [True, False])
def test_a_damaged_package_counts_once(machine: Machine, options: tuple[str, ...], archive: bool) -> None:
    _damage(machine.entry("libalpha-2.0-0") / "lib" / "libalpha" / "part0.so")
    if not archive:
        (machine.cache / "libalpha-2.0-0.conda").unlink()

    screen = machine.prune(*options, "--dry-run").out

    (whole,) = _counts(screen, f"{machine.cache}")
    kept, removed = _counts(screen, "Keep"), _counts(screen, "Would remove")
    assert sum(kept + removed) == whole == 17
    damaged = re.findall(r"(\d+) damaged", screen)
    assert damaged == (["1"] if "--verify" in options else [])


@pytest.mark.slow
@pytest.mark.parametrize("min_age", ["0", "1d"])
def test_what_is_damaged_and_unused_is_told_with_the_option_that_removes_it(machine: Machine, min_age: str) -> None:
    _damage(machine.entry("symlinks-2.0-0") / "lib" / "real.so.1")

    document = machine.prune("--verify", "--repair", "--yes", "--json", min_age=min_age).json
    screen = machine.prune("--verify", "--repair", "--yes", min_age=min_age).out

    (kept,) = (item for item in document["keep"] if item["verdict"] == "leftover")
    assert (kept["dist"], kept["reasons"][-1]["kind"]) == ("symlinks-2.0-0", "corrupt")
    assert "1 damaged (symlinks-2.0-0)" in screen
    assert ("(remove it with --leftovers)" in screen) is (min_age == "0")
    assert "--repair" not in screen.replace("conda prune --verify --repair", "")


@pytest.mark.slow
def test_a_recently_damaged_package_is_not_repaired_and_the_command_that_is_told_repairs_it(machine: Machine) -> None:
    _damage(machine.entry("libalpha-2.0-0") / "lib" / "libalpha" / "part0.so")

    screen = machine.prune("--verify", "--repair", "--yes", min_age="10m")

    assert "Nothing to repair" not in screen.out
    assert re.findall(r"Nothing was repaired: (\d+) damaged packages? changed less than 10 minutes", screen.out) == [
        "1"
    ]
    (command,) = (line.split() for line in screen.err.splitlines() if line.startswith("    conda prune --verify"))
    assert command[-2:] == ["--min-age", "0"]
    outcomes = machine.prune(*command[2:], "--yes", "--json", "--ignore-unreadable").json["outcomes"]
    assert [(item["dist"], item["result"]) for item in outcomes] == [("libalpha-2.0-0", "repaired")]


@pytest.mark.slow
def test_a_repair_of_missing_files_asks_for_no_reinstallation(machine: Machine) -> None:
    (machine.entry("libalpha-2.0-0") / "lib" / "libalpha" / "part0.so").unlink()

    document = machine.prune("--verify", "--repair", "--yes", "--json", "--ignore-unreadable").json

    assert [(item["dist"], item["result"]) for item in document["outcomes"]] == [("libalpha-2.0-0", "repaired")]
    assert "still-damaged" not in {item["kind"] for item in document["warnings"]}


@pytest.mark.slow
def test_a_repair_says_whether_it_compared_contents(machine: Machine) -> None:
    sizes, contents = (machine.prune("--repair", *more, "--yes").out for more in ((), ("--verify",)))

    assert "    conda prune --verify --repair" in sizes.splitlines()
    assert "conda prune --verify --repair" not in contents
    assert all("17 packages" in screen and "Nothing to repair." in screen for screen in (sizes, contents))
