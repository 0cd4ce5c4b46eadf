"""Carry out a plan: remove its packages from all caches, by the one `Executor`, then everything else.

Index caches, temporary files and log files are not moved to quarantine first: conda creates them again, and an
incomplete one does no harm. Each is opened from its cache or environment, one directory after the other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from ..core.accounting import Ledger
from ..core.evidence import SharedExtents
from ..core.model import Cache, Result, Root
from ..core.plan import Other, OtherOutcome, Outcome, Plan, Remove
from ..core.rules.reachability import NO_SOFT_LINKS
from ..core.run import Disposal, Run
from ..errors import LockTimeoutError, NoRoomError, PruneError, StateError, reason
from .files.dir_fd import Directory
from .files.remove_tree import remove
from .files.tree_tar import descend
from .locks.client_locks import EntryLockedError, entry_locks
from .ports import Fetch, Ports
from .quarantine.cache_session import opened_session
from .quarantine.executor import Changed, Executor, put_back
from .quarantine.full_disk import make_room, opened_with_room
from .quarantine.package_removal import PackageSubject, require_unlinked, require_unreferenced
from .repair_packages import repair
from .state.receipt import begun
from .state.state_dir import locked, locked_in_place

#: For how long the roots count as unchanged while packages are moved, in seconds: reading them takes longer than a
#: move. When everything is in quarantine they are read once more.
_FRESH = 0.05

_STOPPED = "interrupted before all of it was gone"


@dataclass(frozen=True, slots=True)
class Execution:
    """One outcome for each decision of the plan, in its order.

    interrupted: the user stopped it.
    unsettled: what could not be written down at the end, which the next run makes up for.
    others: the same for what is no entry; of the plan's only those that were deleted to make room.
    unrecorded: the caches that had no room for a receipt even when everything was removed.
    """

    outcomes: tuple[Outcome, ...]
    interrupted: bool = False
    unsettled: tuple[str, ...] = ()
    others: tuple[OtherOutcome, ...] = ()
    unrecorded: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether anything went wrong. A package that has changed since it was planned is merely skipped."""
        failures = Result.FAILED in {*(one.result for one in self.outcomes), *(one.result for one in self.others)}
        return self.interrupted or bool(self.unsettled) or failures


def merged(plan: Plan, parts: Sequence[Execution]) -> Execution:
    """Join partial executions of a plan; outcomes that no decision explains come last."""
    entries = (*(removal.entry for removal in plan.remove), *(item.entry for item in plan.repair))
    order = {entry: number for number, entry in enumerate(entries)}
    others = {other: number for number, other in enumerate(plan.other)}
    return Execution(
        tuple(
            sorted((one for part in parts for one in part.outcomes), key=lambda one: order.get(one.entry, len(order)))
        ),
        any(part.interrupted for part in parts),
        tuple(message for part in parts for message in part.unsettled),
        tuple(
            sorted((one for part in parts for one in part.others), key=lambda one: others.get(one.other, len(others)))
        ),
        tuple(path for part in parts for path in part.unrecorded),
    )


def carry_out(plan: Plan, run: Run, repairing: Run, fetch: Fetch, ports: Ports) -> Execution:
    """Carry out all decisions: remove packages, repair others, and remove the rest, until the user interrupts it.

    Raises what `execute` raises.
    """
    done = execute(plan, run, ports) if plan.remove else Execution(())
    if plan.repair and not done.interrupted:
        repaired, interrupted = repair(plan.repair, plan.inventory.caches, repairing, fetch, ports)
        done = replace(done, outcomes=(*done.outcomes, *repaired), interrupted=interrupted)
    if plan.other and not done.interrupted:
        others, interrupted = _remove_others(plan, ports, done.others)
        done = replace(done, others=others, interrupted=interrupted)
    return done


