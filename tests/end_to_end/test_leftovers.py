"""Leftovers, each made in the way it comes about: by killing real conda, by cutting off, by changing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from machine import Machine, contents, listing
from paused import paused
from tiny import Tiny

from conda_prune_plugin.demo.demo_packages import File, Package, build_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PATIENCE = 60.0
_REPAIR = ("prune", "--repair", "--yes", "--min-age", "0")


class Slow(SimpleHTTPRequestHandler):
    """Serves a channel; of an archive it sends only the first half, and waits then."""

    def do_GET(self) -> None:
        if not self.path.endswith(".conda"):
            super().do_GET()
            return
        with open(self.translate_path(self.path), "rb") as stream:
            content = stream.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        self.server.over.wait(_PATIENCE)  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Slow, directory=str(directory)))
    server.over = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.over.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()


def killed_when(machine: Machine, happens: Callable[[], bool], *command: str, **environ: str) -> None:
    """Run conda and kill it as soon as something happens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "conda_prune_plugin.embedded", *command],
        env=machine.environ(**environ),
        cwd=machine.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + _PATIENCE
    while not happens():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "it never happened"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _leftovers(machine: Machine, *options: str, min_age: str = "0") -> dict[str, str]:
    plan = machine.prune("--leftovers", "--dry-run", "--json", *options, min_age=min_age).json
    return {decision["dist"]: decision["reasons"][0]["kind"] for decision in plan["remove"]}


MANY = Package("many", "1", files={f"lib/{number}": File(b"%d" % number * 500) for number in range(4000)})
LARGE = Package("large", "1", files={"lib/it": File(os.urandom(3_000_000))})


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("channel")
    build_channel(directory, [MANY, LARGE])
    return directory


def _create(machine: Machine, channel: str, name: str) -> tuple[str, ...]:
    return ("create", "-n", "e", name, "--yes", "--override-channels", "-c", channel)


@pytest.mark.posix
@pytest.mark.slow
def test_a_download_that_was_killed_is_a_partial_download_unless_it_is_young(empty: Machine, channel: Path) -> None:
    with serving(channel) as url:
        partial_file = empty.cache / "large-1-0.conda.partial"
        killed_when(
            empty,
            lambda: partial_file.exists() and partial_file.stat().st_size > 100_000,
            *_create(empty, url, "large"),
            CONDA_OFFLINE="false",
        )

    assert _leftovers(empty) == {"large-1-0.conda.partial": "partial-download"}
    assert _leftovers(empty, "--only", "large") == {"large-1-0.conda.partial": "partial-download"}
    assert _leftovers(empty, "--only", "other") == {}
    assert _leftovers(empty, "--keep", "large=1") == {}

    young = empty.prune("--dry-run", "--json", min_age="10m").json["keep"]
    assert [(keep["dist"], keep["verdict"], keep["reasons"][0]["kind"]) for keep in young] == [
        ("large-1-0.conda.partial", "leftover", "recent")
    ]
    document = empty.prune("--yes", "--json").json
    assert document["totals"]["reclaimable"] == document["outcomes"][0]["freed"] > 100_000
    assert not partial_file.exists()
    # A half of a download is nothing that anybody would want back.
    assert empty.run("prune", "restore", "--json").json["runs"] == []


@pytest.mark.posix
@pytest.mark.slow
def test_an_extraction_that_was_killed_is_an_incomplete_one_and_its_archive_stays(
    empty: Machine, channel: Path
) -> None:
    half = empty.entry("many-1-0") / "lib"
    killed_when(
        empty,
        lambda: half.exists() and len(os.listdir(half)) > 100,
        *_create(empty, channel.as_uri(), "many"),
    )

    plan = empty.prune("--leftovers", "--dry-run", "--json").json

    assert [(one["dist"], one["parts"], one["reasons"][0]["kind"]) for one in plan["remove"]] == [
        ("many-1-0", ["extracted"], "incomplete-extraction")
    ]
    assert empty.prune("--leftovers", "--yes", "--json").code == 0
    assert not half.exists()
    assert (empty.cache / "many-1-0.conda").exists()
    shutil.move(channel / "linux-64" / "many-1-0.conda", channel / "aside")
    try:
        assert empty.run(*_create(empty, channel.as_uri(), "many")).code == 0
    finally:
        shutil.move(channel / "aside", channel / "linux-64" / "many-1-0.conda")


