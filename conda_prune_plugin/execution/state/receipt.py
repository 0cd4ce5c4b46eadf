"""The receipt of a run: what the run removed from a cache, where that is now, and where to fetch it.

``<cache>/.conda-prune/<run>/receipt.json`` is written before the first move with the state `RunState.BEGUN`, and again
at the end with `RunState.DONE` and what was really removed. Each time a second file is written, synced and renamed, so
it is always one or the other. A run that is not done was interrupted.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from ... import failures
from ...core.codec import OPTIONAL, decode, unfold
from ...core.dist_names import is_file_name
from ...core.model import LEFTOVER_KINDS, PartKind
from ...core.plan import Remove, label
from ...core.run import Disposal, Run
from ...core.units import Space
from ..files.dir_fd import Directory
from .state_dir import DOOMED, EXPORTS, MAKING, REBUILDING, remove_marked

#: The receipt's own schema number.
SCHEMA = 1

RECEIPT = "receipt.json"

#: The receipt being written; it counts for nothing until it is renamed.
UNFINISHED = RECEIPT + ".new"

#: Where the user's own files of deleted environments are kept (`own_files`), and while these are deleted.
FILES = "environment-files"
DOOMED_FILES = FILES + DOOMED

#: The largest receipt that is read, in bytes; an entry takes some 500 and the record of its package.
LARGEST = 64 << 20


class RunState(str, Enum):
    """Whether a run is complete."""

    BEGUN = "begun"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Held:
    """A part: its name in the cache, and its number, which is its name in the run's folder."""

    kind: PartKind
    name: str
    number: str

    def __post_init__(self) -> None:
        _require_file_name(self.name)
        # The folder's parts have no other names, and one that is no number may be a name somewhere else.
        if not (self.number.isascii() and self.number.isdecimal()):
            raise ValueError(f"it has {self.number!r} for a number")


