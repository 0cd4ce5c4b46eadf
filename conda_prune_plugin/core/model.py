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
    """The verdict on an entry; `UNKNOWN` ones are kept."""

    REACHABLE = "reachable"
    UNREFERENCED = "unreferenced"
    UNKNOWN = "unknown"
    LEFTOVER = "leftover"


class Client(Word):
    """The client of a cache, which decides how entries are named and locked, and where environments are listed.

    `RATTLER` includes pixi and other programs made with rattler, which share its caches. A directory of environments is
    no cache, but has runs, locks and receipts like one.
    """

    CONDA = "conda"
    MAMBA = "mamba"
    RATTLER = "rattler"
    ENVIRONMENTS = "environments"


class PartKind(Word):
    """A part of an entry: its extracted directory, an archive, or the file that rattler locks it by.

    The lock file also holds the hash of the archive (`clients.lock_files`), so both are removed and restored together.
    A leftover may be anything. Receipts have whole environments, too.
    """

    EXTRACTED = "extracted"
    ARCHIVE = "archive"
    LOCK = "lock"
    LEFTOVER = "leftover"
    ENVIRONMENT = "environment"


class RootKind(Word):
    """The kind of a root; the reasons have the same words."""

    ENVIRONMENT = "environment"
    REVISION = "revision"
    LOCKFILE = "lockfile"
    KEEP = "keep"


class RootState(Word):
    """Whether an environment could be read.

    `CORRUPT`: some records can't be read; the packages in their file names are protected all the same.
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
    """Why an entry is kept or removed."""

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


#: The kinds of leftovers.
LEFTOVER_KINDS = frozenset(
    {ReasonKind.PARTIAL_DOWNLOAD, ReasonKind.INCOMPLETE_EXTRACTION, ReasonKind.TRASH, ReasonKind.CORRUPT}
)


class OtherKind(Word):
    """Kinds of files that are removed besides entries and leftovers; the lists in JSON have the same words."""

    INDEX_CACHE = "index_cache"
    TEMPFILES = "tempfiles"
    LOGFILES = "logfiles"


class LastUsedFrom(Word):
    """The source of a time of last use: link times, or the time of download and extraction."""

    LINK = "link"
    EXTRACTION = "extraction"


class Result(Word):
    """The result of a decision; `SKIPPED`: something changed after the plan was made, or is in the way."""

    REMOVED = "removed"
    BACKED_UP = "backed-up"
    REPAIRED = "repaired"
    RESTORED = "restored"
    PURGED = "purged"
    SHARED = "shared"
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
        # Entries are looked up all the time, a string caches its hash, and few names are in several caches.
        return hash(self.dist)

    def path(self, part: Part) -> str:
        """Return the absolute path of one of the parts."""
        return join(self.cache, part.name)


@dataclass(frozen=True, slots=True)
class Cache:
    """One package cache directory. `path` is as configured; symbolic links in it were resolved for `real_path`.

    client: one of `Client`.
    top: for a directory of a nested cache, the real path of the cache that it lies in and is locked with.
    owner: the user who may remove what the caller may not; None if the caller may, or the owner couldn't either.
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
    """Something that keeps entries, with the dists that it names.

    path: of the environment, of the revision's environment, or of the lockfile; empty for a rule.
    name: the environment's, if it has one; the revision's with it; the text of a rule.
    signature: changes when the environment changes.
    notes: by dist, what to add to a reason, such as the line of a lockfile.
    aliases: the dists that are only other names of a record, taken from its url, with the name of that record.
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
        """Its dists, each by one name."""
        return self.dists.difference(self.aliases) if self.aliases else self.dists


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything that discovery found by listing.

    soft_links: why an unknown environment may soft-link packages; None if there is no sign of one.
    unsearched: entries of clients that register no environments, if no directory was searched for these.
    """

    caches: tuple[Cache, ...]
    roots: tuple[Root, ...]
    notices: tuple[Notice, ...] = ()
    soft_links: str | None = None
    unsearched: frozenset[Entry] = frozenset()

    @property
    def judged(self) -> tuple[Cache, ...]:
        """The caches in which something may be removed: not those of which all entries are unsearched."""
        return tuple(cache for cache in self.caches if not self.unsearched.issuperset(cache.entries or (None,)))