@pytest.mark.posix
@pytest.mark.slow
def test_a_removal_that_was_killed_leaves_what_conda_takes_for_whole_and_prune_for_corrupt(
    empty: Machine, channel: Path
) -> None:
    assert empty.run(*_create(empty, channel.as_uri(), "many")).code == 0
    assert empty.run("remove", "-n", "e", "--all", "--yes").code == 0
    payload = empty.entry("many-1-0") / "lib"
    killed_when(empty, lambda: len(os.listdir(payload)) < 3900, "clean", "--packages", "--yes")
    (empty.cache / "many-1-0.conda").unlink()

    assert _leftovers(empty) in ({"many-1-0": "corrupt"}, {"many-1-0": "incomplete-extraction"})
    assert empty.prune("--yes", "--json").code == 0
    assert not payload.exists()


@pytest.fixture
def tiny(empty: Machine) -> Tiny:
    empty.cache.joinpath("urls.txt").unlink()
    empty.cache.rmdir()
    empty.envs.rmdir()
    return Tiny(empty.directory)


@pytest.mark.posix
def test_every_kind_is_recognised_and_goes_and_what_is_none_stays(empty: Machine, tiny: Tiny) -> None:
    cache = tiny.cache
    whole = tiny.add("whole-1-0", archive=True)
    tiny.use("e", "whole-1-0")
    (tiny.add("no-metadata-1-0") / "info" / "index.json").unlink()
    (tiny.add("broken-metadata-1-0") / "info" / "index.json").write_text("{")
    (tiny.add("broken-paths-1-0") / "info" / "paths.json").write_text('{"paths": [7]}')
    (tiny.add("lacks-1-0") / "lib" / "one").unlink()
    (tiny.add("differs-1-0") / "lib" / "one").write_bytes(b"short")
    tiny.add("cut-1-0", archive=True)
    os.truncate(cache / "cut-1-0.conda", 3000)
    (cache / "cut-2-0.tar.bz2").write_bytes(b"BZh91AY&SY" + b"\0" * 500)
    (cache / "urls.txt").write_text("https://host/linux-64/cut-2-0.tar.bz2\n")
    (cache / "nothing-1-0").mkdir()
    for name in ("a-1-0.conda.c~", "b-1-0.tar.bz2.trash", ".trash", "c-1-0.conda_trash_7", "d.mamba_trash"):
        (cache / name).write_bytes(b"x" * 5000)
    (cache / "e-1-0.c~").mkdir()
    (cache / "e-1-0.c~" / "file").write_bytes(b"x")
    (cache / "f-1-0.tar.bz2.part").write_bytes(b"x")
    before = {path.name for path in cache.iterdir()}
    # None of these is understood.
    (cache / "my-own-channel" / "linux-64").mkdir(parents=True)
    (cache / "thesis-1-0.conda").write_text("my only copy")
    (cache / "notes.partial").write_text("notes")
    (cache / "an-environment-1" / "conda-meta").mkdir(parents=True)
    (cache / "victim").mkdir()
    (cache / "x-1-0.conda.partial").symlink_to(cache / "victim")
    (cache / "y-1-0.c~").symlink_to(cache / "victim")
    os.mkfifo(cache / "z-1-0.conda.partial")
    kept = {path.name for path in cache.iterdir()} - before

    found = _leftovers(empty)

    assert found == {
        "no-metadata-1-0": "incomplete-extraction",
        "broken-metadata-1-0": "corrupt",
        "broken-paths-1-0": "corrupt",
        "lacks-1-0": "corrupt",
        "differs-1-0": "corrupt",
        "cut-1-0.conda": "corrupt",
        "cut-2-0.tar.bz2": "corrupt",
        "nothing-1-0": "incomplete-extraction",
        "a-1-0.conda.c~": "trash",
        "b-1-0.tar.bz2.trash": "trash",
        ".trash": "trash",
        "c-1-0.conda_trash_7": "trash",
        "d.mamba_trash": "trash",
        "e-1-0.c~": "trash",
        "f-1-0.tar.bz2.part": "partial-download",
    }
    unchanged = listing(whole)
    document = empty.prune("--leftovers", "--yes", "--json").json
    assert {outcome["result"] for outcome in document["outcomes"]} == {"removed"}
    assert document["run"] is None  # There is nothing to restore.
    assert {path.name for path in cache.iterdir()} == {"urls.txt", "whole-1-0", "whole-1-0.conda", "cut-1-0"} | kept
    assert listing(whole) == unchanged


