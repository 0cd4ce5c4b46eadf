"""Restore what a run removed from a cache. Nothing that exists is ever overwritten.

A backup comes back by the rename that made it one. Archives, and packages that are fetched again, are made whole in
the run's folder first, in a directory that is marked as unfinished; when all of it is on the disk, each is moved to its
place by one rename. Killed in between, a restore leaves each part either at its place or where it was, and can be
repeated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .. import failures
from ..core.model import Entry, Part, PartKind, Result
from ..core.plan import Outcome
from ..core.run import Disposal
from ..errors import reason
from .files.dir_fd import Directory
from .files.remove_tree import remove
from .ports import Fetch, UnfetchableError
from .quarantine.archive import extract, file_sum, verify
from .quarantine.disguise import undisguise
from .quarantine.staging import staging_directory
from .state.receipt import Held, Receipt, ReceiptEntry
from .state.receipt_file import withdraw_receipt, write_receipt
from .state.state_dir import MAKING, LockedCache, remove_empty
from .state.stored_runs import StoredRun, require_own, require_unchanged_run


@dataclass(frozen=True, slots=True)
class Restored:
    """One outcome for each wanted entry; `unsettled`: what could not be written down, which harms nothing.

    interrupted: the user stopped it; what was not restored is where it was.
    warnings: what did not come back with what did.
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
    """Put back the wanted entries of a run, as far as nothing else is in their place.

    `progress` is told of each entry that is done. Raises `StateError`.
    """
    run = require_unchanged_run(locked, stored)
    assert run.receipt is not None  # noqa: S101  # `require_unchanged_run` has seen to it.
    require_own(run)
    entries = [entry for entry in run.entries if wanted(entry)]
    unsettled = None
    with locked.state.child(run.id) as folder:
        restoration = _Restoration(locked.directory, folder, run, fetch)
        interrupted = False
        try:
            restoration.run(entries, progress)
        except KeyboardInterrupt:
            interrupted = True
        outcomes = [restoration.outcome(entry) for entry in entries]
        for directory in (locked.directory, folder):
            directory.sync()
        try:
            _settle(run.receipt, folder, outcomes)
        except OSError as error:
            unsettled = f"The receipt in {run.path} could not be brought up to date: {reason(error)}."
    remove_empty(locked.state, run.id)
    return Restored(tuple(outcomes), unsettled, interrupted)


def _settle(receipt: Receipt, folder: Directory, outcomes: Iterable[Outcome]) -> None:
    """Take what was restored out of the receipt; archives elsewhere are still there to be used again."""
    if receipt.run.disposal is Disposal.ARCHIVE:
        return
    done = [outcome.entry for outcome in outcomes if outcome.result is Result.RESTORED]
    # Not by its dist: a leftover may be of the same one.
    restored = {part.name for entry in done for part in entry.parts}
    left = [entry for entry in receipt.entries if not restored.issuperset(part.name for part in entry.parts)]
    if not left:
        withdraw_receipt(folder)
    elif len(left) < len(receipt.entries):
        write_receipt(folder, receipt.done(left))


@dataclass(slots=True)
class _Progress:
    """How far the restore of one entry has come: parts that were in the way, parts that are back, what went wrong.

    tried: each of its parts was; one that was made has still to get to its place.
    unfetchable: why an archive can't be had, by its name.
    """

    there: list[Held] = field(default_factory=list)
    made: list[Held] = field(default_factory=list)
    back: list[Held] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    tried: bool = False
    unfetchable: dict[str, UnfetchableError] = field(default_factory=dict)


