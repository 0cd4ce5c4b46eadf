"""The receipt of a run: what was taken out of one cache, where it is now, and how it can be had again.

``<cache>/.conda-prune/<run>/receipt.json`` is written before the first move with the state `BEGUN`, and once more at
the end with the state `DONE` and with what is gone indeed. Each time it is written beside its place, synced, and
renamed there, so that it is always one of the two. A run that is not done was cut off.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import isfinite
from typing import Any

from ... import failures
from ...core.dist_names import is_file_name
from ...core.model import LEFTOVER_KINDS, PartKind
from ...core.plan import Remove, label
from ...core.run import Disposal, Run
from ..files.dir_fd import Directory
from ..files.remove_tree import remove
from .saved_exports import drop_exports
from .state_dir import DOOMED, MAKING, REBUILDING

RECEIPT = "receipt.json"

#: The receipt while it is written; cut off, it says nothing.
UNFINISHED = RECEIPT + ".new"

#: Where the user's own files of deleted environments are kept (`own_files`), and while these are deleted.
FILES = "environment-files"
DOOMED_FILES = FILES + DOOMED
#: The largest receipt that is read, in bytes; an entry takes some 500 and the record of its package.
LARGEST = 64 << 20

#: The receipt's own schema number.
SCHEMA = 1


class RunState(str, Enum):
    """Whether a run came to its end."""

    BEGUN = "begun"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Held:
    """A part: its name in the cache, and the number that it bears in the run's folder."""

    kind: PartKind
    name: str
    number: str


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


@dataclass(frozen=True, slots=True)
class ReceiptEntry:
    """One entry of a receipt.

    files, apparent, reclaimable: as in the plan; sizes in bytes.
    source, sha256, record: where it came from, as `Evidence` has them. other_sources: of its archives of other names.
    reasons: why it went, as kind and detail.
    names: other dists that it was known by.
    remainder: the path in the extracted directory of the file that stays in the cache; empty if everything goes.
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
    reasons: tuple[tuple[str, str], ...] = ()
    archived: Archived | None = None
    names: tuple[str, ...] = ()
    remainder: tuple[str, ...] = ()
    other_sources: tuple[OtherSource, ...] = ()

    @property
    def leftover(self) -> bool:
        """Whether it was a leftover that went, and no entry."""
        return any(kind in LEFTOVER_KINDS for kind, _ in self.reasons)

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
            reasons=tuple((reason.kind.value, reason.detail) for reason in decision.reasons),
            names=tuple(sorted(decision.names - {decision.entry.dist})),
            remainder=() if decision.remainder is None else decision.remainder.path,
            other_sources=tuple(
                OtherSource(name, url)
                for name, url in decision.other_sources
                if any(part.name == name for part in decision.parts)
            ),
        )
        for decision in decisions
    )
    return Receipt(run, cache, RunState.BEGUN, entries)


def write_receipt(folder: Directory, receipt: Receipt) -> None:
    """Write a receipt in one step and make it outlast a crash. Raises `OSError`; the one before is still there then."""
    fd = _reserved(folder)
    if fd is None:
        if folder.exists(UNFINISHED):
            folder.unlink(UNFINISHED)
        fd = folder.open_file(UNFINISHED, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as stream:
        # On one line: with an indent json leaves its encoder in C, and takes ten times as long.
        stream.write(json.dumps(_document(receipt), check_circular=False))
        stream.truncate()
        stream.flush()
        folder.share(stream.fileno())
        os.fsync(stream.fileno())
    folder.replace(UNFINISHED, RECEIPT)
    folder.sync()


def reserve_receipt(folder: Directory) -> None:
    """Take the room that the receipt needs when it is written again at the end of a run. Raises `OSError`.

    The next `write_receipt` puts it to use; what a kill leaves of it is an unfinished receipt like any other.
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
    """Return a descriptor of an unfinished receipt to be written over, None if there is none that is ours.

    It is not deleted and made anew: XFS frees what is deleted in the background. In a cache with several owners it may
    be another user's, or a link to a file of theirs.
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
    try:
        document = json.loads(folder.read_file(RECEIPT, LARGEST).decode("utf-8", "surrogateescape"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']}, not {SCHEMA}")
        return _receipt(document)
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it is not a receipt ({error!r})") from error


def withdraw_receipt(folder: Directory) -> None:
    """Remove the receipt when nothing is left that it could explain; what is not ours is not explained by it."""
    unexplained = (MAKING, REBUILDING, FILES, DOOMED_FILES)
    if not any(name[:1].isdecimal() or name in unexplained for name, _ in folder.names()):
        drop_exports(folder)
        for name in (UNFINISHED, RECEIPT):
            if folder.exists(name):
                folder.unlink(name)


def drop_files(folder: Directory) -> None:
    """Delete the user's own files that a run has kept, marked first. Raises `OSError`."""
    if folder.exists(FILES):
        folder.move(FILES, folder, DOOMED_FILES)
    if folder.exists(DOOMED_FILES):
        remove(folder, DOOMED_FILES)