def execute(plan: Plan, run: Run, ports: Ports) -> Execution:
    """Carry out all decisions to remove packages, in the way that the run disposes of them.

    A decision that fails or no longer holds stops none of the others. Whatever ends the run early, be it Ctrl-C, what
    is not deleted yet is put back.

    Raises `StateError` or `LockTimeoutError` before anything is changed, and what `ports.references` raises. If
    something was deleted before, to make room, an error at the beginning is the outcome of what stays.
    """
    references = _References(ports)
    subjects = [PackageSubject(decision, references.fresh, ports) for decision in plan.remove]
    by_cache: dict[str, list[PackageSubject]] = {}
    for subject in subjects:
        by_cache.setdefault(subject.decision.entry.cache, []).append(subject)
    others: dict[Other, OtherOutcome] = {}
    ledger = Ledger()
    opened: list[PackageSubject] = []
    stopper: PruneError | KeyboardInterrupt | None = None

    def free_other(other: Other, cache: Directory) -> bool:
        others[other] = _remove_one(other, cache, ports)
        return others[other].result is Result.REMOVED

    with ExitStack() as stack:
        try:
            for number, cache in enumerate(cache for cache in plan.inventory.caches if cache.path in by_cache):
                here = run
                if run.destination is not None:
                    here = replace(run, destination=os.path.join(run.destination, run.id, str(number)))
                going = [partial(free_other, other) for other in plan.other if other.top == cache.real_path]
                _open(stack, cache, here, by_cache[cache.path], going, ledger, ports)
                opened += by_cache[cache.path]
        except (PruneError, KeyboardInterrupt) as error:
            if not others and not any(subject.gone for subject in subjects):
                raise
            stopper = error
        executor = _PackageExecutor(opened, run.disposal, ledger, ports, plan.sharing)
        interrupted = executor.run(interrupted=stopper is not None) and not isinstance(stopper, PruneError)
    for subject in subjects:
        if subject.result is None and isinstance(stopper, PruneError):
            subject.end(Result.FAILED, stopper.message)
        elif subject.result is None:
            subject.end(Result.SKIPPED, "interrupted before it")
    recorded = {session.receipt.cache for session in executor.sessions}
    early = {each.decision.entry.cache for each in subjects if each.early and not each.decision.leftover}
    return Execution(
        tuple(subject.outcome() for subject in subjects),
        interrupted,
        tuple(
            f"The receipt in {session.folder.path} could not be completed: {reason(error)}."
            for session, error in executor.unsettled
        ),
        tuple(others.values()),
        tuple(sorted(early - recorded)),
    )


def _open(
    stack: ExitStack,
    cache: Cache,
    run: Run,
    subjects: Sequence[PackageSubject],
    others: Sequence[Callable[[Directory], bool]],
    ledger: Ledger,
    ports: Ports,
) -> None:
    """Lock a cache and write the run's state into it; on a full disk, make room with what goes anyway."""
    receipt = begun(run, cache.path, [subject.decision for subject in subjects])
    # What is to be kept elsewhere must not be deleted to make room for that.
    spare = sorted(subjects, key=lambda subject: subject.decision.files) if run.disposal is Disposal.DELETE else []
    session = opened_with_room(
        cache,
        lambda: stack.enter_context(opened_session(cache, receipt, ports.patience)),
        partial(make_room, spare, others, ledger),
        ports.patience,
    )
    for subject, entry in zip(subjects, receipt.entries):
        subject.attach(session, entry)
        session.unsettled |= subject.gone


