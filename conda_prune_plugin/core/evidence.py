"""Evidence on one entry: identity, size, last use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .model import Entry, LastUsedFrom, Part, ReasonKind
from .units import Space
from .usage.shared_content import Extents


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a directory entry when it was listed, to recognise it right before it is removed."""

    device: int
    inode: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class SharedInode:
    """An inode with more than one link: `links` in all, `inside` of them within the part that was measured.

    allocated: the bytes that are freed with its last link.
    """

    device: int
    inode: int
    links: int
    inside: int
    allocated: int


@dataclass(frozen=True, slots=True)
class SharedExtents:
    """An inode that shares content with others without a link; `links` and `inside` as for `SharedInode`."""

    device: int
    inode: int
    links: int
    inside: int
    extents: Extents


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one part of an entry takes on disk.

    files: directory entries that are not directories.
    apparent: the sum of the lengths of files and symbolic links, each name counted.
    single: allocated bytes of directories and of inodes with one link.
    shared: the inodes with more than one link.
    extents: the inodes that share content; neither `single` nor `shared` count it. It is freed once it is joined with
        that of other measurements (`accounting.with_common`), which makes inodes of it: `common`.
    at_most: the other bytes are an upper bound, as for compressed files.
    payload_ctime: newest inode change of the files outside ``info/``: when one was linked or unlinked last.
    obstacle: why it can't be removed (another user's directory, a mount point), or None.
    sample: the relative path of a file that an environment would link, to look for in environments.
    directories: how many there are, with the top.
    """

    identity: Identity
    files: int
    apparent: int
    single: int
    shared: tuple[SharedInode, ...]
    payload_ctime: float | None = None
    obstacle: str | None = None
    sample: str | None = field(default=None, repr=False, compare=False)
    directories: int = 0
    extents: tuple[SharedExtents, ...] = ()
    common: tuple[SharedInode, ...] = ()
    at_most: bool = False

    @property
    def alone(self) -> Space:
        """The space of directories and of inodes with one link, which is freed whatever else stays."""
        linked = sum(inode.inside for inode in self.shared)
        return Space(self.single, self.directories + self.files - linked)


@dataclass(frozen=True, slots=True)
class Remainder:
    """The one file of an extracted directory that stays in the cache, beside the archive, when the rest is removed.

    path: from the extracted directory, left out, down to the file. device, inode: of the file; apparent: its length in
    bytes. single: allocated bytes of the directories on the path, and of the file if it has no other name.
    """

    path: tuple[str, ...]
    device: int
    inode: int
    apparent: int
    single: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """The findings from opening and measuring an entry.

    dist: the ``name-version-build`` that conda knows it by, from its channel or else its own index. It differs from the
        entry's name if the archive has another name, such as that of a wheel.
    aliases: the other dists in its metadata.
    fetched: the newest time of download or extraction.
    outside: how many of its files have links that neither the caches nor the entry itself explain.
    source: the url it was downloaded from, credentials masked. other_sources: those of archives with other names, with
        these names.
    record: the content of its ``info/repodata_record.json``, for a restore that downloads it again; credentials masked.
    irreplaceable: why it can't be downloaded again, or None.
    excuse: why it may go although environments have it: `ReasonKind.UNLINKED` for all of it, since they share no file
        with it or keep what they share; `EXTRACTED` for its directory, since a sound archive stays; `TARBALL` for its
        archives, since its directory is whole.
    beside: the parts that stay when the measured ones are removed, which needs them unchanged.
    remainder: the file of the extracted directory that stays; the measurements leave it out.
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
