"""Carry out a plan: move every entry to quarantine, then delete what was moved or keep it as a backup.

Killed at any instant, an entry is whole at its place or gone from it, and the receipt tells the next run which: see
`recover`. Where a crash of the system could turn the order of changes around, directories are synced in between.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from ..core.accounting import Ledger
from ..core.model import Cache, Part, Result
from ..core.plan import Other, OtherOutcome, Outcome, Plan, Remove
from ..core.rules.reachability import NO_SOFT_LINKS
from ..core.run import Disposal, Run
from ..errors import PruneError, reason
from .files.parallel_remove import delete_all
from .files.remove_except import reduce
from .files.remove_tree import remove
from .full_disk.low_space import SpaceMaker, opened_with_space
from .ports import Ports
from .quarantine.archive import discard, preserve
from .quarantine.cache_session import CacheSession, opened_session
from .quarantine.disguise import disguise
from .quarantine.quarantine import (
    Changed,
    Quarantined,
    give_up,
    move_to_quarantine,
    put_back,
    require_unchanged,
    require_unlinked,
    require_unreferenced,
)

#: How long it holds what the roots were when they were last asked, while entries are moved; in seconds. After the last
#: one has been moved they are asked once more about all.
_FRESH = 0.05


@dataclass(frozen=True, slots=True)
class Execution:
    """One outcome for each decision of the plan, in its order.

    interrupted: the user stopped it.
    unsettled: what could not be written down at the end, which the next run makes up for.
    others: the same for what is no entry; of the plan's only those that had to go to free space.
    unrecorded: the caches that had no space for a receipt even when everything was removed.
    """

    outcomes: tuple[Outcome, ...]
    interrupted: bool = False
    unsettled: tuple[str, ...] = ()
    others: tuple[OtherOutcome, ...] = ()
    unrecorded: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether anything did not go as it should have; what changed since it was planned did."""
        failures = Result.FAILED in {*(one.result for one in self.outcomes), *(one.result for one in self.others)}
        return self.interrupted or bool(self.unsettled) or failures


def execute(plan: Plan, run: Run, ports: Ports) -> Execution:
    """Carry out all decisions to remove, in the way that the run disposes.

    A decision that fails or no longer holds stops none of the others. Whatever ends the run early, be it Ctrl-C, what
    is not deleted yet is put back.

    Raises `StateError` or `LockTimeoutError` before anything is changed, and what ``tools.references`` raises. Where
    something had to go before, to free space, an error at the beginning is the outcome of what stays.
    """
    execution = _Execution(plan, run, ports)
    interrupted = False
    with ExitStack() as stack:
        try:
            execution.open(stack)
        except (PruneError, KeyboardInterrupt) as error:
            if not execution.early:
                raise
            stopper = error.message if isinstance(error, PruneError) else None
            return execution.ended(execution.settle(), stopper, interrupted=stopper is None)
        try:
            try:
                execution.clear_out()
                execution.dispose()
            except KeyboardInterrupt:
                interrupted = True
        finally:
            execution.put_the_rest_back()
            unsettled = execution.settle()
    return execution.ended(unsettled, interrupted=interrupted)