class _References:
    """The roots that reference each dist, read again when they are not fresh any more."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._known: Mapping[str, Sequence[Root]] = {}
        self._read = float("-inf")

    def fresh(self) -> Mapping[str, Sequence[Root]]:
        """Return what references each dist at about this moment."""
        if time.monotonic() - self._read > _FRESH:
            self._known, self._read = self._ports.references(), time.monotonic()
        return self._known


class _PackageExecutor(Executor[PackageSubject]):
    """Removes packages, but none that an environment soft-links or references by the time it is in quarantine."""

    def __init__(
        self,
        subjects: Sequence[PackageSubject],
        disposal: Disposal,
        ledger: Ledger,
        ports: Ports,
        sharing: Iterable[SharedExtents],
    ) -> None:
        super().__init__(subjects, disposal, ledger, ports.progress, sharing)
        self._ports = ports

    def clear_out(self) -> None:
        """Leave in place what environments soft-link, whatever the plan was made from, and move the rest."""
        waiting = [subject for subject in self.subjects if subject.result is None]
        softly = self._ports.soft_links() if waiting else NO_SOFT_LINKS
        for subject in waiting:
            try:
                require_unlinked(subject.decision, softly)
            except Changed as change:
                subject.end(Result.SKIPPED, str(change))
        super().clear_out()

    def confirm(self) -> None:
        """Put back what environments soft-link or reference since, now that no new link can be made to it.

        A link may lead on through a link in another package. Such a chain leads to its end only when that package is
        back, so everything is asked again then.
        """
        changed = True
        while changed and self.in_quarantine():
            softly = self._ports.soft_links()
            changed = self._put_changed_back(partial(require_unlinked, softly=softly))
        # A process that made a reference before the move has recorded it by now.
        references = self._ports.references()
        self._put_changed_back(partial(require_unreferenced, references=references))

    def _put_changed_back(self, require: Callable[[Remove], None]) -> bool:
        """Put back what does not meet a requirement; return True if there was any."""
        changed = False
        for subject in self.in_quarantine():
            try:
                require(subject.decision)
            except Changed as change:
                put_back(subject, Result.SKIPPED, str(change))
                changed = True
        return changed


def _remove_others(plan: Plan, ports: Ports, done: Iterable[OtherOutcome]) -> tuple[tuple[OtherOutcome, ...], bool]:
    """Remove everything else, with the locks held on the caches; one that fails stops none of the others.

    done: the outcomes of those that were removed before. Returns an outcome for each, and True if the user interrupted
    it.
    """
    by_path = {cache.real_path: cache for cache in plan.inventory.caches}
    outcomes = {outcome.other: outcome for outcome in done}
    interrupted = False
    try:
        for top in dict.fromkeys(other.top for other in plan.other):
            mine = [other for other in plan.other if other.top == top and other not in outcomes]
            try:
                with ExitStack() as stack:
                    if top in by_path:
                        _lock(stack, by_path[top], ports)
                    directory = stack.enter_context(Directory.open(top))
                    for other in mine:
                        outcomes[other] = _remove_one(other, directory, ports)
            except (StateError, LockTimeoutError, OSError) as error:
                for other in mine:
                    outcomes.setdefault(other, OtherOutcome(other, Result.FAILED, error=reason(error)))
    except KeyboardInterrupt:
        interrupted = True
    ended = (outcomes.get(other) or OtherOutcome(other, Result.SKIPPED, error=_STOPPED) for other in plan.other)
    return tuple(ended), interrupted


def _lock(stack: ExitStack, cache: Cache, ports: Ports) -> None:
    """Lock a cache; nothing that is removed here needs any state, for which a full disk has no room."""
    try:
        stack.enter_context(locked(cache, ports.patience))
    except NoRoomError:
        stack.enter_context(locked_in_place(cache, ports.patience))


def _remove_one(other: Other, top: Directory, ports: Ports) -> OtherOutcome:
    """Remove one of them, below its open top."""
    *above, name = os.path.relpath(other.path, other.top).split(os.sep)
    try:
        with descend(top, above) as directory, entry_locks(directory, [name]):
            status = directory.status(name)
            now = (status.st_dev, status.st_ino, status.st_mtime_ns)
            if now != (other.identity.device, other.identity.inode, other.identity.mtime_ns):
                return OtherOutcome(other, Result.SKIPPED, error="it has changed since it was planned")
            held = ports.measure(*directory.at(name))
            remove(directory, name, ports.progress)
    except FileNotFoundError:
        return OtherOutcome(other, Result.SKIPPED, error="it is gone")
    except EntryLockedError as error:
        return OtherOutcome(other, Result.SKIPPED, error=str(error))
    except (OSError, ValueError) as error:
        return OtherOutcome(other, Result.FAILED, error=reason(error))
    freed = Ledger().remove(held)
    return OtherOutcome(other, Result.REMOVED, held.files, freed.bytes, freed_inodes=freed.inodes)
