"""The vocabulary of the design as values: caches, entries, roots, references.

Sizes are integers in bytes, times are seconds since the epoch as floats, paths are absolute strings. A path that is
not valid UTF-8 carries its odd bytes as surrogates, as `os.fsdecode` gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from os.path import join

from .notices import Notice


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
    owner: the name of the user who may remove what the caller may not; None for a cache that the caller may write to,
        and where it is not the owner's permission that is lacking.
    """

    path: str
    real_path: str
    client: str
    writable: bool
    entries: tuple[Entry, ...]
    top: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Root:
    """What keeps entries, and the dists that it names.

    path: of the environment, of the revision's environment, or of the lockfile; empty for a rule.
    name: the environment's, if it has one; the revision's with it; the text of a rule.
    signature: what tells whether an environment has changed since it was read.
    notes: for the dists of which there is more to say than that this root names them, such as the line of a lockfile.
    aliases: which of the dists are only other names of a record, as its url gives them, and what that record is called.
    """

    path: str
    name: str | None
    state: RootState
    dists: frozenset[str] = field(repr=False)
    kind: RootKind = RootKind.ENVIRONMENT
    signature: tuple[int, int] | None = field(default=None, repr=False)
    notes: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    aliases: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def packages(self) -> frozenset[str]:
        """The dists that it has, each by one name."""
        return self.dists.difference(self.aliases) if self.aliases else self.dists


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
