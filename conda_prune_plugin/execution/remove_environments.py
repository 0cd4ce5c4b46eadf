"""Remove environments: export them, move them to quarantine by one rename, then delete them or keep a backup.

What makes it safe to be killed at any step, in this order:

1. the folder ``<directory of the environment>/.conda-prune/<run>/`` is made and noted where later runs look; the
   exports and the receipt are written into it and synced;
2. the environment is renamed into that folder, its quarantine. The same directory is the same file system, so this is
   one step, and links, modes and times stay;
3. a backup is declared one in the receipt; what is to be deleted is marked for deletion. The next run rolls back a run
   that was interrupted before this step (`recover`), and completes one that was interrupted after it;
4. only then the line in the registry goes: what is given back never has to be registered again;
5. of what is marked the user's own files are moved out into the run's folder (`own_files`);
6. then it is deleted, by the one function that deletes.

On a full disk there may be no space for the first step; see `low_space_environments`.

``conda remove --all`` (24.7 to 26.9 alike) unlinks file by file, runs the pre-unlink scripts of packages, removes menu
items, calls `rm_rf` for what is left, and unregisters. Killed, it leaves half an environment. Of all this only the
scripts and the menu items have an effect outside of the environment, so this is done as conda does it
(`EnvironmentPorts.removal_hooks`), right before step 2; a backup, which comes back, keeps both.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

from ..core.envs.environment_use import RemovedEnvironment
from ..core.evidence import Measurement
from ..core.model import PartKind, Result
from ..core.run import Disposal, Run
from ..errors import PruneError, reason
from .environment_preflight import EnvironmentPorts, EnvironmentRemoval, preflight, require_movable
from .files.dir_fd import Directory
from .files.remove_tree import remove
from .full_disk.low_space import freed_at_once, opened_with_space
from .full_disk.low_space_environments import EnvironmentSpaceMaker
from .quarantine.quarantine import Changed
from .state.receipt import Held, Receipt, ReceiptEntry, RunState, StoredReason
from .state.receipt_file import reserve_receipt, withdraw_receipt, write_receipt
from .state.saved_exports import EXPORTS, write_exports
from .state.saved_own_files import move_out
from .state.state_dir import DOOMED, LockedCache, locked, remove_empty, unusable


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """What a removal did: an outcome for each removal, in their order. interrupted: the user stopped it."""

    outcomes: tuple[RemovedEnvironment, ...]
    interrupted: bool = False

    @property
    def failed(self) -> bool:
        """Whether something went wrong."""
        return self.interrupted or any(outcome.result is Result.FAILED for outcome in self.outcomes)


def remove_environments(removals: Sequence[EnvironmentRemoval], run: Run, ports: EnvironmentPorts) -> RemovalResult:
    """Take environments away.

    Raises `StateError` or `LockTimeoutError` before anything of any directory of environments is changed. Where
    something had to go before, to free space, such an error is the outcome of what stays.
    """
    by_place: dict[str, list[EnvironmentRemoval]] = {}
    for removal in removals:
        by_place.setdefault(removal.place.real_path, []).append(removal)
    outcomes: dict[str, RemovedEnvironment] = {}
    interrupted = False
    with ExitStack() as stack:
        # All are locked, and have their exports and receipts, before the first one is changed.
        batches: list[_Batch] = []
        space_makers: list[EnvironmentSpaceMaker] = []
        for mine in by_place.values():
            # What is to be kept must not be deleted to free space for that.
            space_makers.append(
                space_maker := EnvironmentSpaceMaker(mine, ports, may_go=run.disposal is Disposal.DELETE)
            )
            try:
                opened = partial(_opened, stack, space_maker, run)
                batches.append(opened_with_space(mine[0].place, opened, space_maker.make, ports.patience))
            except (PruneError, KeyboardInterrupt) as error:
                if not any(each.begun for each in space_makers):
                    raise
                interrupted |= isinstance(error, KeyboardInterrupt)
                outcomes |= space_maker.outcomes(error.message if isinstance(error, PruneError) else None)
        for batch in batches:
            interrupted = batch.run(interrupted=interrupted)
            outcomes |= batch.outcomes
    return RemovalResult(tuple(outcomes[removal.path] for removal in removals), interrupted)


def _opened(stack: ExitStack, space_maker: EnvironmentSpaceMaker, run: Run) -> _Batch:
    """Return a removal that has begun in one directory of environments, which is locked until the stack is closed."""
    with ExitStack() as attempt:
        here = attempt.enter_context(locked(space_maker.removals[0].place, space_maker.ports.patience))
        batch = attempt.enter_context(_begun(here, space_maker, run))
        stack.push(attempt.pop_all())
        return batch


@contextmanager
def _begun(here: LockedCache, space_maker: EnvironmentSpaceMaker, run: Run) -> Iterator[_Batch]:
    """Begin a removal in one directory of environments; leaves nothing behind that is not needed."""
    with ExitStack() as stack:
        stack.callback(remove_empty, here.state, run.id)
        try:
            folder = stack.enter_context(here.state.make_own(run.id))
            batch = _Batch(here, folder, space_maker, run)
            stack.callback(batch.withdraw)
            batch.begin()
        except OSError as error:
            raise unusable(os.path.join(here.state.path, run.id), error) from error
        yield batch


class _Batch:
    """The steps of a removal in one directory of environments."""

    def __init__(self, here: LockedCache, folder: Directory, space_maker: EnvironmentSpaceMaker, run: Run) -> None:
        removals = space_maker.removals
        self._here = here
        self._folder = folder
        self._run = run
        self._ports = space_maker.ports
        self._space_maker = space_maker
        self._removals = removals
        self._ledger = space_maker.ledger
        self._numbers = {removal.path: str(number) for number, removal in enumerate(removals)}
        self._moved: dict[str, Measurement] = {}
        self._warnings = space_maker.warnings
        self._settled: set[str] = set()
        self._unregistered: set[str] = set()
        self._troubles: dict[str, str] = {}
        entries = tuple(_entry(removal, self._numbers[removal.path]) for removal in removals)
        self._receipt = Receipt(run, removals[0].place.path, RunState.BEGUN, entries)
        self.outcomes: dict[str, RemovedEnvironment] = {}

    def begin(self) -> None:
        """Write exports, receipt and note; take over what is left of environments that freed space.

        Raises `OSError` or `StateError`.
        """
        noted = self._noted()
        for removal in self._removals:
            write_exports(self._folder, removal.former, removal.exports)
        write_receipt(self._folder, self._receipt)
        reserve_receipt(self._folder)
        self._here.state.sync()
        self._here.directory.sync()
        if not noted:
            self._ports.note(self._removals[0].place.path)
        for removal in self._removals:
            if removal.path in self._space_maker.begun:
                self._space_maker.take_over(removal, self._here.directory, self._folder, self._doomed(removal.path))
                self._moved[removal.path] = self._space_maker.begun[removal.path]
                self._settled.add(removal.path)

    def _noted(self) -> bool:
        """Note the run where later ones look, and return whether that worked; on a full disk there may be room later.

        Behind the run's folder, without which a note is obsolete, and before anything lies in it: killed then, and the
        environments deleted by other means, nothing else leads to it.
        """
        try:
            self._ports.note(self._removals[0].place.path)
        except PruneError:
            return False
        return True

    def run(self, *, interrupted: bool) -> bool:
        """Take the environments away, if nothing was interrupted before; return whether anything is now."""
        try:
            if interrupted:
                raise KeyboardInterrupt
            for removal in self._removals:
                if removal.path not in self._settled:
                    self._move_to_quarantine(removal)
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

    def _move_to_quarantine(self, removal: EnvironmentRemoval) -> None:
        number = self._numbers[removal.path]
        try:
            measurement = preflight(removal, self._here.directory, self._ports)
            if self._run.disposal is Disposal.DELETE:
                require_movable(self._here.directory, removal.name, self._folder, number)
                if trouble := self._ports.removal_hooks(removal.path):
                    self._warnings.setdefault(removal.path, []).append(trouble)
            self._here.directory.move(removal.name, self._folder, number)
            self._moved[removal.path] = measurement
        except Changed as change:
            self.outcomes[removal.path] = RemovedEnvironment(removal.path, Result.SKIPPED, error=str(change))
        except OSError as error:
            self._put_back(removal, reason(error))

    def _put_back(self, removal: EnvironmentRemoval, why: str, result: Result = Result.FAILED) -> None:
        number = self._numbers[removal.path]
        self._moved.pop(removal.path, None)
        try:
            # It may have been interrupted in the very moment in which it got the mark of what is to be deleted.
            for name in filter(self._folder.exists, (number, number + DOOMED)):
                self._folder.move(name, self._here.directory, removal.name)
        except OSError as error:
            why += f"; it could not be put back, which the next run tries again: {reason(error)}"
        self.outcomes[removal.path] = RemovedEnvironment(removal.path, result, error=why)

    def _settle(self) -> None:
        """Make it final: from here on a run that is interrupted is finished and not given back."""
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
        for removal in self._removals:
            if removal.path not in self._settled and removal.path not in self.outcomes:
                self._put_back(removal, why, result)

    def _unregister(self) -> None:
        """Take what is settled out of the registries; on a full disk that may work only after the deletion."""
        for removal in self._removals:
            path = removal.path
            if path not in self._settled or path in self._unregistered:
                continue
            if trouble := self._ports.unregister(os.path.join(removal.place.path, removal.former)):
                self._troubles[path] = trouble
            else:
                self._unregistered.add(path)
                self._troubles.pop(path, None)
            if self._run.disposal is Disposal.BACKUP:
                self.outcomes[path] = self._removed_environment(path, Result.BACKED_UP)

    def _delete(self, *, interrupted: bool) -> bool:
        """Delete what is settled until that is interrupted; return whether it was."""
        for path in sorted(self._settled):
            try:
                if interrupted:
                    raise KeyboardInterrupt
                if path not in self._space_maker.gone:
                    self._keep_own_files(path)
                    remove(self._folder, self._doomed(path), self._ports.progress)
            except (OSError, ValueError) as error:
                why = f"it is set aside but could not be deleted, which the next run finishes: {_why(error)}"
                self.outcomes[path] = self._removed_environment(path, Result.FAILED, error=why)
            except KeyboardInterrupt:
                interrupted = True
                why = "interrupted before it was deleted, which the next run finishes"
                self.outcomes[path] = self._removed_environment(path, Result.FAILED, error=why)
            else:
                freed = self._ledger.remove(self._moved[path])
                self.outcomes[path] = self._removed_environment(path, Result.REMOVED, freed=freed)
        return interrupted

    def _keep_own_files(self, path: str) -> None:
        """Move out the user's own files of what is about to be deleted. Raises `OSError` or `ValueError`."""
        doomed = self._doomed(path)
        entry = next(entry for entry in self._receipt.entries if entry.parts[0].number == self._numbers[path])
        if move_out(self._folder, doomed, entry):
            # They don't come back with the rest.
            self._moved[path] = self._ports.measure(*self._folder.at(doomed))

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

    def _removed_environment(
        self, path: str, result: Result, *, freed: int = 0, error: str | None = None
    ) -> RemovedEnvironment:
        removal = next(removal for removal in self._removals if removal.path == path)
        exports = os.path.join(self._folder.path, EXPORTS, removal.former) if removal.exports else None
        return RemovedEnvironment(path, result, freed, error, exports)


def _why(error: OSError | ValueError) -> str:
    return reason(error) if isinstance(error, OSError) else str(error)


def _entry(removal: EnvironmentRemoval, number: str) -> ReceiptEntry:
    return ReceiptEntry(
        dist=removal.former,
        parts=(Held(PartKind.ENVIRONMENT, removal.name, number),),
        files=removal.files,
        apparent=removal.apparent,
        reclaimable=removal.own,
        last_used=removal.last_used,
        record=removal.details,
        reasons=tuple(StoredReason(*reason) for reason in removal.reasons),
    )
