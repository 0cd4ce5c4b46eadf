"""Running a command of ours so that the kernel kills it, or fails it, at one chosen system call.

The command runs whole, in a process forked from a prepared one (starting Python and importing conda anew for each of a
thousand runs would take an hour).
"""

from __future__ import annotations

import collections
import os
import signal
import socket
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import prepared
from syscalls import CHANGING, READING, answer, answer_located

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from conda_prune_plugin.demo.sandbox import Sandbox

#: What a command prints goes to this file in its sandbox.
PRINTED = "printed"


@dataclass(frozen=True, slots=True)
class End:
    """How a command ended: its exit code, negative for a signal, what it printed, and its `CHANGING` calls."""

    code: int
    output: str
    calls: tuple[str, ...] = ()


def run(sandbox: Sandbox, *command: str) -> End:
    """Run ``conda COMMAND`` to its end."""
    return _ended(sandbox, _start(sandbox, command))


def run_traced(sandbox: Sandbox, command: Sequence[str], injection: str | None = None) -> End:
    """Run ``conda COMMAND`` to its end, or to the end that an injection puts to it."""
    calls: list[str] = []
    place, _, what = (injection or "").rpartition(":")

    def decide(call: str) -> str:
        calls.append(call)
        return what if f"{call}:{calls.count(call)}" == place else ""

    return replace(run_decided(sandbox, command, decide), calls=tuple(calls))


def run_bounded(sandbox: Sandbox, command: Sequence[str], memory: int, seconds: float) -> End:
    """Run ``conda COMMAND`` with so many bytes of address space; one that takes that long has its end by a kill."""
    import resource

    started = _start(sandbox, command)
    resource.prlimit(started.pid, resource.RLIMIT_AS, (memory, memory))
    timer = threading.Timer(seconds, os.kill, (started.pid, signal.SIGKILL))
    timer.start()
    try:
        return _ended(sandbox, started)
    finally:
        timer.cancel()


def run_decided(sandbox: Sandbox, command: Sequence[str], decide: Callable[[str], str]) -> End:
    """Run ``conda COMMAND`` to its end; `decide` says of each of its `CHANGING` calls what becomes of it."""
    ours, its = socket.socketpair()
    with ours:
        with its:
            started = _start(sandbox, command, its.fileno())
        answer(ours, decide)
    return _ended(sandbox, started)


def run_failing(
    sandbox: Sandbox, command: Sequence[str], decide: Callable[[str, str], str], among: Sequence[str] = READING
) -> End:
    """Run ``conda COMMAND`` to its end; `decide` says what becomes of each call `among` some, by its name and path."""
    ours, its = socket.socketpair()
    with ours:
        with its:
            started = _start(sandbox, command, its.fileno(), among)
        answer_located(ours, decide)
    return _ended(sandbox, started)


def _start(
    sandbox: Sandbox, command: Sequence[str], watcher: int | None = None, calls: Sequence[str] = CHANGING
) -> prepared.Command:
    with open(os.devnull) as nothing, (sandbox.directory / PRINTED).open("w") as printed:
        files = (nothing.fileno(), printed.fileno(), printed.fileno())
        # Writing down the coverage would be among the calls.
        return prepared.start(
            command, sandbox.environ(), sandbox.directory, files, watcher, measured=False, calls=calls
        )


def _ended(sandbox: Sandbox, started: prepared.Command) -> End:
    return End(started.wait(), (sandbox.directory / PRINTED).read_text(errors="replace"))


def injections(calls: Sequence[str], what: str, among: Sequence[str] = CHANGING) -> Iterator[str]:
    """Give an injection for each call that a command was seen to make: the first of its kind, the second, ..."""
    for name, count in collections.Counter(calls).items():
        if name in among:
            for number in range(1, count + 1):
                yield f"{name}:{number}:{what}"
