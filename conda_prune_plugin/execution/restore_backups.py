"""Restore what a run removed from a cache. Nothing that exists is ever overwritten.

A backup comes back by the rename that made it one. Packages from archives, and those that are fetched again, are first
completed in the run's folder, in a directory that is marked as unfinished; when all of it is on the disk, each is moved
to its place by one rename. Killed in between, a restore leaves each part either in its place or where it was, and can
be repeated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from .. import failures
from ..core.model import Entry, Part, PartKind, Result
from ..core.plan import Outcome
from ..core.run import Disposal
from ..errors import reason
from .files.dir_fd import Directory
from .files.remove_tree import remove
from .files.tree_tar import staging_directory
from .ports import Fetch, UnfetchableError
from .quarantine.archive import extract, file_sum, verify
from .state.receipt import Held, Receipt, ReceiptEntry, withdraw_receipt, write_receipt
from .state.state_dir import MAKING, LockedCache, remove_empty, remove_if_there, undisguise
from .state.stored_runs import StoredRun, require_own, require_unchanged_run


@dataclass(frozen=True, slots=True)
class Restored:
    """One outcome for each wanted entry; `unsettled`: what could not be written down, which does no harm.

    interrupted: the user stopped it; what was not restored is where it was.
    warnings: what did not come back with the rest.
    """

    outcomes: tuple[Outcome, ...]
    unsettled: str | None = None
    interrupted: bool = False
    warnings: tuple[str, ...] = ()


def restore(
    locked: LockedCache,
    stored: StoredRun,
    wanted: Callable[[ReceiptEntry], bool],
    fetch: Fetch,
    progress: Callable[[int], None],
) -> Restored:
    """Put back the wanted entries of a run whose places are free.

    `progress` is called for each entry that is done. Raises `StateError`.
    """
    run = require_unchanged_run(locked, stored)
    assert run.receipt is not None  # noqa: S101  # `require_unchanged_run` has seen to it.
    require_own(run)
    items = [_Restoring(entry) for entry in run.entries if wanted(entry)]
    unsettled, interrupted = None, False
    with locked.state.child(run.id) as folder:
        try:
            _Restoration(locked.directory, folder, run, run.receipt, fetch).run(items, progress)
        except KeyboardInterrupt:
            interrupted = True
        outcomes = tuple(item.outcome(run.receipt.cache) for item in items)
        for directory in (locked.directory, folder):
            directory.sync()
        try:
            _settle(run.receipt, folder, outcomes)
        except OSError as error:
            unsettled = _unsettled(run, error)
    remove_empty(locked.state, run.id)
    return Restored(outcomes, unsettled, interrupted)


def record_rebuilt(locked: LockedCache, run: StoredRun, rebuilt: Collection[ReceiptEntry]) -> str | None:
    """Write into a run's receipt which of its environments were rebuilt; return why that failed, if it did."""
    if run.receipt is None or not rebuilt:
        return None
    entries = (replace(entry, rebuilt=entry.rebuilt or entry in rebuilt) for entry in run.receipt.entries)
    try:
        with locked.state.child(run.id) as folder:
            write_receipt(folder, run.receipt.done(entries))
    except OSError as error:
        return _unsettled(run, error)
    return None


def _unsettled(run: StoredRun, error: OSError) -> str:
    return f"The receipt in {run.path} could not be brought up to date: {reason(error)}."


def _settle(receipt: Receipt, folder: Directory, outcomes: Sequence[Outcome]) -> None:
    """Remove what was restored from the receipt. Archives elsewhere are still there, to be used again."""
    if receipt.run.disposal is Disposal.ARCHIVE:
        return
    # Not by its dist, which a leftover may share.
    restored = {part.name for one in outcomes if one.result is Result.RESTORED for part in one.entry.parts}
    left = [entry for entry in receipt.entries if not restored.issuperset(part.name for part in entry.parts)]
    if not left:
        withdraw_receipt(folder)
    elif len(left) < len(receipt.entries):
        write_receipt(folder, receipt.done(left))


@dataclass(slots=True)
class _Restoring:
    """How far the restore of an entry has come: parts whose place is taken, parts that are made, parts that are back.

    tried: each of its parts was tried; one that was made may still have to get to its place.
    unfetchable: why an archive can't be fetched, by its name.
    """

    entry: ReceiptEntry
    there: list[Held] = field(default_factory=list)
    made: list[Held] = field(default_factory=list)
    back: list[Held] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    tried: bool = False
    unfetchable: dict[str, UnfetchableError] = field(default_factory=dict)

    def outcome(self, cache: str) -> Outcome:
        """Return the outcome, in a cache given by its path."""
        result, error = Result.RESTORED, None
        if self.errors:
            result, error = Result.FAILED, "; ".join(self.errors)
        elif self.there:
            names = " and ".join(part.name for part in self.there)
            result, error = Result.SKIPPED, f"{names} already exist{'s' * (len(self.there) == 1)}"
        elif not self.tried or len(self.back) < len(self.made):
            result, error = Result.SKIPPED, "interrupted before it"
        parts = tuple(Part(part.kind, part.name) for part in self.entry.parts)
        return Outcome(Entry(cache, self.entry.dist, parts), result, self.entry.files, 0, error)


