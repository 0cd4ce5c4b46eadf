"""Remove things safely: move each to quarantine, check it there, then delete it or keep it as a backup.

Packages, environments and repairs are subjects of the one `Executor`; each says what is checked and done around its
steps. Killed at any instant, a subject is complete in its place or gone from it, and the receipt tells the next run
which (see `recover`). Where a crash of the system could reorder changes, directories are synced in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Generic, TypeVar

from ...core.accounting import Ledger, with_common
from ...core.evidence import Measurement, SharedExtents
from ...core.model import Part, Result
from ...core.run import Disposal
from ...core.units import Space
from ...errors import reason
from ..files.dir_fd import Directory
from ..files.parallel_remove import delete_all
from ..files.remove_tree import remove
from ..state.receipt import ReceiptEntry
from ..state.state_dir import DOOMED, undisguise
from .cache_session import CacheSession


class Changed(Exception):
    """A decision doesn't hold any more; the text says why."""


class Subject:
    """Something that a run removes from a cache or a directory of environments, and how far that has come.

    session, entry: the open cache, and the subject's entry in the receipt. started: its turn has come.
    early: the parts that were deleted before there was room for a receipt (see `full_disk`).
    measurements: what the parts hold.
    begun: the parts whose deletion has begun; removed: those that are gone; failed: why others are not.
    freed: the space that came back with each part that is gone.
    settled: it is removed for good, and an interruption doesn't put it back.
    result: None until it has one; error: what went wrong.
    """

    session: CacheSession
    entry: ReceiptEntry

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self.started = False
        self.early: set[Part] = set()
        self.measurements: dict[Part, Measurement] = {}
        self.begun: set[Part] = set()
        self.removed: set[Part] = set()
        self.failed: dict[Part, str] = {}
        self.freed: dict[Part, Space] = {}
        self.settled = False
        self.result: Result | None = None
        self.error: str | None = None
        self._numbers: dict[Part, str] = {}

    def attach(self, session: CacheSession, entry: ReceiptEntry) -> None:
        """Take note of the open cache and of the subject's entry in its receipt."""
        self.session, self.entry = session, entry
        numbers = {held.name: held.number for held in entry.parts}
        self._numbers = {part: numbers[part.name] for part in self.parts}

    @property
    def remaining(self) -> list[Part]:
        """The parts that were not deleted early."""
        return [part for part in self.parts if part not in self.early]

    @property
    def gone(self) -> bool:
        """Whether something of it is removed for good."""
        return self.settled or bool(self.begun or self.early)

    @property
    def disposed(self) -> Result:
        """The result once all parts are deleted."""
        return Result.REMOVED

    def number(self, part: Part) -> str:
        """Return the name of a part in the run's folder."""
        return self._numbers[part]

    def doomed(self, part: Part) -> str:
        """Return the name of a part in the run's folder while it is deleted."""
        return self._numbers[part] + DOOMED

    def end(self, result: Result, error: str | None = None) -> None:
        """Set the result, once."""
        self.result, self.error = result, error

    def before_move(self) -> None:
        """Check that it may go, right before it moves. Raises `Changed` or `OSError`."""

    def move(self) -> None:
        """Move all parts to quarantine. Raises `Changed` or `OSError`."""
        for part in self.remaining:
            self.session.take_in(part.name, self.number(part))

    def after_move(self) -> None:
        """Check it in quarantine, where no path leads to it any more. Raises `Changed` or `OSError`."""

    def stays(self) -> None:
        """Clean up what was prepared for it, as it stays."""

    def completed_entry(self) -> ReceiptEntry:
        """Return its entry in the receipt with what was found out since."""
        return self.entry

    def mark(self) -> None:
        """Mark all parts for deletion. Raises `OSError`."""
        for part in self.remaining:
            self.session.folder.move(self.number(part), self.session.folder, self.doomed(part))

    def after_settlement(self) -> None:
        """Do what follows once it is marked for deletion, or is a backup, on the disk."""

    def free(self, part: Part, place: Directory, doomed: str, ledger: Ledger) -> Iterator[None]:
        """Delete a part where it lies, by the name `doomed` meanwhile, and stop after each step (see `full_disk`)."""
        yield from ()

    def delete(self, part: Part, progress: Callable[[int], None]) -> None:
        """Delete a part. Raises `OSError` or `ValueError`."""
        remove(self.session.folder, self.doomed(part), progress)


