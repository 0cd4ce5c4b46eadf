"""Disk usage of trees, counted by inode.

A tree here is any set of directory entries, such as an environment without the environments and caches inside of it;
no directory entry is in two trees. An inode's blocks belong to a tree alone, are its *own*, when all links of the
inode lie in the tree: these are freed if exactly this tree is removed. The rest is *shared*.
Directories have no hard links, so theirs are always own. Content that inodes share without a link (reflinks) counts as
inodes of its own, which `Inodes.join` makes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import filterfalse

from ..evidence import SharedInode
from ..units import Space, Unit
from .shared_content import NO_DEVICE, Extents, join


class Inodes:
    """A table of inodes, stored in columns to be compact, since there may be millions.

    sizes, allocated: bytes. links: hard links wherever they lie. extents: of the rows that share content, which is not
    in `allocated`. asked: file systems were asked for it, so an inode with one link may have a row too.
    """

    def __init__(self) -> None:
        self.devices, self.numbers = array("Q"), array("Q")
        self.sizes, self.allocated, self.links = array("q"), array("q"), array("q")
        self.extents: dict[int, Extents] = {}
        self.asked = False
        self._rows: dict[int, dict[int, int]] = {}
        self._common: dict[int, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self.sizes)

    def rows_of(self, device: int) -> dict[int, int]:
        """Return the rows of a device's inodes by inode number; the mapping is live."""
        return self._rows.setdefault(device, {})

    def find(self, device: int, number: int) -> int | None:
        """Return the row of an inode; None if it has none."""
        return self._rows.get(device, {}).get(number)

    def row(self, device: int, number: int, size: int, allocated: int, links: int) -> int:
        """Return the row of an inode, which is added if it is new."""
        rows = self.rows_of(device)
        row = rows.get(number)
        if row is None:
            row = rows[number] = len(self.sizes)
            self.devices.append(device)
            self.numbers.append(number)
            self.sizes.append(size)
            self.allocated.append(allocated)
            self.links.append(links)
        return row

    def join(self) -> None:
        """Add a row for all content that is shared; no extents are added later."""
        joined = join({row: (self.links[row], extents) for row, extents in self.extents.items()})
        for row, parts in joined.items():
            self._common[row] = tuple(self.row(part.device, part.number, 0, part.size, part.links) for part in parts)

    def is_common(self, row: int) -> bool:
        """Return whether a row is content that inodes share, and no inode."""
        return self.devices[row] >= NO_DEVICE

    def count(self, rows: Collection[int]) -> int:
        """Return how many of some rows are inodes."""
        return len(rows) - sum(map(self.is_common, rows)) if self._common else len(rows)

    def with_common(self, tree: Tree) -> Tree:
        """Return a tree with the rows of the content that its inodes share."""
        if not self._common:
            return tree
        common = [row for inode in tree.rows for row in self._common.get(inode, ())]
        return replace(tree, rows=array("I", [*tree.rows, *common]), common=len(common))

    def shared(self, row: int, inside: int) -> SharedInode:
        """Return the inode of a row with the number of its links inside of something."""
        return SharedInode(self.devices[row], self.numbers[row], self.links[row], inside, self.allocated[row])


@dataclass(frozen=True, slots=True)
class Tree:
    """The counts of a walk over one tree.

    files: directory entries that are not directories.
    lengths: the lengths of those that are in no row, in bytes.
    single: allocated bytes of directories, and of the inodes that are in no row: they have one link.
    rows: the row of each other directory entry, so an inode is in here as often as it has links in the tree.
    accessed: the newest access to a file that nothing else links, in seconds since the epoch.
    changed: the newest inode change of a file.
    foreign: a directory that this user may not empty.
    common: how many of the rows are content that inodes share, and no inodes. at_most: the bytes are an upper bound.
    unreadable: paths that could not be read, and why.
    """

    files: int = 0
    directories: int = 0
    lengths: int = 0
    single: int = 0
    rows: Sequence[int] = ()
    accessed: float | None = None
    changed: float | None = None
    foreign: str | None = None
    common: int = 0
    at_most: bool = False
    unreadable: tuple[tuple[str, str], ...] = ()

    @property
    def alone(self) -> Space:
        """The space of directories, and of the inodes that are in no row."""
        return Space(self.single, self.directories + self.files - len(self.rows) + self.common)


def joined(trees: Iterable[Tree]) -> Tree:
    """Return several trees as one."""
    trees = tuple(trees)
    rows = array("I")
    for tree in trees:
        rows.extend(array("I", tree.rows))
    return Tree(
        files=sum(tree.files for tree in trees),
        directories=sum(tree.directories for tree in trees),
        lengths=sum(tree.lengths for tree in trees),
        single=sum(tree.single for tree in trees),
        rows=rows,
        accessed=max((tree.accessed for tree in trees if tree.accessed is not None), default=None),
        changed=max((tree.changed for tree in trees if tree.changed is not None), default=None),
        foreign=next((tree.foreign for tree in trees if tree.foreign is not None), None),
        common=sum(tree.common for tree in trees),
        at_most=any(tree.at_most for tree in trees),
        unreadable=tuple(item for tree in trees for item in tree.unreadable),
    )


