"""Taking environments away: exported, set aside by one rename, and deleted then unless they are a backup.

What makes it safe to be killed at any step, in this order:

1. the exports and the receipt are written into ``<directory of the environment>/.conda-prune/<run>/`` and synced;
2. the environment is renamed into that folder: it is whole at its place before, and wholly set aside after. The same
   directory is the same file system, so this is one step, and links, modes and times stay;
3. a backup is declared one in the receipt; what is to be deleted gets the mark of that. A run that is cut off before
   this is given back by the next one (`recover`), after it it is finished;
4. only then the line in the registry goes: what is given back never has to be registered again;
5. of what is marked the user's own files are moved out into the run's folder (`own_files`);
6. then it is deleted, by the one function that deletes.

On a full disk there may be no room for the first step; see `low_space_environments`.

``conda remove --all`` (24.7 to 26.9 alike) unlinks file by file, runs the pre-unlink scripts of packages, removes menu
items, calls `rm_rf` for what is left, and unregisters. Killed, it leaves half an environment. Of all this only the
scripts and the menu items have an effect outside of the environment, so this is done as conda does it
(`Tools.farewell`), right before step 2; a backup, which comes back, keeps both.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

from ..core.envs.environment_use import Departed
from ..core.evidence import Measurement
from ..core.model import PartKind, Result
from ..core.run import Disposal, Run
from ..errors import PruneError, reason
from .environment_preflight import Departure, Tools, cleared_to_go, require_movable
from .files.dir_fd import Directory
from .files.remove_tree import remove
from .full_disk.low_space import freed_at_once, opened_with_room
from .full_disk.low_space_environments import EnvironmentRoom
from .quarantine.quarantine import Changed
from .state.receipt import Held, Receipt, ReceiptEntry, RunState, reserve_receipt, withdraw_receipt, write_receipt
from .state.saved_exports import EXPORTS, write_exports
from .state.saved_own_files import move_out
from .state.state_dir import DOOMED, LockedCache, locked, remove_empty, unusable


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did: an outcome for each departure, in their order. interrupted: the user stopped it."""

    outcomes: tuple[Departed, ...]
    interrupted: bool = False

    @property
    def failed(self) -> bool:
        """Whether something went wrong."""
        return self.interrupted or any(outcome.result is Result.FAILED for outcome in self.outcomes)


def take_away(departures: Sequence[Departure], run: Run, tools: Tools) -> Removed:
    """Take environments away.

    Raises `StateError` or `LockTimeoutError` before anything of any directory of environments is changed. Where
    something had to go before, to make room, such an error is the outcome of what stays.
    """
    by_place: dict[str, list[Departure]] = {}
    for departure in departures:
        by_place.setdefault(departure.place.real_path, []).append(departure)
    outcomes: dict[str, Departed] = {}
    interrupted = False
    with ExitStack() as stack:
        # All are locked, and have their exports and receipts, before the first one is changed.
        removals: list[_Removal] = []
        rooms: list[EnvironmentRoom] = []
        for mine in by_place.values():
            # What is to be kept must not be deleted to make room for that.
            rooms.append(room := EnvironmentRoom(mine, tools, may_go=run.disposal is Disposal.DELETE))
            try:
                opened = partial(_opened, stack, room, run)
                removals.append(opened_with_room(mine[0].place, opened, room.make, tools.patience))
            except (PruneError, KeyboardInterrupt) as error:
                if not any(each.begun for each in rooms):
                    raise
                interrupted |= isinstance(error, KeyboardInterrupt)
                outcomes |= room.outcomes(error.message if isinstance(error, PruneError) else None)
        for removal in removals:
            interrupted = removal.run(interrupted=interrupted)
            outcomes |= removal.outcomes
    return Removed(tuple(outcomes[departure.path] for departure in departures), interrupted)


def _opened(stack: ExitStack, room: EnvironmentRoom, run: Run) -> _Removal:
    """Return a removal that has begun in one directory of environments, which is locked until the stack is closed."""
    with ExitStack() as attempt:
        here = attempt.enter_context(locked(room.departures[0].place, room.tools.patience))
        removal = attempt.enter_context(_begun(here, room, run))
        stack.push(attempt.pop_all())
        return removal