S = TypeVar("S", bound=Subject)


class Executor(Generic[S]):
    """Carries out the removal of subjects whose sessions are open.

    A subject that fails, or that has changed, stops none of the others. Whatever ends the run early, be it Ctrl-C,
    what is not settled is put back. `unsettled`: the sessions whose receipt could not be completed, and why.
    `sharing`: the inodes that are known to share content without a link.
    """

    def __init__(
        self,
        subjects: Sequence[S],
        disposal: Disposal,
        ledger: Ledger,
        progress: Callable[[int], None],
        sharing: Iterable[SharedExtents] = (),
    ) -> None:
        self.subjects = subjects
        self._sharing = tuple(sharing)
        self.unsettled: list[tuple[CacheSession, OSError]] = []
        self._backup = disposal is Disposal.BACKUP
        self._disposal = disposal
        self._ledger = ledger
        self._progress = progress
        sessions = {id(subject.session): subject.session for subject in subjects}
        self.sessions = list(sessions.values())

    def run(self, *, interrupted: bool = False) -> bool:
        """Remove the subjects; return True if the user has interrupted that, or if they had before."""
        try:
            try:
                if interrupted:
                    raise KeyboardInterrupt
                self.clear_out()
                self.dispose()
            except KeyboardInterrupt:
                interrupted = True
        finally:
            for subject in self.in_quarantine():
                give_up(subject)
            self._finish()
        return interrupted

    def in_quarantine(self) -> list[S]:
        """Return the subjects that were started and have no result yet."""
        return [subject for subject in self.subjects if subject.started and subject.result is None]

    def clear_out(self) -> None:
        """Move everything to quarantine, and put back what is not as it was planned."""
        for subject in self.subjects:
            if subject.result is not None or subject.started:
                continue
            subject.started = True
            try:
                subject.before_move()
                subject.move()
                subject.after_move()
            except Changed as change:
                put_back(subject, Result.SKIPPED, str(change))
            except OSError as error:
                put_back(subject, Result.FAILED, reason(error))
        self.confirm()
        for session in self.sessions:
            session.folder.sync()
            session.cache.sync()

    def confirm(self) -> None:
        """Check everything that is in quarantine once more."""

    def dispose(self) -> None:
        """Delete what is in quarantine, or declare it a backup."""
        for session in self.sessions:
            mine = [subject for subject in self.in_quarantine() if subject.session is session]
            try:
                if self._backup:
                    # From here on it is a backup, and no longer an interrupted run.
                    session.finish(())
                else:
                    completed = {}
                    for subject in mine:
                        completed[subject.number(subject.parts[0])] = subject.entry = subject.completed_entry()
                    session.note(completed.get(entry.parts[0].number, entry) for entry in session.receipt.entries)
            except OSError as error:
                # What only a restore would compare can be done without on a full disk; anything else can't.
                for subject in mine if self._disposal is not Disposal.DELETE else ():
                    put_back(subject, Result.FAILED, f"no receipt could be written: {reason(error)}")
                continue
            if self._backup:
                for subject in mine:
                    subject.end(Result.BACKED_UP)
                    subject.settled = True
                for subject in mine:
                    subject.after_settlement()
        if not self._backup:
            self._mark()
            self._delete()

    def _mark(self) -> None:
        """Mark everything in quarantine for deletion: the next run completes that."""
        for subject in self.in_quarantine():
            try:
                subject.mark()
            except OSError as error:
                put_back(subject, Result.FAILED, reason(error))
        for session in self.sessions:
            session.folder.sync()
            session.unsettled = True
        for subject in self.in_quarantine():
            subject.after_settlement()

    def _delete(self) -> None:
        doomed = [(subject, part) for subject in self.in_quarantine() for part in subject.remaining]
        files = sum(subject.measurements[part].files for subject, part in doomed)
        try:
            delete_all([partial(_delete, *one) for one in doomed], files, self._progress)
        finally:
            measured = with_common([subject.measurements[part] for subject, part in doomed], self._sharing)
            for (subject, part), measurement in zip(doomed, measured):
                subject.measurements[part] = measurement
            for subject in self.in_quarantine():
                self._account(subject)

    def _account(self, subject: Subject) -> None:
        """Count the space that came back, and end the subject if none of its parts is left to be deleted."""
        if not subject.begun:
            return
        for part in subject.remaining:
            if part in subject.removed:
                subject.freed[part] = self._ledger.remove(subject.measurements[part])
        if len(subject.freed) + len(subject.failed) == len(subject.parts):
            errors = [subject.failed[part] for part in subject.parts if part in subject.failed]
            subject.end(Result.FAILED if errors else subject.disposed, "; ".join(errors) or None)

    def _finish(self) -> None:
        """Write into the receipts what was removed. A deleted leftover is nothing to be restored."""
        for session in self.sessions if not self._backup else ():
            gone = [subject.entry for subject in self.subjects if subject.session is session and subject.gone]
            forgotten = self._disposal is Disposal.DELETE
            try:
                session.finish(entry for entry in gone if not (forgotten and entry.leftover))
            except OSError as error:
                self.unsettled.append((session, error))