@dataclass(frozen=True, slots=True)
class Account:
    """The bytes and inodes of one tree among others.

    apparent: the sum of the lengths of files and symbolic links, each name counted.
    own: what is freed if exactly this tree is removed.
    with_caches, with_environments, elsewhere: the allocated bytes that have links outside of the tree, each inode in
        one of them: in a tree of the other kind, else in one of its own kind, else nowhere that is known.
    own_inodes, shared_inodes: the inodes of the own and of the shared bytes; directories are own.
    """

    files: int
    directories: int
    apparent: int
    own: int
    with_caches: int
    with_environments: int
    elsewhere: int
    own_inodes: int = 0
    shared_inodes: int = 0

    @property
    def inodes(self) -> int:
        """The inodes of the tree, each counted once."""
        return self.own_inodes + self.shared_inodes

    @property
    def takes(self) -> Space:
        """The space of the tree."""
        return Space(self.allocated, self.inodes)

    def own_of(self, unit: Unit) -> int:
        """Return the bytes or inodes that are freed if exactly this tree is removed."""
        return self.own if unit is Unit.BYTES else self.own_inodes

    @property
    def shared(self) -> int:
        """The allocated bytes that stay if exactly this tree is removed."""
        return self.with_caches + self.with_environments + self.elsewhere

    @property
    def allocated(self) -> int:
        """The bytes of the tree as ``du`` counts them."""
        return self.own + self.shared


def account(
    caches: Sequence[Tree], environments: Sequence[Tree], inodes: Inodes
) -> tuple[tuple[Account, ...], tuple[Account, ...]]:
    """Return the accounts of all caches and of all environments."""
    in_caches: set[int] = set().union(*(tree.rows for tree in caches))
    in_environments: set[int] = set().union(*(tree.rows for tree in environments))
    return _accounts(caches, in_environments, inodes, across=True), _accounts(environments, in_caches, inodes)


def _accounts(trees: Sequence[Tree], others: set[int], inodes: Inodes, *, across: bool = False) -> tuple[Account, ...]:
    """Return the accounts of all trees of one kind; `others` are the rows that those of the other kind have."""
    # Most rows are in trees of both kinds: sets are much faster than a loop for them. The others have all their links
    # in these trees, or nowhere. Items of lists are faster than those of arrays.
    allocated, sizes, all_links = list(inodes.allocated), list(inodes.sizes), list(inodes.links)
    left, sums = [], []
    found: Counter[int] = Counter()
    for tree in trees:
        rows = list(tree.rows)
        inside = Counter(filterfalse(others.__contains__, rows))
        found.update(inside)
        left.append(inside)
        known = others.intersection(rows)
        sums.append((_total(sizes, rows), _total(allocated, known), inodes.count(known)))
    accounts = []
    for tree, inside, (lengths, unlike, known_inodes) in zip(trees, left, sums):
        own, alike, elsewhere, freed = tree.single, 0, 0, []
        for row, links in inside.items():
            if links >= all_links[row]:
                own += allocated[row]
                freed.append(row)
            elif found[row] > links:
                alike += allocated[row]
            else:
                elsewhere += allocated[row]
        shared = (alike, unlike) if across else (unlike, alike)
        released_inodes = inodes.count(freed)
        counts = tree.alone.inodes + released_inodes, known_inodes + inodes.count(inside) - released_inodes
        accounts.append(Account(tree.files, tree.directories, tree.lengths + lengths, own, *shared, elsewhere, *counts))
    return tuple(accounts)


def occupied(trees: Iterable[Tree], inodes: Inodes, unit: Unit = Unit.BYTES) -> int:
    """Return the allocated bytes of trees together, as ``du`` counts them, or their inodes."""
    trees = tuple(trees)
    rows: set[int] = set().union(*(tree.rows for tree in trees))
    return sum(tree.alone.of(unit) for tree in trees) + _space(inodes, rows, unit)


def shares(trees: Iterable[Tree], inodes: Inodes, unit: Unit = Unit.BYTES) -> list[int]:
    """Return the allocated bytes or the inodes of each tree that none before it has; they add up to `occupied`."""
    counted: set[int] = set()
    found = []
    for tree in trees:
        new = set(tree.rows) - counted
        counted |= new
        found.append(tree.alone.of(unit) + _space(inodes, new, unit))
    return found


def released(trees: Iterable[Tree], inodes: Inodes, unit: Unit = Unit.BYTES) -> int:
    """Return the bytes or the inodes that are freed if all of the trees are removed."""
    inside: Counter[int] = Counter()
    single = 0
    for tree in trees:
        inside.update(tree.rows)
        single += tree.alone.of(unit)
    return single + _space(inodes, [row for row, links in inside.items() if links >= inodes.links[row]], unit)


def held_by_several(holders: Iterable[Iterable[Tree]], inodes: Inodes, unit: Unit = Unit.BYTES) -> int:
    """Return the bytes or the number of the inodes that more than one holder has, each holder being a set of trees."""
    several: Counter[int] = Counter()
    for trees in holders:
        several.update(set().union(*(tree.rows for tree in trees)))
    return _space(inodes, [row for row, count in several.items() if count > 1], unit)


def _space(inodes: Inodes, rows: Collection[int], unit: Unit) -> int:
    return _total(inodes.allocated, rows) if unit is Unit.BYTES else inodes.count(rows)


def _total(column: Sequence[int], rows: Iterable[int]) -> int:
    return sum(map(column.__getitem__, rows))
