"""What an environment is rebuilt from: whatever its records say, the export is made, and says what it lacks."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conda_prune_plugin.discovery.envs.export import EXPLICIT, PIP, YAML, export
from conda_prune_plugin.discovery.roots.conda_meta import read_environment

_URL = "https://host/linux-64/good-1-0.conda"
_GOOD = {
    "name": "good",
    "version": "1",
    "build": "0",
    "url": _URL,
    "channel": "https://host",
    "depends": [],
    "md5": "a",
}

_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["http://[", "x\n@EXPLICIT", "file:/\n/x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_DIGESTS = st.sampled_from(["0a", "x\n@EXPLICIT", ""])
_FIELDS = ("url", "channel", "md5", "sha256", "files", "depends", "build_number", "subdir", "fn")


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment with one package."""
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "good-1-0.json").write_text(json.dumps(_GOOD))
    return tmp_path


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(_FIELDS), _ANYTHING), _DIGESTS, st.booleans(), _ANYTHING)
def test_a_record_may_hold_anything(odd: dict[str, object], md5: str, has_url: bool, state: object) -> None:
    if has_url:
        odd |= {"url": "https://host/linux-64/odd-1-0.conda", "md5": md5}
    prefix = Path(tempfile.mkdtemp())
    (prefix / "conda-meta").mkdir()
    (prefix / "conda-meta" / "good-1-0.json").write_text(json.dumps(_GOOD))
    record = {"name": "odd", "version": "1", "build": "0", **odd}
    (prefix / "conda-meta" / "odd-1-0.json").write_text(json.dumps(record))

    (prefix / "conda-meta" / "state").write_text(json.dumps({"env_vars": {"A": state}}))

    exported = export(read_environment(str(prefix), "e")[0])

    shutil.rmtree(prefix)
    lines = exported.files[EXPLICIT].decode().splitlines()
    assert f"{_URL}#a" in lines
    assert lines.count("@EXPLICIT") == 1
    # It is either in the file or told to be lost.
    assert len(lines) - lines.index("@EXPLICIT") - 1 + len(exported.sourceless) == 2
    assert b"good=1=0" in exported.files[YAML]


def test_a_package_whose_record_can_not_be_read_is_told_to_be_lost(prefix: Path) -> None:
    (prefix / "conda-meta" / "broken-1-0.json").write_text("{" + " " * 300)

    exported = export(read_environment(str(prefix), "e")[0])

    assert exported.unreadable == ("broken-1-0",)
    assert _URL.encode() in exported.files[EXPLICIT]


@pytest.mark.posix
@pytest.mark.parametrize("name", ["METADATA", "RECORD", "direct_url.json"])
def test_a_pipe_among_what_pip_has_left_is_not_waited_for(prefix: Path, name: str) -> None:
    info = prefix / "lib" / "python3.11" / "site-packages" / "odd-2.0.dist-info"
    info.mkdir(parents=True)
    os.mkfifo(info / name)

    assert export(read_environment(str(prefix), "e")[0]).files[PIP] == b"odd==2.0\n"


def test_a_package_of_pip_is_known_though_its_source_is_nested_too_deeply(prefix: Path) -> None:
    info = prefix / "lib" / "python3.11" / "site-packages" / "odd-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "direct_url.json").write_text("[" * 200_000)

    assert export(read_environment(str(prefix), "e")[0]).files[PIP] == b"odd==2.0\n"


@pytest.mark.parametrize("record", ["a,b,c,d\n", "a\0b,,\n", f"{'a' * 200_000},,\n", '"a\n', "a,sha256,x\n"])
def test_a_package_of_pip_is_known_though_its_list_of_files_is_broken(prefix: Path, record: str) -> None:
    info = prefix / "lib" / "python3.11" / "site-packages" / "odd-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\n")
    (info / "RECORD").write_text(record)

    exported = export(read_environment(str(prefix), "e")[0])

    assert exported.files[PIP] == b"odd==2.0\n"