class _Execution:
    """The steps of one execution and what they share."""

    def __init__(self, plan: Plan, run: Run, ports: Ports) -> None:
        self._plan = plan
        self._run = run
        self._ports = ports
        self._sessions: dict[str, CacheSession] = {}
        self._in_quarantine = [Quarantined(decision) for decision in plan.remove]
        self._others: dict[Other, OtherOutcome] = {}
        self._ledger = Ledger()

    @property
    def early(self) -> bool:
        """Whether anything was removed before the caches could be opened, to free space."""
        return bool(self._others) or any(quarantined.gone for quarantined in self._in_quarantine)

    def _open_quarantine(self) -> list[Quarantined]:
        """Return what was begun and has no outcome yet."""
        return [quarantined for quarantined in self._in_quarantine if quarantined.started and quarantined.ended is None]

    def ended(self, unsettled: tuple[str, ...], stopper: str | None = None, *, interrupted: bool) -> Execution:
        """Return how it ended, with one outcome for each decision of the plan.

        stopper: what kept it from being begun, if not the user.
        """
        outcomes = []
        for quarantined in self._in_quarantine:
            result, why = (Result.FAILED, stopper) if stopper else (Result.SKIPPED, "interrupted before it")
            outcomes.append(quarantined.ended or quarantined.outcome(result, why))
        return Execution(tuple(outcomes), interrupted, unsettled, tuple(self._others.values()), self._unrecorded())

    def _unrecorded(self) -> tuple[str, ...]:
        """Return the caches that had no space for a receipt of what was removed."""
        gone = {
            quarantined.decision.entry.cache
            for quarantined in self._in_quarantine
            if quarantined.early and not quarantined.decision.leftover
        }
        return tuple(sorted(gone - self._sessions.keys()))

    def open(self, stack: ExitStack) -> None:
        """Open all caches of the plan; on a full disk remove one thing after the other until there is space."""
        by_cache: dict[str, list[Quarantined]] = {}
        for quarantined in self._in_quarantine:
            by_cache.setdefault(quarantined.decision.entry.cache, []).append(quarantined)
        caches = [cache for cache in self._plan.inventory.caches if cache.path in by_cache]
        for number, cache in enumerate(caches):
            mine = by_cache[cache.path]
            # What is to be kept elsewhere must not be deleted to free space for that.
            spare = mine if self._run.disposal is Disposal.DELETE else ()
            others = [other for other in self._plan.other if other.top == cache.real_path]
            space_maker = SpaceMaker(spare, others, self._others, self._ledger, self._ports)
            opened = partial(
                self._opened, stack, cache, [quarantined.decision for quarantined in mine], self._run_in(number)
            )
            session = self._sessions[cache.path] = opened_with_space(
                cache, opened, space_maker.make, self._ports.patience
            )
            for quarantined in mine:
                quarantined.session = session
                session.unsettled |= quarantined.gone

    def _opened(self, stack: ExitStack, cache: Cache, decisions: Sequence[Remove], run: Run) -> CacheSession:
        return stack.enter_context(opened_session(cache, decisions, run, self._ports.patience))

    def _run_in(self, number: int) -> Run:
        if self._run.destination is None:
            return self._run
        return replace(self._run, destination=os.path.join(self._run.destination, self._run.id, str(number)))

    def clear_out(self) -> None:
        """Move everything to quarantine, and put back what is not as it was planned."""
        backup = self._run.disposal is Disposal.BACKUP
        self._spare_linked()
        references = self._ports.references()
        asked = time.monotonic()
        for quarantined in self._in_quarantine:
            if quarantined.ended is not None:
                continue
            # Asking for them takes longer than moving an entry.
            if time.monotonic() - asked > _FRESH:
                references, asked = self._ports.references(), time.monotonic()
            quarantined.started = True
            error = self._preserve(quarantined)
            if error is None:
                error = move_to_quarantine(quarantined, references, None if backup else self._ports.measure)
            if error is not None:
                self._drop(quarantined, error)
        self._put_used_back()
        for session in self._sessions.values():
            session.folder.sync()
            session.cache.sync()

    def _spare_linked(self) -> None:
        """Leave at its place what environments soft-link, whatever the plan was made from: all are walked through."""
        waiting = [quarantined for quarantined in self._in_quarantine if quarantined.ended is None]
        softly = self._ports.soft_links() if waiting else NO_SOFT_LINKS
        for quarantined in waiting:
            try:
                require_unlinked(quarantined.decision, softly)
            except Changed as change:
                quarantined.ended = quarantined.outcome(Result.SKIPPED, str(change))

    def _put_used_back(self) -> None:
        """Put back what environments soft-link or reference since, now that nothing new can be linked from it.

        A link may lead on through a link within a package; such a chain is seen to its end when the package is back, so
        that is asked again then.
        """
        while self._open_quarantine() and self._put_linked_back():
            pass
        # A process that made a reference before the move has it recorded by now.
        references = self._ports.references()
        self._dropped(lambda decision: require_unreferenced(decision, references))

    def _put_linked_back(self) -> bool:
        softly = self._ports.soft_links()
        return self._dropped(lambda decision: require_unlinked(decision, softly))

    def _dropped(self, require: Callable[[Remove], None]) -> bool:
        """Put back what does not meet a requirement; return whether there was any."""
        before = self._open_quarantine()
        for quarantined in before:
            try:
                require(quarantined.decision)
            except Changed as change:
                self._drop(quarantined, put_back(quarantined, Result.SKIPPED, str(change)))
        return any(quarantined.ended is not None for quarantined in before)

    def _preserve(self, quarantined: Quarantined) -> Outcome | None:
        folder = quarantined.session.archives
        if folder is None:
            return None
        try:
            require_unchanged(quarantined.decision, quarantined.session.cache)
            quarantined.preserved = preserve(quarantined.session.cache, quarantined.decision, folder)
        except Changed as change:
            return quarantined.outcome(Result.SKIPPED, str(change))
        except OSError as error:
            return quarantined.outcome(Result.FAILED, f"it could not be archived and stays: {reason(error)}")
        return None

    @staticmethod
    def _drop(quarantined: Quarantined, outcome: Outcome) -> None:
        quarantined.ended = outcome
        if quarantined.session.archives is not None:
            discard(quarantined.session.archives, quarantined.decision)

    def dispose(self) -> None:
        """Delete what was moved to quarantine, or declare it a backup."""
        backup = self._run.disposal is Disposal.BACKUP
        for session in self._sessions.values():
            mine = [quarantined for quarantined in self._open_quarantine() if quarantined.session is session]
            try:
                if backup:
                    # From then on it is a backup, and no longer a run that was interrupted.
                    session.finish(quarantined.decision for quarantined in mine)
                else:
                    _note(session, mine)
            except OSError as error:
                if self._run.disposal is Disposal.DELETE:
                    continue  # Hashes that a restore would compare: on a full disk it goes without.
                for quarantined in mine:
                    self._drop(
                        quarantined,
                        put_back(quarantined, Result.FAILED, f"no receipt could be written: {reason(error)}"),
                    )
                continue
            if backup:
                disguise(
                    session.folder, (quarantined.number(part) for quarantined in mine for part in quarantined.parts)
                )
                for quarantined in mine:
                    quarantined.ended = quarantined.outcome(Result.BACKED_UP)
        if not backup:
            self._delete()

    def _delete(self) -> None:
        doomed = [(quarantined, part) for quarantined in self._open_quarantine() for part in quarantined.parts]
        for quarantined, part in doomed:
            quarantined.session.folder.move(
                quarantined.number(part), quarantined.session.folder, quarantined.doomed(part)
            )
        for session in self._sessions.values():
            session.folder.sync()
            session.unsettled = True
        files = sum(quarantined.measurements[part].files for quarantined, part in doomed)
        try:
            delete_all([partial(_remove, *one) for one in doomed], files, self._ports.progress)
        finally:
            self._account()

    def _account(self) -> None:
        """Say what came back, and what became of the decisions of which nothing is left to be deleted."""
        for quarantined in self._open_quarantine():
            if not quarantined.begun:
                continue
            for part in quarantined.parts:
                if part in quarantined.removed:
                    quarantined.deleted[part] = self._ledger.remove(quarantined.measurements[part])
            if len(quarantined.deleted) + len(quarantined.failed) == len(quarantined.decision.parts):
                result = Result.FAILED if quarantined.failed else quarantined.disposed
                error = "; ".join(quarantined.failed[part] for part in quarantined.parts if part in quarantined.failed)
                quarantined.ended = quarantined.outcome(result, error or None)

    def put_the_rest_back(self) -> None:
        """Put back what has no outcome yet."""
        for quarantined in self._open_quarantine():
            outcome = give_up(quarantined)
            if quarantined.begun:
                quarantined.ended = outcome
            else:
                self._drop(quarantined, outcome)

    def settle(self) -> tuple[str, ...]:
        """Write into the receipts what was deleted; return what could not be written."""
        if self._run.disposal is Disposal.BACKUP:
            return ()
        unsettled = []
        gone = [quarantined.decision for quarantined in self._in_quarantine if quarantined.gone]
        if self._run.disposal is Disposal.DELETE:
            # Nobody wants a half of a package back.
            gone = [decision for decision in gone if not decision.leftover]
        for session in self._sessions.values():
            try:
                session.finish(decision for decision in gone if decision.entry.cache == session.receipt.cache)
            except OSError as error:
                unsettled.append(f"The receipt in {session.folder.path} could not be completed: {reason(error)}.")
        return tuple(unsettled)


def _remove(quarantined: Quarantined, part: Part, progress: Callable[[int], None]) -> None:
    quarantined.begun.add(part)
    try:
        spared = quarantined.spared(part)
        if spared:
            reduce(
                quarantined.session.folder,
                quarantined.doomed(part),
                quarantined.session.cache,
                part.name,
                spared,
                progress,
            )
        else:
            remove(quarantined.session.folder, quarantined.doomed(part), progress)
    except OSError as error:
        quarantined.failed[part] = f"{part.name} is out of the cache but could not be deleted: {reason(error)}"
    else:
        quarantined.removed.add(part)


def _note(session: CacheSession, in_quarantine: Sequence[Quarantined]) -> None:
    preserved = {
        quarantined.decision.label: quarantined.preserved for quarantined in in_quarantine if quarantined.preserved
    }
    hashes = {quarantined.decision.label: quarantined.sha256 for quarantined in in_quarantine if quarantined.sha256}
    others = {name: known for quarantined in in_quarantine for name, known in quarantined.archive_hashes.items()}
    if preserved or hashes or others:
        session.note(preserved, hashes, others)
