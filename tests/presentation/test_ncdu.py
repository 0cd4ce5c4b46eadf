"""The export for ncdu: every file by its name, and the bytes that du counts."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machine import Machine, allocated
from tiny import Tiny

from conda_prune_plugin.core.file_status import EntryState
from conda_prune_plugin.discovery.usage.file_listing import entries
from conda_prune_plugin.presentation.usage.ncdu import write_ncdu


@pytest.fixture
def filled(empty: Machine) -> Machine:
    """A cache, an environment that links from it, and an installation with a cache and an environment inside."""
    tiny = Tiny.__new__(Tiny)
    tiny.cache, tiny.envs = empty.cache, empty.envs
    tiny.add("a-1-0", archive=True)
    tiny.add("b-1-0")
    prefix = tiny.use("e", "a-1-0")
    (prefix / "link").symlink_to("nowhere")
    (prefix / 'odd "name"\n').write_bytes(b"1" * 9000)
    base = empty.directory / "base"
    inner = Tiny(base)
    inner.add("c-1-0")
    inner.use("inside", "c-1-0")
    (base / "conda-meta").mkdir()
    (base / "conda-meta" / "history").touch()
    return empty


def _arguments(machine: Machine, *more: str) -> tuple[str, ...]:
    base = machine.directory / "base"
    pkgs = ("--pkgs-dir", str(machine.cache), "--pkgs-dir", str(base / "pkgs"))
    roots = ("--root", str(base), "--root", str(base / "envs" / "inside"))
    return ("prune", "usage", *more, *pkgs, *roots)


def _export(machine: Machine, *more: str) -> Any:
    answer = machine.run(*_arguments(machine, *more, "--export", "ncdu"))
    assert (answer.code, answer.err) == (0, "")
    major, minor, header, top = json.loads(answer.out)
    assert (major, minor, header["progname"]) == (1, 2, "conda-prune")
    return top


def _flat(item: Any, path: str = "", device: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the info blocks by their paths, each with the device that it inherits."""
    block, *inside = item if isinstance(item, list) else [item]
    path = os.path.join(path, block["name"])
    device = block.get("dev", device)
    yield path, {**block, "dev": device}
    for one in inside:
        yield from _flat(one, path, device)


def _bytes(top: Any) -> int:
    """Return the blocks of all, each inode with several links once: as ncdu counts."""
    blocks = dict(_flat(top))
    inodes = {
        (block["dev"], block["ino"]) if block.get("hlnkc") else path: block.get("dsize", 0)
        for path, block in blocks.items()
    }
    return sum(inodes.values())


def test_everything_is_in_it_once_by_its_real_path(filled: Machine) -> None:
    blocks = list(_flat(_export(filled)))

    paths = [path for path, _ in blocks]
    assert len(paths) == len(set(paths))
    on_disk = {
        os.path.join(directory, name)
        for place in (filled.cache, filled.envs / "e", filled.directory / "base")
        for directory, directories, files in os.walk(place)
        for name in (*directories, *files)
    }
    assert on_disk <= set(paths)
    assert {path for path, block in blocks if block.get("notreg")} == {str(filled.envs / "e" / "link")}
    linked = dict(blocks)[str(filled.envs / "e" / "lib" / "one")]
    assert (linked["hlnkc"], linked["nlink"]) == (True, 2)


def test_its_bytes_are_those_of_usage_and_ofallocated(filled: Machine) -> None:
    exported = _bytes(_export(filled))

    assert exported == allocated(filled.cache, filled.envs / "e", filled.directory / "base")
    assert exported == filled.run(*_arguments(filled, "--json")).json["totals"]["allocated"]


def test_one_environment_is_exported_without_what_counts_elsewhere(filled: Machine) -> None:
    base = filled.directory / "base"

    top = _export(filled, str(base))

    assert top[0]["name"] == str(base)
    blocks = dict(_flat(top))
    assert {path for path, block in blocks.items() if block.get("excluded")} == {
        str(base / "pkgs"),
        str(base / "envs" / "inside"),
    }
    assert str(base / "conda-meta" / "history") in blocks
    assert str(base / "pkgs" / "c-1-0") not in blocks


@pytest.mark.parametrize("option", ["--json", "--packages", "--html=report.html"])
def test_no_second_document_goes_with_it(empty: Machine, option: str) -> None:
    answer = empty.run("prune", "usage", "--export", "ncdu", option)

    assert answer.code == 2
    assert "[1,2," not in answer.out
    assert not (empty.directory / "report.html").exists()


def test_with_nothing_there_it_is_still_an_export() -> None:
    stream = io.StringIO()

    assert write_ncdu(stream, (), now=1.5) == []

    assert json.loads(stream.getvalue()) == [1, 2, {"progname": "conda-prune", "timestamp": 1}, [{"name": "conda"}]]


def test_what_cannot_be_read_says_so_and_stops_nothing(tmp_path: Path) -> None:
    status = os.lstat(tmp_path)
    listed = [
        ("", status, EntryState.COMPLETE),
        ("gone", None, EntryState.UNREADABLE),
        ("closed", status, EntryState.UNREADABLE),
        ("closed/never", None, EntryState.UNREADABLE),
    ]
    stream = io.StringIO()

    notices = write_ncdu(stream, [("/top", listed)], now=0)

    blocks = dict(_flat(json.loads(stream.getvalue())[3]))
    assert {path for path, block in blocks.items() if block.get("read_error")} == {
        "/top/gone",
        "/top/closed",
        "/top/closed/never",
    }
    assert [notice.path for notice in notices] == ["/top/gone", "/top/closed", "/top/closed/never"]


def test_names_are_the_bytes_on_disk(tmp_path: Path) -> None:
    name = b"\xff\xc3\xa9"
    with open(os.fsencode(tmp_path) + b"/" + name, "wb"):
        pass
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    write_ncdu(stream, [(str(tmp_path), entries(str(tmp_path), frozenset()))], now=0)
    stream.flush()

    assert b'"name":"' + name + b'"' in raw.getvalue()


@pytest.mark.debian
@pytest.mark.parametrize("more", [(), ("e",)], ids=["everything", "one environment"])
def test_ncdu_reads_it_and_counts_the_same(filled: Machine, tmp_path: Path, more: tuple[str, ...]) -> None:
    ncdu = shutil.which("ncdu")
    assert ncdu, "ncdu is missing: apt-get install ncdu"
    ours = _export(filled, *more)
    path = tmp_path / "export.json"
    path.write_text(json.dumps([1, 2, {}, ours]))

    done = subprocess.run([ncdu, "-f", path, "-o", "-"], capture_output=True, text=True, check=True)

    theirs = json.loads(done.stdout)[3]
    places = (filled.envs / "e",) if more else (filled.cache, filled.envs / "e", filled.directory / "base")
    assert _bytes(theirs) == _bytes(ours) == allocated(*places)
    keys = ("asize", "dsize", "hlnkc", "notreg", "dev")
    assert {path: [block.get(key) or 0 for key in keys] for path, block in _flat(theirs)} == {
        path: [block.get(key) or 0 for key in keys] for path, block in _flat(ours)
    }
