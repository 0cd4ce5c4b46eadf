"""Work in another user's directory, in a child process that has become that user.

Root that changes a package cache or a directory of environments of another user does so with that user's own rights, as
cron and sshd do: whatever the user has planted there (links, receipts, archives, swapped directories), the kernel
refuses what the user could not do without us. The child gives up everything (groups, group, user, and by
``no_new_privs`` every way back), does the work, and sends back a result.

The child sends JSON, limited in length and checked against the expected type (`core.codec`). For what only root knows,
such as the roots that reference a package, it asks the parent. The parent is trusted, so its answers are pickles.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from .. import errors, failures
from ..core.codec import decode, unfold
from ..errors import PruneError, StateError
from ..failures import suppress

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")

#: Calls a function of the parent by its name: what it returns comes back, what it raises is raised.
Ask = Callable[..., Any]

#: The longest message that is taken from a child, in bytes: outcomes of a million packages are about as long.
_LONGEST = 1 << 28

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


@dataclass(frozen=True, slots=True)
class _Raised:
    """An error on its way between the processes. kind: `PruneError` or one below it, `OSError`, `KeyboardInterrupt`."""

    kind: str
    message: str = ""
    hint: str = ""
    path: str | None = None
    number: int | None = None

    @classmethod
    def of(cls, error: BaseException) -> _Raised:
        if isinstance(error, PruneError):
            return cls(type(error).__name__, error.message, error.hint, error.path)
        if isinstance(error, OSError):
            path = error.filename if isinstance(error.filename, str) else None
            return cls(OSError.__name__, error.strerror or str(error), path=path, number=error.errno)
        return cls(KeyboardInterrupt.__name__)

    def error(self) -> BaseException:
        if self.kind == KeyboardInterrupt.__name__:
            return KeyboardInterrupt()
        if self.kind == OSError.__name__:
            return OSError(self.number, self.message, self.path)
        kind = getattr(errors, self.kind, None)
        known = kind if isinstance(kind, type) and issubclass(kind, PruneError) else StateError
        return known(self.message, hint=self.hint, path=self.path)


def owner_to_become(path: str) -> User | None:
    """Return the user that root has to become to work in a directory; None if the caller works there as themselves.

    Raises `OSError` if there is no such directory.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return None
    status = os.stat(path)
    if status.st_uid == 0:
        return None
    try:
        from pwd import getpwuid

        entry = getpwuid(status.st_uid)
    except (ImportError, KeyError):
        return User(status.st_uid, status.st_gid, (status.st_gid,), str(status.st_uid))
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return User(entry.pw_uid, entry.pw_gid, groups, entry.pw_name, entry.pw_dir)


def in_place_of(path: str, result: object, work: Callable[[Ask], T], answers: Mapping[str, Callable[..., Any]]) -> T:
    """Return what `work` returns, done as the owner of a directory where this process is root and the owner is not.

    Arguments and errors are those of `run_as`. Every other process does the work itself.
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
    from multiprocessing.connection import Pipe

    link, theirs = Pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork() if hasattr(os, "fork") else -1
    if pid == 0:
        link.close()
        _child(user, parent, work, theirs)
    theirs.close()
    with _interrupts_forwarded(pid), link:
        try:
            return _attend(user, result, answers, link)  # type: ignore[no-any-return]
        finally:
            # It has ended by itself, or it sent no valid message and must not go on.
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


def _attend(user: User, result: object, answers: Mapping[str, Callable[..., Any]], link: Connection) -> Any:
    """Answer the child until it sends its result, or an error."""
    while True:
        try:
            kind, value = json.loads(link.recv_bytes(_LONGEST))
            if kind == "result":
                return decode(result, value)
            if kind == "error":
                raised: BaseException = decode(_Raised, value).error()
                break
            if kind == "failures":
                failures.note_all(decode(tuple[failures.Failure, ...], value))
                continue
            name, arguments = value
            ask = answers[name]
        except (EOFError, OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            raise StateError(
                f"The process that worked as the user {user.name} ended without a result.",
                hint="Run the command again to complete it.",
            ) from error
        try:
            answer = True, ask(*arguments)
        except PruneError as refusal:
            answer = False, _Raised.of(refusal)
        with suppress(OSError):  # The child has ended, which the next message shows.
            link.send(answer)
    raise raised


def _child(user: User, parent: int, work: Callable[[Ask], Any], link: Connection) -> NoReturn:
    """Become a user, work, send what came of it, and end."""
    turn = threading.Lock()

    def send(kind: str, value: object) -> None:
        link.send_bytes(json.dumps((kind, value), default=unfold).encode())

    def ask(name: str, *arguments: Any) -> Any:
        with turn:
            send("ask", (name, arguments))
            answered, answer = link.recv()
        if answered:
            return answer
        raise answer.error()

    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setpgid(0, 0)
        try:
            _become(user, parent)
            failures.begin()
            result = work(ask)
            # Half a message would lose what was done.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            send("failures", failures.noted())
            send("result", result)
        except (KeyboardInterrupt, PruneError, OSError) as error:
            send("error", _Raised.of(error))
        code = 0
    except BaseException:  # noqa: BLE001
        # The parent sees that there is no result; what went wrong is a defect and belongs on the screen.
        traceback.print_exc()
    finally:
        # Not by sys.exit: the parent ends what it has opened and begun.
        os._exit(code)


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
            f"This process can't become the user {user.name}, who owns the directory: {error.strerror}.",
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
