"""The removal of one package: what is checked before and after it moves to quarantine.

Before the move: its parts are what was planned, no other program holds a lock on it, and no root references it.
After the move, when no path leads to it any more: no file has a new hard link, no environment has a soft link to its
place, and still no root references it.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import replace

from ... import failures
from ...core.accounting import Ledger, missing_links, without
from ...core.model import Part, PartKind, Result, Root
from ...core.plan import Outcome, Remove
from ...core.rules.reachability import SoftLinks
from ...core.run import Disposal
from ...core.units import NO_SPACE
from ...errors import reason
from ..files.dir_fd import Directory
from ..files.remove_tree import reduce, remove
from ..locks.client_locks import EntryLockedError, entry_locks
from ..ports import Ports
from ..state.receipt import ReceiptEntry
from ..state.state_dir import disguise
from .archive import Preserved, discard, file_sum, preserve, statuses_of
from .executor import Changed, Subject


class PackageSubject(Subject):
    """A decision to remove parts of a package, or a leftover.

    references: the roots that reference each dist at this moment.
    """

    def __init__(self, decision: Remove, references: Callable[[], Mapping[str, Sequence[Root]]], ports: Ports) -> None:
        super().__init__(decision.parts)
        self.decision = decision
        self._references = references
        self._ports = ports
        self._preserved: Preserved | None = None
        #: Hashes of archives that nothing else has recorded, to check what a restore fetches: of the only archive, and
        #: by name of those from elsewhere.
        self._sha256: str | None = None
        self._other_hashes: dict[str, str] = {}

    @property
    def disposed(self) -> Result:
        """The result once all parts are deleted."""
        return Result.BACKED_UP if self._preserved else Result.REMOVED

    def outcome(self) -> Outcome:
        """Return the outcome, with what was deleted."""
        assert self.result is not None  # noqa: S101  # The caller has seen to it.
        files, error = sum(self.measurements[part].files for part in self.freed), self.error
        if self.result is Result.BACKED_UP and not self.freed:
            files = self.decision.files
        if self.early and self.result is not Result.REMOVED:
            names = ", ".join(part.name for part in self.early)
            error = "; ".join(filter(None, (error, f"{names} had to go first, to make room on a full disk")))
        freed = sum(self.freed.values(), NO_SPACE)
        return Outcome(self.decision.entry, self.result, files, freed.bytes, error, freed.inodes)

    def before_move(self) -> None:
        """Write its archive if there is to be one, and check that nothing has changed since it was planned."""
        archives, cache = self.session.archives, self.session.cache
        if archives is not None:
            require_unchanged(self.decision, cache)
            try:
                self._preserved = preserve(cache, self.decision, archives)
            except OSError as error:
                raise OSError(f"it could not be archived and stays: {reason(error)}") from error
        require_unreferenced(self.decision, self._references())
        require_unchanged(self.decision, cache, self.early)

    def move(self) -> None:
        """Move all parts to quarantine, with their locks held."""
        try:
            with entry_locks(self.session.cache, [part.name for part in self.remaining]):
                super().move()
        except EntryLockedError as error:
            raise Changed(str(error)) from error
        except OSError as error:
            one_disk = self.session.cache.own_status().st_dev == self.session.folder.own_status().st_dev
            if error.errno == errno.EXDEV and one_disk:
                # So an overlay says that it would have to copy up a whole tree.
                raise Changed("it lies in a lower layer of an overlay; removing frees nothing") from error
            raise

    def after_move(self) -> None:
        """Compare what was moved with the plan, file by file; what is only backed up loses nothing by a new link."""
        folder = self.session.folder
        if self.session.receipt.run.disposal is not Disposal.BACKUP:
            self._require_as_planned({part: (folder, self.number(part)) for part in self.remaining})
            archives = [part for part in self.remaining if part.kind is PartKind.ARCHIVE]
            if self.decision.sha256 is None and len(archives) == 1:
                self._sha256 = file_sum(folder, self.number(archives[0]))[0]
            others = {name for name, _ in self.decision.other_sources}
            for part in self.remaining:
                if part.name in others:
                    self._other_hashes[part.name] = file_sum(folder, self.number(part))[0]
        if self._preserved is not None:
            names = {part.name: self.number(part) for part in self.remaining}
            if statuses_of(folder, names) != self._preserved.member_statuses:
                raise Changed("it has changed since it was archived")

    def stays(self) -> None:
        """Delete its archive."""
        if self.session.archives is not None:
            discard(self.session.archives, self.decision)

    def completed_entry(self) -> ReceiptEntry:
        """Return its entry in the receipt with its archive and with the hashes that were computed."""
        others = (replace(other, sha256=self._other_hashes.get(other.name)) for other in self.entry.other_sources)
        return replace(
            self.entry,
            archived=self._preserved.archived if self._preserved else None,
            sha256=self._sha256 or self.entry.sha256,
            other_sources=tuple(others),
        )

    def after_settlement(self) -> None:
        """Keep other clients from mistaking a backup for packages."""
        if self.result is Result.BACKED_UP:
            disguise(self.session.folder, map(self.number, self.remaining))

    def delete(self, part: Part, progress: Callable[[int], None]) -> None:
        """Delete a part but for the file of it that stays, if one does."""
        remainder = self.decision.remainder
        if remainder is not None and part.kind is PartKind.EXTRACTED:
            reduce(self.session.folder, self.doomed(part), self.session.cache, part.name, remainder.path, progress)
        else:
            super().delete(part, progress)

    def _require_as_planned(self, places: Mapping[Part, tuple[Directory, str]]) -> None:
        """Measure the parts where they are now, and compare that with what was planned. Raises `Changed`, `OSError`."""
        decision = self.decision
        for part, (directory, name) in places.items():
            measurement = self._ports.measure(*directory.at(name))
            if decision.remainder is not None and part.kind is PartKind.EXTRACTED:
                measurement = without(measurement, decision.remainder)
            self.measurements[part] = measurement
        held = list(self.measurements.values())
        for measurement in held:
            if measurement.obstacle is not None:
                raise Changed(measurement.obstacle)
        if (sum(one.files for one in held), sum(one.apparent for one in held)) != (decision.files, decision.apparent):
            raise Changed("its content has changed since it was planned")
        known = dict(decision.known_links)
        if any(links > known.get(inode, 0) for inode, links in missing_links(held).items()):
            raise Changed("something has linked its files since it was planned")

    # The rest is for a full disk, where not even a receipt can be written.

    def free(self, part: Part, cache: Directory, doomed: str, ledger: Ledger) -> Iterator[None]:
        """Delete a part where it lies, as `doomed`, its name meanwhile; stop after that. One that stays is left.

        It is checked there as in quarantine. Of what a kill leaves of a directory, conda knows the name as trash.
        """
        remainder, lock_of_rest = self.decision.remainder, part.kind is PartKind.LOCK and len(self.remaining) > 1
        # A file of it that stays needs room, and a lock file goes after what it locks.
        if (
            self.result
            or part in self.early
            or lock_of_rest
            or (remainder is not None and part.kind is PartKind.EXTRACTED)
        ):
            return
        if not self._doom(part, cache, doomed):
            return
        cache.sync()
        try:
            remove(cache, doomed, self._ports.progress)
        except (OSError, KeyboardInterrupt) as error:
            why = reason(error) if isinstance(error, OSError) else "interrupted"
            self.begun.add(part)
            self.end(Result.FAILED, f"it was not deleted completely; {doomed} is left of it: {why}")
            if isinstance(error, KeyboardInterrupt):
                raise
        else:
            self.early.add(part)
            self.freed[part] = ledger.remove(self.measurements[part])
            if not self.remaining:
                self.end(Result.REMOVED)
        yield

    def _doom(self, part: Part, cache: Directory, doomed: str) -> bool:
        """Rename a part to `doomed` if nothing needs it; return False if it stays, to be judged in its turn."""
        try:
            self._require_unused()
            require_unchanged(self.decision, cache, self.early)
            with entry_locks(cache, [part.name]):
                if doomed != part.name:
                    cache.move(part.name, cache, doomed)
        except (Changed, OSError) as error:
            failures.note(error)
            return False
        try:
            self._require_as_planned({one: (cache, doomed if one == part else one.name) for one in self.remaining})
            self._require_unused()
        except (Changed, OSError, KeyboardInterrupt) as error:
            if doomed != part.name:
                cache.move(doomed, cache, part.name)
            if isinstance(error, KeyboardInterrupt):
                raise
            return False
        return True

    def _require_unused(self) -> None:
        require_unreferenced(self.decision, self._ports.references())
        # No file of an environment leads into an archive.
        if any(part.kind is not PartKind.ARCHIVE for part in self.remaining):
            require_unlinked(self.decision, self._ports.soft_links())


def require_unchanged(decision: Remove, cache: Directory, early: Container[Part] = ()) -> None:
    """Check that the parts of a decision but those deleted early are as planned. Raises `Changed` or `OSError`."""
    for part, planned in zip(decision.parts, decision.identities):
        if part in early:
            continue
        try:
            status = cache.status(part.name)
        except FileNotFoundError:
            raise Changed(f"{part.name} is gone") from None
        if (status.st_dev, status.st_ino, status.st_mtime_ns) != (planned.device, planned.inode, planned.mtime_ns):
            raise Changed(f"{part.name} has changed since it was planned")
    for part, planned in decision.beside:
        if not cache.exists(part.name) or cache.status(part.name).st_ino != planned.inode:
            raise Changed(f"{part.name}, which replaces it, has changed since it was planned")


def require_unreferenced(decision: Remove, references: Mapping[str, Sequence[Root]]) -> None:
    """Check that no root references an entry. Raises `Changed`."""
    for name in decision.names:
        for root in references.get(name, ()):
            # A root that shares no file with it may reference it, as long as it is what it was.
            if root not in decision.accepted:
                raise Changed(f"{root.path} references it now")


def require_unlinked(decision: Remove, softly: SoftLinks) -> None:
    """Check that no environment soft-links what goes, whatever the plan was made from. Raises `Changed`.

    An environment that has the package but can't be listed completely may do so.
    """
    for path in softly.environments(decision.entry.cache, decision.parts):
        raise Changed(f"{path} has soft links into it")
    if decision.linkable:
        for path in sorted(root.path for root in decision.accepted if root.path in softly.unseen):
            raise Changed(f"{path} has it, and can't be listed completely to see whether it has soft links into it")
