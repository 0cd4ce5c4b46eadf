"""Leftovers: what failed installs and removals left in a cache, and packages that are damaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..accounting import missing_links
from ..evidence import Evidence, Measurement
from ..model import Entry, PartKind, ReasonKind
from ..plan import Reason


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive that a damaged directory can be extracted from again: its name, its hash and its record."""

    name: str
    sha256: str | None
    record: Mapping[str, Any] | None = field(hash=False)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A leftover as it was found.

    entry: bears the file's own name as dist, and has it as its only part.
    kind: one of `model.LEFTOVER_KINDS`; detail: the sign of it.
    of: the dist that it is of, where its name tells.
    changed: the newest change of anything in it, in seconds since the epoch.
    measurement: None if it can't be read, which `unreadable` explains then.
    linked: the paths of the environments that have symbolic links into it, or where that can't be ruled out.
    lacking: for trash, those that have links to the package that it was, which is missing or incomplete.
    chosen: it is of what ``--only`` names, where that was given. kept: the rule of ``--keep`` that it falls under.
    archive: what it is to be extracted from again, if roots have it and that was asked for.
    irreplaceable: why what is left of a package can't be downloaded again, None if it can.
    held: the process that holds it, if it is a lock and one does.
    """

    entry: Entry
    kind: ReasonKind
    detail: str
    of: str | None
    changed: float
    measurement: Measurement | None
    unreadable: str | None = None
    linked: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    chosen: bool = True
    kept: str | None = None
    archive: Archive | None = None
    irreplaceable: str | None = None
    held: str | None = None

    @property
    def holds_files(self) -> bool:
        """Whether environments may be linked from it."""
        return self.entry.parts[0].kind is PartKind.EXTRACTED

    @property
    def reason(self) -> Reason:
        """The reason that it is a leftover."""
        return Reason(self.kind, self.detail)

    @property
    def evidence(self) -> Evidence:
        """The same as evidence on an entry; a repair replaces the files, whatever is linked to them."""
        measurements = () if self.measurement is None else ((self.entry.parts[0], self.measurement),)
        counts = self.holds_files and self.archive is None
        return Evidence(
            self.entry,
            measurements,
            fetched=self.changed,
            outside=len(missing_links(item for _, item in measurements)) if counts else 0,
            unreadable=self.unreadable,
            irreplaceable=self.irreplaceable,
        )
