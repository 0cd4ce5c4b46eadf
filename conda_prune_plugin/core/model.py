"""The words of the design as values: caches, entries, roots, reasons, decisions, outcomes.

Sizes are integers in bytes, times are seconds since the epoch as floats, paths are absolute strings. A path that is
not valid UTF-8 carries its odd bytes as surrogates, as `os.fsdecode` gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from os.path import join


class Word(str, Enum):
    """An enum whose members are the words of the JSON contract."""

    __str__ = str.__str__


class Verdict(Word):
    """What reachability says of an entry; `UNKNOWN` is kept."""

    REACHABLE = "reachable"
    UNREFERENCED = "unreferenced"
    UNKNOWN = "unknown"
    LEFTOVER = "leftover"


class Client(Word):
    """Whose cache it is: how its entries are named and locked, and where their environments are known from.

    `RATTLER` stands for pixi and the other programs made with rattler too: they share its caches. A directory of
    environments, which is no cache, has runs, locks and receipts like one.
    """

    CONDA = "conda"
    MAMBA = "mamba"
    RATTLER = "rattler"
    ENVIRONMENTS = "environments"


class PartKind(Word):
    """A part of an entry: its extracted directory, an archive, or the file that rattler locks it by.

    That file also holds the hash of the archive (`discovery.rattler`), so it goes and comes back with the directory.
    What belongs to a leftover may be anything. In receipts there are whole environments too.
    """

    EXTRACTED = "extracted"
    ARCHIVE = "archive"
    LOCK = "lock"
    LEFTOVER = "leftover"
    ENVIRONMENT = "environment"


class RootKind(Word):
    """What kind of root keeps entries; the reasons bear the same words."""

    ENVIRONMENT = "environment"
    REVISION = "revision"
    LOCKFILE = "lockfile"
    KEEP = "keep"


class RootState(Word):
    """Whether an environment could be read.

    `CORRUPT`: it lists records that no one can read, but what their names say is protected all the same.
    """

    OK = "ok"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    CORRUPT = "corrupt"


class LinkKind(Word):
    """How an environment holds an entry's files; `RECORDED` when only the record ties them."""

    HARD = "hard"
    SOFT = "soft"
    COPY = "copy"
    RECORDED = "recorded"


class ReasonKind(Word):
    """Why an entry is kept, or goes."""

    ENVIRONMENT = "environment"
    REVISION = "revision"
    LOCKFILE = "lockfile"
    KEEP = "keep"
    LINKED = "linked"
    NEWEST = "newest"
    RECENT = "recent"
    IRREPLACEABLE = "irreplaceable"
    UNREADABLE = "unreadable"
    READ_ONLY = "read-only"
    NOT_SELECTED = "not-selected"
    UNKNOWN = "unknown"
    UNREFERENCED = "unreferenced"
    UNLINKED = "unlinked"
    TARBALL = "tarball"
    EXTRACTED = "extracted"
    PARTIAL_DOWNLOAD = "partial-download"
    INCOMPLETE_EXTRACTION = "incomplete-extraction"
    TRASH = "trash"
    CORRUPT = "corrupt"


#: Why something is a leftover.
LEFTOVER_KINDS = frozenset(
    {ReasonKind.PARTIAL_DOWNLOAD, ReasonKind.INCOMPLETE_EXTRACTION, ReasonKind.TRASH, ReasonKind.CORRUPT}
)


class OtherKind(Word):
    """What goes besides entries and leftovers; the lists of the JSON contract bear the same words."""

    INDEX_CACHE = "index_cache"
    TEMPFILES = "tempfiles"
    LOGFILES = "logfiles"


class LastUsedFrom(Word):
    """Where a time of last use comes from: link times, or the time of fetching and extraction."""

    LINK = "link"
    EXTRACTION = "extraction"


class Result(Word):
    """What happened to a decision; `SKIPPED`: it changed since it was planned, or something else is in its place."""

    REMOVED = "removed"
    BACKED_UP = "backed-up"
    REPAIRED = "repaired"
    RESTORED = "restored"
    PURGED = "purged"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know: a warning of the JSON contract.

    hides_roots: there may be roots that are not known because of it. Hard links tell of them and copies need nothing,
        so this matters only where soft links are possible.
    stops: what it hides was asked for, so nothing is removed unless the user says so.
    """

    kind: str
    message: str
    path: str
    hides_roots: bool = False
    stops: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """What a directory entry was when it was listed, to recognise it just before it is removed."""

    device: int
    inode: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Part:
    """One directory entry of a cache that belongs to an entry; `name` is its name in the cache directory.

    `is_link`: it is a symbolic link, which is never followed and never removed.
    """

    kind: PartKind
    name: str
    is_link: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One distribution in one cache: its extracted directory, its archives, or both."""

    cache: str
    dist: str
    parts: tuple[Part, ...]

    def path(self, part: Part) -> str:
        """Return the absolute path of one of the parts."""
        return join(self.cache, part.name)


