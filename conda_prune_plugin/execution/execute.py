"""Carrying a plan out: first everything is moved aside, each entry by renames, then what was moved is deleted.

Each decision is checked twice. Before the move: its parts are what was planned, and no root names it by now. After
the move, when no new link can be made by its path any more: no file has got a link that the plan did not know. What
fails either check is put back and skipped.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ..core.accounting import Ledger, missing_links
from ..core.model import Cache, Measurement, Outcome, Part, PartKind, Plan, Remove, Result, Root
from ..errors import NoRoomError
from .directory import Directory
from .removal import remove
from .state import DOOMED, locked_state, number_parts, remove_empty, unusable, withdraw_receipt, write_receipt


@dataclass(frozen=True, slots=True)
class Tools:
    """What execution is handed from outside.

    references: the roots that name each dist at this moment.
    measure: measures a name in a directory given by path and descriptor.
    progress: is told how many files were removed since the last time.
    notify: is told what the user should know while waiting.
    """

    references: Callable[[], Mapping[str, Sequence[Root]]]
    measure: Callable[[str, int | None], Measurement]
    progress: Callable[[int], None]
    notify: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Execution:
    """One outcome for each decision of the plan, in its order; `interrupted`: the user stopped it."""

    outcomes: tuple[Outcome, ...]
    interrupted: bool = False

    @property
    def failed(self) -> bool:
        """Whether anything did not go as it should have; what changed since it was planned did."""
        return self.interrupted or any(outcome.result is Result.FAILED for outcome in self.outcomes)


class _Changed(Exception):
    """A decision does not hold any more; the text says why."""


#: What was removed before anything else to make room, with what it held.
_Early = dict[tuple[Remove, Part], Measurement]


@dataclass(slots=True)
class _Site:
    """One cache while a run works on it; `numbers` are the names that parts have in the run's folder."""

    cache: Directory
    folder: Directory
    numbers: dict[str, str]


@dataclass(slots=True)
class _Aside:
    """A decision whose parts were moved aside: what they hold, and what the deleted ones gave back."""

    decision: Remove
    site: _Site
    early: _Early
    measurements: dict[Part, Measurement] = field(default_factory=dict)
    deleted: dict[Part, int] = field(default_factory=dict)

    @property
    def parts(self) -> list[Part]:
        """The parts that did not have to go early."""
        return [part for part in self.decision.parts if (self.decision, part) not in self.early]


def execute(plan: Plan, run: str, tools: Tools) -> Execution:
    """Carry out all decisions to remove. `run` names the folders that hold what was moved aside.

    A decision that fails or no longer holds stops none of the others. Whatever ends the run early, be it Ctrl-C, what
    is not deleted yet is put back.

    Raises `StateError` or `LockTimeoutError` before anything is moved, and what ``tools.references`` raises.
    """
    outcomes: dict[Remove, Outcome] = {}
    with ExitStack() as stack:
        early: _Early = {}
        sites = _open(stack, plan, run, tools, early)
        asides: list[_Aside] = []
        interrupted = False
        try:
            for decision in plan.remove:
                aside = _Aside(decision, sites[decision.entry.cache], early)
                asides.append(aside)
                error = _set_aside(aside, tools)
                if error is not None:
                    asides.pop()
                    outcomes[decision] = error
            _delete(asides, tools, outcomes)
        except BaseException as stop:  # Anything: it is raised again, and nothing may stay moved aside for it.
            for aside in asides:
                if aside.decision not in outcomes:
                    outcomes[aside.decision] = _give_up(aside)
            if not isinstance(stop, KeyboardInterrupt):
                raise
            interrupted = True
    done = tuple(
        outcomes.get(decision) or Outcome(decision.entry, Result.SKIPPED, error="interrupted before it")
        for decision in plan.remove
    )
    return Execution(done, interrupted)


