"""Move an entry to quarantine, check it there, and put it back.

A decision is checked twice. Before the move: its parts are what was planned, nobody holds a lock on it, and no root
names it by now. After the move, when no new link can be made by its path any more: no file has got a link that the
plan did not know, no environment has a soft link to its place, and still no root names it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from ...core.accounting import missing_links, without
from ...core.evidence import Measurement
from ...core.model import Part, PartKind, Result, Root
from ...core.plan import Outcome, Remove
from ...core.rules.reachability import SoftLinks
from ...core.run import Disposal
from ...errors import reason
from ..files.dir_fd import Directory
from ..locks.client_locks import EntryLockedError, entry_locks
from ..state.state_dir import DOOMED
from .archive import Preserved, file_sum, statuses_of
from .cache_session import CacheSession
from .disguise import undisguise

#: What is added to the outcome of what stays without a part of it.
_HAD_TO_GO = "had to go first, to make room on a full disk"


class Changed(Exception):
    """A decision does not hold any more; the text says why."""


@dataclass(slots=True)
class Quarantined:
    """A decision whose parts are being moved to quarantine.

    measurements: what the parts hold, measured where they were moved to.
    sha256: the hash of the only archive, where nothing else has recorded it, to check what a restore fetches.
    archive_hashes: by name, those of the archives that come from elsewhere than the package.
    begun: the parts whose deletion has begun; removed: those of which nothing is left; failed: why that could not be.
    deleted: the bytes that came back with those that are gone.
    early: the parts that were removed before the cache could be opened, to free space (see `low_space`).
    session: the cache, once it is open. started: its turn has come.
    ended: what became of it in the end.
    """

    decision: Remove
    session: CacheSession = field(init=False)
    started: bool = False
    early: set[Part] = field(default_factory=set)
    preserved: Preserved | None = None
    sha256: str | None = None
    archive_hashes: dict[str, str] = field(default_factory=dict)
    measurements: dict[Part, Measurement] = field(default_factory=dict)
    begun: set[Part] = field(default_factory=set)
    removed: set[Part] = field(default_factory=set)
    failed: dict[Part, str] = field(default_factory=dict)
    deleted: dict[Part, int] = field(default_factory=dict)
    ended: Outcome | None = None

    @property
    def parts(self) -> list[Part]:
        """The parts that did not have to go early."""
        return [part for part in self.decision.parts if part not in self.early]

    @property
    def gone(self) -> bool:
        """Whether something of it is out of the cache for good."""
        return bool(self.begun or self.early)

    @property
    def disposed(self) -> Result:
        """The result once all parts are deleted."""
        return Result.BACKED_UP if self.preserved else Result.REMOVED

    def number(self, part: Part) -> str:
        """Return the name of a part in the run's folder."""
        return self.session.numbers[part.name]

    def doomed(self, part: Part) -> str:
        """Return the name that a part bears in the run's folder while it is deleted."""
        return self.number(part) + DOOMED

    def spared(self, part: Part) -> tuple[str, ...]:
        """Return the path in a part of the file that stays; empty if everything goes."""
        remainder = self.decision.remainder
        return remainder.path if remainder is not None and part.kind is PartKind.EXTRACTED else ()

    def measured(self, part: Part, measurement: Measurement) -> None:
        """Note what was measured of a part, without what stays of it."""
        remainder = self.decision.remainder
        if remainder is not None and part.kind is PartKind.EXTRACTED:
            measurement = without(measurement, remainder)
        self.measurements[part] = measurement

    def outcome(self, result: Result, error: str | None = None) -> Outcome:
        """Return the outcome, with what was deleted so far."""
        files = sum(self.measurements[part].files for part in self.deleted)
        if result is Result.BACKED_UP and not self.deleted:
            files = self.decision.files
        if self.early and result is not Result.REMOVED:
            names = ", ".join(part.name for part in self.early)
            error = "; ".join(filter(None, (error, f"{names} {_HAD_TO_GO}")))
        return Outcome(self.decision.entry, result, files, sum(self.deleted.values()), error)


def move_to_quarantine(
    quarantined: Quarantined,
    references: Mapping[str, Sequence[Root]],
    measure: Callable[[str, int | None], Measurement] | None,
) -> Outcome | None:
    """Move the parts of a decision into the run's folder; return an outcome if that was not to be.

    references: the roots that name each dist at this moment.
    measure: compares what was moved, file by file, with what was planned. What is only backed up loses nothing by a
        link that was made meanwhile.
    """
    decision, session = quarantined.decision, quarantined.session
    try:
        require_unreferenced(decision, references)
        require_unchanged(decision, session.cache, quarantined.early)
        names = [part.name for part in quarantined.parts]
        with entry_locks(session.cache, names):
            for part in quarantined.parts:
                session.take_in(part.name)
        if measure is not None:
            for part in quarantined.parts:
                quarantined.measured(part, measure(*session.folder.at(quarantined.number(part))))
            require_as_planned(quarantined)
            quarantined.sha256 = _unrecorded_hash(quarantined)
            quarantined.archive_hashes = _hashes_of_others(quarantined)
        _require_as_archived(quarantined)
    except Changed as change:
        return put_back(quarantined, Result.SKIPPED, str(change))
    except EntryLockedError as error:
        return put_back(quarantined, Result.SKIPPED, str(error))
    except OSError as error:
        if error.errno == errno.EXDEV and session.cache.own_status().st_dev == session.folder.own_status().st_dev:
            # Within one file system that is an overlay's way to say that it would have to copy up a whole tree.
            return put_back(
                quarantined, Result.SKIPPED, "it lies in a lower layer of an overlay; removing frees nothing"
            )
        return put_back(quarantined, Result.FAILED, reason(error))
    return None


