"""A cache during a run: locked, with the run's folder and its receipt."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from ... import failures
from ...core.model import Cache
from ...core.plan import Remove
from ...core.run import Disposal, Run
from ...errors import StateError
from ..files.dir_fd import Directory, lacks_space
from ..locks.run_lock import Patience
from ..state.receipt import Receipt, RunState, begun
from ..state.receipt_file import reserve_receipt, withdraw_receipt, write_receipt, yield_reserve
from ..state.state_dir import locked_state, opened, remove_empty, unusable
from .archive import Preserved, holds_archives, make_folder


@dataclass(slots=True)
class CacheSession:
    """One cache of a run.

    numbers: the names that parts have in the run's folder.
    archives: the folder for compressed archives, if there are to be any.
    unsettled: something may be deleted that the receipt does not tell yet; stopped now, the next run finds it out.
    """

    cache: Directory
    folder: Directory
    receipt: Receipt
    numbers: dict[str, str]
    archives: Directory | None = None
    unsettled: bool = False

    def take_in(self, name: str) -> None:
        """Move a part from the cache into the run's folder. Raises `OSError`.

        The list of what is in a folder grows by blocks: on a full disk the reserve of the receipt gives way to it.
        """
        number = self.numbers[name]
        try:
            self.cache.move(name, self.folder, number)
        except OSError as error:
            if not lacks_space(error) or not yield_reserve(self.folder):
                raise
            self.cache.move(name, self.folder, number)

    def note(
        self, preserved: Mapping[str, Preserved], hashes: Mapping[str, str], archive_hashes: Mapping[str, str]
    ) -> None:
        """Write into the receipt, before anything is deleted, what was found out since: archives and hashes, by label.

        archive_hashes: by the name of an archive. Raises `OSError`.
        """
        entries = tuple(
            replace(
                entry,
                archived=preserved[entry.label].archived if entry.label in preserved else None,
                sha256=hashes.get(entry.label, entry.sha256),
                other_sources=tuple(
                    replace(other, sha256=archive_hashes.get(other.name)) for other in entry.other_sources
                ),
            )
            for entry in self.receipt.entries
        )
        self._write(replace(self.receipt, entries=entries))

    def finish(self, gone: Iterable[Remove]) -> None:
        """Write into the receipt that the run is done, with what is out of the cache now.

        What could not be put back lies in the folder, and nothing else would explain it there: it belongs to a backup,
        and any other run counts as interrupted, so that the next one gives it back.

        Raises `OSError`: the run then counts as interrupted, and the next one finishes it.
        """
        # By the names of their parts: a leftover may be of the same dist as an entry.
        names = frozenset(part.name for decision in gone for part in decision.parts)
        lying = {name for name, _ in self.folder.names()}
        if self.receipt.run.disposal is Disposal.BACKUP:
            names |= {name for name, number in self.numbers.items() if number in lying}
        elif not lying.isdisjoint(self.numbers.values()):
            self.unsettled = True
            return
        entries = [entry for entry in self.receipt.entries if any(part.name in names for part in entry.parts)]
        if entries:
            self._write(self.receipt.done(entries))
        self.unsettled = False

    def _write(self, receipt: Receipt) -> None:
        if self.archives is not None:
            write_receipt(self.archives, receipt)
        write_receipt(self.folder, receipt)
        self.receipt = receipt

    def close(self) -> None:
        """Take the receipt away when nothing happened that it would have to tell of.

        Archives that could not be deleted when everything had to stop are such a thing: the next run finds them by it.
        """
        stopped = self.archives is not None and holds_archives(self.archives)
        if self.receipt.state is RunState.BEGUN and not self.unsettled and not stopped:
            for folder in (self.folder, self.archives):
                if folder is not None:
                    withdraw_receipt(folder)


@contextmanager
def opened_session(cache: Cache, decisions: Sequence[Remove], run: Run, patience: Patience) -> Iterator[CacheSession]:
    """Open a cache for a run: locked, and with the receipt written. Leaves nothing behind that is not needed.

    Raises `StateError` or `LockTimeoutError`.
    """
    receipt = begun(run, cache.path, decisions)
    numbers = {part.name: part.number for entry in receipt.entries for part in entry.parts}
    with opened(cache) as directory, locked_state(directory, cache, patience) as state, ExitStack() as stack:
        archives = None
        if run.destination is not None:
            stack.callback(_remove_empty_folders, run.destination)
            archives = stack.enter_context(make_folder(run.destination))
            _write_copy(archives, receipt)
        try:
            stack.callback(remove_empty, state, run.id)
            folder = stack.enter_context(state.make_own(run.id))
            session = CacheSession(directory, folder, receipt, numbers, archives)
            stack.callback(session.close)
            write_receipt(folder, receipt)
            reserve_receipt(folder)
        except OSError as error:
            raise unusable(os.path.join(state.path, run.id), error) from error
        state.sync()
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
    for empty in (path, os.path.dirname(path)):
        try:
            os.rmdir(empty)
        except OSError as error:
            failures.note(error)
            return