@dataclass(frozen=True, slots=True)
class Cache:
    """One package cache directory. `path` is as configured; symbolic links in it were resolved for `real_path`.

    client: one of `Client`.
    top: for a directory of a nested cache, the real path of the cache that it lies in and is locked with.
    """

    path: str
    real_path: str
    client: str
    writable: bool
    entries: tuple[Entry, ...]
    top: str | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """What keeps entries, and the dists that it names.

    path: of the environment, of the revision's environment, or of the lockfile; empty for a rule.
    name: the environment's, if it has one; the revision's with it; the text of a rule.
    stamp: what tells whether an environment has changed since it was read.
    notes: for the dists of which there is more to say than that this root names them, such as the line of a lockfile.
    """

    path: str
    name: str | None
    state: RootState
    dists: frozenset[str] = field(repr=False)
    kind: RootKind = RootKind.ENVIRONMENT
    stamp: tuple[int, int] | None = field(default=None, repr=False)
    notes: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class SharedInode:
    """An inode with more than one link: `links` in all, `inside` of them within the part that was measured."""

    device: int
    inode: int
    links: int
    inside: int
    allocated: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one part holds on disk.

    files: directory entries that are not directories.
    apparent: the sum of the lengths of files and symbolic links, each name counted.
    single: allocated bytes of directories and of inodes with one link.
    shared: the inodes with more than one link.
    payload_ctime: newest inode change of the files outside ``info/``: the last time one was linked or unlinked.
    obstacle: why it can't be removed whole (somebody else's directory, a mount point), or None.
    """

    identity: Identity
    files: int
    apparent: int
    single: int
    shared: tuple[SharedInode, ...]
    payload_ctime: float | None = None
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What opening and measuring an entry that no root names has shown.

    dist: the ``name-version-build`` that its own metadata gives, which differs from the entry's name when the
        archive was renamed before it was installed.
    fetched: the newest time of fetching or extraction.
    outside: links to its files that neither the caches nor the entry itself explain.
    source: the url it was fetched from, credentials masked.
    record: the content of its ``info/repodata_record.json``, for a restore that fetches it again; credentials masked.
    irreplaceable: why it can't be fetched again, if that is so.
    beside: the parts that stay when the measured ones go, and that have to stay what they are for that.
    """

    entry: Entry
    measurements: tuple[tuple[Part, Measurement], ...] = ()
    dist: str | None = None
    fetched: float | None = None
    outside: int = 0
    source: str | None = None
    sha256: str | None = None
    record: str | None = None
    doubt: str | None = None
    unreadable: str | None = None
    irreplaceable: str | None = None
    beside: tuple[tuple[Part, Identity], ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that discovery found by listing.

    soft_links: why an environment that is not known may hold soft links into the caches; None if none does.
    unsearched: the entries of a client that registers its environments nowhere, when nobody looked for these.
    """

    caches: tuple[Cache, ...]
    roots: tuple[Root, ...]
    notices: tuple[Notice, ...] = ()
    soft_links: str | None = None
    unsearched: frozenset[Entry] = frozenset()

    @property
    def judged(self) -> tuple[Cache, ...]:
        """The caches in which something may go: not those where nobody has looked for the environments of any entry."""
        return tuple(cache for cache in self.caches if not self.unsearched.issuperset(cache.entries or (None,)))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a decision was taken; `root` and `link` belong to references."""

    kind: ReasonKind
    detail: str
    root: str | None = None
    link: LinkKind | None = None


@dataclass(frozen=True, slots=True)
class Keep:
    """The decision to keep an entry."""

    entry: Entry
    verdict: Verdict
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Remove:
    """The decision to remove parts of an entry, with what that gives back.

    reclaimable: allocated bytes whose last link goes with this decision, given that those before it in the plan
        were carried out; the sum over a plan is what the file system gives back.
    names: the dists that a root would reference it by.
    known_links: by device and inode, how many hard links to its files lie outside of it, all in other entries.
    accepted: the roots that reference it, as they were, though they share no file with what goes.
    beside: parts that stay, as they were: the decision holds as long as they are there.
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
    record: str | None = field(repr=False)
    names: frozenset[str]
    known_links: tuple[tuple[tuple[int, int], int], ...]
    accepted: frozenset[Root] = frozenset()
    beside: tuple[tuple[Part, Identity], ...] = ()

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
    record: str | None = field(repr=False)


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
