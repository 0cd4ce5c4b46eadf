"""What trees take on disk, package by package too, against a slow and obvious count of made-up links."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conda_prune_plugin.core.evidence import SharedInode
from conda_prune_plugin.core.model import Root, RootState
from conda_prune_plugin.core.units import NO_SPACE, Space, Unit
from conda_prune_plugin.core.usage.disk_usage import (
    Account,
    Inodes,
    Tree,
    account,
    held_by_several,
    joined,
    occupied,
    released,
    shares,
)
from conda_prune_plugin.core.usage.package_usage import Cached, Contents, Owner, OwnerKind, PackageShare, packages, zoom

#: Trees by number; one more place is nowhere that is known.
CACHES, ENVIRONMENTS, ELSEWHERE = (0, 1), (2, 3, 4), 5

#: For each inode its allocated bytes, a power of ten, and the places of its links.
places = st.lists(st.lists(st.integers(0, ELSEWHERE), min_size=2, max_size=5), max_size=6)


def _grow(inodes: list[list[int]]) -> tuple[Inodes, list[Tree]]:
    known = Inodes()
    for number, links in enumerate(inodes):
        assert known.row(number % 2, number // 2, number, 10**number, len(links)) == number
    trees = [
        Tree(
            files=_files(inodes, tree),
            directories=20 + tree,
            lengths=1000 * tree,
            single=10**8 * (tree + 1),
            rows=array("I", [row for row, links in enumerate(inodes) for place in links if place == tree]),
        )
        for tree in range(ELSEWHERE)
    ]
    return known, trees


def _account(inodes: list[list[int]], tree: int) -> Account:
    alike, other = (CACHES, ENVIRONMENTS) if tree in CACHES else (ENVIRONMENTS, CACHES)
    sums = Counter[str]()
    lengths = 0
    for number, links in enumerate(inodes):
        lengths += number * links.count(tree)
        if tree not in links:
            continue
        away = set(links) - {tree}
        where = "own" if not away else "other" if away & {*other} else "alike" if away & {*alike} else "elsewhere"
        sums[where] += 10**number
    shared = (sums["alike"], sums["other"]) if tree in CACHES else (sums["other"], sums["alike"])
    own = 10**8 * (tree + 1) + sums["own"]
    mine = [set(links) for links in inodes if tree in links]
    counts = _alone(tree) + mine.count({tree}), len(mine) - mine.count({tree})
    return Account(_files(inodes, tree), 20 + tree, 1000 * tree + lengths, own, *shared, sums["elsewhere"], *counts)


def _files(inodes: list[list[int]], tree: int) -> int:
    """Return the directory entries of a tree: those that are in no row, and those of its rows."""
    return 10 + tree + sum(links.count(tree) for links in inodes)


def _alone(tree: int) -> int:
    """Return the inodes of a tree that are in no row: its directories, and files with one link."""
    return 20 + tree + 10 + tree


@given(places)
@example([[0, 1], [0, 1], [0, 5], [0, 5], [2, 3], [2, 3], [2, 5], [2, 5], [0, 2], [0, 2]])
@example([[0, 0], [0, 0, 0], [2, 2], [2, 2]])
def test_every_byte_of_a_tree_is_its_own_or_shared_with_somebody(inodes: list[list[int]]) -> None:
    known, trees = _grow(inodes)

    accounts = account(trees[:2], trees[2:], known)

    assert accounts == (
        tuple(_account(inodes, tree) for tree in CACHES),
        tuple(_account(inodes, tree) for tree in ENVIRONMENTS),
    )
    for tree, counted in zip(trees, (*accounts[0], *accounts[1])):
        assert counted.allocated == occupied([tree], known)
        assert counted.own == released([tree], known) == counted.allocated - counted.shared
        assert counted.inodes == occupied([tree], known, Unit.INODES)
        assert counted.own_inodes == released([tree], known, Unit.INODES)


@given(places, st.sets(st.integers(0, 4)))
def test_trees_together_hold_and_give_back_what_links_say(inodes: list[list[int]], chosen: set[int]) -> None:
    known, trees = _grow(inodes)
    single = sum(10**8 * (tree + 1) for tree in chosen)
    some = [trees[tree] for tree in sorted(chosen)]

    held = sum(10**number for number, links in enumerate(inodes) if chosen & {*links})
    freed = sum(10**number for number, links in enumerate(inodes) if chosen >= {*links})
    several = sum(10**number for number, links in enumerate(inodes) if len(chosen & {*links}) > 1)

    assert occupied(iter(some), known) == sum(shares(iter(some), known)) == single + held
    assert released(iter(some), known) == single + freed
    assert held_by_several(([tree] for tree in some), known) == several
    assert held_by_several([some], known) == 0

    alone = sum(map(_alone, chosen))
    count = alone + sum(bool(chosen & {*links}) for links in inodes)
    assert occupied(iter(some), known, Unit.INODES) == sum(shares(iter(some), known, Unit.INODES)) == count
    assert released(iter(some), known, Unit.INODES) == alone + sum(chosen >= {*links} for links in inodes)
    twice = sum(len(chosen & {*links}) > 1 for links in inodes)
    assert held_by_several(([tree] for tree in some), known, Unit.INODES) == twice


def test_each_share_is_what_those_before_have_not() -> None:
    known, trees = _grow([[0, 1], [0, 5], [1, 1], [0, 2]])

    assert shares(trees[:3], known) == [10**8 + 1011, 2 * 10**8 + 100, 3 * 10**8]
    assert shares(trees[:3], known, Unit.INODES) == [30 + 3, 32 + 1, 34]


def test_a_tree_of_trees_has_all_that_they_have() -> None:
    one = Tree(1, 2, 3, 4, array("I", [5]), accessed=6.0, changed=9.0, unreadable=(("/a", "no"),))
    two = Tree(10, 20, 30, 40, [50], accessed=8.0, changed=7.0, foreign="/b", unreadable=(("/c", "no"),))
    three = Tree(foreign="/d")

    assert joined(iter([Tree(), one, two, three])) == Tree(
        files=11,
        directories=22,
        lengths=33,
        single=44,
        rows=array("I", [5, 50]),
        accessed=8.0,
        changed=9.0,
        foreign="/b",
        unreadable=(("/a", "no"), ("/c", "no")),
    )
    assert joined([]) == Tree(rows=array("I"))


def test_an_inode_has_one_row_on_its_device() -> None:
    known = Inodes()
    largest = 2**64 - 1

    rows = [
        known.row(*key, size=5, allocated=6, links=2) for key in ((1, 7), (1, 8), (largest, 7), (1, largest), (1, 7))
    ]

    assert rows == [0, 1, 2, 3, 0]
    assert len(known) == 4
    assert known.rows_of(1) == {7: 0, 8: 1, largest: 3}
    assert known.shared(1, 2) == SharedInode(1, 8, links=2, inside=2, allocated=6)
    assert [list(column) for column in (known.devices, known.numbers, known.sizes, known.allocated, known.links)] == [
        [1, 1, largest, 1],
        [7, 8, 7, largest],
        [5] * 4,
        [6] * 4,
        [2] * 4,
    ]


def _contents(path: str, owners: dict[str, Tree], **more: Tree) -> Contents:
    root = Root(path, None, RootState.OK, frozenset(owners))
    of_conda = {Owner(OwnerKind.CONDA, dist): tree for dist, tree in owners.items()}
    return Contents(root, {**of_conda, **{Owner(OwnerKind(kind)): tree for kind, tree in more.items()}})


DISTS = ("a-1-0", "a-2-0", "b-1-0")
#: Their sums tell which are in them.
SIZES = (1, 10, 100, 1_000, 10_000)
HOLDERS = ("/one", "/two", "/e", "/f")


@given(
    st.dictionaries(st.tuples(st.sampled_from(DISTS), st.sampled_from(HOLDERS)), st.sets(st.integers(0, 4), max_size=3))
)
@example({("a-1-0", "/e"): {0, 1}, ("a-1-0", "/f"): {1, 2}, ("a-2-0", "/one"): {3}, ("a-2-0", "/two"): {3}})
def test_packages_count_as_by_hand(held: dict[tuple[str, str], set[int]]) -> None:
    known = Inodes()
    for number in range(5):
        known.row(1, number, 1, 10**number, 9)
    trees = {
        key: Tree(files=len(rows) + 3, directories=4, single=10**6, rows=sorted(rows)) for key, rows in held.items()
    }
    cached = Cached(
        {
            dist: parts
            for dist in DISTS
            if (parts := tuple((path, trees[dist, path]) for path in ("/one", "/two") if (dist, path) in trees))
        }
    )
    contents = [
        _contents(path, {dist: trees[dist, path] for dist in DISTS if (dist, path) in trees}) for path in ("/e", "/f")
    ]

    def size(keys: Iterable[tuple[str, str]]) -> int:
        keys = list(keys)
        return len(keys) * 10**6 + sum(SIZES[row] for row in set().union(*(held[key] for key in keys)))

    def count(keys: Iterable[tuple[str, str]]) -> int:
        keys = list(keys)
        return len(keys) * (3 + 4) + len(set().union(*(held[key] for key in keys)))

    found = packages(cached, contents, known)

    by_count = {item.name: -item.inodes for item in found}
    others = packages(cached, contents, known, Unit.INODES)
    assert [item.name for item in others] == sorted(by_count, key=lambda name: (by_count[name], name))
    sizes = {name: size(key for key in held if key[0].startswith(name)) for name in {dist[0] for dist, _ in held}}
    assert [item.name for item in found] == sorted(sizes, key=lambda name: (-sizes[name], name))
    for item in found:
        keys = [key for key in held if key[0].startswith(item.name)]
        by_dist = {dist: size(key for key in keys if key[0] == dist) for dist in {dist for dist, _ in keys}}
        by_holder = [set().union(*(held[key] for key in keys if key[1] == path)) for path in HOLDERS]
        assert item.allocated == sizes[item.name]
        assert item.duplicated == item.allocated - max(by_dist.values())
        counts = {dist: count(key for key in keys if key[0] == dist) for dist in by_dist}
        assert item.inodes == count(keys)
        assert item.duplicated_inodes == item.inodes - max(counts.values())
        assert {version.dist: version.inodes for version in item.versions} == counts
        assert item.shared_inodes == sum(sum(row in rows for rows in by_holder) > 1 for row in range(5))
        assert item.shared == sum(10**row for row in range(5) if sum(row in rows for rows in by_holder) > 1)
        assert item.environments == len({path for _, path in keys} & {"/e", "/f"})
        assert [(version.dist, version.allocated) for version in item.versions] == sorted(
            by_dist.items(), key=lambda pair: (-pair[1], pair[0])
        )
        for version in item.versions:
            assert version.environments == tuple(path for path in ("/e", "/f") if (version.dist, path) in held)
            assert version.cached == bool({(version.dist, "/one"), (version.dist, "/two")} & {*held})
            assert cached.trees(version.dist) == tuple(
                trees[version.dist, path] for path in ("/one", "/two") if (version.dist, path) in held
            )


def test_a_dist_that_no_file_is_known_of_is_there_with_nothing() -> None:
    root = Root("/e", None, RootState.OK, frozenset({"a-1-0"}))

    (package,) = packages(Cached({}), [Contents(root, {})], Inodes())

    assert (package.name, package.environments, package.allocated) == ("a", 1, 0)
    (share,) = zoom(Contents(root, {}), [root], Inodes(), NO_SPACE).packages
    assert share == PackageShare("a-1-0", files=0, allocated=0, own=0, others=0)


def test_packages_of_one_size_come_by_name_and_their_environments_by_path() -> None:
    contents = [_contents(path, {dist: Tree() for dist in ("b-1-0", "a-2-0", "a-1-0")}) for path in ("/f", "/e")]

    found = packages(Cached({}), contents, Inodes())

    assert [[version.dist for version in item.versions] for item in found] == [["a-1-0", "a-2-0"], ["b-1-0"]]
    assert found[0].versions[0].environments == ("/e", "/f")
    assert [item.environments for item in found] == [2, 2]


def test_the_largest_package_is_that_of_the_unit_that_is_asked_for() -> None:
    contents = [_contents("/e", {"many-1-0": Tree(files=9, single=1), "large-1-0": Tree(files=1, single=9)})]

    names = [[item.name for item in packages(Cached({}), contents, Inodes(), unit)] for unit in Unit]

    assert names == [["large", "many"], ["many", "large"]]
    assert [item.name for item in packages(Cached({}), contents, Inodes())] == names[0]


@pytest.fixture
def near() -> tuple[Contents, Inodes]:
    known = Inodes()
    for number, links in enumerate((1, 2, 2, 1, 1, 1)):
        known.row(1, number, 1, 10**number, links)
    owners = {"b-1-0": Tree(1, rows=[0]), "a-1-0": Tree(3, rows=[1, 1, 2]), "c-1-0": Tree(2, 1, single=1)}
    contents = _contents(
        "/e",
        owners,
        pip=Tree(files=7, rows=[3]),
        other=Tree(files=8, rows=[4]),
        records=Tree(files=9, rows=[5]),
        directories=Tree(files=10, single=7),
    )
    return Contents(contents.root, {**contents.owners, Owner(OwnerKind.OTHER, "x"): Tree(files=5)}, (("s", 3),)), known


def test_an_environment_from_near_tells_all_its_parts(near: tuple[Contents, Inodes]) -> None:
    contents, known = near

    found = zoom(contents, [], known, kept=Space(77, 78))

    assert [(share.dist, share.files, share.allocated, share.own) for share in found.packages] == [
        ("a-1-0", 3, 110, 10),
        ("b-1-0", 1, 1, 1),
        ("c-1-0", 2, 1, 1),
    ]
    assert [(share.takes, share.own_inodes) for share in found.packages] == [
        (Space(110, 2), 1),
        (Space(1, 1), 1),
        (Space(1, 3), 3),
    ]
    assert [share.dist for share in zoom(contents, [], known, NO_SPACE, Unit.INODES).packages] == [
        "c-1-0",
        "a-1-0",
        "b-1-0",
    ]
    assert (found.kept, found.kept_inodes, found.other, found.other_files) == (77, 78, 10_000, 13)
    assert (found.records, found.directories, found.strangers) == (100_000, 7, (("s", 3),))


def test_who_else_has_a_package_is_counted_without_the_environment_itself(near: tuple[Contents, Inodes]) -> None:
    contents, known = near
    others = [Root(path, None, RootState.OK, frozenset({"a-1-0", "b-1-0"})) for path in ("/f", "/g")]
    one = Root("/h", None, RootState.OK, frozenset({"a-1-0"}))

    found = zoom(contents, [contents.root, *others, one], known, NO_SPACE)

    assert {share.dist: share.others for share in found.packages} == {"a-1-0": 3, "b-1-0": 2, "c-1-0": 0}
