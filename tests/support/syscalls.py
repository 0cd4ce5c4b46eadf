"""System calls of another process that wait until they are answered: Linux's seccomp user notification.

Nothing but these calls costs anything, unlike under strace, where every call stops twice. See seccomp(2) and
seccomp_unotify(2); libseccomp knows the calls' numbers and writes the filter. It is what Debian's apt depends on.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import signal
import socket
import struct
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The system calls that change the disk. A file that `openat` has made is found empty by a kill at its first `write`.
CHANGING = (
    "mkdir",
    "mkdirat",
    "rmdir",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "utimensat",
    "ftruncate",
    "write",
    "pwrite64",
    "writev",
    "sendfile",
    "copy_file_range",
    "fsync",
    "fdatasync",
    "sync",
)

#: Those by which it asks what it may do.
ACCESS = ("access", "faccessat", "faccessat2")

#: Those by which a program learns what is on the disk, and those that end the use of a file.
READING = (
    *("open", "openat", "stat", "lstat", "newfstatat", "statx", "fstat", "getdents64", "read", "readlink", "close"),
    *ACCESS,
)

#: Which of their arguments are a directory's descriptor and a path; with one number only, the descriptor itself.
_PLACES = {
    "open": (None, 0),
    "stat": (None, 0),
    "lstat": (None, 0),
    "readlink": (None, 0),
    "openat": (0, 1),
    "newfstatat": (0, 1),
    "statx": (0, 1),
    "access": (None, 0),
    "faccessat": (0, 1),
    "faccessat2": (0, 1),
}
_LONGEST_PATH = 4096

# seccomp.h of libseccomp, and linux/seccomp.h.
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_CONTINUE = 1


def hand_over(connection: int, calls: Sequence[str] = CHANGING) -> None:
    """Have some calls of this process wait for whoever is at the other end of a connection, from now on."""
    library, numbers = _library(), [number for number, name in _numbers().items() if name in calls]
    seccomp = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ALLOW)))
    for number in numbers:
        assert library.seccomp_rule_add(seccomp, ctypes.c_uint32(_NOTIFY), number, 0) == 0
    assert library.seccomp_load(seccomp) == 0
    with socket.socket(fileno=connection) as other:
        socket.send_fds(other, [b"it"], [library.seccomp_notify_fd(seccomp)])


def answer(connection: socket.socket, decide: Callable[[str], str]) -> None:
    """Answer the calls of a process by their names alone, until it ends; see `answer_located`."""
    answer_located(connection, lambda call, _: decide(call), located=False)


def answer_located(connection: socket.socket, decide: Callable[[str, str], str], *, located: bool = True) -> None:
    """Answer the calls of a process that hands them over, until it ends.

    decide: what to do with a call, of which it gets the name and, if they are `located`, the path: nothing (""),
        ``signal=NAME`` to its process, which a
    KILL ends before the call, or ``error=NAME`` instead of it.
    """
    # Windows has none, and collects these tests too.
    import fcntl

    (listener,) = socket.recv_fds(connection, 2, 1)[1]
    waiting = select.poll()
    waiting.register(listener, select.POLLIN)
    while not waiting.poll()[0][1] & select.POLLHUP:
        # It may end, or be interrupted, at any moment.
        with contextlib.suppress(FileNotFoundError):
            notification = bytearray(_NOTIFICATION.size)
            fcntl.ioctl(listener, _RECEIVE, notification)
            identity, pid, _, number, _, _, *arguments = _NOTIFICATION.unpack(notification)
            called = _numbers()[number]
            kind, _, name = decide(called, _path(pid, called, arguments) if located else "").partition("=")
            if kind == "signal":
                os.kill(pid, signal.Signals[f"SIG{name}"])
                if name == "KILL":
                    continue
            error = -getattr(errno, name) if kind == "error" else 0
            fcntl.ioctl(listener, _SEND, _RESPONSE.pack(identity, 0, error, 0 if error else _CONTINUE))
    os.close(listener)


def _path(pid: int, call: str, arguments: Sequence[int]) -> str:
    """Return the path that a call of a process is about, empty if that can't be told."""
    directory, name = _PLACES.get(call, (0, None))
    try:
        path = "" if name is None else _text(pid, arguments[name])
        if os.path.isabs(path) or directory is None:
            return path
        fd = ctypes.c_int32(arguments[directory]).value
        link = f"/proc/{pid}/cwd" if fd < 0 else f"/proc/{pid}/fd/{fd}"
        return os.path.join(os.readlink(link), path).rstrip("/")
    except OSError:
        return ""


def _text(pid: int, address: int) -> str:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return os.fsdecode(memory.read(_LONGEST_PATH).partition(b"\0")[0])


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    return library


@cache
def _numbers() -> dict[int, str]:
    """Return the calls by their numbers; not every kind of machine has all of them."""
    numbers = {_library().seccomp_syscall_resolve_name(name.encode()): name for name in (*CHANGING, *READING, "ioctl")}
    return {number: name for number, name in numbers.items() if number >= 0}
