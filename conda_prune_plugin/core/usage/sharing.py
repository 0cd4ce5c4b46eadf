"""Plan which files with the same content share one copy's storage, and count what that frees.

That two files are the same is a hint from records here; the kernel compares them before it shares anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..model import Result, Word
from ..notices import Notice
from .shared_content import Common, Extents, join


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

    package: the dist or the wheel that brought it. size: its length. own: the bytes on disk that no other inode holds.
    extents: those that others hold too. exact: `own` is no mere upper bound.
    """

    place: Place
    name: str
    package: str
    inode: int
    size: int
    own: int
    extents: Extents | None = None
    exact: bool = True

    @property
    def path(self) -> str:
        """Its absolute path."""
        return f"{self.place.path}/{self.name}"

    @property
    def runs(self) -> tuple[tuple[int, int], ...] | None:
        """Where on the disk all of its content lies, if other inodes hold all of it; adjacent extents are one run."""
        joined: list[tuple[int, int]] = []
        for start, length in self.extents.ranges if self.extents else ():
            if joined and sum(joined[-1]) == start:
                joined[-1] = joined[-1][0], joined[-1][1] + length
            else:
                joined.append((start, length))
        return tuple(joined) if sum(length for _, length in joined) >= self.size else None


@dataclass(frozen=True, slots=True)
class Share:
    """One file to be changed: it gets the storage of another one, `source`; `frees` so many bytes."""

    file: FileCopy
    source: FileCopy
    frees: int


@dataclass(frozen=True, slots=True)
class SharePlan:
    """The files to change, the largest gain first.

    left: for each reason how many files stay as they are, and their bytes on disk. exact: what it frees is no mere
    upper bound.
    """

    shares: tuple[Share, ...]
    left: Mapping[WhyNot, tuple[int, int]]
    exact: bool = True
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


def plan_shares(
    groups: Sequence[Sequence[FileCopy]],
    left: Mapping[WhyNot, tuple[int, int]],
    chosen: frozenset[str] | None = None,
    notices: tuple[Notice, ...] = (),
) -> SharePlan:
    """Return which files are to share the storage of another one.

    groups: copies of one content, each of them on one file system and of one owner. chosen: the paths of the places in
    which files are changed; None for all. The copy whose storage most others have already stays as it is.
    """
    everything = {(copy.place.device, copy.inode): copy for copies in groups for copy in copies}
    common = join({key: (1, copy.extents) for key, copy in everything.items() if copy.extents is not None})
    dropped: Counter[Common] = Counter()
    shares = []
    exact = True
    for copies in groups:
        source = _source(copies)
        for copy in copies:
            shares_already = copy.runs is not None and copy.runs == source.runs
            if copy is source or shares_already or (chosen is not None and copy.place.path not in chosen):
                continue
            parts = common.get((copy.place.device, copy.inode), ())
            dropped.update(parts)
            # What several hold is freed with the last of them.
            freed = sum(part.size for part in parts if dropped[part] == part.links)
            exact &= copy.exact and not freed
            shares.append(Share(copy, source, copy.own + freed))
    shares.sort(key=lambda share: (-share.frees, share.file.path))
    return SharePlan(tuple(shares), left, exact, notices)


def _source(copies: Sequence[FileCopy]) -> FileCopy:
    """Return the copy whose storage the others get: what most have already, else a package's, else the first."""
    users = Counter(copy.runs for copy in copies)
    # That all of it is shared is not known of these, nor that it is the same.
    users[None] = 0
    return min(copies, key=lambda copy: (-users[copy.runs], copy.place.kind is not PlaceKind.PACKAGE, copy.path))


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
