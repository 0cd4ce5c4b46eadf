"""Plan which files with the same content share one copy's storage, and count what that frees.

That two files are the same is a hint from records here; the kernel compares them before it shares anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from ..model import Result, Word
from ..notices import Notice


class Extent(NamedTuple):
    """A run of bytes on a disk: where it starts and how long it is, in bytes; `shared`: several files may hold it."""

    start: int
    length: int
    shared: bool


class PlaceKind(Word):
    """What the records were found in."""

    ENVIRONMENT = "environment"
    PACKAGE = "package"
    TOOL_CACHE = "tool-cache"


class WhyNot(Word):
    """Why files that are stored twice stay as they are."""

    FILE_SYSTEM = "file-system"
    OTHER_USER = "other-user"


@dataclass(frozen=True, slots=True)
class Place:
    """A directory whose records name files and their hashes.

    path: absolute, without symbolic links. name: how it is called on screen: an environment's name, a package's dist.
    device, owner: of the directory itself.
    """

    kind: PlaceKind
    path: str
    name: str
    device: int
    owner: int


@dataclass(frozen=True, slots=True)
class FileCopy:
    """A file that a record names, by its path below a place, with slashes.

    package: the dist or the wheel that brought it. allocated: its bytes on disk. extents: where these are; None if that
    is not known.
    """

    place: Place
    name: str
    package: str
    inode: int
    size: int
    allocated: int
    extents: tuple[Extent, ...] | None = None

    @property
    def path(self) -> str:
        """Its absolute path."""
        return f"{self.place.path}/{self.name}"


@dataclass(frozen=True, slots=True)
class Share:
    """One file to be changed: it gets the storage of another one, `source`; `frees` so many bytes."""

    file: FileCopy
    source: FileCopy
    frees: int


@dataclass(frozen=True, slots=True)
class SharePlan:
    """The files to change, the largest gain first.

    left: for each reason how many files stay as they are, and their bytes on disk.
    """

    shares: tuple[Share, ...]
    left: Mapping[WhyNot, tuple[int, int]]
    notices: tuple[Notice, ...] = ()

    @property
    def frees(self) -> int:
        """The bytes that all of it frees."""
        return sum(share.frees for share in self.shares)


@dataclass(frozen=True, slots=True)
class ShareOutcome:
    """What became of a file: `Result.SHARED`, or else `error` says why not. freed: bytes."""

    path: str
    result: Result
    freed: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ShareResult:
    """The outcomes for some files, and whether the user interrupted it."""

    outcomes: tuple[ShareOutcome, ...]
    interrupted: bool = False


def plan_shares(groups: Iterable[Sequence[FileCopy]], chosen: frozenset[str] | None = None) -> tuple[Share, ...]:
    """Return the files that are to share the storage of another one, the largest gain first.

    groups: copies of one content, each of them on one file system and of one owner. chosen: the paths of the places in
    which files are changed; None for all. The copy whose storage most others have already stays as it is.
    """
    shares = []
    for copies in groups:
        source = _source(copies)
        changed = [
            copy
            for copy in copies
            if copy is not source
            and (chosen is None or copy.place.path in chosen)
            and (copy.extents is None or copy.extents != source.extents)
        ]
        shares += [Share(copy, source, frees) for copy, frees in zip(changed, _freed(changed, copies))]
    return tuple(sorted(shares, key=lambda share: (-share.frees, share.file.path)))


def _source(copies: Sequence[FileCopy]) -> FileCopy:
    """Return the copy whose storage the others get: what most have already, else a package's, else the first."""
    users = Counter(copy.extents for copy in copies)
    # Where the storage of some is not known, that is not the same.
    users[None] = 0
    return min(copies, key=lambda copy: (-users[copy.extents], copy.place.kind is not PlaceKind.PACKAGE, copy.path))


def _freed(changed: Sequence[FileCopy], copies: Sequence[FileCopy]) -> list[int]:
    """Return what changing each of some copies frees: a run that several hold is freed with the last of them.

    A run that is marked as shared, and that no other copy holds, is held by a file that no record names: one of a
    snapshot, or a clone elsewhere. It is not freed.
    """
    holders = Counter(chain.from_iterable(set(copy.extents or ()) for copy in copies))
    dropped: Counter[Extent] = Counter()
    freed = []
    for copy in changed:
        if copy.extents is None:
            freed.append(copy.allocated)
            continue
        gain = 0
        for extent in copy.extents:
            dropped[extent] += 1
            known = not extent.shared or holders[extent] > 1
            gain += extent.length * (known and dropped[extent] == holders[extent])
        freed.append(gain)
    return freed


@dataclass(frozen=True, slots=True)
class Gain:
    """How many files of a place, or of one package in it, are changed, and the bytes that this frees."""

    place: Place
    package: str
    files: int
    frees: int


def gains(shares: Iterable[Share], *, by_package: bool) -> tuple[Gain, ...]:
    """Return the gain of each place, or of each package in it, the largest first."""
    files: Counter[tuple[Place, str]] = Counter()
    frees: Counter[tuple[Place, str]] = Counter()
    for share in shares:
        key = share.file.place, share.file.package if by_package else ""
        files[key] += 1
        frees[key] += share.frees
    found = (Gain(*key, count, frees[key]) for key, count in files.items())
    return tuple(sorted(found, key=lambda gain: (-gain.frees, gain.place.path, gain.package)))
