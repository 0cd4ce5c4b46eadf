"""Lock files of mamba, rattler and old versions of conda: their names, and what they tell. Reads only.

mamba locks what it works on by ``fcntl`` on byte 21 of a file, which it removes at the end if it has made it
(``LockFileOwner`` in ``libmamba/src/core/util.cpp``): ``<archive>.lock`` while it extracts one, in an environment
``conda-meta/conda-meta.lock``, in a cache ``mamba.lock`` until November 2021. Since then it has the name of the
cache; we take it ourselves (`locks.client_locks`), and one that lies there stays.

conda 4.2 until 23.7 (``conda/lock.py``) makes an empty file with its process id in the name,
``<path>.pid<id>.conda_lock`` beside what it works on or in it; conda until 4.1 makes an empty directory
``.conda_lock-<id>``.

rattler and pixi (rattler_cache, ``src/package_cache``): an entry is an extracted directory ``name-version-build``, with
a hash behind it where caches of different origin are told apart. No archive stays, there is no ``urls.txt``, and
``info`` gets no ``repodata_record.json``: where a package came from is recorded in environments only. Beside the
directory lies ``<entry>.lock``: the revision of the entry as a 64-bit number, and behind it, if it was known, the
SHA-256 that the channel or lockfile gave for the archive, which rattler has checked (``CacheMetadataFile``). A
directory being extracted is called ``.<entry>`` and six letters or digits (``validate_package_common``). One that a
killed program leaves is useless.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import sys
from collections.abc import Iterator, Sequence

from ...core.dist_names import is_dist_name
from ...core.layout import LOCK_SUFFIX
from ...core.model import Cache, Client, Entry, PartKind, ReasonKind
from ...failures import suppress
from ..system.privileges import own_user
from ..system.safe_read import read_regular
from .archive_names import archive_dist

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_OLD_MAMBA_LOCK = "mamba.lock"

_BY_PID = re.compile(r"\.conda_lock-(\d{1,10})|.+\.pid(\d{1,10})\.conda_lock")

#: ``struct flock`` and the places of its type and process id in it (fcntl(2) of each system, in 64 bits).
_FLOCK = {"linux": ("@hhqqi", 0, 4), "darwin": ("@qqihh", 3, 2)}

_REVISION_LENGTH, _SHA256_LENGTH = 8, 32

#: How long rattler makes a lock, in bytes.
_LENGTHS = (0, _REVISION_LENGTH, _REVISION_LENGTH + _SHA256_LENGTH)

_CUT_OFF = re.compile(r"\.(.+)[0-9A-Za-z]{6}")

#: No client writes more into a lock than a number.
_LONGEST = 64


def is_lock_name(name: str) -> bool:
    """Return whether a name is that of a lock of mamba or conda which is made anew whenever it is needed."""
    if name.endswith(LOCK_SUFFIX):
        return name == _OLD_MAMBA_LOCK or archive_dist(name.removesuffix(LOCK_SUFFIX)) is not None
    return _BY_PID.fullmatch(name) is not None


def is_lock(path: str) -> bool:
    """Return whether a file with the name of a lock looks like one: empty, or nearly so."""
    with suppress(OSError):
        status = os.lstat(path)
        if os.path.basename(path).startswith("."):
            return stat.S_ISDIR(status.st_mode) and not os.listdir(path)
        return stat.S_ISREG(status.st_mode) and status.st_size <= _LONGEST
    return False


def holder(path: str) -> str | None:
    """Return the process that holds a lock, None if no living one does. Nothing is taken away from it.

    Raises `OSError` where that can't be told.
    """
    by_pid = _BY_PID.fullmatch(os.path.basename(path))
    if by_pid is not None:
        pid = int(by_pid[1] or by_pid[2])
        return f"process {pid}" if pid and _lives(pid) else None
    if fcntl is None:
        # What is locked can't be opened or removed here (``_locking`` of Microsoft's C runtime).
        return None
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return _posix_holder(fd) or _flock_holder(fd)
    finally:
        os.close(fd)


def _lives(pid: int) -> bool:
    try:
        if own_user() is None:
            import psutil

            # Windows would end a process that is asked for by a signal.
            return bool(psutil.pid_exists(pid))
        # psutil sees no process that ``/proc`` hides from this user (hidepid).
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _posix_holder(fd: int) -> str | None:
    layout, kind, pid = _FLOCK.get(sys.platform, ("", 0, 0))
    if layout:
        size = max(struct.calcsize(layout) + 8, 32)
        wanted = [0] * (len(layout) - 1)
        wanted[kind] = fcntl.F_WRLCK
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(layout, *wanted).ljust(size, b"\0"))
        found = struct.unpack_from(layout, answer)
        if found[kind] == fcntl.F_UNLCK:
            return None
        return f"process {found[pid]}" if found[pid] > 0 else "another process"
    try:
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return "another process"
    return None


def _flock_holder(fd: int) -> str | None:
    # There is no asking without trying; a shared lock that is released at once keeps no process waiting.
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return "another process"
    fcntl.flock(fd, fcntl.LOCK_UN)
    return None


def is_rattlers(entry: Entry, cache: Cache) -> bool:
    """Return whether rattler has made or used an entry, in a cache of its own or in conda's."""
    return cache.client == Client.RATTLER or any(part.kind is PartKind.LOCK for part in entry.parts)


def recorded_sha256(cache: Cache, entry: Entry) -> str | None:
    """Return the hash of the archive that an entry was extracted from, None where rattler did not know it.

    Raises `OSError`.
    """
    for part in entry.parts:
        if part.kind is PartKind.LOCK:
            content = read_regular(os.path.join(cache.real_path, part.name))
            digest = content[_REVISION_LENGTH : _REVISION_LENGTH + _SHA256_LENGTH]
            return digest.hex() if len(digest) == _SHA256_LENGTH else None
    return None


def rattler_leftovers(cache: Cache, items: Sequence[os.DirEntry[str]]) -> Iterator[tuple[str, ReasonKind, str, str]]:
    """Give name, kind, detail and dist of rattler's leftovers among all that lies in a cache."""
    names = {item.name for item in items}
    for item in items:
        cut_off = _CUT_OFF.fullmatch(item.name)
        if cut_off and is_dist_name(cut_off[1]) and item.is_dir(follow_symlinks=False):
            if cache.client == Client.RATTLER or cut_off[1] + LOCK_SUFFIX in names:
                detail = "an interrupted extraction by rattler"
                yield item.name, ReasonKind.INCOMPLETE_EXTRACTION, detail, cut_off[1]
        elif item.name.endswith(LOCK_SUFFIX):
            dist = item.name.removesuffix(LOCK_SUFFIX)
            # That of an archive is mamba's (`lock_files`). Others may be called like this, as lockfiles are.
            if archive_dist(dist) is None and is_dist_name(dist) and dist not in names:
                with suppress(OSError):
                    status = item.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and status.st_size in _LENGTHS:
                        yield item.name, ReasonKind.TRASH, "rattler's lock of a package that is gone", dist
