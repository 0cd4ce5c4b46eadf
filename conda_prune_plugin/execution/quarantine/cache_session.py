"""A package cache or a directory of environments during a run: locked, with the run's folder and its receipt."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from ...core.model import Cache
from ...core.run import Disposal
from ...errors import StateError
from ...failures import suppress
from ..files.dir_fd import Directory, lacks_space
from ..locks.run_lock import Patience
from ..state.receipt import (
    Receipt,
    ReceiptEntry,
    RunState,
    reserve_receipt,
    withdraw_receipt,
    write_receipt,
    yield_reserve,
)
from ..state.state_dir import locked, remove_empty, unusable
from .archive import holds_archives, make_folder


@dataclass(slots=True)
class CacheSession:
    """One cache of a run.

    archives: the folder for compressed archives, if the run writes any.
    unsettled: something may be deleted that the receipt doesn't list yet. Stopped now, the next run finds out.
    """

    cache: Directory
    folder: Directory
    receipt: Receipt
    archives: Directory | None = None
    unsettled: bool = False

    def take_in(self, name: str, number: str) -> None:
        """Move a part from the cache to its number in the run's folder. Raises `OSError`.

        A directory's list of names grows by blocks: on a full disk the reserve of the receipt gives way to it.
        """
        try:
            self.cache.move(name, self.folder, number)
        except OSError as error:
            if not lacks_space(error) or not yield_reserve(self.folder):
                raise
            self.cache.move(name, self.folder, number)

    def note(self, entries: Iterable[ReceiptEntry]) -> None:
        """Write into the receipt what was found out since (archives, hashes), before anything is deleted.

        Raises `OSError`.
        """
        receipt = replace(self.receipt, entries=tuple(entries))
        if receipt != self.receipt:
            self._write(receipt)

    def finish(self, removed: Iterable[ReceiptEntry]) -> None:
        """Write into the receipt that the run is done, with the entries that are out of the cache now.

        What could not be put back lies in the folder, and only a receipt can explain it there: it belongs to a backup;
        any other run stays an interrupted one, so that the next run puts it back.

        Raises `OSError`: the run then counts as interrupted, and the next one finishes it.
        """
        entries = list(removed)
        in_folder = {name for name, _ in self.folder.names()}
        if self.receipt.run.disposal is Disposal.BACKUP:
            entries = [entry for entry in self.receipt.entries if any(part.number in in_folder for part in entry.parts)]
        elif not in_folder.isdisjoint(part.number for entry in self.receipt.entries for part in entry.parts):
            self.unsettled = True
            return
        if entries:
            self._write(self.receipt.done(entries))
        self.unsettled = False

    def _write(self, receipt: Receipt) -> None:
        for folder in (self.archives, self.folder):
            if folder is not None:
                write_receipt(folder, receipt)
        self.receipt = receipt

    def close(self) -> None:
        """Remove the receipt if there is nothing that it would have to explain.

        Archives that could not be deleted when everything had to stop need it: the next run finds them by it.
        """
        stopped = self.archives is not None and holds_archives(self.archives)
        if self.receipt.state is RunState.BEGUN and not self.unsettled and not stopped:
            for folder in (self.folder, self.archives):
                if folder is not None:
                    withdraw_receipt(folder)


@contextmanager
def opened_session(
    cache: Cache, receipt: Receipt, patience: Patience, prepare: Callable[[Directory], None] = lambda folder: None
) -> Iterator[CacheSession]:
    """Open a cache for a run: locked, and with the receipt and a reserve for its next version on the disk.

    prepare: writes what has to lie in the run's folder before its receipt does. Nothing is left behind that is not
    needed.

    Raises `StateError` or `LockTimeoutError`.
    """
    run = receipt.run
    with locked(cache, patience) as here, ExitStack() as stack:
        archives = None
        if run.destination is not None:
            stack.callback(_remove_empty_folders, run.destination)
            archives = stack.enter_context(make_folder(run.destination))
            _write_copy(archives, receipt)
        try:
            stack.callback(remove_empty, here.state, run.id)
            folder = stack.enter_context(here.state.make_own(run.id))
            session = CacheSession(here.directory, folder, receipt, archives)
            stack.callback(session.close)
            prepare(folder)
            write_receipt(folder, receipt)
            reserve_receipt(folder)
        except OSError as error:
            raise unusable(os.path.join(here.state.path, run.id), error) from error
        here.state.sync()
        yield session


def _write_copy(archives: Directory, receipt: Receipt) -> None:
    """Write the copy of the receipt that proves whose archives these are. Raises `StateError`."""
    try:
        write_receipt(archives, receipt)
    except OSError as error:
        withdraw_receipt(archives)
        raise StateError(
            f"{archives.path} can't be used for archives: {error.strerror or error}.",
            hint="Give --backup-to a directory with room in it that you may write to; nothing was removed.",
            path=archives.path,
        ) from error


def _remove_empty_folders(path: str) -> None:
    with suppress(OSError):
        os.rmdir(path)
        os.rmdir(os.path.dirname(path))