@pytest.mark.parametrize("how", ["--backup", "--backup-to=elsewhere"])
def test_a_backup_of_leftovers_is_restored_to_what_it_was(empty: Machine, tiny: Tiny, how: str) -> None:
    half = tiny.add("half-1-0", archive=True)
    (half / "lib" / "one").unlink()
    (tiny.cache / "urls.txt").write_text("https://host/linux-64/half-1-0.conda\n")
    (tiny.cache / "x-1-0.conda.partial").write_bytes(b"x")
    before = contents(tiny.cache)

    document = empty.prune("--yes", "--json", how).json

    # What is left of the half package, its archive, is an entry that goes for another reason.
    assert sorted((outcome["dist"], outcome["result"]) for outcome in document["outcomes"]) == [
        ("half-1-0", "backed-up"),
        ("half-1-0", "backed-up"),
        ("x-1-0.conda.partial", "backed-up"),
    ]
    assert not half.exists()
    assert empty.run("prune", "restore", "last", "--json").code == 0
    after = contents(tiny.cache)
    assert {path: what for path, what in after.items() if ".conda-prune" not in path} == before


def test_a_damaged_package_in_use_stays_while_anything_is_linked_to_it_and_is_told(empty: Machine, tiny: Tiny) -> None:
    for dist in ("hard-1-0", "copy-1-0", "soft-1-0"):
        tiny.add(dist)
        tiny.use("e", dist, link=dist.startswith("hard"))
    soft = tiny.envs / "e" / "lib" / "soft"
    soft.symlink_to(tiny.cache / "soft-1-0" / "lib" / "two")
    for dist in ("hard-1-0", "copy-1-0", "soft-1-0"):
        (tiny.cache / dist / "lib" / "one").unlink()

    plan = empty.prune("--leftovers", "--dry-run", "--json").json

    # What was copied is whole in the environment, and its entry is of no use to anybody.
    assert [decision["dist"] for decision in plan["remove"]] == ["copy-1-0"]
    told = {warning["path"] for warning in plan["warnings"] if warning["kind"] == "damaged-package"}
    assert told == {str(tiny.cache / dist) for dist in ("hard-1-0", "soft-1-0")}
    # What a dry run without --leftovers has not shown does not go: it is only told.
    tiny.add("gone-1-0")
    assert [decision["dist"] for decision in empty.prune("--dry-run", "--json").json["remove"]] == ["gone-1-0"]
    document = empty.prune("--yes", "--json").json
    assert [outcome["dist"] for outcome in document["outcomes"]] == ["gone-1-0"]
    assert len([warning for warning in document["warnings"] if warning["kind"] == "damaged-package"]) == 3
    assert soft.read_bytes()


