"""Disk errors that a command survives: noted where they are caught, reported at the end with exit code 1.

A listing, a status or a file that can't be had is survived nearly everywhere: what can't be seen is kept. If it is
missing, or closed to this user, that is all there is to say. If the disk fails, the user asked for an answer and got
none. So whatever catches an `OSError` hands it to `note`, by `suppress` or itself; `tests/project/test_imports.py`
demands it. The questions that `os.path` answers with "no" whatever goes wrong are asked here too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

#: What a disk, a network file system or the kernel fails with, by the names of the numbers; not every system has all.
#: What is missing, closed to this user, of the wrong kind or too long is an answer.
_OF_DISK = frozenset(
    getattr(errno, name)
    for name in (
        "EIO",
        "ESTALE",
        "ENOTCONN",
        "EREMOTEIO",
        "EUCLEAN",
        "EBADMSG",
        "ENOMEDIUM",
        "ETIMEDOUT",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ENETUNREACH",
        "ECONNABORTED",
        "ECONNRESET",
        "EMFILE",
        "ENFILE",
        "ENOMEM",
    )
    if hasattr(errno, name)
)

#: So many are kept: a dead disk fails at everything.
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Failure:
    """A path at which the disk failed, empty if the system named none, and what it said."""

    path: str
    reason: str


#: In the order in which they came: a dictionary for its keys. Threads of a command share it.
_noted: dict[Failure, None] = {}
_accepted: set[str] = set()
_reported: set[str] = set()

#: What stands for an answer of the disk where the user has asked for what lies there.
_OF_ACCESS = frozenset({errno.EACCES, errno.EPERM})


def begin() -> None:
    """Forget what an earlier command of this process has noted."""
    for remembered in (_noted, _accepted, _reported):
        remembered.clear()


def note(error: BaseException | None, path: str = "", *, asked: bool = False) -> None:
    """Note an error that goes no further, if the disk failed.

    path: where, if the system knows only a descriptor. asked: the user has asked for what is there, so that it counts
    too if it is closed to this user.
    """
    if not isinstance(error, OSError) or len(_noted) >= _MOST:
        return
    if error.errno in _OF_DISK or (asked and error.errno in _OF_ACCESS):
        named = error.filename if isinstance(error.filename, (str, bytes)) else ""
        where = path or os.fsdecode(named)
        _noted[Failure(where, error.strerror or str(error))] = None


def note_all(failures: Iterable[Failure]) -> None:
    """Note what another process of this command has noted."""
    _noted.update(dict.fromkeys(failures))


def take() -> tuple[Failure, ...]:
    """Return what was noted, and forget it: another process reports it."""
    taken = tuple(_noted)
    _noted.clear()
    return taken


def accept(paths: Iterable[str]) -> None:
    """Let failures at or below some paths be no more than a warning: the user has said so."""
    _accepted.update(paths)


def tell(paths: Iterable[str]) -> None:
    """Take failures at or below some paths for told: a warning has named the place."""
    _reported.update(paths)


def unreported() -> tuple[Failure, ...]:
    """Return what was noted and neither accepted nor told; it counts as told from now on."""
    found = tuple(failure for failure in noted() if not is_below(failure.path, _reported))
    _reported.update(failure.path for failure in found)
    return found


def noted() -> tuple[Failure, ...]:
    """Return what was noted and not accepted."""
    return tuple(failure for failure in _noted if not is_below(failure.path, _accepted))


def is_below(path: str, tops: Iterable[str]) -> bool:
    """Return True if a path is one of some others, or lies below it."""
    return any(path == top or path.startswith(os.path.join(top, "")) for top in tops if top)


def raise_cause(error: BaseException, path: str) -> None:
    """Raise the error of the disk at a path behind one of a library, as zipfile makes it, if there is one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _OF_DISK:
            cause.filename = cause.filename or path
            raise cause
        cause = cause.__cause__ or cause.__context__


class suppress(contextlib.suppress):  # noqa: N801
    """`contextlib.suppress` that notes the errors of the disk."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Return whether the error was one of those to suppress."""
        suppressed = super().__exit__(kind, error, trace)
        if suppressed:
            note(error)
        return suppressed


def close(fd: int, path: str = "") -> None:
    """Close a descriptor that nothing was written through: what it was opened for is done, whatever the disk says."""
    try:
        os.close(fd)
    except OSError as error:
        note(error, path)


def _mode(path: str | bytes, *, follow: bool = True) -> int | None:
    try:
        return (os.stat(path) if follow else os.lstat(path)).st_mode
    except ValueError:
        return None
    except OSError as error:
        note(error)
        return None


def exists(path: str | bytes) -> bool:
    """Return what `os.path.exists` says."""
    return _mode(path) is not None


def lexists(path: str | bytes) -> bool:
    """Return what `os.path.lexists` says."""
    return _mode(path, follow=False) is not None


def isfile(path: str | bytes) -> bool:
    """Return what `os.path.isfile` says."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def isdir(path: str | bytes) -> bool:
    """Return what `os.path.isdir` says."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def islink(path: str | bytes) -> bool:
    """Return what `os.path.islink` says."""
    mode = _mode(path, follow=False)
    return mode is not None and stat.S_ISLNK(mode)


def realpath(path: str) -> str:
    """Return what `os.path.realpath` says, which takes what it can't look at for no link."""
    try:
        return os.path.realpath(path, strict=True)
    except OSError as error:
        note(error)
        return os.path.realpath(path)


def may_write(directory: str) -> bool:
    """Return what `os.access` says of changing the names in a directory.

    That tells no error, so where it says no the system is asked again by a call that does.
    """
    mode = os.W_OK | os.X_OK
    if os.access(directory, mode):
        return True
    if os.name == "nt":
        return False
    import ctypes

    if ctypes.CDLL(None, use_errno=True).access(os.fsencode(directory), mode) == 0:
        return True
    number = ctypes.get_errno()
    note(OSError(number, os.strerror(number), directory))
    return False
