"""Names of packages, of their files, and of notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune_plugin.core.dist_names import (
    archive_dist,
    extended,
    is_dist_name,
    is_file_name,
    note_name,
    noted_run,
    package_name,
    package_version,
    plain_dist,
    recorded_names,
)

from .builders import (
    HASH,
)

if TYPE_CHECKING:
    pass


def test_dists_and_archives_are_told_by_their_names() -> None:
    assert is_dist_name("r-base-4.3.1-h1_2")
    assert not any(map(is_dist_name, ("cache", "a-b", "a--b", "-1-0", "")))
    assert archive_dist("a-1-0.tar.bz2") == archive_dist("a-1-0.conda") == "a-1-0"
    assert archive_dist("a-1-0.conda.partial") is archive_dist(".conda") is None
    assert archive_dist("a-1-0.whl") is archive_dist("a-1-0.CONDA") is None
    assert archive_dist("A-1-0.WHL", (".conda", ".whl"), any_case=True) == "A-1-0"


def test_a_dist_ends_with_two_words_behind_hyphens() -> None:
    assert (package_name("r-base-4.3-h1"), package_version("r-base-4.3-h1")) == ("r-base", "4.3")
    assert is_dist_name("a--1-0")
    assert not any(map(is_dist_name, ("a--0", "a-1-", "-1-0", "a-1")))
    assert package_name("cache") == "cache"

    with pytest.raises(ValueError, match="unpack"):
        package_version("cache")


@given(st.text("ab1-", min_size=1), st.text("ab1.", min_size=1), st.text("ab1_", min_size=1))
def test_a_name_a_version_and_a_build_make_a_dist_and_come_out_of_it(name: str, version: str, build: str) -> None:
    dist = f"{name}-{version}-{build}"

    assert is_dist_name(dist)
    assert (package_name(dist), package_version(dist)) == (name, version)


def test_a_hash_of_rattler_s_is_no_part_of_a_dist() -> None:
    assert plain_dist(f"a-1-0{HASH}") == "a-1-0"
    assert recorded_names(f"a-1-0{HASH}") == (f"a-1-0{HASH}", "a-1-0")
    assert recorded_names("a-1-0") == ("a-1-0",)


@pytest.mark.parametrize("dist", [f"a-1-0{HASH}-x", f"a-1-0{HASH[:-1]}", f"a-1-0{HASH.upper()}", f"a-1{HASH}", "a-1-0"])
def test_what_only_looks_like_a_hash_of_rattler_s_stays(dist: str) -> None:
    assert plain_dist(dist) == dist


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_leads_elsewhere_is_no_file_name(name: str) -> None:
    assert not is_file_name(name, "/")
    assert not is_file_name(name, "\\")


def test_no_character_leads_elsewhere_but_what_separates() -> None:
    """A backslash and a colon only on Windows."""
    characters = [chr(number) for number in range(256)]

    assert [each for each in characters if not is_file_name(f"a{each}..", "/")] == ["\0", "/"]
    assert [each for each in characters if not is_file_name(f"a{each}..", "\\")] == ["\0", "/", ":", "\\"]


def test_a_long_path_of_windows_gets_its_prefix_once() -> None:
    assert extended("C:\\a/b", "\\") == "\\\\?\\C:\\a\\b"
    assert extended("\\\\host\\share/x", "\\") == "\\\\?\\UNC\\host\\share\\x"
    assert extended("\\\\?\\C:\\a", "\\") == "\\\\?\\C:\\a"
    assert extended("/a/b", "/") == "/a/b"
    assert extended("//a", "/") == "//a"


@given(st.binary())
def test_the_name_of_a_note_tells_its_run(place: bytes) -> None:
    name = note_name("20260101T000000Z-12345678", place)

    assert noted_run(name) == noted_run(f"{name}.new") == "20260101T000000Z-12345678"
    assert is_file_name(name)
    assert name == note_name("20260101T000000Z-12345678", place)


@pytest.mark.parametrize(
    "name", ["place-", "lock", "place-run-1234567", "place-../x-12345678", "place-run-12345678.old"]
)
def test_what_is_no_note_tells_of_no_run(name: str) -> None:
    assert noted_run(name) is None


def test_the_name_of_a_note_tells_places_apart() -> None:
    assert note_name("r", b"/one") == "place-r-5c383f97" != note_name("r", b"/two")