def test_verify_finds_what_has_the_right_size_and_the_wrong_content(empty: Machine, tiny: Tiny, channel: Path) -> None:
    tree = tiny.add("changed-1-0")
    content = (tree / "lib" / "one").read_bytes()
    (tree / "lib" / "one").write_bytes(b"0" * len(content))
    sound = tiny.add("sound-1-0")
    shutil.copy(channel / "linux-64" / "large-1-0.conda", tiny.cache)
    (tiny.cache / "urls.txt").write_text("https://host/linux-64/large-1-0.conda\n")
    archive = tiny.cache / "large-1-0.conda"
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)

    assert _leftovers(empty) == {}
    assert _leftovers(empty, "--verify") == {"changed-1-0": "corrupt", "large-1-0.conda": "corrupt"}
    answer = empty.prune("--verify", "--leftovers", "--yes")
    assert answer.code == 0, answer.err
    assert sound.exists()
    assert not tree.exists()


def test_why_names_a_leftover_and_its_reason(empty: Machine, tiny: Tiny) -> None:
    (tiny.cache / "x-1-0.conda.partial").write_bytes(b"x")

    answer = empty.run("prune", "why", "x-1-0.conda.partial", "--min-age", "0", "--json")

    (package,) = answer.json["packages"]
    assert (package["verdict"], package["remove"]) == ("leftover", True)
    assert package["reasons"][0]["kind"] == "partial-download"


def test_leftovers_go_first_when_a_size_is_to_be_met(empty: Machine, tiny: Tiny) -> None:
    tiny.add("entry-1-0")
    (tiny.cache / "x-1-0.conda.partial").write_bytes(b"x" * 50_000)

    plan = empty.prune("--dry-run", "--json", "--free", "40kB").json

    assert [decision["dist"] for decision in plan["remove"]] == ["x-1-0.conda.partial"]
    assert plan["totals"]["reclaimable"] >= 40_000


def test_names_with_anything_in_them_and_huge_trees_are_no_obstacle(empty: Machine, tiny: Tiny) -> None:
    odd = "a\n\x1b[31m-1-0.conda.partial"
    (tiny.cache / odd).write_bytes(b"x")
    tree = tiny.cache / "deep-1-0.c~"
    tree.mkdir()
    below = tree
    for number in range(150):
        below /= f"d{number}"
        below.mkdir()
    (below / "file").touch()
    (tree / "link").symlink_to(tiny.envs)
    sealed = tiny.cache / "sealed-1-0.c~"
    (sealed / "in").mkdir(parents=True)
    (sealed / "in" / "file").touch()
    (sealed / "in").chmod(0o500)

    shown = empty.prune("--leftovers", "--dry-run")
    document = empty.prune("--leftovers", "--yes", "--json").json

    assert "\x1b" not in shown.out
    assert "\\n" in shown.out
    assert {outcome["dist"] for outcome in document["outcomes"]} == {odd, "deep-1-0.c~", "sealed-1-0.c~"}
    assert {outcome["result"] for outcome in document["outcomes"]} == {"removed"}
    assert tiny.envs.is_dir()
    assert os.listdir(tiny.cache) == ["urls.txt"]


def test_a_dry_run_with_every_target_writes_nothing(empty: Machine, tiny: Tiny) -> None:
    tiny.add("half-1-0", archive=True)
    (tiny.cache / "half-1-0" / "lib" / "one").unlink()
    (tiny.cache / "cache").mkdir()
    (tiny.cache / "cache" / "1.json").write_text("{}")
    (tiny.cache / ".logs").mkdir()
    (tiny.cache / ".logs" / "x.log").write_text("x")
    (tiny.cache / "urls.txt").unlink()
    tiny.use("e", "half-1-0")
    (tiny.envs / "e" / "x.c~").touch()
    empty.run("info")
    before = listing(empty.directory)

    answer = empty.prune("--all", "--verify", "--dry-run", "--json")

    assert answer.code == 0, answer.err
    assert {name: len(items) for name, items in answer.json["other"].items()} == {
        "index_cache": 1,
        "tempfiles": 1,
        "logfiles": 1,
    }
    assert listing(empty.directory) == before


