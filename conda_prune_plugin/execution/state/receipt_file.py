"""Read and write the receipt of a run: ``<cache>/.conda-prune/<run>/receipt.json``.

It is written before the first move with the state `RunState.BEGUN`, and again at the end with `RunState.DONE` and what
was really removed. Each time a second file is written, synced and renamed, so it is always one or the other. A run that
is not done was interrupted.
"""

from __future__ import annotations

import os
import stat

from ... import failures
from ..files.dir_fd import Directory
from .receipt import Receipt, receipt_from, receipt_text
from .saved_exports import drop_exports
from .state_dir import DOOMED, MAKING, REBUILDING, remove_marked

RECEIPT = "receipt.json"

#: The receipt being written; it counts for nothing until it is renamed.
UNFINISHED = RECEIPT + ".new"

#: Where the user's own files of deleted environments are kept (`own_files`), and while these are deleted.
FILES = "environment-files"
DOOMED_FILES = FILES + DOOMED

#: The largest receipt that is read, in bytes; an entry takes some 500 and the record of its package.
LARGEST = 64 << 20


def write_receipt(folder: Directory, receipt: Receipt) -> None:
    """Write a receipt in one step and make it outlast a crash. Raises `OSError`, and then the earlier one stays."""
    fd = _reserved(folder)
    if fd is None:
        if folder.exists(UNFINISHED):
            folder.unlink(UNFINISHED)
        fd = folder.open_file(UNFINISHED, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(receipt_text(receipt))
        stream.truncate()
        stream.flush()
        folder.share(stream.fileno())
        os.fsync(stream.fileno())
    folder.replace(UNFINISHED, RECEIPT)
    folder.sync()


def reserve_receipt(folder: Directory) -> None:
    """Reserve the space that the receipt needs when it is written again at the end of a run. Raises `OSError`.

    The next `write_receipt` uses it. After a kill it is an unfinished receipt like any other.
    """
    fd = folder.open_file(UNFINISHED, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with os.fdopen(fd, "wb") as stream:
        stream.write(b"\0" * folder.status(RECEIPT).st_size)


def yield_reserve(folder: Directory) -> bool:
    """Give the blocks of the reserve away, but not its inode; return False if there is none. Raises `OSError`."""
    fd = _reserved(folder)
    if fd is None:
        return False
    try:
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)
    return True


def _reserved(folder: Directory) -> int | None:
    """Return a descriptor of an unfinished receipt to overwrite, None if there is none of ours.

    It is not deleted and created anew, because XFS frees deleted blocks in the background. In a cache with several
    owners it may be another user's, or a link to a file of theirs.
    """
    try:
        fd = folder.open_file(UNFINISHED, os.O_WRONLY)
    except OSError as error:
        failures.note(error)
        return None
    status = os.fstat(fd)
    ours = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    if ours and stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return fd
    os.close(fd)
    return None


def read_receipt(folder: Directory) -> Receipt:
    """Return the receipt in a run's folder. Raises `OSError`, or `ValueError` if it can't be understood."""
    return receipt_from(folder.read_file(RECEIPT, LARGEST).decode("utf-8", "surrogateescape"))


def withdraw_receipt(folder: Directory) -> None:
    """Remove the receipt and the exports, unless the folder still holds something that the receipt explains."""
    unexplained = (MAKING, REBUILDING, FILES, DOOMED_FILES)
    if not any(name[:1].isdecimal() or name in unexplained for name, _ in folder.names()):
        drop_exports(folder)
        for name in (UNFINISHED, RECEIPT):
            if folder.exists(name):
                folder.unlink(name)


def drop_files(folder: Directory) -> None:
    """Delete the user's own files that a run has kept. Raises `OSError`."""
    remove_marked(folder, FILES)
