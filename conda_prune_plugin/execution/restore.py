"""Putting back what a run took out of a cache. Nothing that is there is ever overwritten.

A backup comes back by the rename that made it one. An archive, and a package that is fetched again, are made whole
in the run's folder first, in a directory that is marked as unfinished, and then moved to their place by one rename.
Killed in between, a restore leaves each part either at its place or where it was, and can be repeated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..core.model import Disposal, Entry, Outcome, Part, PartKind, Result
from ..core.names import ARCHIVE_SUFFIXES
from ..errors import StateError
from .archive import extract, verify
from .aside import reason
from .directory import Directory
from .lock import Patience
from .receipt import Held, Receipt, ReceiptEntry, withdraw_receipt, write_receipt
from .removal import remove
from .runs import StoredRun, read_run
from .state import MAKING, locked_state, opened, remove_empty
from .tree import walk


class UnfetchableError(Exception):
    """A package can't be had again; the text says why."""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Gets packages anew.

    archive: fetches the archive of an entry, called by a name, into a directory; checks its hash.
    extracted: extracts an archive into a directory that it makes.

    Both raise `UnfetchableError` or `OSError`.
    """

    archive: Callable[[ReceiptEntry, str, str], None]
    extracted: Callable[[ReceiptEntry, str, str], None]


def restore(
    stored: StoredRun,
    wanted: Callable[[ReceiptEntry], bool],
    fetch: Fetch,
    patience: Patience,
    progress: Callable[[int], None],
) -> tuple[Outcome, ...]:
    """Put back the wanted entries of a run, as far as nothing else is in their place; one outcome for each.

    `progress` is told of each entry that is done.

    Raises `StateError` or `LockTimeoutError`.
    """
    with opened(stored.cache) as cache, locked_state(cache, stored.cache, patience) as state:
        run = read_run(stored.cache, state, stored.id)
        if run.receipt is None or not run.complete:
            raise StateError(
                f"The run {stored.id} in {stored.cache.path} was changed by somebody else in the meantime.",
                hint="`conda prune restore` lists what there is now.",
                path=stored.path,
            )
        with state.child(run.id) as folder:
            site = _Restoration(cache, folder, run.receipt, fetch)
            outcomes = []
            for entry in filter(wanted, run.entries):
                outcomes.append(site.restore(entry))
                progress(1)
            for directory in (cache, folder):
                directory.sync()
            _settle(run.receipt, folder, outcomes)
        remove_empty(state, run.id)
    return tuple(outcomes)


def _settle(receipt: Receipt, folder: Directory, outcomes: Iterable[Outcome]) -> None:
    """Take what was restored out of the receipt; archives elsewhere are still there to be used again."""
    if receipt.run.disposal is Disposal.ARCHIVE:
        return
    restored = {outcome.entry.dist for outcome in outcomes if outcome.result is Result.RESTORED}
    left = [entry for entry in receipt.entries if entry.dist not in restored]
    if left:
        write_receipt(folder, receipt.done(left))
    else:
        withdraw_receipt(folder)


class _Restoration:
    """Puts back entries of one run in one cache."""

    def __init__(self, cache: Directory, folder: Directory, receipt: Receipt, fetch: Fetch) -> None:
        self._cache = cache
        self._folder = folder
        self._receipt = receipt
        self._fetch = fetch

    def restore(self, entry: ReceiptEntry) -> Outcome:
        """Put back one entry; what goes wrong with it is its outcome."""
        there = [part for part in entry.parts if self._cache.exists(part.name)]
        missing = [part for part in entry.parts if part not in there]
        try:
            if missing:
                self._bring_back(entry, missing)
        except FileExistsError as error:
            return self._outcome(entry, Result.SKIPPED, f"{reason(error)}; nothing is overwritten")
        except OSError as error:
            return self._outcome(entry, Result.FAILED, reason(error))
        except (ValueError, UnfetchableError) as error:
            return self._outcome(entry, Result.FAILED, str(error))
        if there:
            names = " and ".join(part.name for part in there)
            return self._outcome(entry, Result.SKIPPED, f"{names} is in the cache already; nothing is overwritten")
        return self._outcome(entry, Result.RESTORED)

    def _bring_back(self, entry: ReceiptEntry, parts: list[Held]) -> None:
        if self._receipt.run.disposal is Disposal.BACKUP:
            for part in parts:
                self._folder.move(part.number, self._cache, part.name)
        elif self._receipt.run.disposal is Disposal.ARCHIVE:
            self._from_archive(entry, parts)
        else:
            self._from_source(entry, parts)

    def _from_archive(self, entry: ReceiptEntry, parts: list[Held]) -> None:
        if entry.archived is None or self._receipt.run.destination is None:
            raise UnfetchableError("its receipt names no archive")
        names = {part.name for part in parts}
        with self._making() as making, Directory.open(os.path.realpath(self._receipt.run.destination)) as archives:
            verify(archives, entry.archived)
            extract(archives, entry.archived, making, names)
            self._install(making, names)

    def _from_source(self, entry: ReceiptEntry, parts: list[Held]) -> None:
        """Fetch the archive again, or take the one that is still in the cache, and extract it."""
        wanted = {part.name for part in parts}
        with self._making() as making:
            for part in parts:
                if part.kind is PartKind.ARCHIVE:
                    self._fetch.archive(entry, making.path, part.name)
            for part in parts:
                if part.kind is PartKind.EXTRACTED:
                    self._fetch.extracted(entry, self._archive(entry, making), os.path.join(making.path, part.name))
            for name, _ in making.names():
                for directory, item, _, _ in walk(making, name, name):
                    directory.hand_over(item)
            self._install(making, wanted)

    def _archive(self, entry: ReceiptEntry, making: Directory) -> str:
        """Return the path of an archive of an entry: one that is here, or else one fetched for the purpose."""
        names = [entry.dist + suffix for suffix in ARCHIVE_SUFFIXES]
        for directory in (self._cache, making):
            for name in names:
                if directory.exists(name):
                    return os.path.join(directory.path, name)
        name = (entry.source or "").rsplit("/", 1)[-1]
        self._fetch.archive(entry, making.path, name)
        return os.path.join(making.path, name)

    def _install(self, making: Directory, names: Iterable[str]) -> None:
        """Move what is complete now to its place, once its contents are on the disk."""
        if hasattr(os, "sync"):
            os.sync()
        for name in names:
            making.move(name, self._cache, name)

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

    def _outcome(self, entry: ReceiptEntry, result: Result, error: str | None = None) -> Outcome:
        parts = tuple(Part(part.kind, part.name) for part in entry.parts)
        return Outcome(Entry(self._receipt.cache, entry.dist, parts), result, entry.files, 0, error)