@pytest.mark.slow
def test_repair_extracts_a_damaged_package_in_use_anew_and_conda_can_use_it_again(
    empty: Machine, channel: Path
) -> None:
    create = _create(empty, channel.as_uri(), "large")
    assert empty.run(*create, CONDA_ALWAYS_SOFTLINK="true").code == 0
    entry = empty.entry("large-1-0")
    (entry / "lib" / "it").unlink()
    again = ("create", "-n", "f", *create[3:])
    assert empty.run(*again).code != 0

    plan = empty.prune("--repair", "--dry-run", "--json").json
    document = empty.prune("--repair", "--yes", "--json").json

    assert [repair["dist"] for repair in plan["repair"]] == ["large-1-0"]
    assert plan["remove"] == []
    assert [(outcome["dist"], outcome["result"]) for outcome in document["outcomes"]] == [("large-1-0", "repaired")]
    assert (empty.envs / "e" / "lib" / "it").stat().st_size == 3_000_000
    assert not (empty.cache / ".conda-prune").exists()
    assert empty.run("create", "-n", "g", *create[3:]).code == 0
    assert empty.prune("--verify", "--dry-run", "--json").json["remove"] == []


@pytest.mark.slow
def test_a_repair_that_was_killed_leaves_the_package_as_it_was_and_the_next_run_clears_up(
    empty: Machine, channel: Path
) -> None:
    assert empty.run(*_create(empty, channel.as_uri(), "large")).code == 0
    entry = empty.entry("large-1-0")
    (entry / "extra").touch()
    (entry / "lib" / "it").unlink()
    before = set(listing(entry))

    with paused(empty, "conda_prune_plugin.execution.repair_packages:_RepairSubject.move", *_REPAIR):
        assert list((empty.cache / ".conda-prune").glob("*/restoring.deleting"))

    assert set(listing(entry)) == before
    document = empty.prune("--repair", "--yes", "--json").json
    assert [outcome["result"] for outcome in document["outcomes"]] == ["repaired"]
    assert "cut-off-run" in {warning["kind"] for warning in document["warnings"]}
    assert (entry / "lib" / "it").exists()
    assert not (empty.cache / ".conda-prune").exists()


def _damaged(machine: Machine, channel: Path) -> Path:
    """Return a damaged package in use."""
    assert machine.run(*_create(machine, channel.as_uri(), "large")).code == 0
    entry = machine.entry("large-1-0")
    (entry / "extra").touch()
    (entry / "lib" / "it").unlink()
    return entry


def _beyond_repair(machine: Machine, channel: Path) -> Path:
    """Return a damaged package in use whose archive is damaged too."""
    entry = _damaged(machine, channel)
    archive = machine.cache / "large-1-0.conda"
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    return entry


@pytest.mark.slow
def test_a_repair_interrupted_while_it_clears_up_is_cleared_up_by_the_next_run(empty: Machine, channel: Path) -> None:
    entry = _damaged(empty, channel)

    with paused(empty, "conda_prune_plugin.execution.repair_packages:remove", *_REPAIR) as prune:
        assert prune.interrupt() == 130

    assert "interrupted" in prune.output
    assert list((empty.cache / ".conda-prune").glob("*/restoring.deleting"))
    document = empty.prune("--repair", "--yes", "--json").json
    assert "cut-off-run" in {warning["kind"] for warning in document["warnings"]}
    assert (entry / "lib" / "it").exists()
    assert not (empty.cache / ".conda-prune").exists()


@pytest.mark.slow
def test_repair_leaves_what_it_can_not_mend_as_it_is(empty: Machine, channel: Path) -> None:
    entry = _beyond_repair(empty, channel)

    document = empty.prune("--repair", "--yes", "--json").json

    assert not document["success"]
    assert [outcome["result"] for outcome in document["outcomes"]] == ["failed"]
    assert "hash" in document["outcomes"][0]["error"]
    assert (entry / "extra").exists()
    assert not (empty.cache / ".conda-prune").exists()
