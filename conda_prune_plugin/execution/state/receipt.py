"""The receipt of a run, and its JSON: what the run removed from a cache, where that is now, and where to fetch it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from ...core.codec import OPTIONAL, decode, unfold
from ...core.dist_names import is_file_name
from ...core.model import LEFTOVER_KINDS, PartKind
from ...core.plan import Remove, label
from ...core.run import Disposal, Run

#: The receipt's own schema number.
SCHEMA = 1


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
