"""Disk errors that a command survives: noted where they are caught, reported at the end with exit code 1.

An error of a listing, a status or a file stops no command: what can't be read is kept. If the file is missing, or this
user may not read it, nothing more needs to be said. If the disk fails, the answer is incomplete, and the user has to
know. So code that catches an `OSError` passes it to `note`, by `suppress` or itself; `tests/project/test_imports.py`
checks that. This module also has the functions of `os.path` that return False on any error.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

#: Errors of a disk, a network file system or the kernel; not every system has all. That a file is missing, forbidden,
#: of the wrong kind or has too long a name is an answer, and no failure.
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

#: The most failures that are kept: a dead disk fails at everything.
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Failure:
    """The path at which the disk failed, empty if the system named none, and the system's message."""

    path: str
    reason: str


#: A dictionary for its keys, which keep their order. Threads of a command share it.
_noted: dict[Failure, None] = {}
_accepted: set[str] = set()
_reported: set[str] = set()

#: Failures too, where the user has named the place.
_OF_ACCESS = frozenset({errno.EACCES, errno.EPERM})


def begin() -> None:
    """Forget the failures of an earlier command in this process."""
    for remembered in (_noted, _accepted, _reported):
        remembered.clear()


def note(error: BaseException | None, path: str = "", *, asked: bool = False) -> None:
    """Note an error that is caught here, if the disk failed.

    path: where, if the system knows only a descriptor. asked: the user has named the place, so a denied permission
    counts too.
    """
    if not isinstance(error, OSError) or len(_noted) >= _MOST:
        return
    if error.errno in _OF_DISK or (asked and error.errno in _OF_ACCESS):
        named = error.filename if isinstance(error.filename, (str, bytes)) else ""
        where = path or os.fsdecode(named)
        _noted[Failure(where, error.strerror or str(error))] = None


def note_all(failures: Iterable[Failure]) -> None:
    """Note the failures of another process of this command."""
    _noted.update(dict.fromkeys(failures))


def accept(paths: Iterable[str]) -> None:
    """Count failures at or below some paths as warnings only, because the user asked for that."""
    _accepted.update(paths)


def tell(paths: Iterable[str]) -> None:
    """Count failures at or below some paths as reported: a warning has named the place."""
    _reported.update(paths)


def unreported() -> tuple[Failure, ...]:
    """Return the failures neither accepted nor reported; from now on they count as reported."""
    found = tuple(failure for failure in noted() if not is_below(failure.path, _reported))
    _reported.update(failure.path for failure in found)
    return found


def noted() -> tuple[Failure, ...]:
    """Return the failures that were not accepted."""
    return tuple(failure for failure in _noted if not is_below(failure.path, _accepted))


def is_below(path: str, tops: Iterable[str]) -> bool:
    """Return True if a path is one of some others, or lies below it."""
    return any(path == top or path.startswith(os.path.join(top, "")) for top in tops if top)


def raise_cause(error: BaseException, path: str) -> None:
    """Raise the disk error that caused another error, such as one of zipfile, if there is one."""
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
    """Close a descriptor that was only read from; an error is noted, because the reading is done."""
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
    """Return the same as `os.path.exists`."""
    return _mode(path) is not None


def lexists(path: str | bytes) -> bool:
    """Return the same as `os.path.lexists`."""
    return _mode(path, follow=False) is not None


def isfile(path: str | bytes) -> bool:
    """Return the same as `os.path.isfile`."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def isdir(path: str | bytes) -> bool:
    """Return the same as `os.path.isdir`."""
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def islink(path: str | bytes) -> bool:
    """Return the same as `os.path.islink`."""
    mode = _mode(path, follow=False)
    return mode is not None and stat.S_ISLNK(mode)


def realpath(path: str) -> str:
    """Return the same as `os.path.realpath`, which takes an unreadable path for no link."""
    try:
        return os.path.realpath(path, strict=True)
    except OSError as error:
        note(error)
        return os.path.realpath(path)


def may_write(directory: str) -> bool:
    """Return True if `os.access` allows to change the names in a directory.

    It hides errors, so after a no the system is asked again by a call that reports them.
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