def require_unchanged(decision: Remove, cache: Directory, early: Container[Part] = ()) -> None:
    """Check that the parts of a decision that did not go early are as planned. Raises `Changed` or `OSError`."""
    for part, planned in zip(decision.parts, decision.identities):
        if part in early:
            continue
        try:
            status = cache.status(part.name)
        except FileNotFoundError:
            raise Changed(f"{part.name} is gone") from None
        if (status.st_dev, status.st_ino, status.st_mtime_ns) != (planned.device, planned.inode, planned.mtime_ns):
            raise Changed(f"{part.name} has changed since it was planned")
    for part, planned in decision.beside:
        if not cache.exists(part.name) or cache.status(part.name).st_ino != planned.inode:
            raise Changed(f"{part.name}, which makes it superfluous, is not what it was")


def require_unreferenced(decision: Remove, references: Mapping[str, Sequence[Root]]) -> None:
    """Check that no root names an entry. Raises `Changed`."""
    for name in decision.names:
        for root in references.get(name, ()):
            # One that shares no file with it may, as long as it is what it was.
            if root not in decision.accepted:
                raise Changed(f"{root.path} references it now")


def require_unlinked(decision: Remove, softly: SoftLinks) -> None:
    """Check that no environment soft-links what goes, whatever the plan was made from. Raises `Changed`.

    Of an environment that has it, but could not be listed completely, that is not known.
    """
    for path in softly.environments(decision.entry.cache, decision.parts):
        raise Changed(f"{path} has soft links into it")
    if decision.linkable:
        for path in sorted(root.path for root in decision.accepted if root.path in softly.unseen):
            raise Changed(f"{path} has it, and can't be listed completely to see whether it has soft links into it")


def put_back(quarantined: Quarantined, result: Result, why: str) -> Outcome:
    """Move what lies whole in the run's folder back to its place; the outcome is a failure if that fails."""
    failed = []
    backup = quarantined.session.receipt.run.disposal is Disposal.BACKUP
    then = "and stays in the backup" if backup else "which the next run tries again"
    for part in quarantined.decision.parts:
        number = quarantined.number(part)
        try:
            if quarantined.session.folder.exists(number):
                undisguise(quarantined.session.folder, number, quarantined.session.cache, part.name)
        except OSError as error:
            failed.append(f"{part.name} could not be put back, {then}: {reason(error)}")
    return quarantined.outcome(Result.FAILED if failed else result, "; ".join([why, *failed]))


def give_up(quarantined: Quarantined) -> Outcome:
    """Put back what is whole when everything has to stop."""
    folder = quarantined.session.folder
    half = []
    for part in quarantined.parts:
        if part in quarantined.begun:
            if folder.exists(quarantined.doomed(part)):
                half.append(part.name)
            else:
                # It went in the very moment of the interruption; it gave back at least this much.
                quarantined.deleted.setdefault(part, quarantined.measurements[part].single)
        elif folder.exists(quarantined.doomed(part)):
            folder.move(quarantined.doomed(part), folder, quarantined.number(part))
    if half:
        return put_back(
            quarantined, Result.FAILED, f"interrupted while {half[0]} was deleted, which the next run finishes"
        )
    if quarantined.deleted and set(quarantined.deleted) == set(quarantined.decision.parts):
        return quarantined.outcome(quarantined.disposed)
    if gone := ", ".join(part.name for part in quarantined.deleted if part not in quarantined.early):
        return put_back(quarantined, Result.FAILED, f"interrupted after {gone} was deleted")
    return put_back(quarantined, Result.SKIPPED, "interrupted; it is at its place")


def require_as_planned(quarantined: Quarantined) -> None:
    """Compare what was measured with what was planned. Raises `Changed`.

    What was moved nobody can change by its path any more.
    """
    decision = quarantined.decision
    for measurement in quarantined.measurements.values():
        if measurement.obstacle is not None:
            raise Changed(measurement.obstacle)
    held = list(quarantined.measurements.values())
    if (sum(item.files for item in held), sum(item.apparent for item in held)) != (decision.files, decision.apparent):
        raise Changed("what is in it has changed since it was planned")
    known = dict(decision.known_links)
    if any(links > known.get(inode, 0) for inode, links in missing_links(held).items()):
        raise Changed("something has linked its files since it was planned")


def _unrecorded_hash(quarantined: Quarantined) -> str | None:
    archives = [part for part in quarantined.parts if part.kind is PartKind.ARCHIVE]
    if quarantined.decision.sha256 is not None or len(archives) != 1:
        return None
    return file_sum(quarantined.session.folder, quarantined.number(archives[0]))[0]


def _hashes_of_others(quarantined: Quarantined) -> dict[str, str]:
    others = {name for name, _ in quarantined.decision.other_sources}
    return {
        part.name: file_sum(quarantined.session.folder, quarantined.number(part))[0]
        for part in quarantined.parts
        if part.name in others
    }


def _require_as_archived(quarantined: Quarantined) -> None:
    if quarantined.preserved is not None:
        names = {part.name: quarantined.number(part) for part in quarantined.parts}
        if statuses_of(quarantined.session.folder, names) != quarantined.preserved.member_statuses:
            raise Changed("it has changed since it was archived")
