"""Join the content that inodes share without a link, where a file system can do that (``cp --reflink``).

Bytes that several inodes hold are freed with the last link of the last of these inodes. So a run of such bytes counts
as one more inode, that has as many links as its holders together.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

#: Added to the number of a file system, it is the device of no inode (Linux: 32 bits).
NO_DEVICE = 1 << 63

#: Extents that overlap in more different ways than this are not cut: time stays linear, and they count as freed last.
_MOST_CUTS = 256

_Holder = TypeVar("_Holder", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Extents:
    """Those bytes of an inode that other inodes hold too.

    file_system: the same for all inodes on it, while these may have several devices (subvolumes of btrfs).
    ranges: where each extent starts on the file system, and its length, in bytes.
    whole: the file system frees an extent when nothing holds any part of it (btrfs), and not block by block (XFS).
    """

    file_system: int
    ranges: tuple[tuple[int, int], ...]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Common:
    """Bytes that are freed together, with the last of the links of all inodes that hold them.

    device, number: as the key of an inode. links: one more if another holder is needed to explain that they are shared.
    """

    device: int
    number: int
    size: int
    links: int


_Range = tuple[int, int, _Holder]


def join(holders: Mapping[_Holder, tuple[int, Extents]]) -> dict[_Holder, tuple[Common, ...]]:
    """Return what inodes have in common, for each the parts of its extents; `holders` are links and extents by inode.

    All that is known has to be joined at once.
    """
    ranges: dict[tuple[int, bool], list[_Range[_Holder]]] = {}
    for holder, (_, extents) in holders.items():
        for start, length in extents.ranges:
            ranges.setdefault((extents.file_system, extents.whole), []).append((start, start + length, holder))
    found: dict[_Holder, list[Common]] = {holder: [] for holder in holders}
    for (file_system, whole), listed in ranges.items():
        for chain in _chains(sorted(listed, key=lambda item: item[:2])):
            for start, end, holding in _whole(chain) if whole else _pieces(chain):
                distinct = dict.fromkeys(holding)
                # Shared, but with nothing that is known: a snapshot or a copy elsewhere keeps it.
                links = sum(holders[holder][0] for holder in distinct) + (len(holding) == 1)
                common = Common(file_system | NO_DEVICE, start, end - start, links)
                for holder in distinct:
                    found[holder].append(common)
    return {holder: tuple(parts) for holder, parts in found.items()}


def _chains(ranges: Iterable[_Range[_Holder]]) -> list[list[_Range[_Holder]]]:
    """Return sorted ranges in groups: each overlaps one before it in its group."""
    chains: list[list[_Range[_Holder]]] = []
    last = 0
    for start, end, holder in ranges:
        if start >= last:
            chains.append([])
        chains[-1].append((start, end, holder))
        last = max(last, end)
    return chains


def _whole(chain: list[_Range[_Holder]]) -> Iterator[tuple[int, int, list[_Holder]]]:
    yield chain[0][0], max(end for _, end, _ in chain), [holder for _, _, holder in chain]


def _pieces(chain: list[_Range[_Holder]]) -> Iterator[tuple[int, int, list[_Holder]]]:
    """Cut overlapping ranges where one of them starts or ends; yield each piece with the holder of each range in it."""
    cuts = sorted({cut for start, end, _ in chain for cut in (start, end)})
    if len(cuts) > _MOST_CUTS:
        yield from _whole(chain)
        return
    for left, right in pairwise(cuts):
        yield left, right, [holder for start, end, holder in chain if start <= left < end]