class _Restoration:
    """Puts back entries of one run in one cache."""

    def __init__(self, cache: Directory, folder: Directory, stored: StoredRun, receipt: Receipt, fetch: Fetch) -> None:
        self._cache = cache
        self._folder = folder
        self._stored = stored
        self._receipt = receipt
        self._fetch = fetch

    def run(self, items: Sequence[_Restoring], progress: Callable[[int], None]) -> None:
        """Put back all of the entries; what goes wrong with one is its outcome."""
        if self._receipt.run.disposal is Disposal.BACKUP:
            for item in items:
                self._move_back(item)
                progress(1)
            return
        remove_if_there(self._folder, MAKING)
        try:
            with self._folder.make_own(MAKING) as making:
                for number, item in enumerate(items):
                    self._make_in_staging(item, making, str(number))
                    progress(1)
                # Their contents have to be on the disk before their names are.
                if hasattr(os, "sync"):
                    os.sync()
                for number, item in enumerate(items):
                    if item.made:
                        with making.child(str(number)) as place:
                            self._install(item, place)
        finally:
            remove_if_there(self._folder, MAKING)

    def _move_back(self, item: _Restoring) -> None:
        # Parts that are not in the folder any more were restored before.
        for part in self._stored.held(item.entry):
            if self._cache.exists(part.name):
                item.there.append(part)
                continue
            try:
                item.made.append(part)
                undisguise(self._folder, part.number, self._cache, part.name)
                item.back.append(part)
            except OSError as error:
                item.errors.append(reason(error))
        item.tried = True

    def _make_in_staging(self, item: _Restoring, making: Directory, number: str) -> None:
        """Make the missing parts of an entry in a directory of its own, and leave nothing else there.

        On a full disk an incomplete part would take the space of the entries that come after it.
        """
        try:
            with making.make_own(number) as place:
                self._make(item, place)
                for name in {name for name, _ in place.names()} - {part.name for part in item.made}:
                    remove(place, name)
        except OSError as error:
            item.errors.append(reason(error))
        item.tried = True

    def _make(self, item: _Restoring, place: Directory) -> None:
        item.there = [part for part in item.entry.parts if self._cache.exists(part.name)]
        missing = [part for part in item.entry.parts if part not in item.there]
        if self._receipt.run.disposal is Disposal.ARCHIVE:
            self._attempt(item, missing, self._from_archive, place)
            return
        # The archives first: the directory is extracted from one. rattler makes its lock files anew.
        for part in sorted(missing, key=lambda part: part.kind is PartKind.EXTRACTED):
            if part.kind is not PartKind.LOCK:
                self._attempt(item, [part], self._from_source, place)

    def _attempt(
        self,
        item: _Restoring,
        parts: list[Held],
        make: Callable[[_Restoring, list[Held], Directory], None],
        place: Directory,
    ) -> None:
        try:
            make(item, parts, place)
            item.made += parts
        except (OSError, ValueError, UnfetchableError) as error:
            if reason(error) not in item.errors:
                item.errors.append(reason(error))

    def _from_archive(self, item: _Restoring, parts: list[Held], place: Directory) -> None:
        archived, destination = item.entry.archived, self._receipt.run.destination
        if archived is None or destination is None:
            raise UnfetchableError("its receipt names no archive")
        names = {part.name for part in parts}
        with Directory.open(failures.realpath(destination)) as archives:
            verify(archives, archived)
            extract(archives, archived, place, names)
        if lacking := names - {name for name, _ in place.names()}:
            raise UnfetchableError(f"its archive does not hold {min(lacking)}")

    def _from_source(self, item: _Restoring, parts: list[Held], place: Directory) -> None:
        """Fetch an archive again, or extract the directory from an archive that is there or that is fetched."""
        (part,) = parts
        if part.kind is PartKind.ARCHIVE:
            self._fetch_archive(item, place, part.name)
            return
        source = (item.entry.source or "").rsplit("/", 1)[-1]
        archive = self._archive_here(item.entry, [self._cache, place], source)
        if archive is None:
            self._fetch_archive(item, place, source)
            archive = os.path.join(place.path, source)
        with staging_directory(place, part.name) as path:
            self._fetch.extracted(item.entry, archive, os.path.join(path, part.name))

    def _archive_here(self, entry: ReceiptEntry, directories: Sequence[Directory], source: str) -> str | None:
        """Return the path of the archive that an entry was extracted from, if one of the directories holds it."""
        names = [source] if source else [entry.dist + suffix for suffix in self._fetch.suffixes]
        for directory in directories:
            for name in names:
                if directory.exists(name) and entry.sha256 in (None, file_sum(directory, name)[0]):
                    return os.path.join(directory.path, name)
        return None

    def _fetch_archive(self, item: _Restoring, place: Directory, name: str) -> None:
        """Fetch an archive; one that can't be fetched is not tried again for the directory that it holds."""
        if name in item.unfetchable:
            raise item.unfetchable[name]
        try:
            with staging_directory(place, name) as path:
                self._fetch.archive(item.entry, path, name)
        except UnfetchableError as error:
            item.unfetchable[name] = error
            raise

    def _install(self, item: _Restoring, place: Directory) -> None:
        for part in item.made:
            try:
                place.move(part.name, self._cache, part.name)
                item.back.append(part)
            except OSError as error:
                item.errors.append(reason(error))
