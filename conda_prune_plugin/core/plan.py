"""The plan and its outcomes: decisions with their reasons. Units are those of `model`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .evidence import Identity, Remainder
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
from .units import plural

_OTHER = {
    OtherKind.INDEX_CACHE: ("index cache", "index caches"),
    OtherKind.TEMPFILES: ("temporary file", "temporary files"),
    OtherKind.LOGFILES: ("log file", "log files"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision was taken; `root` and `link` belong to references."""

    kind: ReasonKind
    detail: str
    root: str | None = None
    link: LinkKind | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The decision to keep an entry.

    reclaimable: the bytes that its removal would give back, if nothing but a lack of permission keeps it; otherwise 0.
    """

    entry: Entry
    verdict: Verdict
    reasons: tuple[Reason, ...]
    reclaimable: int = 0


@dataclass(frozen=True, slots=True)
class Remove:
    """The decision to remove parts of an entry, with what that gives back.

    reclaimable: allocated bytes whose last link goes with this decision, given that those before it in the plan
        were carried out; the sum over a plan is what the file system gives back.
    other_sources: the urls of archives that `source` does not name, with their names.
    names: the dists that a root would reference it by.
    known_links: by device and inode, how many hard links to its files lie outside of it, all in other entries.
    accepted: the roots that reference it, as they were, though they share no file with what goes.
    beside: parts that stay, as they were: the decision holds as long as they are there.
    remainder: the file of the extracted directory that stays, which none of these numbers counts.
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

    @property
    def paths(self) -> tuple[str, ...]:
        """The absolute paths that go."""
        return tuple(self.entry.path(part) for part in self.parts)

    @property
    def linkable(self) -> bool:
        """Whether a root has what goes, so that it might soft-link it; nothing is linked but from a package."""
        return bool(self.accepted) and any(part.kind is PartKind.EXTRACTED for part in self.parts)

    @property
    def leftover(self) -> bool:
        """Whether it is a leftover that goes, and no entry."""
        return any(reason.kind in LEFTOVER_KINDS for reason in self.reasons)

    @property
    def label(self) -> str:
        """What tells it from all others in a cache: of a package half of which is a leftover, two may go."""
        return label(self.entry.dist, leftover=self.leftover)


def label(dist: str, *, leftover: bool) -> str:
    """Return what tells an entry, or the leftover of the same name, from all others in a cache."""
    return f"{dist}.leftover" if leftover else dist


@dataclass(frozen=True, slots=True)
class Other:
    """The decision to remove an index cache, a temporary file or a log file: nothing that a restore could bring back.

    top: the real path of the cache or environment that it lies in, which the removal does not leave.
    path: absolute, below `top`. identity: what it was when it was listed. Sizes in bytes, as in `Remove`.
    """

    kind: OtherKind
    top: str
    path: str
    identity: Identity
    files: int
    apparent: int
    reclaimable: int


@dataclass(frozen=True, slots=True)
class Repair:
    """The decision to extract a damaged package anew; it is among what is kept, too.

    removal: of the damaged directory. archive: the name of the archive beside it; dist, sha256 and record: what that
    is known to hold.
    """

    removal: Remove
    archive: str
    dist: str
    sha256: str | None
    record: Mapping[str, Any] | None = field(repr=False, hash=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the planner decided: every entry of every cache is in exactly one of `remove` and `keep`.

    So is every leftover that was looked for. `other`: what goes besides. `repair`: what of the kept is extracted anew.
    missed: the bytes by which a target (how much is to go) can't be met.
    """

    inventory: Inventory
    remove: tuple[Remove, ...]
    keep: tuple[Keep, ...]
    missed: int = 0
    other: tuple[Other, ...] = ()
    repair: tuple[Repair, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to be done."""
        return bool(self.remove or self.other or self.repair)

    @property
    def _going(self) -> tuple[Remove | Other, ...]:
        return (*self.remove, *self.other)

    @property
    def files(self) -> int:
        """Directory entries that go, directories not counted."""
        return sum(decision.files for decision in self._going)

    @property
    def apparent(self) -> int:
        """The sum of the lengths of what goes, in bytes."""
        return sum(decision.apparent for decision in self._going)

    @property
    def reclaimable(self) -> int:
        """The bytes that the file system gives back."""
        return sum(decision.reclaimable for decision in self._going)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one decision; `freed` in bytes, measured while removing."""

    entry: Entry
    result: Result
    files: int = 0
    freed: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class OtherOutcome:
    """What became of the decision to remove something that is no entry; `freed` in bytes."""

    other: Other
    result: Result
    files: int = 0
    freed: int = 0
    error: str | None = None


def what_goes(plan: Plan) -> str:
    """Return how many packages, parts of packages, leftovers and other things go."""
    return counted((*plan.remove, *plan.other))


def counted(decisions: Iterable[Remove | Other]) -> str:
    """Return how many packages, parts of packages, leftovers and other things go with these decisions."""
    counts = Counter(noun for decision in decisions for noun in _nouns(decision))
    words = [plural(counts[noun], *noun) for noun in _NOUNS if counts[noun]]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


_PACKAGE, _LEFTOVER = ("package", "packages"), ("leftover", "leftovers")
_DIRECTORY, _ARCHIVE = ("extracted package", "extracted packages"), ("package archive", "package archives")
_NOUNS = (_PACKAGE, _DIRECTORY, _ARCHIVE, _LEFTOVER, *_OTHER.values())


def _nouns(decision: Remove | Other) -> list[tuple[str, str]]:
    """Return what goes: a whole package, a leftover, something else, or each part of a package of which some stays."""
    if isinstance(decision, Other):
        return [_OTHER[decision.kind]]
    if decision.leftover:
        return [_LEFTOVER]
    if len(decision.parts) == len(decision.entry.parts):
        return [_PACKAGE]
    parts = [part for part in decision.parts if part.kind is not PartKind.LOCK]
    return [_ARCHIVE if part.kind is PartKind.ARCHIVE else _DIRECTORY for part in parts]
