"""Evidence on one entry: identity, size, last use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .model import Entry, LastUsedFrom, Part, ReasonKind


@dataclass(frozen=True, slots=True)
class Identity:
    """What a directory entry was when it was listed, to recognise it just before it is removed."""

    device: int
    inode: int
    mtime_ns: int


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
    obstacle: why it can't be removed whole (another user's directory, a mount point), or None.
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
    source: the url it was fetched from, credentials masked. other_sources: those of its archives of other names, with
        these names.
    record: the content of its ``info/repodata_record.json``, for a restore that fetches it again; credentials masked.
    irreplaceable: why it can't be fetched again, if that is so.
    excuse: why it may go although environments have it: `ReasonKind.UNLINKED` for all of it, since they share no file
        with it or keep what they share; `EXTRACTED` for its directory, since a sound archive stays; `TARBALL` for its
        archives, since its directory is whole.
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
    other_sources: tuple[tuple[str, str], ...] = ()
    excuse: ReasonKind | None = None


def last_use(evidence: Evidence) -> tuple[float | None, LastUsedFrom | None]:
    """Return when an environment was last built from an entry or removed, and where that is known from.

    Making or removing a hard link changes the inode's ctime, and extraction sets the ctime of every file before it
    writes ``info/repodata_record.json``: a newer ctime means that a link was made or removed since. Without one, the
    time of fetching and extraction stands in.
    """
    payload = [item.payload_ctime for _, item in evidence.measurements if item.payload_ctime is not None]
    newest = max(payload, default=None)
    if newest is not None and (evidence.fetched is None or newest > evidence.fetched):
        return newest, LastUsedFrom.LINK
    return evidence.fetched, None if evidence.fetched is None else LastUsedFrom.EXTRACTION