@dataclass(frozen=True, slots=True)
class Archived:
    """A compressed archive of an entry in the run's folder elsewhere; `size` in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class OtherSource:
    """Where an archive came from that `source` does not name, and its hash, once it was read."""

    name: str
    url: str
    sha256: str | None = None

    def __post_init__(self) -> None:
        _require_file_name(self.name)


@dataclass(frozen=True, slots=True)
class StoredReason:
    """A reason for a removal; `kind` is a word of `ReasonKind`, or one of another version."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class ReceiptEntry:
    """One entry of a receipt.

    files, apparent, reclaimable, reclaimable_inodes: as in the plan; sizes in bytes.
    source, sha256, record: where it came from, as in `Evidence`. other_sources: of its archives of other names.
    names: other dists it was known by.
    remainder: the path in the extracted directory of the file that stays in the cache; empty if everything goes.
    rebuilt: it is an environment that was completely rebuilt since.
    """

    dist: str
    parts: tuple[Held, ...]
    files: int = 0
    apparent: int = 0
    reclaimable: int = 0
    last_used: float | None = None
    source: str | None = None
    sha256: str | None = None
    record: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    reasons: tuple[StoredReason, ...] = ()
    names: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    remainder: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    other_sources: tuple[OtherSource, ...] = field(default=(), metadata=OPTIONAL)
    archived: Archived | None = field(default=None, metadata=OPTIONAL)
    rebuilt: bool = field(default=False, metadata=OPTIONAL)
    reclaimable_inodes: int = field(default=0, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        for name in self.remainder:
            _require_file_name(name)

    @property
    def frees(self) -> Space:
        """The space that its removal frees."""
        return Space(self.reclaimable, self.reclaimable_inodes)

    @property
    def leftover(self) -> bool:
        """Whether it is a leftover, and no entry."""
        return any(reason.kind in LEFTOVER_KINDS for reason in self.reasons)

    @property
    def label(self) -> str:
        """What tells it from all others of the receipt."""
        return label(self.dist, leftover=self.leftover)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one run took out of one cache."""

    run: Run
    cache: str
    state: RunState
    entries: tuple[ReceiptEntry, ...]

    def done(self, entries: Iterable[ReceiptEntry]) -> Receipt:
        """Return the receipt of the run at its end, with the entries that are out of the cache."""
        return replace(self, state=RunState.DONE, entries=tuple(entries))


def begun(run: Run, cache: str, decisions: Sequence[Remove]) -> Receipt:
    """Return the receipt of a run that is about to start; each part gets its number."""
    numbers = iter(range(sum(len(decision.parts) for decision in decisions)))
    entries = tuple(
        ReceiptEntry(
            dist=decision.entry.dist,
            parts=tuple(Held(part.kind, part.name, str(next(numbers))) for part in decision.parts),
            files=decision.files,
            apparent=decision.apparent,
            reclaimable=decision.reclaimable,
            last_used=decision.last_used,
            source=decision.source,
            sha256=decision.sha256,
            record=decision.record,
            reasons=tuple(StoredReason(reason.kind.value, reason.detail) for reason in decision.reasons),
            names=tuple(sorted(decision.names - {decision.entry.dist})),
            remainder=() if decision.remainder is None else decision.remainder.path,
            other_sources=tuple(
                OtherSource(name, url)
                for name, url in decision.other_sources
                if any(part.name == name for part in decision.parts)
            ),
            reclaimable_inodes=decision.reclaimable_inodes,
        )
        for decision in decisions
    )
    return Receipt(run, cache, RunState.BEGUN, entries)


@dataclass(frozen=True, slots=True)
class _Document:
    """A receipt as it is written."""

    schema: int
    run: str
    started: float
    disposal: Disposal
    destination: str | None
    state: RunState
    cache: str
    entries: tuple[ReceiptEntry, ...]


def receipt_text(receipt: Receipt) -> str:
    """Return a receipt as JSON."""
    run, entries = receipt.run, receipt.entries
    started, disposal, destination = run.started, run.disposal, run.destination
    document = _Document(SCHEMA, run.id, started, disposal, destination, receipt.state, receipt.cache, entries)
    # On one line: with an indent json leaves its encoder in C, and takes ten times as long.
    return json.dumps(document, default=unfold, check_circular=False)


def receipt_from(text: str) -> Receipt:
    """Return the receipt that a text describes. Raises `ValueError` if it is none, or one of another schema."""
    try:
        data = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"it is not a receipt ({error})") from error
    if isinstance(data, dict) and data.get("schema", SCHEMA) != SCHEMA:
        raise ValueError(f"its schema is {data['schema']}, not {SCHEMA}")
    written: _Document = decode(_Document, data)
    run = Run(written.run, written.started, written.disposal, written.destination)
    return Receipt(run, written.cache, written.state, written.entries)


def _require_file_name(name: str) -> None:
    if not is_file_name(name):
        raise ValueError(f"it has {name!r} for the name of a file")


def write_receipt(folder: Directory, receipt: Receipt) -> None:
    """Write a receipt in one step and make it outlast a crash. Raises `OSError`, and then the earlier one stays."""
    fd = _reserved(folder)
    if fd is None:
        if folder.exists(UNFINISHED):
            folder.unlink(UNFINISHED)
        fd = folder.open_file(UNFINISHED, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(receipt_text(receipt))
        stream.truncate()
        stream.flush()
        folder.share(stream.fileno())
        os.fsync(stream.fileno())
    folder.replace(UNFINISHED, RECEIPT)
    folder.sync()


def reserve_receipt(folder: Directory) -> None:
    """Reserve the space that the receipt needs when it is written again at the end of a run. Raises `OSError`.

    The next `write_receipt` uses it. After a kill it is an unfinished receipt like any other.
    """
    fd = folder.open_file(UNFINISHED, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(fd, "wb") as stream:
        stream.write(b"\0" * folder.status(RECEIPT).st_size)


def yield_reserve(folder: Directory) -> bool:
    """Give the blocks of the reserve away, but not its inode; return False if there is none. Raises `OSError`."""
    fd = _reserved(folder)
    if fd is None:
        return False
    try:
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)
    return True


def _reserved(folder: Directory) -> int | None:
    """Return a descriptor of an unfinished receipt to overwrite, None if there is none of ours.

    It is not deleted and created anew, because XFS frees deleted blocks in the background. In a cache with several
    owners it may be another user's, or a link to a file of theirs.
    """
    try:
        fd = folder.open_file(UNFINISHED, os.O_WRONLY)
    except OSError as error:
        failures.note(error)
        return None
    status = os.fstat(fd)
    ours = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    if ours and stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return fd
    os.close(fd)
    return None


def read_receipt(folder: Directory) -> Receipt:
    """Return the receipt in a run's folder. Raises `OSError`, or `ValueError` if it can't be understood."""
    return receipt_from(folder.read_file(RECEIPT, LARGEST).decode("utf-8", "surrogateescape"))


def withdraw_receipt(folder: Directory) -> None:
    """Remove the receipt and the exports, unless the folder still holds something that the receipt explains."""
    unexplained = (MAKING, REBUILDING, FILES, DOOMED_FILES)
    if not any(name[:1].isdecimal() or name in unexplained for name, _ in folder.names()):
        remove_marked(folder, EXPORTS)
        for name in (UNFINISHED, RECEIPT):
            if folder.exists(name):
                folder.unlink(name)