def _delete(subject: Subject, part: Part, progress: Callable[[int], None]) -> None:
    subject.begun.add(part)
    try:
        subject.delete(part, progress)
    except (OSError, ValueError) as error:
        subject.failed[part] = f"{part.name} is out of the cache but could not be deleted: {reason(error)}"
    else:
        subject.removed.add(part)


def put_back(subject: Subject, result: Result, why: str) -> None:
    """Move what lies in the run's folder back to its place and end the subject; if that fails, it is a failure."""
    session = subject.session
    backup = session.receipt.run.disposal is Disposal.BACKUP
    then = "and stays in the backup" if backup else "which the next run tries again"
    errors = []
    for part in subject.parts:
        try:
            if part not in subject.begun and session.folder.exists(subject.doomed(part)):
                session.folder.move(subject.doomed(part), session.folder, subject.number(part))
            if session.folder.exists(subject.number(part)):
                undisguise(session.folder, subject.number(part), session.cache, part.name)
        except OSError as error:
            errors.append(f"{part.name} could not be put back, {then}: {reason(error)}")
    subject.end(Result.FAILED if errors else result, "; ".join([why, *errors]))
    if not subject.begun:
        subject.stays()


def give_up(subject: Subject) -> None:
    """End a subject when everything has to stop: put it back, unless its deletion has begun or it is settled."""
    folder = subject.session.folder
    half = [part.name for part in subject.remaining if part in subject.begun and folder.exists(subject.doomed(part))]
    for part in subject.begun - subject.early:
        if part.name not in half:
            # It went in the very moment of the interruption, and gave back at least this much.
            subject.freed.setdefault(part, subject.measurements[part].alone)
    gone = ", ".join(part.name for part in subject.freed if part not in subject.early)
    if half:
        put_back(subject, Result.FAILED, f"interrupted while {half[0]} was deleted, which the next run finishes")
    elif subject.freed and set(subject.freed) == set(subject.parts):
        subject.end(subject.disposed)
    elif subject.settled:
        subject.end(Result.FAILED, "interrupted before it was deleted, which the next run finishes")
    elif gone:
        put_back(subject, Result.FAILED, f"interrupted after {gone} was deleted")
    else:
        put_back(subject, Result.SKIPPED, "interrupted; it is at its place")
