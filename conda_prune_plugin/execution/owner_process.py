"""Work in another user's directory, in a child process that has become that user.

Root that changes a package cache or a directory of environments of another user does so with that user's own rights, as
cron and sshd do: whatever the user has planted there (links, receipts, archives, swapped directories), the kernel
refuses what the user could not do without us. The child gives up everything (groups, group, user, and by
``no_new_privs`` every way back), does the work, and sends back a result.

What the child sends is data: JSON, limited in length, checked against the expected type (`core.codec`). What it needs
from the parent, such as the roots that reference a package, it asks for; the answers are the parent's and trusted.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import signal
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn, TypeVar

from .. import errors, failures
from ..core.codec import decode, encode
from ..errors import PruneError, StateError
from ..failures import suppress

T = TypeVar("T")

#: Calls a function of the parent by its name: what it returns comes back, what it raises is raised.
Ask = Callable[..., Any]

#: The longest message that is taken from a child, in bytes: outcomes of a million packages are about as long.
_LONGEST = 1 << 28

_LENGTH = struct.Struct("!Q")

#: prctl(2).
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


@dataclass(frozen=True, slots=True)
class User:
    """A user to become: numbers, name and home as the system's database has them; without an entry, numbers alone."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str | None = None


def owner_to_become(path: str) -> User | None:
    """Return the user whom root has to become to work in a directory; None for a user who works there as themselves.

    Raises `OSError` if there is no such directory.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    status = os.stat(path)
    return None if status.st_uid == 0 else user_of(status)


def user_of(status: os.stat_result) -> User:
    """Return the owner of something by its status."""
    try:
        from pwd import getpwuid

        entry = getpwuid(status.st_uid)
    except (ImportError, KeyError):
        return User(status.st_uid, status.st_gid, (status.st_gid,), str(status.st_uid))
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return User(entry.pw_uid, entry.pw_gid, groups, entry.pw_name, entry.pw_dir)


def in_place_of(path: str, result: object, work: Callable[[Ask], T], answers: Mapping[str, Callable[..., Any]]) -> T:
    """Return what `work` returns, done as the owner of a directory where this process is root and the owner is not.

    Arguments and errors are those of `run_as`. Everybody else does the work themselves.
    """
    try:
        user = owner_to_become(path)
    except OSError as error:
        failures.note(error)
        user = None  # The work itself finds out that there is no such directory.
    if user is None:
        return work(lambda name, *arguments: answers[name](*arguments))
    return run_as(user, result, work, answers)


def run_as(user: User, result: object, work: Callable[[Ask], T], answers: Mapping[str, Callable[..., Any]]) -> T:
    """Return what `work` returns in a child process that has become a user; `result` is its type.

    work: is given a function by which it calls one of the `answers` in this process.

    Raises what the work raises of `PruneError`, `OSError` and `KeyboardInterrupt`, and `StateError` if this process
    can't become the user, or the child ends without a result.
    """
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork() if hasattr(os, "fork") else -1
    if pid == 0:
        os.close(from_child)
        os.close(to_child)
        _child(user, parent, work, to_parent, from_parent)
    os.close(to_parent)
    os.close(from_parent)
    with _interrupts_forwarded(pid):
        try:
            with os.fdopen(from_child, "rb") as reading, os.fdopen(to_child, "wb") as writing:
                return _attend(user, result, answers, reading, writing)  # type: ignore[no-any-return]
        finally:
            # It has ended by itself, or what it said was no message and it must not go on.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def _interrupts_forwarded(pid: int) -> Iterator[None]:
    """Hand each Ctrl-C on to the child, which ends its work and sends what became of it.

    The child has a process group of its own, so that it does not get the terminal's Ctrl-C a second time.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def forward(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)

    before = signal.signal(signal.SIGINT, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _attend(user: User, result: object, answers: Mapping[str, Callable[..., Any]], reading: Any, writing: Any) -> Any:
    """Answer the child until it sends its result."""
    while True:
        try:
            kind, *content = _received(reading)
            if kind == "failures":
                failures.note_all(failures.Failure(str(path), str(why)) for path, why in content)
                continue
            if kind == "result":
                (value,) = content
                return decode(result, value)
            if kind != "ask":
                raise _as_error(kind, content)
            name, arguments = content
            ask = answers[name]
        except (EOFError, ValueError, TypeError, LookupError) as error:
            raise StateError(
                f"The process that worked as the user {user.name} ended without a result.",
                hint="Run the command again: it completes what was left.",
            ) from error
        _answer(ask, arguments, writing)


def _answer(ask: Callable[..., Any], arguments: list[Any], writing: Any) -> None:
    try:
        answer: tuple[bool, Any] = (True, ask(*arguments))
    except PruneError as error:
        answer = (False, (type(error).__name__, error.message, error.hint, error.path))
    data = pickle.dumps(answer)
    with suppress(BrokenPipeError):
        writing.write(_LENGTH.pack(len(data)) + data)
        writing.flush()


def _received(stream: Any) -> list[Any]:
    """Return a message of the child. Raises `EOFError`, or `ValueError` for what is no message."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    if length > _LONGEST:
        raise ValueError(f"a message of {length} bytes")
    message = json.loads(stream.read(length))
    if not isinstance(message, list) or not message:
        raise ValueError("not a message")
    return message


def _as_error(kind: object, content: Sequence[Any]) -> BaseException:
    """Return the error that a message tells of. Raises `ValueError` or `TypeError` for what is none."""
    if kind == "interrupted":
        return KeyboardInterrupt()
    if kind == "os-error":
        number, text, path = content
        return OSError(number, text, path)
    message, hint, path = content
    found = getattr(errors, str(kind), None)
    known = found if isinstance(found, type) and issubclass(found, PruneError) else StateError
    return known(str(message), hint=str(hint), path=None if path is None else str(path))


def _child(user: User, parent: int, work: Callable[[Ask], Any], to_parent: int, from_parent: int) -> NoReturn:
    """Become a user, work, send what came of it, and end."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setpgid(0, 0)
        link = _Link(to_parent, from_parent)
        try:
            _become(user, parent)
            failures.begin()
            result = encode(work(link.ask))
            link.send("failures", *((failure.path, failure.reason) for failure in failures.noted()))
            link.send("result", result)
        except KeyboardInterrupt:
            link.send("interrupted")
        except PruneError as error:
            link.send(type(error).__name__, error.message, error.hint, error.path)
        except OSError as error:
            path = error.filename if isinstance(error.filename, str) else None
            link.send("os-error", error.errno, error.strerror or str(error), path)
        code = 0
    except BaseException:  # noqa: BLE001
        # The parent sees that there is no result; what went wrong is a defect and belongs on the screen.
        traceback.print_exc()
    finally:
        # Not by sys.exit: whatever the parent has opened and begun is the parent's to end.
        os._exit(code)


class _Link:
    """The child's end of the two pipes."""

    def __init__(self, to_parent: int, from_parent: int) -> None:
        self._writing = os.fdopen(to_parent, "wb")
        self._reading = os.fdopen(from_parent, "rb")
        self._turn = threading.Lock()

    def send(self, *message: Any) -> None:
        data = json.dumps(message).encode()
        self._writing.write(_LENGTH.pack(len(data)) + data)
        self._writing.flush()

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call a function of the parent."""
        with self._turn:
            self.send("ask", name, arguments)
            (length,) = _LENGTH.unpack(self._reading.read(_LENGTH.size))
            fine, answer = pickle.loads(self._reading.read(length))  # noqa: S301  # From the parent, which is trusted.
        if fine:
            return answer
        raise _as_error(answer[0], answer[1:])


def _become(user: User, parent: int) -> None:
    """Give up everything but the rights of a user, for good, and end with the parent.

    Raises `StateError` where that can't be.
    """
    try:
        if hasattr(os, "setuid"):
            # For root these set the real, the effective and the saved numbers (setuid(2)).
            os.setgroups(user.groups)
            os.setgid(user.gid)
            os.setuid(user.uid)
    except OSError as error:
        # The root of a container that a user has started knows few users (user_namespaces(7)).
        raise StateError(
            f"This process can't become the user {user.name}, to whom the directory belongs: {error.strerror}.",
            hint="Run the command as that user.",
        ) from error
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # It holds what root has read: no other process of the user may look into it.
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        # After the change of the user, which takes it back.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            # It has ended before.
            os._exit(1)
    os.environ.update({"USER": user.name, "LOGNAME": user.name, **({"HOME": user.home} if user.home else {})})
