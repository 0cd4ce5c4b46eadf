"""Remove environments: export them, move them to quarantine by one rename, then delete them or keep a backup.

What makes it safe to be killed at any step, in this order:

1. the folder ``<directory of the environment>/.conda-prune/<run>/`` is made and noted where later runs look; the
   exports and the receipt are written into it and synced;
2. the environment is renamed into that folder, its quarantine. The same directory is the same file system, so this is
   one step, and links, modes and times stay;
3. the receipt declares it a backup, or it is marked for deletion. The next run rolls back a run that was interrupted
   before this step (`recover`), and completes one that was interrupted after it;
4. only then its line in the registry goes: what is put back never has to be registered again;
5. the user's own files are moved out of it into the run's folder (`own_files`);
6. then it is deleted.

``conda remove --all`` (24.7 to 26.9 alike) unlinks file by file, runs the pre-unlink scripts of packages, removes menu
items, calls `rm_rf` for what is left, and unregisters. Killed, it leaves half an environment. Of all this only the
scripts and the menu items have an effect outside of the environment, so this is done as conda does it
(`EnvironmentPorts.removal_hooks`), right before step 2; a backup, which comes back, keeps both.

On a full disk there may be no room for the first step. Then an environment is renamed to what conda and we know as
trash, and loses one item of its top directory after the other until there is. Its records come last, because a removal
that is killed in between is done again from them: the trash is an environment as long as it has them, and is removed
like one. Only if all the rest is not enough they go too, and then only this process knows what was in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial

from .. import failures
from ..core.accounting import Ledger
from ..core.envs.environment_use import RemovedEnvironment
from ..core.evidence import SharedExtents
from ..core.layout import TRASH
from ..core.model import Part, PartKind, Result
from ..core.run import Disposal, Run
from ..core.units import NO_SPACE
from ..errors import PruneError, reason
from .environment_preflight import EnvironmentPorts, EnvironmentRemoval, preflight, require_movable
from .files.dir_fd import Directory
from .files.remove_tree import remove
from .quarantine.cache_session import CacheSession, opened_session
from .quarantine.executor import Changed, Executor, Subject
from .quarantine.full_disk import make_room, opened_with_room, unused, wait_until_freed
from .state.receipt import Held, Receipt, RunState
from .state.saved_own_files import OWN_FILES, move_out
from .state.state_dir import EXPORTS, write_exports

_RECORDS = "conda-meta"


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """What a removal did: an outcome for each removal, in their order. interrupted: the user stopped it."""

    outcomes: tuple[RemovedEnvironment, ...]
    interrupted: bool = False

    @property
    def failed(self) -> bool:
        """Whether something went wrong."""
        return self.interrupted or any(outcome.result is Result.FAILED for outcome in self.outcomes)


def remove_environments(
    removals: Sequence[EnvironmentRemoval], run: Run, ports: EnvironmentPorts, sharing: Sequence[SharedExtents] = ()
) -> RemovalResult:
    """Remove environments. sharing: as for `Executor`.

    Raises `StateError` or `LockTimeoutError` before any directory of environments is changed. If something was deleted
    before, to make room, such an error is the outcome of what stays.
    """
    subjects = [_EnvironmentSubject(removal, run, ports) for removal in removals]
    by_place: dict[str, list[_EnvironmentSubject]] = {}
    for subject in subjects:
        by_place.setdefault(subject.removal.place.real_path, []).append(subject)
    ledger = Ledger()
    interrupted = False
    with ExitStack() as stack:
        # All are locked, and have their exports and receipts, before the first one is changed.
        opened: list[list[_EnvironmentSubject]] = []
        for mine in by_place.values():
            try:
                _open(stack, mine, run, ports, ledger)
                opened.append(mine)
            except (PruneError, KeyboardInterrupt) as error:
                if not any(subject.trashed for subject in subjects):
                    raise
                interrupted |= isinstance(error, KeyboardInterrupt)
                for subject in mine:
                    subject.end_unopened(error)
        for mine in opened:
            interrupted = _remove(mine, run, ports, ledger, sharing, interrupted=interrupted)
    return RemovalResult(tuple(subject.outcome() for subject in subjects), interrupted)


def _open(
    stack: ExitStack,
    subjects: Sequence[_EnvironmentSubject],
    run: Run,
    ports: EnvironmentPorts,
    ledger: Ledger,
) -> None:
    """Lock a directory of environments and write the run's state into it; on a full disk, make room for that."""
    place = subjects[0].removal.place
    parts = [Held(PartKind.ENVIRONMENT, subject.removal.name, str(number)) for number, subject in enumerate(subjects)]
    entries = tuple(replace(subject.removal.entry, parts=(part,)) for subject, part in zip(subjects, parts))
    receipt = Receipt(run, place.path, RunState.BEGUN, entries)
    noted = False

    def prepare(folder: Directory) -> None:
        """Note where the run is, and write the exports.

        Noted before anything lies in the folder, and after the folder exists, without which a note is obsolete: killed
        then, and the environments deleted by other means, nothing else leads to it. On a full disk it is noted later.
        """
        nonlocal noted
        noted = False
        with suppress(PruneError):
            ports.note(place.path)
            noted = True
        for subject in subjects:
            write_exports(folder, subject.removal.entry.dist, subject.removal.exports)

    def opened() -> CacheSession:
        with ExitStack() as attempt:
            session = attempt.enter_context(opened_session(place, receipt, ports.patience, prepare))
            session.cache.sync()
            if not noted:
                ports.note(place.path)
            stack.push(attempt.pop_all())
            return session

    # What is to be kept must not be deleted to make room for that.
    spare = subjects if run.disposal is Disposal.DELETE else ()
    session = opened_with_room(place, opened, partial(make_room, spare, (), ledger), ports.patience)
    for subject, entry in zip(subjects, entries):
        subject.attach(session, entry)


