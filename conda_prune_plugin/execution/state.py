"""The program's own state below a cache: ``<cache>/.conda-prune/<run>/`` with a receipt and what was moved aside.

conda ignores the directory. What lies in a run's folder bears numbers as names, so that a client that looks for
packages in nested directories (mamba from 2.6 on) finds none. A number with `DOOMED` behind it is being deleted: only
that may be incomplete; everything else is whole and can be given back.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ..core.model import Remove
from ..errors import NoRoomError, StateError
from .directory import Directory
from .lock import NAME as LOCK
from .lock import exclusive

STATE = ".conda-prune"
RECEIPT = "receipt.json"
DOOMED = ".deleting"

#: The receipt's own schema number.
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Moved:
    """A line of the receipt: a name of the cache, and the number that it has in the run's folder."""

    name: str
    number: str


@contextmanager
def locked_state(cache: Directory, notify: Callable[[str], None]) -> Iterator[Directory]:
    """Open the state directory of a cache with its lock held, and leave no empty one behind.

    Raises `StateError` if it is something else than a directory or can't be made, `LockTimeoutError`.
    """
    path = os.path.join(cache.path, STATE)
    try:
        if not cache.exists(STATE):
            cache.mkdir(STATE)
        cache.child(STATE).close()
    except OSError as error:
        raise unusable(path, error) from error
    with ExitStack() as stack:
        stack.callback(remove_empty, cache, STATE)
        try:
            stack.enter_context(exclusive(path, notify))
            # Opened only now: the one who held the lock before may have removed the directory, and the lock has made
            # it again. While we hold it nobody else removes it.
            state = stack.enter_context(cache.child(STATE))
            # filelock goes by path: what it has locked must lie in the directory that we have opened.
            state.status(LOCK)
        except OSError as error:
            raise unusable(path, error) from error
        stack.callback(_remove_lock, state)
        yield state


def _remove_lock(state: Directory) -> None:
    with suppress(OSError):
        state.unlink(LOCK)


def unusable(path: str, error: OSError) -> StateError:
    """Return the error for state that can't be written: of a kind of its own when it is for lack of room."""
    message = f"{path} can't be used: {error.strerror or error}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "Free a few kilobytes, for instance by deleting one archive (.conda, .tar.bz2) from the cache."
        return NoRoomError(message, hint=hint, path=path)
    return StateError(message, hint="It has to be a directory that you may write to; nothing was removed.", path=path)


def remove_empty(parent: Directory, name: str) -> None:
    """Remove a directory if nothing is in it; what is in it is for the next run to finish."""
    try:
        parent.rmdir(name)
    except OSError:
        return


def withdraw_receipt(folder: Directory) -> None:
    """Remove the receipt when nothing is left that it could explain."""
    if {name for name, _ in folder.names()} == {RECEIPT}:
        folder.unlink(RECEIPT)


def number_parts(decisions: Iterable[Remove]) -> list[Moved]:
    """Give each part of the decisions its number in the run's folder."""
    names = [part.name for decision in decisions for part in decision.parts]
    return [Moved(name, str(number)) for number, name in enumerate(names)]


def write_receipt(folder: Directory, run: str, cache: str, decisions: Sequence[Remove]) -> None:
    """Write what this run is going to move, before the first move, and make it outlast a crash. Raises `OSError`."""
    numbers = {moved.name: moved.number for moved in number_parts(decisions)}
    receipt = {
        "schema": SCHEMA,
        "run": run,
        "cache": cache,
        "entries": [_receipt_entry(decision, numbers) for decision in decisions],
    }
    path, dir_fd = folder.at(RECEIPT)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=dir_fd)
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        json.dump(receipt, stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    folder.sync()


def read_receipt(folder: Directory) -> list[Moved]:
    """Return what a run was going to move. Raises `OSError` or `ValueError` if it can't be understood."""
    path, dir_fd = folder.at(RECEIPT)

    def without_waiting(name: str, flags: int) -> int:
        # For somebody to write into it, should it be a pipe.
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0), dir_fd=dir_fd)

    try:
        with open(path, encoding="utf-8", opener=without_waiting) as stream:
            receipt: Any = json.load(stream)
        if receipt["schema"] != SCHEMA:
            raise ValueError(f"its schema is {receipt['schema']}, not {SCHEMA}")
        parts = [part for entry in receipt["entries"] for part in entry["parts"]]
        return [Moved(str(part["name"]), str(part["number"])) for part in parts]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it is not a receipt ({error!r})") from error


def _receipt_entry(decision: Remove, numbers: dict[str, str]) -> dict[str, Any]:
    return {
        "dist": decision.entry.dist,
        "parts": [
            {"kind": part.kind.value, "name": part.name, "number": numbers[part.name]} for part in decision.parts
        ],
        "files": decision.files,
        "reclaimable": decision.reclaimable,
        "source": decision.source,
        "sha256": decision.sha256,
        "reasons": [{"kind": reason.kind.value, "detail": reason.detail} for reason in decision.reasons],
    }
