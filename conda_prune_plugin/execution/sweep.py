"""Carrying a plan out: first everything is moved aside, each entry by renames, then what was moved is deleted or kept.

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
from ..core.run import Disposal, Run
from ..errors import PruneError, reason
from .files.parallel_remove import delete_all
from .files.remove_except import reduce
from .files.remove_tree import remove
from .full_disk.low_space import Room, opened_with_room
from .ports import Tools
from .quarantine.archive import discard, preserve
from .quarantine.cache_session import Site, opened_site
from .quarantine.disguise import conceal
from .quarantine.quarantine import (
    Aside,
    Changed,
    give_up,
    put_back,
    require_unchanged,
    require_unlinked,
    require_unreferenced,
    set_aside,
)

#: How long it holds what the roots were when they were last asked, while entries are moved; in seconds. After the last
#: one has been moved they are asked once more about all.
_FRESH = 0.05


@dataclass(frozen=True, slots=True)
class Execution:
    """One outcome for each decision of the plan, in its order.

    interrupted: the user stopped it.
    unsettled: what could not be written down at the end, which the next run makes up for.
    others: the same for what is no entry; of the plan's only those that had to go to make room.
    unrecorded: the caches that had no room for a receipt even when everything was removed.
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


def execute(plan: Plan, run: Run, tools: Tools) -> Execution:
    """Carry out all decisions to remove, in the way that the run disposes.

    A decision that fails or no longer holds stops none of the others. Whatever ends the run early, be it Ctrl-C, what
    is not deleted yet is put back.

    Raises `StateError` or `LockTimeoutError` before anything is changed, and what ``tools.references`` raises. Where
    something had to go before, to make room, an error at the beginning is the outcome of what stays.
    """
    execution = _Execution(plan, run, tools)
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

    def __init__(self, plan: Plan, run: Run, tools: Tools) -> None:
        self._plan = plan
        self._run = run
        self._tools = tools
        self._sites: dict[str, Site] = {}
        self._asides = [Aside(decision) for decision in plan.remove]
        self._others: dict[Other, OtherOutcome] = {}
        self._ledger = Ledger()

    @property
    def early(self) -> bool:
        """Whether anything was removed before the caches could be opened, to make room."""
        return bool(self._others) or any(aside.gone for aside in self._asides)

    def _open_asides(self) -> list[Aside]:
        """Return what was begun and has no outcome yet."""
        return [aside for aside in self._asides if aside.started and aside.ended is None]

    def ended(self, unsettled: tuple[str, ...], stopper: str | None = None, *, interrupted: bool) -> Execution:
        """Return how it ended, with one outcome for each decision of the plan.

        stopper: what kept it from being begun, if not the user.
        """
        outcomes = []
        for aside in self._asides:
            result, why = (Result.FAILED, stopper) if stopper else (Result.SKIPPED, "interrupted before it")
            outcomes.append(aside.ended or aside.outcome(result, why))
        return Execution(tuple(outcomes), interrupted, unsettled, tuple(self._others.values()), self._unrecorded())

    def _unrecorded(self) -> tuple[str, ...]:
        """Return the caches that had no room for a receipt of what was removed."""
        gone = {aside.decision.entry.cache for aside in self._asides if aside.early and not aside.decision.leftover}
        return tuple(sorted(gone - self._sites.keys()))

    def open(self, stack: ExitStack) -> None:
        """Open all caches of the plan; on a full disk remove one thing after the other until there is room for that."""
        by_cache: dict[str, list[Aside]] = {}
        for aside in self._asides:
            by_cache.setdefault(aside.decision.entry.cache, []).append(aside)
        caches = [cache for cache in self._plan.inventory.caches if cache.path in by_cache]
        for number, cache in enumerate(caches):
            mine = by_cache[cache.path]
            # What is to be kept elsewhere must not be deleted to make room for that.
            spare = mine if self._run.disposal is Disposal.DELETE else ()
            others = [other for other in self._plan.other if other.top == cache.real_path]
            room = Room(spare, others, self._others, self._ledger, self._tools)
            opened = partial(self._opened, stack, cache, [aside.decision for aside in mine], self._run_in(number))
            site = self._sites[cache.path] = opened_with_room(cache, opened, room.make, self._tools.patience)
            for aside in mine:
                aside.site = site
                site.unsettled |= aside.gone

    def _opened(self, stack: ExitStack, cache: Cache, decisions: Sequence[Remove], run: Run) -> Site:
        return stack.enter_context(opened_site(cache, decisions, run, self._tools.patience))

    def _run_in(self, number: int) -> Run:
        if self._run.destination is None:
            return self._run
        return replace(self._run, destination=os.path.join(self._run.destination, self._run.id, str(number)))

    def clear_out(self) -> None:
        """Move everything aside, and put back what is not as it was planned."""
        backup = self._run.disposal is Disposal.BACKUP
        references = self._tools.references()
        asked = time.monotonic()
        for aside in self._asides:
            if aside.ended is not None:
                continue
            # Asking for them takes longer than moving an entry.
            if time.monotonic() - asked > _FRESH:
                references, asked = self._tools.references(), time.monotonic()
            aside.started = True
            error = self._preserve(aside)
            if error is None:
                error = set_aside(aside, references, None if backup else self._tools.measure)
            if error is not None:
                self._drop(aside, error)
        self._put_used_back()
        for site in self._sites.values():
            site.folder.sync()
            site.cache.sync()

    def _put_used_back(self) -> None:
        """Put back what environments soft-link or reference, now that nothing new can be linked from it.

        Certain, whatever the plan was made from: all environments are walked through. A link may lead on through a link
        within a package; such a chain is seen to its end when the package is back, so that is asked again then.
        """
        while self._open_asides() and self._put_linked_back():
            pass
        # Whoever made a reference before the move has it recorded by now.
        references = self._tools.references()
        self._dropped(lambda decision: require_unreferenced(decision, references))

    def _put_linked_back(self) -> bool:
        softly = self._tools.soft_links()
        return self._dropped(lambda decision: require_unlinked(decision, softly))

    def _dropped(self, require: Callable[[Remove], None]) -> bool:
        """Put back what does not meet a requirement; return whether there was any."""
        before = self._open_asides()
        for aside in before:
            try:
                require(aside.decision)
            except Changed as change:
                self._drop(aside, put_back(aside, Result.SKIPPED, str(change)))
        return any(aside.ended is not None for aside in before)

    def _preserve(self, aside: Aside) -> Outcome | None:
        folder = aside.site.archives
        if folder is None:
            return None
        try:
            require_unchanged(aside.decision, aside.site.cache)
            aside.preserved = preserve(aside.site.cache, aside.decision, folder)
        except Changed as change:
            return aside.outcome(Result.SKIPPED, str(change))
        except OSError as error:
            return aside.outcome(Result.FAILED, f"it could not be archived and stays: {reason(error)}")
        return None

    @staticmethod
    def _drop(aside: Aside, outcome: Outcome) -> None:
        aside.ended = outcome
        if aside.site.archives is not None:
            discard(aside.site.archives, aside.decision)

    def dispose(self) -> None:
        """Delete what was moved aside, or declare it a backup."""
        backup = self._run.disposal is Disposal.BACKUP
        for site in self._sites.values():
            mine = [aside for aside in self._open_asides() if aside.site is site]
            try:
                if backup:
                    # From then on it is a backup, and no longer a run that was cut off.
                    site.finish(aside.decision for aside in mine)
                else:
                    _note(site, mine)
            except OSError as error:
                if self._run.disposal is Disposal.DELETE:
                    continue  # Hashes that a restore would compare: on a full disk it goes without.
                for aside in mine:
                    self._drop(aside, put_back(aside, Result.FAILED, f"no receipt could be written: {reason(error)}"))
                continue
            if backup:
                conceal(site.folder, (aside.number(part) for aside in mine for part in aside.parts))
                for aside in mine:
                    aside.ended = aside.outcome(Result.BACKED_UP)
        if not backup:
            self._delete()

    def _delete(self) -> None:
        doomed = [(aside, part) for aside in self._open_asides() for part in aside.parts]
        for aside, part in doomed:
            aside.site.folder.move(aside.number(part), aside.site.folder, aside.doomed(part))
        for site in self._sites.values():
            site.folder.sync()
            site.unsettled = True
        files = sum(aside.measurements[part].files for aside, part in doomed)
        try:
            delete_all([partial(_remove, *one) for one in doomed], files, self._tools.progress)
        finally:
            self._account()

    def _account(self) -> None:
        """Say what came back, and what became of the decisions of which nothing is left to be deleted."""
        for aside in self._open_asides():
            if not aside.begun:
                continue
            for part in aside.parts:
                if part in aside.removed:
                    aside.deleted[part] = self._ledger.remove(aside.measurements[part])
            if len(aside.deleted) + len(aside.failed) == len(aside.decision.parts):
                result = Result.FAILED if aside.failed else aside.disposed
                error = "; ".join(aside.failed[part] for part in aside.parts if part in aside.failed)
                aside.ended = aside.outcome(result, error or None)

    def put_the_rest_back(self) -> None:
        """Put back what has no outcome yet."""
        for aside in self._open_asides():
            outcome = give_up(aside)
            if aside.begun:
                aside.ended = outcome
            else:
                self._drop(aside, outcome)

    def settle(self) -> tuple[str, ...]:
        """Write into the receipts what was deleted; return what could not be written."""
        if self._run.disposal is Disposal.BACKUP:
            return ()
        unsettled = []
        gone = [aside.decision for aside in self._asides if aside.gone]
        if self._run.disposal is Disposal.DELETE:
            # Nobody wants a half of a package back.
            gone = [decision for decision in gone if not decision.leftover]
        for site in self._sites.values():
            try:
                site.finish(decision for decision in gone if decision.entry.cache == site.receipt.cache)
            except OSError as error:
                unsettled.append(f"The receipt in {site.folder.path} could not be completed: {reason(error)}.")
        return tuple(unsettled)


def _remove(aside: Aside, part: Part, progress: Callable[[int], None]) -> None:
    aside.begun.add(part)
    try:
        spared = aside.spared(part)
        if spared:
            reduce(aside.site.folder, aside.doomed(part), aside.site.cache, part.name, spared, progress)
        else:
            remove(aside.site.folder, aside.doomed(part), progress)
    except OSError as error:
        aside.failed[part] = f"{part.name} is out of the cache but could not be deleted: {reason(error)}"
    else:
        aside.removed.add(part)


def _note(site: Site, asides: Sequence[Aside]) -> None:
    preserved = {aside.decision.label: aside.preserved for aside in asides if aside.preserved}
    hashes = {aside.decision.label: aside.sha256 for aside in asides if aside.sha256}
    if preserved or hashes:
        site.note(preserved, hashes)
