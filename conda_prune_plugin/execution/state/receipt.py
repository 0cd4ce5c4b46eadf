"""The receipt of a run, and its JSON: what was removed from one cache, where it is now, and how to get it back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import isfinite
from typing import Any

from ...core.dist_names import is_file_name
from ...core.model import LEFTOVER_KINDS, PartKind
from ...core.plan import Remove, label
from ...core.run import Disposal, Run

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


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt as JSON values."""
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


def receipt_from(document: Mapping[str, Any]) -> Receipt:
    """Return the receipt that JSON values describe.

    Raises `ValueError`, or what Python raises for values of another type.
    """
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