def _open(stack: ExitStack, plan: Plan, run: str, tools: Tools, early: _Early) -> dict[str, _Site]:
    """Open all caches of a plan; on a full disk remove one archive after the other until there is room for that."""
    by_cache: dict[str, list[Remove]] = {}
    for decision in plan.remove:
        by_cache.setdefault(decision.entry.cache, []).append(decision)
    caches = [cache for cache in plan.inventory.caches if cache.path in by_cache]
    while True:
        try:
            with ExitStack() as attempt:
                sites = {
                    cache.path: attempt.enter_context(_Opened(cache, by_cache[cache.path], run, tools))
                    for cache in caches
                }
                stack.push(attempt.pop_all())
                return sites
        except NoRoomError:
            if not _make_room(plan, tools, early):
                raise


def _make_room(plan: Plan, tools: Tools, early: _Early) -> bool:
    """Remove one archive of the plan where it is: that is a single step, and needs no room itself."""
    caches = {cache.path: cache for cache in plan.inventory.caches}
    for decision in plan.remove:
        for part in decision.parts:
            if part.kind is not PartKind.ARCHIVE or (decision, part) in early:
                continue
            try:
                with Directory.open(caches[decision.entry.cache].real_path) as cache:
                    _require_unchanged(decision, cache, tools, early)
                    measurement = tools.measure(*cache.at(part.name))
                    remove(cache, part.name, tools.progress)
            except (_Changed, OSError):
                continue  # Nothing was removed; it is looked at again when its turn comes.
            early[decision, part] = measurement
            return True
    return False


class _Opened:
    """Opens a cache for a run, locked and with the receipt written; leaves nothing behind that is not needed."""

    def __init__(self, cache: Cache, decisions: Sequence[Remove], run: str, tools: Tools) -> None:
        self._cache, self._decisions, self._run, self._tools = cache, decisions, run, tools
        self._stack = ExitStack()

    def __enter__(self) -> _Site:
        with ExitStack() as stack:
            try:
                cache = stack.enter_context(Directory.open(self._cache.real_path))
            except OSError as error:
                raise unusable(self._cache.path, error) from error
            state = stack.enter_context(locked_state(cache, self._tools.notify))
            try:
                state.mkdir(self._run)
                stack.callback(remove_empty, state, self._run)
                folder = stack.enter_context(state.child(self._run))
                stack.callback(withdraw_receipt, folder)
                write_receipt(folder, self._run, self._cache.path, self._decisions)
            except OSError as error:
                raise unusable(os.path.join(state.path, self._run), error) from error
            state.sync()
            numbers = {moved.name: moved.number for moved in number_parts(self._decisions)}
            self._stack = stack.pop_all()
            return _Site(cache, folder, numbers)

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def _set_aside(aside: _Aside, tools: Tools) -> Outcome | None:
    """Move the parts of a decision into the run's folder; return an outcome if that was not to be."""
    decision, site = aside.decision, aside.site
    try:
        _require_unchanged(decision, site.cache, tools, aside.early)
        for part in aside.parts:
            site.cache.move(part.name, site.folder, site.numbers[part.name])
        for part in aside.parts:
            aside.measurements[part] = tools.measure(*site.folder.at(site.numbers[part.name]))
        _require_as_planned(aside)
        _require_unreferenced(decision, tools)
    except _Changed as change:
        return _put_back(aside, Result.SKIPPED, str(change))
    except OSError as error:
        if error.errno == errno.EXDEV and site.cache.own_status().st_dev == site.folder.own_status().st_dev:
            # Within one file system that is an overlay's way to say that it would have to copy up a whole tree.
            return _put_back(aside, Result.SKIPPED, "it lies in a lower layer of an overlay; removing frees nothing")
        return _put_back(aside, Result.FAILED, _text(error))
    return None


def _require_unchanged(decision: Remove, cache: Directory, tools: Tools, early: _Early) -> None:
    _require_unreferenced(decision, tools)
    for part, planned in zip(decision.parts, decision.identities):
        if (decision, part) in early:
            continue
        try:
            status = cache.status(part.name)
        except FileNotFoundError:
            raise _Changed(f"{part.name} is gone") from None
        if (status.st_dev, status.st_ino, status.st_mtime_ns) != (planned.device, planned.inode, planned.mtime_ns):
            raise _Changed(f"{part.name} has changed since it was planned")


