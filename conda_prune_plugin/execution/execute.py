"""Carrying a plan out: first everything is moved aside, each entry by renames, then what was moved is deleted or kept.

Killed at any instant, an entry is whole at its place or gone from it, and the receipt tells the next run which: see
`recovery`. Where a crash of the system could turn the order of changes around, directories are synced in between.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from ..core.accounting import Ledger
from ..core.decision import OtherOutcome, Outcome, Plan, Remove
from ..core.model import Part, Result
from ..core.run import Disposal, Run
from ..core.soft_links import SoftLinks
from ..errors import NoRoomError, PruneError
from .archive import discard, preserve
from .aside import (
    Aside,
    Changed,
    Early,
    give_up,
    put_back,
    reason,
    require_spared,
    require_unchanged,
    require_unlinked,
    require_unreferenced,
    set_aside,
)
from .conceal import conceal
from .reduction import reduce
from .removal import remove
from .removers import delete_all
from .room import make_room, not_begun
from .site import Site, opened_site
from .tools import Tools

#: How long it holds what the roots were when they were last asked, while entries are moved; in seconds. After the last
#: one has been moved they are asked once more about all.
_FRESH = 0.05


@dataclass(frozen=True, slots=True)
class Execution:
    """One outcome for each decision of the plan, in its order.

    interrupted: the user stopped it.
    unsettled: what could not be written down at the end, which the next run makes up for.
    others: the same for what is no entry.
    """

    outcomes: tuple[Outcome, ...]
    interrupted: bool = False
    unsettled: tuple[str, ...] = ()
    others: tuple[OtherOutcome, ...] = ()

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
    archives had to go before, to make room, an error at the beginning is the outcome of what stays.
    """
    execution = _Execution(run, tools)
    interrupted = False
    with ExitStack() as stack:
        try:
            execution.open(stack, plan)
        except (PruneError, KeyboardInterrupt) as error:
            if not execution.early:
                raise
            stopper = error if isinstance(error, PruneError) else None
            return Execution(execution.outcomes(plan, stopper), interrupted=stopper is None)
        try:
            try:
                execution.clear_out(plan)
                execution.dispose()
            except KeyboardInterrupt:
                interrupted = True
        finally:
            execution.put_the_rest_back()
            unsettled = execution.settle()
    return Execution(execution.outcomes(plan), interrupted, unsettled)


class _Execution:
    """The steps of one execution and what they share."""

    def __init__(self, run: Run, tools: Tools) -> None:
        self._run = run
        self._tools = tools
        self.early: Early = {}
        self._sites: dict[str, Site] = {}
        self._asides: list[Aside] = []

    def _open_asides(self) -> list[Aside]:
        """Return what has no outcome yet."""
        return [aside for aside in self._asides if aside.ended is None]

    def outcomes(self, plan: Plan, stopper: PruneError | None = None) -> tuple[Outcome, ...]:
        """Return one outcome for each decision of the plan, which were begun in its order until something stopped it.

        stopper: what did; None for the user, if anything.
        """
        ended = [aside.ended for aside in self._asides if aside.ended is not None]
        return (*ended, *not_begun(plan.remove[len(self._asides) :], self.early, stopper))

    def open(self, stack: ExitStack, plan: Plan) -> None:
        """Open all caches of a plan; on a full disk remove one archive after the other until there is room for that."""
        while True:
            try:
                with ExitStack() as attempt:
                    self._sites = self._opened(attempt, plan)
                    for decision, _ in self.early:
                        self._sites[decision.entry.cache].unsettled = True
                    stack.push(attempt.pop_all())
                    return
            except NoRoomError:
                # What is to be kept elsewhere must not be deleted to make room for that.
                if self._run.disposal is not Disposal.DELETE or not make_room(plan, self.early, self._tools):
                    raise

    def _opened(self, stack: ExitStack, plan: Plan) -> dict[str, Site]:
        by_cache: dict[str, list[Remove]] = {}
        for decision in plan.remove:
            by_cache.setdefault(decision.entry.cache, []).append(decision)
        caches = [cache for cache in plan.inventory.caches if cache.path in by_cache]
        return {
            cache.path: stack.enter_context(
                opened_site(cache, by_cache[cache.path], self._run_in(number), self._tools.patience)
            )
            for number, cache in enumerate(caches)
        }

    def _run_in(self, number: int) -> Run:
        if self._run.destination is None:
            return self._run
        return replace(self._run, destination=os.path.join(self._run.destination, self._run.id, str(number)))

    def clear_out(self, plan: Plan) -> None:
        """Move everything aside, and put back what is not as it was planned."""
        backup = self._run.disposal is Disposal.BACKUP
        references, softly = self._tools.references(), self._soft_links(plan)
        asked = time.monotonic()
        for decision in plan.remove:
            # Looking at all environments takes longer than moving an entry.
            if time.monotonic() - asked > _FRESH:
                references, asked = self._tools.references(), time.monotonic()
            aside = Aside(decision, self._sites[decision.entry.cache], self.early)
            self._asides.append(aside)
            error = self._linked(aside, softly) or self._preserve(aside)
            if error is None:
                error = set_aside(aside, references, None if backup else self._tools.measure)
            if error is not None:
                self._drop(aside, error)
        # Once more, now that no new reference can be made: whoever made one before the move has it recorded by now.
        references, softly = self._tools.references(), self._soft_links(plan)
        newcomers = self._tools.newcomers()
        for aside in self._open_asides():
            try:
                require_spared(aside.decision, newcomers)
                require_unreferenced(aside.decision, references)
                require_unlinked(aside.decision, softly)
            except Changed as change:
                self._drop(aside, put_back(aside, Result.SKIPPED, str(change)))
        for site in self._sites.values():
            site.folder.sync()
            site.cache.sync()

    def _soft_links(self, plan: Plan) -> SoftLinks | None:
        """Return what is soft-linked now, None where nothing goes that an environment has."""
        return self._tools.soft_links() if any(decision.linkable for decision in plan.remove) else None

    @staticmethod
    def _linked(aside: Aside, softly: SoftLinks | None) -> Outcome | None:
        try:
            require_unlinked(aside.decision, softly)
        except Changed as change:
            return aside.outcome(Result.SKIPPED, str(change))
        return None

    def _preserve(self, aside: Aside) -> Outcome | None:
        folder = aside.site.archives
        if folder is None:
            return None
        try:
            require_unchanged(aside.decision, aside.site.cache, self.early)
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
            delete_all([functools.partial(_remove, *one) for one in doomed], files, self._tools.progress)
        finally:
            self._account()

    def _account(self) -> None:
        """Say what came back, and what became of the decisions of which nothing is left to be deleted."""
        ledger = Ledger()
        for aside in self._open_asides():
            if not aside.begun and aside.parts:
                continue
            for part in aside.decision.parts:
                if self.early and (aside.decision, part) in self.early:  # It had to go early, to make room.
                    aside.measurements[part] = self.early[aside.decision, part]
                elif part not in aside.removed:
                    continue
                aside.deleted[part] = ledger.remove(aside.measurements[part])
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
        gone = [aside.decision for aside in self._asides if aside.begun]
        gone += [decision for decision, _ in self.early]
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