class _Restoration:
    """Puts back entries of one run in one cache."""

    def __init__(self, cache: Directory, folder: Directory, run: StoredRun, fetch: Fetch) -> None:
        self._cache = cache
        self._folder = folder
        self._stored = run
        self._fetch = fetch
        self._done: dict[ReceiptEntry, _Progress] = {}

    @property
    def _receipt(self) -> Receipt:
        assert self._stored.receipt is not None  # noqa: S101  # Only such runs are restored.
        return self._stored.receipt

    def run(self, entries: Iterable[ReceiptEntry], progress: Callable[[int], None]) -> None:
        """Put back all of the entries; what goes wrong with one is its outcome."""
        if self._receipt.run.disposal is Disposal.BACKUP:
            for entry in entries:
                self._move_back(entry)
                progress(1)
            return
        with self._making() as making:
            for number, entry in enumerate(entries):
                self._make_in_staging(entry, making, str(number))
                progress(1)
            # Their contents have to be on the disk before their names are.
            if hasattr(os, "sync"):
                os.sync()
            for number, entry in enumerate(entries):
                if made := self._done[entry].made:
                    with making.child(str(number)) as place:
                        self._install(made, place, self._done[entry])

    def outcome(self, entry: ReceiptEntry) -> Outcome:
        """Return what became of an entry."""
        done = self._done.get(entry)
        if done is None:
            return self._outcome(entry, Result.SKIPPED, "interrupted before it")
        if done.errors:
            return self._outcome(entry, Result.FAILED, "; ".join(done.errors))
        if done.there:
            names = " and ".join(part.name for part in done.there)
            return self._outcome(entry, Result.SKIPPED, f"{names} is there already; nothing is overwritten")
        if not done.tried or len(done.back) < len(done.made):
            return self._outcome(entry, Result.SKIPPED, "interrupted before it")
        return self._outcome(entry, Result.RESTORED)

    def _outcome(self, entry: ReceiptEntry, result: Result, error: str | None = None) -> Outcome:
        parts = tuple(Part(part.kind, part.name) for part in entry.parts)
        return Outcome(Entry(self._receipt.cache, entry.dist, parts), result, entry.files, 0, error)

    def _move_back(self, entry: ReceiptEntry) -> None:
        done = self._done[entry] = _Progress()
        # What is not in the folder any more was restored before.
        for part in self._stored.held(entry):
            if self._cache.exists(part.name):
                done.there.append(part)
                continue
            try:
                done.made.append(part)
                undisguise(self._folder, part.number, self._cache, part.name)
                done.back.append(part)
            except OSError as error:
                done.errors.append(reason(error))
        done.tried = True

    def _make_in_staging(self, entry: ReceiptEntry, making: Directory, number: str) -> None:
        """Make the missing parts of an entry in a directory of its own, and leave nothing else there.

        On a full disk what could not be made whole would take the space of the entries that come after it.
        """
        done = self._done[entry] = _Progress()
        try:
            with making.make_own(number) as place:
                self._make(entry, place)
                for name in {name for name, _ in place.names()} - {part.name for part in done.made}:
                    remove(place, name)
        except OSError as error:
            done.errors.append(reason(error))
        done.tried = True

    def _make(self, entry: ReceiptEntry, place: Directory) -> None:
        """Make the missing parts of an entry."""
        done = self._done[entry]
        done.there = [part for part in entry.parts if self._cache.exists(part.name)]
        missing = [part for part in entry.parts if part not in done.there]
        if self._receipt.run.disposal is Disposal.ARCHIVE:
            self._attempt(done, missing, lambda: self._from_archive(entry, missing, place))
            return
        # The archives first: the directory is extracted from one.
        for part in sorted(missing, key=lambda part: part.kind is PartKind.EXTRACTED):
            if part.kind is PartKind.LOCK:
                continue  # rattler makes it anew.
            self._attempt(done, [part], lambda part=part: self._from_source(entry, part, place))  # type: ignore[misc]

    def _attempt(self, done: _Progress, parts: list[Held], make: Callable[[], None]) -> None:
        try:
            make()
            done.made += parts
        except OSError as error:
            done.errors.append(reason(error))
        except (ValueError, UnfetchableError) as error:
            if str(error) not in done.errors:
                done.errors.append(str(error))

    def _from_archive(self, entry: ReceiptEntry, parts: Iterable[Held], place: Directory) -> None:
        if entry.archived is None or self._receipt.run.destination is None:
            raise UnfetchableError("its receipt names no archive")
        names = {part.name for part in parts}
        with Directory.open(failures.realpath(self._receipt.run.destination)) as archives:
            verify(archives, entry.archived)
            extract(archives, entry.archived, place, names)
        if lacking := names - {name for name, _ in place.names()}:
            raise UnfetchableError(f"its archive does not hold {min(lacking)}")

    def _from_source(self, entry: ReceiptEntry, part: Held, place: Directory) -> None:
        """Fetch an archive again, or extract one: that which is still in the cache, if it is the one."""
        if part.kind is PartKind.ARCHIVE:
            self._fetch_archive(entry, place, part.name)
            return
        archive = self._archive(entry, place)
        with staging_directory(place, part.name) as path:
            self._fetch.extracted(entry, archive, os.path.join(path, part.name))

    def _archive(self, entry: ReceiptEntry, place: Directory) -> str:
        """Return the path of the archive that an entry was extracted from: one that is here, or else fetched anew."""
        source = (entry.source or "").rsplit("/", 1)[-1]
        names = [source] if source else [entry.dist + suffix for suffix in self._fetch.suffixes]
        for directory in (self._cache, place):
            for name in names:
                if directory.exists(name) and entry.sha256 in (None, file_sum(directory, name)[0]):
                    return os.path.join(directory.path, name)
        self._fetch_archive(entry, place, source)
        return os.path.join(place.path, source)

    def _fetch_archive(self, entry: ReceiptEntry, place: Directory, name: str) -> None:
        """Fetch an archive; one that can't be had is not asked for again, for the directory that lay in it."""
        unfetchable = self._done[entry].unfetchable
        if name in unfetchable:
            raise unfetchable[name]
        try:
            with staging_directory(place, name) as path:
                self._fetch.archive(entry, path, name)
        except UnfetchableError as error:
            unfetchable[name] = error
            raise

    def _install(self, parts: Iterable[Held], place: Directory, done: _Progress) -> None:
        """Move what is complete to its place."""
        for part in parts:
            try:
                place.move(part.name, self._cache, part.name)
                done.back.append(part)
            except OSError as error:
                done.errors.append(reason(error))

    @contextmanager
    def _making(self) -> Iterator[Directory]:
        """Open a directory in the run's folder where things are made, which is removed with what is left in it."""
        self._clear()
        with self._folder.make_own(MAKING) as making:
            try:
                yield making
            finally:
                self._clear()

    def _clear(self) -> None:
        if self._folder.exists(MAKING):
            remove(self._folder, MAKING)