def _require_as_planned(aside: _Aside) -> None:
    """Compare what was moved, which nobody can change by its path any more, with what was planned."""
    decision = aside.decision
    for measurement in aside.measurements.values():
        if measurement.obstacle is not None:
            raise _Changed(measurement.obstacle)
    early = [aside.early[decision, part] for part in decision.parts if part not in aside.measurements]
    held = [*aside.measurements.values(), *early]
    if (sum(item.files for item in held), sum(item.apparent for item in held)) != (decision.files, decision.apparent):
        raise _Changed("what is in it has changed since it was planned")
    known = dict(decision.known_links)
    if any(links > known.get(inode, 0) for inode, links in missing_links(held).items()):
        raise _Changed("something has linked its files since it was planned")


def _require_unreferenced(decision: Remove, tools: Tools) -> None:
    references = tools.references()
    for name in decision.names:
        for root in references.get(name, ()):
            # One that shares no file with it may, as long as it is what it was.
            if root not in decision.accepted:
                raise _Changed(f"{root.path} references it now")


def _put_back(aside: _Aside, result: Result, why: str) -> Outcome:
    """Move what lies whole in the run's folder back to its place; the outcome is a failure if that fails."""
    failed = []
    for part in aside.decision.parts:
        number = aside.site.numbers[part.name]
        try:
            if aside.site.folder.exists(number):
                aside.site.folder.move(number, aside.site.cache, part.name)
        except OSError as error:
            failed.append(f"{part.name} could not be put back, which the next run tries again: {_text(error)}")
    if any((aside.decision, part) in aside.early for part in aside.decision.parts):
        why += "; an archive of it had to go first, to make room on a full disk"
    return _outcome(aside, Result.FAILED if failed else result, "; ".join([why, *failed]))


def _delete(asides: Sequence[_Aside], tools: Tools, outcomes: dict[Remove, Outcome]) -> None:
    ledger = Ledger()
    for aside in asides:
        folder = aside.site.folder
        failed = []
        for part in aside.decision.parts:
            number = aside.site.numbers[part.name]
            try:
                if part in aside.measurements:
                    folder.move(number, folder, number + DOOMED)
                    remove(folder, number + DOOMED, tools.progress)
                else:  # It had to go early, to make room.
                    aside.measurements[part] = aside.early[aside.decision, part]
                aside.deleted[part] = ledger.remove(aside.measurements[part])
            except OSError as error:
                failed.append(f"{part.name} is out of the cache but could not be deleted: {_text(error)}")
        result = Result.FAILED if failed else Result.REMOVED
        outcomes[aside.decision] = _outcome(aside, result, "; ".join(failed) or None)


def _give_up(aside: _Aside) -> Outcome:
    """Put back what is whole when everything has to stop."""
    begun = [
        part.name
        for part in aside.decision.parts
        if part not in aside.deleted and aside.site.folder.exists(aside.site.numbers[part.name] + DOOMED)
    ]
    if begun:
        return _put_back(aside, Result.FAILED, f"interrupted while {begun[0]} was deleted, which the next run finishes")
    if aside.deleted:
        gone = ", ".join(part.name for part in aside.deleted)
        return _put_back(aside, Result.FAILED, f"interrupted after {gone} was deleted")
    return _put_back(aside, Result.SKIPPED, "interrupted; it is at its place")


def _outcome(aside: _Aside, result: Result, error: str | None) -> Outcome:
    files = sum(aside.measurements[part].files for part in aside.deleted)
    return Outcome(aside.decision.entry, result, files, sum(aside.deleted.values()), error)


def _text(error: OSError) -> str:
    where = f" ({error.filename})" if isinstance(error.filename, str) else ""
    return f"{error.strerror or error}{where}"
