"""The words of the design as values: caches, entries, roots, what was measured and found.

Sizes are integers in bytes, times are seconds since the epoch as floats, paths are absolute strings. A path that is
not valid UTF-8 carries its odd bytes as surrogates, as `os.fsdecode` gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from os.path import join
from typing import Any


class Word(str, Enum):
    """An enum whose members are the words of the JSON contract, and equal to them."""

    __str__ = str.__str__
    # What is equal has the same hash; that of enums is another, and slow.
    __hash__ = str.__hash__


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

    That file also holds the hash of the archive (`clients.rattler`), so it goes and comes back with the directory.
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
    `HALF_REMOVED`: it has no records, but files of packages that are linked from caches or copied.
    """

    OK = "ok"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    CORRUPT = "corrupt"
    HALF_REMOVED = "half-removed"


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
    LOCKED = "locked"
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

    def __hash__(self) -> int:
        # Entries are looked up all the time, a string knows its hash, and few of one name are in several caches.
        return hash(self.dist)

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
    aliases: which of the dists are only other names of a record, as its url gives them, and what that record is called.
    """

    path: str
    name: str | None
    state: RootState
    dists: frozenset[str] = field(repr=False)
    kind: RootKind = RootKind.ENVIRONMENT
    stamp: tuple[int, int] | None = field(default=None, repr=False)
    notes: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    aliases: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def packages(self) -> frozenset[str]:
        """The dists that it has, each by one name."""
        return self.dists.difference(self.aliases) if self.aliases else self.dists


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
    sample: the relative path of a file that an environment would link, to ask environments for.
    """

    identity: Identity
    files: int
    apparent: int
    single: int
    shared: tuple[SharedInode, ...]
    payload_ctime: float | None = None
    obstacle: str | None = None
    sample: str | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Remainder:
    """The one file of an extracted directory that stays in the cache, beside the archive, when the rest is removed.

    path: from the extracted directory down to the file. device, inode: of the file; apparent: its length in bytes.
    single: allocated bytes of the directories on the path, and of the file if it has no other name.
    """

    path: tuple[str, ...]
    device: int
    inode: int
    apparent: int
    single: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What opening and measuring an entry that no root names has shown.

    dist: the ``name-version-build`` that conda knows it by: what its channel said, or else its own index. It differs
        from the entry's name when the archive is called otherwise, such as a wheel.
    aliases: the other dists that its metadata gives.
    fetched: the newest time of fetching or extraction.
    outside: links to its files that neither the caches nor the entry itself explain.
    source: the url it was fetched from, credentials masked.
    record: the content of its ``info/repodata_record.json``, for a restore that fetches it again; credentials masked.
    irreplaceable: why it can't be fetched again, if that is so.
    beside: the parts that stay when the measured ones go, and that have to stay what they are for that.
    remainder: the file of the extracted directory that stays, which is not in the measurements then.
    """

    entry: Entry
    measurements: tuple[tuple[Part, Measurement], ...] = ()
    dist: str | None = None
    fetched: float | None = None
    outside: int = 0
    source: str | None = None
    sha256: str | None = None
    record: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    doubt: str | None = None
    unreadable: str | None = None
    irreplaceable: str | None = None
    beside: tuple[tuple[Part, Identity], ...] = ()
    aliases: tuple[str, ...] = ()
    remainder: Remainder | None = None


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
