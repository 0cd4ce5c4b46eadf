"""Counting by inode: what the walk and the sums say of real trees is what du says, and a slow count by hand."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import allocated as du

from conda_prune_plugin.core.usage.disk_usage import Account, Inodes, Tree, account, occupied, released, shares
from conda_prune_plugin.discovery.usage.walker import Walker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def _grow(top: Path, seed: int) -> list[Path]:
    """Make four trees, one of them inside of another, with everything in them that takes room in odd ways."""
    chance = random.Random(seed)  # noqa: S311
    trees = [top / "cache", top / "base", top / "base" / "envs" / "inner", top / "other"]
    elsewhere = top / "elsewhere"
    directories = [elsewhere]
    for tree in trees:
        directories += [tree, *(tree / f"d{number}" / "deeper" for number in range(chance.randrange(4)))]
    for directory in directories:
        directory.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for number in range(chance.randrange(40)):
        path = chance.choice(directories) / f"n{number}\nodd \udcff"
        kind = chance.randrange(6)
        if kind == 0:
            path.symlink_to(chance.choice(["nowhere", "/", "x" * 200]))
        elif kind == 1:
            with path.open("wb") as stream:
                stream.truncate(chance.randrange(1 << 20))
                stream.write(b"not all of it")
        elif kind == 2:
            path.mkdir()
        elif kind <= 4 and made:
            os.link(chance.choice(made), path, follow_symlinks=False)
        else:
            path.write_bytes(b"x" * chance.randrange(20_000))
            made.append(path)
    return trees


def _by_hand(tree: Path, others: Sequence[Path]) -> dict[str, int]:
    """Count a tree without the others inside of it, one lstat after the other."""
    inside: Counter[tuple[int, int]] = Counter()
    status = {}
    files = lengths = 0
    for directory, names, leaves in os.walk(tree):
        names[:] = [name for name in names if Path(directory, name) not in others]
        links = [name for name in names if Path(directory, name).is_symlink()]
        for path in (Path(directory), *(Path(directory, name) for name in (*leaves, *links))):
            found = path.lstat()
            key = (found.st_dev, found.st_ino)
            status[key] = found
            inside[key] += 1
            if path != Path(directory):
                files += 1
                lengths += found.st_size
    blocks = {key: found.st_blocks * 512 for key, found in status.items()}
    own = sum(
        blocks[key]
        for key, found in status.items()
        if (found.st_mode & 0o170000) == 0o040000 or inside[key] == found.st_nlink
    )
    return {"files": files, "apparent": lengths, "own": own, "allocated": sum(blocks.values())}


def _walk(trees: Sequence[Path], *, trusted: bool = True, thorough: bool = False) -> tuple[Inodes, list[Tree]]:
    inodes = Inodes()
    keys = frozenset((tree.stat().st_dev, tree.stat().st_ino) for tree in trees)
    walker = Walker(inodes, keys, thorough=thorough)
    return inodes, [walker.walk(str(tree), trusted=trusted and bool(number)) for number, tree in enumerate(trees)]


@pytest.fixture
def place() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp())
    yield directory
    shutil.rmtree(directory)


def _accounts(inodes: Inodes, trees: Sequence[Tree]) -> list[Account]:
    caches, environments = account(trees[:1], trees[1:], inodes)
    return [*caches, *environments]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), trusted=st.booleans(), thorough=st.booleans())
def test_every_tree_counts_as_by_hand_and_all_together_as_du(seed: int, trusted: bool, thorough: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        paths = _grow(Path(directory), seed)
        inodes, trees = _walk(paths, trusted=trusted, thorough=thorough)
        accounts = _accounts(inodes, trees)

        for path, tree, counted in zip(paths, trees, accounts):
            slow = _by_hand(path, [other for other in paths if other != path])
            assert slow == {
                "files": counted.files,
                "apparent": counted.apparent,
                "own": counted.own,
                "allocated": counted.allocated,
            }
            assert counted.own == released([tree], inodes)
        assert occupied(trees, inodes) == du(*paths) == sum(shares(trees, inodes))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_own_bytes_are_what_a_removal_gives_back(seed: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        paths = _grow(top, seed)
        inodes, trees = _walk(paths)
        before = du(top)
        own = _accounts(inodes, trees)[3].own
        parent = top.stat().st_blocks

        shutil.rmtree(paths[3])

        assert before - du(top) == own + (parent - top.stat().st_blocks) * 512


def test_what_is_shared_is_shared_with_somebody(place: Path) -> None:
    cache, one, two = (place / name for name in ("cache", "one", "two"))
    for path in (cache, one, two, place / "away"):
        path.mkdir()
    for name, links in {"a": (cache, one), "b": (one, two), "c": (one, place / "away"), "d": (one, one)}.items():
        (links[0] / name).write_bytes(b"x" * 5000)
        os.link(links[0] / name, links[1] / f"{name}2")
    block = (one / "d").stat().st_blocks * 512

    inodes, trees = _walk([cache, one, two])
    _, counted, other = _accounts(inodes, trees)

    assert (counted.with_caches, counted.with_environments, counted.elsewhere) == (block, block, block)
    assert counted.own == block + one.stat().st_blocks * 512
    assert (other.with_caches, other.with_environments) == (0, block)


def test_the_progress_counts_every_file_once_and_the_sum_is_that_of_du(place: Path) -> None:
    paths = [path for seed in range(6) for path in _grow(place / str(seed), seed)]
    inodes = Inodes()
    keys = frozenset((path.stat().st_dev, path.stat().st_ino) for path in paths)
    reported: list[int] = []
    walker = Walker(inodes, keys, progress=reported.append)
    trees = [walker.walk(str(path), trusted=path != paths[0]) for path in paths]

    assert sum(reported) == sum(tree.files for tree in trees)
    assert _accounts(inodes, trees) == _accounts(*_walk(paths))
    assert occupied(trees, inodes) == du(*paths)
