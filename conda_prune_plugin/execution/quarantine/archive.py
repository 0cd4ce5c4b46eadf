"""Compressed archives of entries in a directory elsewhere: ``DIR/<run>/<number of the cache>/<dist>.tar.zst``.

An archive is written beside its final name, synced, read back and compared with what was read when it was written, and
only then gets its name; only then its entry may be deleted. A copy of the receipt lies beside the archives.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ... import failures
from ...core.file_status import allocated
from ...core.plan import Remove
from ...core.units import NO_SPACE, Space
from ...errors import StateError
from ...failures import suppress
from ..files.dir_fd import Directory
from ..files.remove_tree import remove
from ..files.tree_tar import MemberStatus, file_digest, member_statuses, pack, read_members, unpack
from ..state.receipt import RECEIPT, Archived, Receipt, read_receipt, withdraw_receipt

SUFFIX = ".tar.zst"

#: An archive while it is written.
_UNFINISHED = ".partial"


@dataclass(frozen=True, slots=True)
class Preserved:
    """A complete and verified archive of an entry; `member_statuses` show whether the entry has changed since."""

    archived: Archived
    member_statuses: tuple[MemberStatus, ...]


def make_folder(path: str) -> Directory:
    """Make the folder for the archives of one cache and open it. Raises `StateError`."""
    try:
        # Private: what a cache keeps from others must not be readable in its archives.
        os.makedirs(path, mode=0o700)
        return Directory.open(failures.realpath(path))
    except OSError as error:
        raise StateError(
            f"The directory for the archives can't be made: {path}: {error.strerror}.",
            hint="Give --backup-to a directory that you may write to; nothing was removed.",
            path=path,
        ) from error


def preserve(cache: Directory, decision: Remove, folder: Directory) -> Preserved:
    """Archive the parts of a decision, which stay in place. Raises `OSError`; no archive is left then."""
    name = decision.label + SUFFIX
    unfinished = name + _UNFINISHED
    names = [part.name for part in decision.parts]
    try:
        before = statuses_of(cache, dict(zip(names, names)))
        fd = folder.open_file(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as stream:
            with _zstd().open(stream, "wb") as compressed, _tar(compressed, "w") as tar:
                members = [member for name in names for member in pack(cache, name, tar)]
            stream.flush()
            os.fsync(stream.fileno())
        digest, size = file_sum(folder, unfinished)
        with _open_tar(folder, unfinished) as tar:
            if read_members(tar) != members:
                raise OSError(f"{os.path.join(folder.path, unfinished)} differs from what was written")
        folder.replace(unfinished, name)
        folder.sync()
    finally:
        if folder.exists(unfinished):
            folder.unlink(unfinished)
    return Preserved(Archived(name, digest, size), before)


def statuses_of(directory: Directory, names: Mapping[str, str]) -> tuple[MemberStatus, ...]:
    """Return the statuses of several trees; `names` maps their names in the cache to those that they have now."""
    return tuple(status for shown, name in names.items() for status in member_statuses(directory, name, shown))


def discard(folder: Directory, decision: Remove) -> None:
    """Delete the archive of an entry that stays after all, if there is one."""
    with suppress(OSError):
        remove(folder, decision.label + SUFFIX)


def holds_archives(folder: Directory) -> bool:
    """Return True if a folder holds archives of a run, complete or not."""
    return any(name.removesuffix(_UNFINISHED).endswith(SUFFIX) for name, _ in folder.names())


def verify(folder: Directory, archived: Archived) -> None:
    """Compare an archive with the receipt. Raises `OSError`, or `ValueError` if it differs."""
    if (found := file_sum(folder, archived.name)) != (archived.sha256, archived.size):
        raise ValueError(f"the archive {os.path.join(folder.path, archived.name)} has changed (its hash is {found[0]})")


def extract(folder: Directory, archived: Archived, target: Directory, tops: Collection[str]) -> None:
    """Extract an archive into a directory, as `unpack` does. Raises `OSError`."""
    with _open_tar(folder, archived.name) as tar:
        unpack(tar, target, tops)


def is_own_folder(receipt: Receipt) -> bool:
    """Return True if the caller owns the folder for the archives of a run, and the receipt in it."""
    if receipt.run.destination is None or not hasattr(os, "geteuid"):
        return False
    try:
        with Directory.open(failures.realpath(receipt.run.destination)) as folder:
            theirs = read_receipt(folder)
            owners = {folder.own_status().st_uid, folder.status(RECEIPT).st_uid}
    except (OSError, ValueError) as error:
        failures.note(error)
        return False
    return (theirs.run, theirs.cache) == (receipt.run, receipt.cache) and owners == {os.geteuid()}


def purge_folder(receipt: Receipt) -> Space:
    """Delete the archives of a run, and nothing else; return the space freed on their disk.

    The path comes from a receipt, so the folder has to prove that it is the run's: it holds a receipt of the same run
    and cache. Only files with the names that the run gives to archives are deleted.

    A missing folder has nothing to delete, unless the directory above the one for archives is missing too: then its
    disk may not be mounted, and the archives would be forgotten there.

    Raises `OSError` or `ValueError`.
    """
    path = receipt.run.destination
    if path is None:
        return NO_SPACE
    above = os.path.dirname(path)
    folders = (path, above) if os.path.basename(above) == receipt.run.id else (path,)
    destination = os.path.dirname(folders[-1])
    if not failures.lexists(path):
        if failures.lexists(os.path.dirname(destination)):
            return NO_SPACE
        raise ValueError(
            f"{destination} and the directory above it are missing: the disk may not be mounted. If you deleted "
            f"them, create {os.path.dirname(destination)} and purge again"
        )
    with Directory.open(failures.realpath(path)) as folder:
        if not (folder.exists(RECEIPT) or holds_archives(folder)):
            return NO_SPACE  # Nothing of it is left, and nothing proves whose folder it is.
        freed = _remove_archives(folder, receipt)
    for empty in folders:
        with suppress(OSError):
            os.rmdir(empty)
    return freed


def _remove_archives(folder: Directory, receipt: Receipt) -> Space:
    """Delete the archives in a run's folder and the receipt there; return the space that the archives took.

    Raises `OSError`, or `ValueError` if the folder is not that of the run.
    """
    path, freed = receipt.run.destination, NO_SPACE
    try:
        theirs = read_receipt(folder)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is not known to be the folder of this run's archives: {error}") from error
    if (theirs.run, theirs.cache) != (receipt.run, receipt.cache):
        raise ValueError(f"{path} is not the folder of this run's archives")
    for name in (entry.label + SUFFIX + end for entry in theirs.entries for end in ("", _UNFINISHED)):
        if folder.exists(name):
            status = folder.status(name)
            remove(folder, name)
            freed += Space(allocated(status), 1) if status.st_nlink == 1 else NO_SPACE
    # The proof goes last.
    withdraw_receipt(folder)
    return freed


@contextmanager
def _open_tar(folder: Directory, name: str) -> Iterator[tarfile.TarFile]:
    """Open an archive to be read once, from its beginning to its end. What makes no sense in it is an `OSError`."""
    zstd = _zstd()
    try:
        with (
            os.fdopen(folder.open_regular(name), "rb") as stream,
            zstd.open(stream, "rb") as content,
            _tar(content, "r|") as tar,
        ):
            yield tar
    except (zstd.ZstdError, tarfile.TarError, EOFError, KeyError, ValueError) as error:
        raise OSError(f"the archive {os.path.join(folder.path, name)} can't be read: {error}") from error


def _tar(stream: Any, mode: str) -> tarfile.TarFile:
    # PAX keeps long names, odd bytes in them, and times to the nanosecond.
    return tarfile.open(fileobj=stream, mode=mode, format=tarfile.PAX_FORMAT, errors="surrogateescape")  # type: ignore[call-overload, no-any-return]


def _zstd() -> Any:
    """Return the library for zstd streams that conda has brought: which one depends on its age and on Python's."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            import zstandard as zstd
    return zstd


def file_sum(folder: Directory, name: str) -> tuple[str, int]:
    """Return the hash and the size of a file as the disk has it, as far as the system can be told to look there."""
    with os.fdopen(folder.open_regular(name), "rb") as stream:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file_digest(stream), stream.tell()
