"""Count bytes and inodes, and say how exact a count is.

An inode and its blocks are freed with its last link, wherever that is: in the same entry, in another entry or in an
environment. A `Ledger` follows a sequence of removals and returns what each of them frees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from .evidence import Measurement, Remainder, SharedExtents, SharedInode
from .model import Word
from .notices import ESTIMATED, LAYERED, SHARED, Notice
from .units import Space
from .usage.shared_content import Common, join

#: Device and inode number.
InodeKey = tuple[int, int]

_Inode = TypeVar("_Inode", SharedInode, SharedExtents)


class Ledger:
    """The space that is freed as one part after the other is removed; `removed`: the links that are removed before.

    bounded: what was measured is an upper bound. common: how many bytes of it inodes shared without a link; others that
        are not known may share these too.
    """

    def __init__(self, removed: Mapping[InodeKey, int] | None = None) -> None:
        self._removed = dict(removed or {})
        self.bounded = False
        self.common = 0

    def remove(self, measurement: Measurement) -> Space:
        """Record the removal of a part and return the space that it frees, such as inodes with their last link."""
        self.bounded |= measurement.at_most
        common = self._freed(measurement.common)
        self.common += common.bytes
        linked = self._freed(measurement.shared)
        return measurement.alone + linked + Space(common.bytes)

    def _freed(self, linked: Iterable[SharedInode]) -> Space:
        freed = inodes = 0
        for inode in linked:
            key = (inode.device, inode.inode)
            before = self._removed.get(key, 0)
            self._removed[key] = before + inode.inside
            if before < inode.links <= self._removed[key]:
                freed += inode.allocated
                inodes += 1
        return Space(freed, inodes)


def with_common(measurements: Sequence[Measurement], others: Iterable[SharedExtents] = ()) -> tuple[Measurement, ...]:
    """Return measurements with their shared content joined, also with that of `others`, which may be among them."""
    holders = {
        (one.device, one.inode): (one.links, one.extents)
        for one in (*others, *(one for measurement in measurements for one in measurement.extents))
    }
    common = join(holders)
    return tuple(replace(one, extents=(), common=(*one.common, *_common(one.extents, common))) for one in measurements)


def _common(extents: Iterable[SharedExtents], common: Mapping[InodeKey, Sequence[Common]]) -> tuple[SharedInode, ...]:
    inside: Counter[Common] = Counter()
    for one in extents:
        for part in common[one.device, one.inode]:
            inside[part] += one.inside
    return tuple(SharedInode(part.device, part.number, part.links, links, part.size) for part, links in inside.items())


def without(measurement: Measurement, remainder: Remainder) -> Measurement:
    """Return the measurement of an extracted directory without the file of it that stays."""
    kept = (remainder.device, remainder.inode)
    return replace(
        measurement,
        files=measurement.files - 1,
        apparent=measurement.apparent - remainder.apparent,
        single=measurement.single - remainder.single,
        directories=measurement.directories - len(remainder.path),
        shared=_one_less(measurement.shared, kept),
        extents=_one_less(measurement.extents, kept),
    )


def _one_less(inodes: Iterable[_Inode], kept: InodeKey) -> tuple[_Inode, ...]:
    fewer = (
        replace(inode, inside=inode.inside - 1) if (inode.device, inode.inode) == kept else inode for inode in inodes
    )
    return tuple(inode for inode in fewer if inode.inside)


def missing_links(measurements: Iterable[Measurement]) -> dict[InodeKey, int]:
    """Return how many links of each inode are outside of all these parts, leaving out inodes that have none there."""
    missing: dict[InodeKey, int] = {}
    for measurement in measurements:
        for inode in measurement.shared:
            key = (inode.device, inode.inode)
            missing[key] = missing.get(key, inode.links) - inode.inside
    return {key: links for key, links in missing.items() if links > 0}


def unexplained(measurement: Measurement, outside: Mapping[InodeKey, int]) -> int:
    """Return how many files of a part have unexplained links, which `outside` counts."""
    return sum(1 for inode in measurement.shared if outside.get((inode.device, inode.inode), 0) > 0)


class Precision(Word):
    """How exact a size is."""

    EXACT = "exact"
    ABOUT = "about"
    AT_MOST = "at-most"


_HEDGES = {Precision.EXACT: "", Precision.ABOUT: "about ", Precision.AT_MOST: "at most "}


def precision(notices: Iterable[Notice]) -> Precision:
    """Return how exact sizes are, according to the notices that were given with them."""
    kinds = {notice.kind for notice in notices}
    if kinds & {LAYERED, SHARED}:
        return Precision.AT_MOST
    return Precision.ABOUT if ESTIMATED in kinds else Precision.EXACT


def hedge(notices: Iterable[Notice]) -> str:
    """Return the words before a size that is not exact, with a space behind them; else nothing."""
    return _HEDGES[precision(notices)]