def _remove(
    subjects: Sequence[_EnvironmentSubject],
    run: Run,
    ports: EnvironmentPorts,
    ledger: Ledger,
    sharing: Sequence[SharedExtents],
    *,
    interrupted: bool,
) -> bool:
    """Remove the environments in one directory, which is open; return True if the user has interrupted that."""
    place = subjects[0].session.cache
    before = unused(place)
    for subject in subjects:
        subject.take_over()
    executor = Executor(subjects, run.disposal, ledger, ports.progress, sharing)
    interrupted = executor.run(interrupted=interrupted)
    if any(subject.registry_error for subject in subjects):
        # On a full disk that may work only after the deletion.
        wait_until_freed(place, before)
    for subject in subjects:
        subject.unregister()
        for _, error in executor.unsettled:
            subject.warnings.append(f"the receipt could not be completed: {reason(error)}")
    return interrupted


class _EnvironmentSubject(Subject):
    """An environment that is removed. trashed: it was renamed to make room on a full disk."""

    def __init__(self, removal: EnvironmentRemoval, run: Run, ports: EnvironmentPorts) -> None:
        self.part = Part(PartKind.ENVIRONMENT, removal.name)
        super().__init__([self.part])
        self.removal = removal
        self.trashed = False
        self.registry_error: str | None = None
        self.warnings: list[str] = []
        self._registered = True
        self._deletes = run.disposal is Disposal.DELETE
        self._ports = ports

    def outcome(self) -> RemovedEnvironment:
        """Return the outcome, with what was deleted."""
        exports = None
        if self.settled and self.removal.exports:
            exports = os.path.join(self.session.folder.path, EXPORTS, self.removal.entry.dist)
        warnings = "; ".join([*self.warnings, *filter(None, [self.registry_error])])
        freed = sum(self.freed.values(), NO_SPACE)
        if self.result is None:
            return RemovedEnvironment(self.removal.path, Result.SKIPPED, error="interrupted before it")
        warning = warnings or None
        return RemovedEnvironment(
            self.removal.path, self.result, freed.bytes, self.error, exports, warning, freed_inodes=freed.inodes
        )

    def before_move(self) -> None:
        """Check that it may go. If it goes for good, run what conda runs outside of it."""
        place, number = self.session.cache, self.number(self.part)
        self.measurements[self.part] = preflight(self.removal, place, self._ports)
        if self._deletes:
            self._run_hooks(place, self.session.folder, number)

    def _run_hooks(self, place: Directory, target: Directory, new_name: str) -> None:
        require_movable(place, self.removal.name, target, new_name)
        if error := self._ports.removal_hooks(self.removal.path):
            self.warnings.append(error)

    def mark(self) -> None:
        """Mark it for deletion, which it is already if it is trash."""
        if not self.trashed:
            super().mark()

    def after_settlement(self) -> None:
        """Remove its line from the registry."""
        self.settled = True
        self.unregister()

    def unregister(self) -> None:
        """Remove its line from the registry, if it is removed and that did not work before."""
        if self.settled and self._registered:
            self.registry_error = self._ports.unregister(os.path.join(self.removal.place.path, self.removal.entry.dist))
            self._registered = self.registry_error is not None

    def delete(self, part: Part, progress: Callable[[int], None]) -> None:
        """Move out the user's own files, then delete it."""
        doomed, folder = self.doomed(part), self.session.folder
        if move_out(folder, doomed, self.entry):
            # They don't come back with the rest.
            self.measurements[part] = self._ports.measure(*folder.at(doomed))
        super().delete(part, progress)

    # The rest is for a full disk, where not even a receipt can be written.

    def free(self, part: Part, place: Directory, doomed: str, ledger: Ledger) -> Iterator[None]:
        """Make it trash and delete all but its records, files first; called again, delete the rest."""
        if not self.started:
            self.started = True
            if self._trash(place, doomed):
                with place.child(doomed) as prefix:
                    for name, _ in sorted(prefix.names(), key=lambda item: (item[1], item[0])):
                        if name != _RECORDS and self._removed(prefix, name):
                            yield
        elif self.trashed and self._removed(place, doomed):
            self.early.add(part)
            self.freed[part] = ledger.remove(self.measurements[part])
            yield

    def _trash(self, place: Directory, doomed: str) -> bool:
        """Rename it to trash if it may go; why it may not is found once more in its turn."""
        try:
            # The user's own files can't be moved out without room for them.
            if (self.removal.entry.record or {}).get(OWN_FILES) or place.exists(doomed):
                return False
            measurement = preflight(self.removal, place, self._ports)
            self._run_hooks(place, place, doomed)
            place.move(self.removal.name, place, doomed)
        except (Changed, OSError) as error:
            failures.note(error)
            return False
        self.measurements[self.part], self.trashed = measurement, True
        place.sync()
        return True

    def _removed(self, directory: Directory, name: str) -> bool:
        try:
            remove(directory, name, self._ports.progress)
        except OSError as error:
            self.warnings.append(f"{name} could not be removed: {reason(error)}")
            return False
        return True

    def take_over(self) -> None:
        """Move what is left of it, if it is trash, into the run's folder, to be deleted there."""
        self.started = self.trashed
        if not self.trashed:
            return
        self.session.unsettled = True
        if self.part in self.early:
            self.end(Result.REMOVED)
        else:
            try:
                self.session.cache.move(self.removal.name + TRASH, self.session.folder, self.doomed(self.part))
            except OSError as error:
                self._end_as_trash(reason(error))
                return
        self.after_settlement()

    def end_unopened(self, error: PruneError | KeyboardInterrupt) -> None:
        """End it where the state could not be written in spite of all."""
        stopper = error.message if isinstance(error, PruneError) else None
        if self.part in self.early:
            self.warnings.append("there was no room for its exports, so it can't be restored")
            self.end(Result.REMOVED)
        elif self.trashed:
            self._end_as_trash(stopper or "interrupted")
        elif stopper:
            self.end(Result.FAILED, stopper)

    def _end_as_trash(self, why: str) -> None:
        trash = self.removal.path + TRASH
        self.end(Result.FAILED, f"{why}. Remove the rest like an environment: {trash}")
