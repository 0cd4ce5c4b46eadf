"""Free space for the removal of environments on a full disk, from these environments.

Exports and receipt come first wherever there is space for them (`remove_environments`). Where there is none, an
environment is renamed to what conda and we know as trash, so that nothing half-deleted bears its name, and loses one
item of its top directory after the other until there is space. Its records come last, because a removal that is killed
in between is done again from them: the trash is an environment as long as it has them, and is removed like one. Only if
all the rest is not enough they go too, and then nothing but this process knows what was in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ... import failures
from ...core.accounting import Ledger
from ...core.envs.environment_use import RemovedEnvironment
from ...core.evidence import Measurement
from ...core.layout import TRASH
from ...core.model import Result
from ...errors import reason
from ..environment_preflight import EnvironmentPorts, EnvironmentRemoval, preflight, require_movable
from ..files.dir_fd import Directory
from ..files.remove_tree import remove
from ..quarantine.quarantine import Changed
from ..state.saved_own_files import OWN_FILES

_RECORDS = "conda-meta"


@dataclass(slots=True)
class EnvironmentSpaceMaker:
    """The environments in one directory that may free space.

    may_go: they are not to be kept as a backup. ledger: counts what comes back.
    begun: by path, those that are no environments any more, as they were measured before. gone: nothing is left of it.
    warnings: what went wrong outside of them.
    """

    removals: Sequence[EnvironmentRemoval]
    ports: EnvironmentPorts
    may_go: bool
    ledger: Ledger = field(default_factory=Ledger)
    begun: dict[str, Measurement] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def make(self, place: Directory) -> Iterator[None]:
        """Remove one thing after the other; stops after each. The caller holds the locks whenever it goes on."""
        with place:
            for removal in self.removals if self.may_go else ():
                if self._doom(removal, place):
                    yield from self._empty(removal, place)
            for removal in self.removals:
                if removal.path in self.begun and self._removed(removal, place, removal.name + TRASH):
                    self.gone.add(removal.path)
                    yield

    def _doom(self, removal: EnvironmentRemoval, place: Directory) -> bool:
        """Rename an environment to trash if it may go; why it may not is found once more in its turn."""
        try:
            # Before the scripts of its packages are run. The user's own files can't be moved out without space.
            if removal.details.get(OWN_FILES) or place.exists(removal.name + TRASH):
                return False
            measurement = preflight(removal, place, self.ports)
            require_movable(place, removal.name, place, removal.name + TRASH)
            if trouble := self.ports.removal_hooks(removal.path):
                self.warnings.setdefault(removal.path, []).append(trouble)
            place.move(removal.name, place, removal.name + TRASH)
        except (Changed, OSError) as error:
            failures.note(error)
            return False
        self.begun[removal.path] = measurement
        place.sync()
        return True

    def _empty(self, removal: EnvironmentRemoval, place: Directory) -> Iterator[None]:
        """Remove all but the records, the files first."""
        with place.child(removal.name + TRASH) as prefix:
            for name, _ in sorted(prefix.names(), key=lambda item: (item[1], item[0])):
                if name != _RECORDS and self._removed(removal, prefix, name):
                    yield

    def _removed(self, removal: EnvironmentRemoval, directory: Directory, name: str) -> bool:
        try:
            remove(directory, name, self.ports.progress)
        except OSError as error:
            self.warnings.setdefault(removal.path, []).append(f"{name} could not be removed: {reason(error)}")
            return False
        return True

    def take_over(self, removal: EnvironmentRemoval, place: Directory, folder: Directory, doomed: str) -> None:
        """Move what is left of an environment that freed space into the folder of its run, to be deleted there."""
        if removal.path not in self.gone:
            place.move(removal.name + TRASH, folder, doomed)

    def outcomes(self, stopper: str | None) -> dict[str, RemovedEnvironment]:
        """Return what became of the environments if nothing else could begin; `stopper`: why, None for the user."""
        return {removal.path: self._outcome(removal, stopper) for removal in self.removals}

    def _outcome(self, removal: EnvironmentRemoval, stopper: str | None) -> RemovedEnvironment:
        path, warnings = removal.path, list(self.warnings.get(removal.path, ()))
        if path in self.gone:
            warnings.append("there was no room for its exports, so it can't be restored")
            freed = self.ledger.remove(self.begun[path])
            return RemovedEnvironment(path, Result.REMOVED, freed, warning="; ".join(warnings))
        error, result = stopper or "interrupted before it", Result.FAILED if stopper else Result.SKIPPED
        if path in self.begun:
            result = Result.FAILED
            error = f"{stopper or 'interrupted'}; remove what is left of it like an environment: {path}{TRASH}"
        return RemovedEnvironment(path, result, error=error, warning="; ".join(warnings) or None)