def _document(receipt: Receipt) -> dict[str, Any]:
    run = receipt.run
    return {
        "schema": SCHEMA,
        "run": run.id,
        "started": run.started,
        "disposal": run.disposal.value,
        "destination": run.destination,
        "state": receipt.state.value,
        "cache": receipt.cache,
        "entries": [_entry_document(entry) for entry in receipt.entries],
    }


def _entry_document(entry: ReceiptEntry) -> dict[str, Any]:
    document: dict[str, Any] = {
        "dist": entry.dist,
        "parts": [{"kind": part.kind.value, "name": part.name, "number": part.number} for part in entry.parts],
        "files": entry.files,
        "apparent": entry.apparent,
        "reclaimable": entry.reclaimable,
        "last_used": entry.last_used,
        "source": entry.source,
        "sha256": entry.sha256,
        "record": entry.record,
        "reasons": [{"kind": kind, "detail": detail} for kind, detail in entry.reasons],
    }
    if entry.names:
        document["names"] = list(entry.names)
    if entry.remainder:
        document["remainder"] = list(entry.remainder)
    if entry.other_sources:
        document["other_sources"] = [
            {"name": other.name, "url": other.url, "sha256": other.sha256} for other in entry.other_sources
        ]
    if entry.archived is not None:
        archived = entry.archived
        document["archived"] = {"name": archived.name, "sha256": archived.sha256, "size": archived.size}
    return document


def _receipt(document: Mapping[str, Any]) -> Receipt:
    run = Run(
        id=str(document["run"]),
        started=_time(document["started"]),
        disposal=Disposal(document["disposal"]),
        destination=_text(document["destination"]),
    )
    entries = tuple(map(_entry, document["entries"]))
    return Receipt(run, str(document["cache"]), RunState(document["state"]), entries)


def _entry(document: Mapping[str, Any]) -> ReceiptEntry:
    archived = document.get("archived")
    return ReceiptEntry(
        dist=str(document["dist"]),
        parts=tuple(map(_held, document["parts"])),
        files=int(document["files"]),
        apparent=int(document["apparent"]),
        reclaimable=int(document["reclaimable"]),
        last_used=None if document["last_used"] is None else _time(document["last_used"]),
        source=_text(document["source"]),
        sha256=_text(document["sha256"]),
        record=_record(document["record"]),
        reasons=tuple((str(reason["kind"]), str(reason["detail"])) for reason in document["reasons"]),
        archived=Archived(str(archived["name"]), str(archived["sha256"]), int(archived["size"])) if archived else None,
        names=tuple(map(str, document.get("names", ()))),
        remainder=tuple(map(_file_name, document.get("remainder", ()))),
        other_sources=tuple(
            OtherSource(_file_name(other["name"]), str(other["url"]), _text(other["sha256"]))
            for other in document.get("other_sources", ())
        ),
    )


def _held(document: Mapping[str, Any]) -> Held:
    number = str(document["number"])
    # A folder holds nothing else, and what is no number may be a name somewhere else.
    if not (number.isascii() and number.isdecimal()):
        raise ValueError(f"it has {number!r} for a number")
    return Held(PartKind(document["kind"]), _file_name(document["name"]), number)


def _file_name(value: object) -> str:
    name = str(value)
    if not is_file_name(name):
        raise ValueError(f"it has {name!r} for the name of a file")
    return name


def _time(value: object) -> float:
    time = float(str(value))
    if not isfinite(time):
        raise ValueError(f"it has {value!r} for a time")
    return time


def _record(value: object) -> Mapping[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise TypeError(f"it has {value!r} for a record")
    return value


def _text(value: object) -> str | None:
    return None if value is None else str(value)
