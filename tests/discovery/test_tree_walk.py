"""The walker for all that only looks: what it goes into, in which order, and what it does with errors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from conda_prune_plugin.discovery.system.tree_walk import names_of_inodes, walk

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two directories with a directory and a file in each, and a symbolic link from one to the other."""
    for name in "ab":
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").touch()
    (tmp_path / "a" / "link").symlink_to("../b", target_is_directory=True)
    return tmp_path


def _below(tree: Path, *paths: str) -> set[str]:
    return {str(tree / path) for path in paths}


def test_every_directory_is_given_once_and_no_link_is_followed(tree: Path) -> None:
    listed = {path: ({it.name for it in below}, {it.name for it in others}) for path, below, others in walk(str(tree))}

    assert listed.keys() == _below(tree, "", "a", "a/inner", "b", "b/inner")
    assert listed[str(tree / "a")] == ({"inner"}, {"link"})


def test_what_the_caller_skips_refuses_or_takes_out_is_not_entered(tree: Path) -> None:
    (tree / "c").mkdir()
    # The top is walked though it is one of the paths to skip.
    skip = _below(tree, "", "c")
    entered = set()
    for path, directories, _ in walk(str(tree), skip=skip, enter=lambda path: path != str(tree / "a")):
        entered.add(path)
        directories[:] = [directory for directory in directories if directory.name != "inner"]

    assert entered == _below(tree, "", "b")


def test_breadth_first_gives_the_upper_directories_first(tree: Path) -> None:
    depths = [path.count(os.sep) for path, _, _ in walk(str(tree), breadth_first=True)]

    assert depths == sorted(depths)


def test_no_more_entries_than_the_limit_are_listed(tree: Path) -> None:
    counts = [len(directories) + len(others) for _, directories, others in walk(str(tree), limit=3)]

    assert sum(counts) == 3


def test_an_error_is_reported_and_the_walk_goes_on(tree: Path) -> None:
    errors: list[OSError] = []
    listed = [path for path, _, _ in walk(str(tree / "missing"), str(tree / "b"), unreadable=errors.append)]

    assert set(listed) == _below(tree, "b", "b/inner")
    assert [error.filename for error in errors] == [str(tree / "missing")]


def test_an_error_can_end_the_walk(tree: Path) -> None:
    def refuse(error: OSError) -> None:
        raise error

    with pytest.raises(FileNotFoundError):
        list(walk(str(tree / "missing"), unreadable=refuse))


def test_all_names_of_an_inode_are_found(tree: Path) -> None:
    os.link(tree / "a" / "inner" / "file", tree / "b" / "second")
    status = os.stat(tree / "b" / "second")
    key = (status.st_dev, status.st_ino)

    assert set(names_of_inodes({key}, str(tree))) == {(path, key) for path in _below(tree, "a/inner/file", "b/second")}
