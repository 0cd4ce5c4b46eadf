"""Repair damaged packages by extracting their archives again.

The new directory is completed in the run's folder, then the old one is moved to quarantine and the new one to its
place: two renames. After a kill at any instant the next run deletes what was being made, and puts the old directory
back where its place is still empty, as the receipt says (see `recover`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from ..core.accounting import Ledger
from ..core.evidence import Measurement
from ..core.model import Cache, PartKind, Result
from ..core.plan import Outcome, Repair
from ..core.run import Run
from ..errors import LockTimeoutError, StateError
from ..failures import suppress
from .files.remove_tree import remove
from .files.tree_tar import staging_directory
from .ports import Fetch, Ports, UnfetchableError
from .quarantine.archive import file_sum
from .quarantine.cache_session import opened_session
from .quarantine.executor import Executor, Subject
from .quarantine.package_removal import require_unchanged
from .state.receipt import ReceiptEntry, begun
from .state.state_dir import MAKING

_STOPPED = "interrupted; the next run completes it or rolls it back"


def repair(
    repairs: Sequence[Repair], caches: Iterable[Cache], run: Run, fetch: Fetch, ports: Ports
) -> tuple[tuple[Outcome, ...], bool]:
    """Extract each of the packages anew; one that fails stays as it is and stops none of the others.

    Returns an outcome for each, and whether the user stopped it.
    """
    subjects = [_RepairSubject(item, fetch) for item in repairs]
    interrupted = False
    for cache in caches:
        mine = [subject for subject in subjects if subject.repair.entry.cache == cache.path]
        if not mine or interrupted:
            continue
        receipt = begun(run, cache.path, [subject.repair.removal for subject in mine])
        try:
            with opened_session(cache, receipt, ports.patience) as session:
                for subject, entry in zip(mine, receipt.entries):
                    subject.attach(session, entry)
                    # One after the other: each is replaced right after it was made anew.
                    if not interrupted:
                        try:
                            with subject.opened:
                                interrupted = Executor([subject], run.disposal, Ledger(), ports.progress).run()
                        finally:
                            with suppress(OSError):
                                remove(session.folder, MAKING)
        except KeyboardInterrupt:
            interrupted = True
        except (StateError, LockTimeoutError) as error:
            for subject in mine:
                subject.end(Result.FAILED, error.message)
    return tuple(subject.outcome() for subject in subjects), interrupted


class _RepairSubject(Subject):
    """A damaged directory that is replaced by a new one."""

    gone = False  # Nothing is missing afterwards that a receipt would have to list.
    disposed = Result.REPAIRED

    def __init__(self, repair: Repair, fetch: Fetch) -> None:
        super().__init__([part for part in repair.removal.parts if part.kind is PartKind.EXTRACTED])
        self.repair = repair
        #: Holds the directory open that the new one is made in: its path may lead elsewhere meanwhile.
        self.opened = ExitStack()
        self._fetch = fetch

    def outcome(self) -> Outcome:
        """Return the outcome."""
        entry = self.repair.entry
        if self.result is Result.REPAIRED:
            return Outcome(entry, self.result, self.repair.removal.files)
        return Outcome(entry, self.result or Result.SKIPPED, error=self.error or _STOPPED)

    def before_move(self) -> None:
        """Make the directory anew in the run's folder, and check that it is complete."""
        removal, archive = self.repair.removal, self.repair.archive
        described = ReceiptEntry(self.repair.dist, (), sha256=self.repair.sha256, record=self.repair.record)
        name = removal.entry.dist
        try:
            known = self.repair.sha256
            if known is not None and file_sum(self.session.cache, archive)[0] != known:
                raise UnfetchableError(f"{archive} has another hash than its record says")
            self._making = self.opened.enter_context(self.session.folder.make_own(MAKING))
            with staging_directory(self._making, name) as path:
                made = os.path.join(path, name)
                self._fetch.extracted(described, os.path.join(self.session.cache.path, archive), made)
                if damage := self._fetch.damage(made):
                    raise UnfetchableError(f"{archive} is damaged too: {damage}")
        except (UnfetchableError, ValueError) as error:
            raise OSError(f"{error}; it stays as it is") from error
        # Its contents have to be on the disk before its name is.
        if hasattr(os, "sync"):
            os.sync()
        require_unchanged(removal, self.session.cache)
        self.measurements[self.parts[0]] = Measurement(removal.identities[0], removal.files, removal.apparent, 0, ())

    def move(self) -> None:
        """Move the old directory to quarantine and the new one to its place."""
        super().move()
        self._making.move(self.parts[0].name, self.session.cache, self.parts[0].name)
        self.settled = True
