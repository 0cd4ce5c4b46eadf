"""The plan and its outcomes: decisions with their reasons. Units are those of `model`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .evidence import Identity, Remainder, SharedExtents
from .model import (
    LEFTOVER_KINDS,
    Entry,
    Inventory,
    LastUsedFrom,
    LinkKind,
    OtherKind,
    Part,
    PartKind,
    ReasonKind,
    Result,
    Root,
    Verdict,
)
from .units import NO_SPACE, Space, plural

_OTHER = {
    OtherKind.INDEX_CACHE: ("index cache", "index caches"),
    OtherKind.TEMPFILES: ("temporary file", "temporary files"),
    OtherKind.LOGFILES: ("log file", "log files"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision was made; `root` and `link` are for references."""

    kind: ReasonKind
    detail: str
    root: str | None = None
    link: LinkKind | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The decision to keep an entry.

    reclaimable, reclaimable_inodes: what its removal would free, if only a lack of permission keeps it; otherwise 0.
    """

    entry: Entry
    verdict: Verdict
    reasons: tuple[Reason, ...]
    reclaimable: int = 0
    reclaimable_inodes: int = 0

    @property
    def frees(self) -> Space:
        """The space that its removal would free."""
        return Space(self.reclaimable, self.reclaimable_inodes)


@dataclass(frozen=True, slots=True)
class Remove:
    """The decision to remove parts of an entry, and what that frees.

    reclaimable: allocated bytes whose last link is removed by this decision, after those before it in the plan; the sum
        over a plan is what the file system frees. reclaimable_inodes: the number of inodes, likewise.
    other_sources: the urls of archives that `source` does not name, with their names.
    names: the dists that a root would reference it by.
    known_links: by device and inode, how many hard links to its files other entries have.
    accepted: the roots that reference it, as they were when the plan was made, and don't keep it.
    beside: parts that stay; the decision holds only while they are unchanged.
    remainder: the file of the extracted directory that stays, which these numbers leave out.
    irreplaceable: why it can't be downloaded again, or None.
    """

    entry: Entry
    parts: tuple[Part, ...]
    identities: tuple[Identity, ...]
    reasons: tuple[Reason, ...]
    files: int
    apparent: int
    reclaimable: int
    last_used: float | None
    last_used_from: LastUsedFrom | None
    source: str | None
    sha256: str | None
    record: Mapping[str, Any] | None = field(repr=False, hash=False)
    names: frozenset[str]
    known_links: tuple[tuple[tuple[int, int], int], ...]
    accepted: frozenset[Root] = frozenset()
    beside: tuple[tuple[Part, Identity], ...] = ()
    remainder: Remainder | None = None
    other_sources: tuple[tuple[str, str], ...] = ()
    reclaimable_inodes: int = 0
    irreplaceable: str | None = None

    @property
    def frees(self) -> Space:
        """The space that it frees."""
        return Space(self.reclaimable, self.reclaimable_inodes)

    @property
    def paths(self) -> tuple[str, ...]:
        """The absolute paths to remove."""
        return tuple(self.entry.path(part) for part in self.parts)

    @property
    def linkable(self) -> bool:
        """Whether a root might soft-link the removed parts: only extracted packages are linked."""
        return bool(self.accepted) and any(part.kind is PartKind.EXTRACTED for part in self.parts)

    @property
    def leftover(self) -> bool:
        """Whether this is a leftover."""
        return any(reason.kind in LEFTOVER_KINDS for reason in self.reasons)

    @property
    def label(self) -> str:
        """Its unique name in a cache: of one package, a part and a leftover may be removed."""
        return label(self.entry.dist, leftover=self.leftover)


def label(dist: str, *, leftover: bool) -> str:
    """Return the unique name of an entry in a cache, or of the leftover of the same name."""
    return f"{dist}.leftover" if leftover else dist


@dataclass(frozen=True, slots=True)
class Other:
    """The decision to remove an index cache, a temporary file or a log file, which no restore brings back.

    top: the real path of the cache or environment that it is in, which the removal doesn't leave.
    path: absolute, below `top`. identity: as it was listed. Sizes as in `Remove`.
    """

    kind: OtherKind
    top: str
    path: str
    identity: Identity
    files: int
    apparent: int
    reclaimable: int
    reclaimable_inodes: int = 0

    @property
    def frees(self) -> Space:
        """The space that it frees."""
        return Space(self.reclaimable, self.reclaimable_inodes)


@dataclass(frozen=True, slots=True)
class Repair:
    """The decision to extract a damaged package again; the plan keeps the package, too.

    removal: of the damaged directory. archive: the name of the archive beside it, with its dist, hash and record.
    """

    removal: Remove
    archive: str
    dist: str
    sha256: str | None
    record: Mapping[str, Any] | None = field(repr=False, hash=False)

    @property
    def entry(self) -> Entry:
        """The damaged directory, as an entry."""
        return self.removal.entry


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions of the planner: every entry of every cache is in exactly one of `remove` and `keep`.

    So is every leftover. `other`: what else is removed. `repair`: what is kept and extracted again.
    missed: the space by which goals such as --free can't be met.
    bounded, common: as for `accounting.Ledger`. sharing: all inodes that are known to share content without a link.
    """

    inventory: Inventory
    remove: tuple[Remove, ...]
    keep: tuple[Keep, ...]
    missed: Space = NO_SPACE
    other: tuple[Other, ...] = ()
    repair: tuple[Repair, ...] = ()
    bounded: bool = False
    common: int = 0
    sharing: tuple[SharedExtents, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.remove or self.other or self.repair)

    @property
    def _going(self) -> tuple[Remove | Other, ...]:
        return (*self.remove, *self.other)

    @property
    def files(self) -> int:
        """How many files are removed."""
        return sum(decision.files for decision in self._going)

    @property
    def apparent(self) -> int:
        """The sum of the lengths of these files, in bytes."""
        return sum(decision.apparent for decision in self._going)

    @property
    def frees(self) -> Space:
        """The space that the file system frees."""
        return sum((decision.frees for decision in self._going), NO_SPACE)

    @property
    def reclaimable(self) -> int:
        """The bytes that the file system frees."""
        return self.frees.bytes

    @property
    def reclaimable_inodes(self) -> int:
        """The inodes that the file system frees."""
        return self.frees.inodes


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one decision; `freed` in bytes, measured while removing."""

    entry: Entry
    result: Result
    files: int = 0
    freed: int = 0
    error: str | None = None
    freed_inodes: int = 0


@dataclass(frozen=True, slots=True)
class OtherOutcome:
    """The outcome of the decision to remove something that is no entry; `freed` in bytes."""

    other: Other
    result: Result
    files: int = 0
    freed: int = 0
    error: str | None = None
    freed_inodes: int = 0


def what_goes(plan: Plan, *, backup: bool = False) -> str:
    """Return in words what a plan removes: ``3 packages and 1 log file``; other files have no `backup`."""
    if not backup:
        return counted((*plan.remove, *plan.other))
    deleted = f", and delete {counted(plan.other)}" if plan.other else ""
    return f"{counted(plan.remove)} aside{deleted}"


def counted(decisions: Iterable[Remove | Other]) -> str:
    """Return in words what these decisions remove."""
    counts = Counter(noun for decision in decisions for noun in _nouns(decision))
    words = [plural(counts[noun], *noun) for noun in _NOUNS if counts[noun]]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


_PACKAGE, _LEFTOVER = ("package", "packages"), ("leftover", "leftovers")
_DIRECTORY, _ARCHIVE = ("extracted package", "extracted packages"), ("package archive", "package archives")
_NOUNS = (_PACKAGE, _DIRECTORY, _ARCHIVE, _LEFTOVER, *_OTHER.values())


def _nouns(decision: Remove | Other) -> list[tuple[str, str]]:
    """Return the nouns for a removal: a package, a leftover, other files, or single parts of a package."""
    if isinstance(decision, Other):
        return [_OTHER[decision.kind]]
    if decision.leftover:
        return [_LEFTOVER]
    if len(decision.parts) == len(decision.entry.parts):
        return [_PACKAGE]
    parts = [part for part in decision.parts if part.kind is not PartKind.LOCK]
    return [_ARCHIVE if part.kind is PartKind.ARCHIVE else _DIRECTORY for part in parts]