@contextmanager
def _begun(here: LockedCache, room: EnvironmentRoom, run: Run) -> Iterator[_Removal]:
    """Begin a removal in one directory of environments; leaves nothing behind that is not needed."""
    with ExitStack() as stack:
        stack.callback(remove_empty, here.state, run.id)
        try:
            folder = stack.enter_context(here.state.make_own(run.id))
            removal = _Removal(here, folder, room, run)
            stack.callback(removal.withdraw)
            removal.begin()
        except OSError as error:
            raise unusable(os.path.join(here.state.path, run.id), error) from error
        yield removal


class _Removal:
    """The steps of a removal in one directory of environments."""

    def __init__(self, here: LockedCache, folder: Directory, room: EnvironmentRoom, run: Run) -> None:
        departures = room.departures
        self._here = here
        self._folder = folder
        self._run = run
        self._tools = room.tools
        self._room = room
        self._departures = departures
        self._ledger = room.ledger
        self._numbers = {departure.path: str(number) for number, departure in enumerate(departures)}
        self._moved: dict[str, Measurement] = {}
        self._warnings = room.warnings
        self._settled: set[str] = set()
        self._unregistered: set[str] = set()
        self._troubles: dict[str, str] = {}
        entries = tuple(_entry(departure, self._numbers[departure.path]) for departure in departures)
        self._receipt = Receipt(run, departures[0].place.path, RunState.BEGUN, entries)
        self.outcomes: dict[str, Departed] = {}

    def begin(self) -> None:
        """Write exports, receipt and note; take over what is left of environments that made room.

        Raises `OSError` or `StateError`.
        """
        for departure in self._departures:
            write_exports(self._folder, departure.former, departure.exports)
        write_receipt(self._folder, self._receipt)
        reserve_receipt(self._folder)
        self._here.state.sync()
        self._here.directory.sync()
        # Behind the folder, without which a note is obsolete, and before the first move.
        self._tools.note(self._departures[0].place.path)
        for departure in self._departures:
            if departure.path in self._room.begun:
                self._room.take_over(departure, self._here.directory, self._folder, self._doomed(departure.path))
                self._moved[departure.path] = self._room.begun[departure.path]
                self._settled.add(departure.path)

    def run(self, *, interrupted: bool) -> bool:
        """Take the environments away, if nothing was interrupted before; return whether anything is now."""
        try:
            if interrupted:
                raise KeyboardInterrupt
            for departure in self._departures:
                if departure.path not in self._settled:
                    self._set_aside(departure)
            self._settle()
        except KeyboardInterrupt:
            interrupted = True
            self._give_back("interrupted before it", Result.SKIPPED)
        except OSError as error:
            self._give_back(reason(error), Result.FAILED)
        self._unregister()
        if self._run.disposal is not Disposal.BACKUP:
            with freed_at_once(self._here.directory) if self._troubles else nullcontext():
                interrupted = self._delete(interrupted=interrupted)
            self._finish()
            if self._troubles:
                self._unregister()
        for path, trouble in self._troubles.items():
            self._warnings.setdefault(path, []).append(trouble)
        for path, warnings in self._warnings.items():
            self.outcomes[path] = replace(self.outcomes[path], warning="; ".join(warnings))
        return interrupted

    def withdraw(self) -> None:
        """Take exports and receipt away when nothing happened that they would be for."""
        if not self._settled:
            withdraw_receipt(self._folder)

    def _set_aside(self, departure: Departure) -> None:
        number = self._numbers[departure.path]
        try:
            measurement = cleared_to_go(departure, self._here.directory, self._tools)
            if self._run.disposal is Disposal.DELETE:
                require_movable(self._here.directory, departure.name, self._folder, number)
                if trouble := self._tools.farewell(departure.path):
                    self._warnings.setdefault(departure.path, []).append(trouble)
            self._here.directory.move(departure.name, self._folder, number)
            self._moved[departure.path] = measurement
        except Changed as change:
            self.outcomes[departure.path] = Departed(departure.path, Result.SKIPPED, error=str(change))
        except OSError as error:
            self._put_back(departure, reason(error))

    def _put_back(self, departure: Departure, why: str, result: Result = Result.FAILED) -> None:
        number = self._numbers[departure.path]
        self._moved.pop(departure.path, None)
        try:
            # It may have been interrupted in the very moment in which it got the mark of what is to be deleted.
            for name in filter(self._folder.exists, (number, number + DOOMED)):
                self._folder.move(name, self._here.directory, departure.name)
        except OSError as error:
            why += f"; it could not be put back, which the next run tries again: {reason(error)}"
        self.outcomes[departure.path] = Departed(departure.path, result, error=why)

    def _settle(self) -> None:
        """Make it final: from here on a run that is cut off is finished and not given back."""
        self._here.directory.sync()
        self._folder.sync()
        if not self._moved:
            return
        if self._run.disposal is Disposal.BACKUP:
            write_receipt(self._folder, self._done(self._moved))
            self._settled.update(self._moved)
            return
        for path in [path for path in self._moved if path not in self._settled]:
            self._folder.move(self._numbers[path], self._folder, self._doomed(path))
            self._settled.add(path)
        self._folder.sync()

    def _give_back(self, why: str, result: Result) -> None:
        """Put back what is not settled."""
        for departure in self._departures:
            if departure.path not in self._settled and departure.path not in self.outcomes:
                self._put_back(departure, why, result)

    def _unregister(self) -> None:
        """Take what is settled out of the registries; on a full disk that may work only after the deletion."""
        for departure in self._departures:
            path = departure.path
            if path not in self._settled or path in self._unregistered:
                continue
            if trouble := self._tools.unregister(os.path.join(departure.place.path, departure.former)):
                self._troubles[path] = trouble
            else:
                self._unregistered.add(path)
                self._troubles.pop(path, None)
            if self._run.disposal is Disposal.BACKUP:
                self.outcomes[path] = self._departed(path, Result.BACKED_UP)

    def _delete(self, *, interrupted: bool) -> bool:
        """Delete what is settled until that is interrupted; return whether it was."""
        for path in sorted(self._settled):
            try:
                if interrupted:
                    raise KeyboardInterrupt
                if path not in self._room.gone:
                    self._keep_own_files(path)
                    remove(self._folder, self._doomed(path), self._tools.progress)
            except (OSError, ValueError) as error:
                why = f"it is set aside but could not be deleted, which the next run finishes: {_why(error)}"
                self.outcomes[path] = self._departed(path, Result.FAILED, error=why)
            except KeyboardInterrupt:
                interrupted = True
                why = "interrupted before it was deleted, which the next run finishes"
                self.outcomes[path] = self._departed(path, Result.FAILED, error=why)
            else:
                freed = self._ledger.remove(self._moved[path])
                self.outcomes[path] = self._departed(path, Result.REMOVED, freed=freed)
        return interrupted

    def _keep_own_files(self, path: str) -> None:
        """Move out the user's own files of what is about to be deleted. Raises `OSError` or `ValueError`."""
        doomed = self._doomed(path)
        entry = next(entry for entry in self._receipt.entries if entry.parts[0].number == self._numbers[path])
        if move_out(self._folder, doomed, entry):
            # They don't come back with the rest.
            self._moved[path] = self._tools.measure(*self._folder.at(doomed))

    def _finish(self) -> None:
        """Write that the run is done, if nothing of it is left to be deleted or given back."""
        if not self._settled or any(name.removesuffix(DOOMED).isdecimal() for name, _ in self._folder.names()):
            return
        try:
            write_receipt(self._folder, self._done(self._settled))
        except OSError as error:
            for path in self._settled:
                self._warnings.setdefault(path, []).append(f"the receipt could not be completed: {reason(error)}")

    def _doomed(self, path: str) -> str:
        """Return the name that an environment bears in the run's folder while it is deleted."""
        return self._numbers[path] + DOOMED

    def _done(self, paths: Iterable[str]) -> Receipt:
        # What could not be put back lies in the folder too, and nothing else would explain it there.
        numbers = {self._numbers[path] for path in paths}.union(name for name, _ in self._folder.names())
        return self._receipt.done(entry for entry in self._receipt.entries if entry.parts[0].number in numbers)

    def _departed(self, path: str, result: Result, *, freed: int = 0, error: str | None = None) -> Departed:
        departure = next(departure for departure in self._departures if departure.path == path)
        exports = os.path.join(self._folder.path, EXPORTS, departure.former) if departure.exports else None
        return Departed(path, result, freed, error, exports)


def _why(error: OSError | ValueError) -> str:
    return reason(error) if isinstance(error, OSError) else str(error)


def _entry(departure: Departure, number: str) -> ReceiptEntry:
    return ReceiptEntry(
        dist=departure.former,
        parts=(Held(PartKind.ENVIRONMENT, departure.name, number),),
        files=departure.files,
        apparent=departure.apparent,
        reclaimable=departure.own,
        last_used=departure.last_used,
        record=departure.details,
        reasons=departure.reasons,
    )
