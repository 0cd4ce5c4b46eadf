"""Running a command of ours so that the kernel kills it, or fails it, at one chosen system call.

The command runs whole, in a process forked from a prepared one (starting Python and importing conda anew for each of a
thousand runs would take an hour). strace(1) attaches to it before it begins.
"""

from __future__ import annotations

import collections
import os
import re
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from conda_prune_plugin.demo.sandbox import Sandbox

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

#: What a command prints goes to this file in its sandbox.
PRINTED = "printed"

_CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")


@dataclass(frozen=True, slots=True)
class End:
    """How a command ended: its exit code, negative for a signal, what it printed, and the traced system calls."""

    code: int
    output: str
    calls: tuple[str, ...] = ()


def run(sandbox: Sandbox, *command: str) -> End:
    """Run ``conda COMMAND`` to its end."""
    return _ended(sandbox, _start(sandbox, command))


def run_traced(sandbox: Sandbox, command: Sequence[str], *inject: str) -> End:
    """Run ``conda COMMAND`` to its end, or to the end that the injections (strace's ``--inject``) put to it."""
    trace = sandbox.directory / "trace"
    gate, go = os.pipe()
    started = _start(sandbox, command, gate)
    os.close(gate)
    call = ["strace", "--follow-forks", f"--trace={','.join(CHANGING)}", f"--output={trace}", f"--attach={started.pid}"]
    with subprocess.Popen(
        [*call, *(f"--inject={item}" for item in inject)], stderr=subprocess.PIPE, text=True
    ) as tracer:
        assert tracer.stderr is not None
        attached = tracer.stderr.readline()
        os.close(go)
        end = _ended(sandbox, started)
        attached += tracer.stderr.read()
    assert "attached" in attached, attached
    found = (_CALL.match(line) for line in trace.read_text(errors="replace").splitlines())
    return replace(end, calls=tuple(match[1] for match in found if match))


def _start(sandbox: Sandbox, command: Sequence[str], gate: int | None = None) -> prepared.Command:
    with open(os.devnull) as nothing, (sandbox.directory / PRINTED).open("w") as printed:
        files = (nothing.fileno(), printed.fileno(), printed.fileno())
        return prepared.start(command, sandbox.environ(), sandbox.directory, files, gate)


def _ended(sandbox: Sandbox, started: prepared.Command) -> End:
    return End(started.wait(), (sandbox.directory / PRINTED).read_text(errors="replace"))


def injections(calls: Sequence[str], what: str, among: Sequence[str] = CHANGING) -> Iterator[str]:
    """Give an injection for each call that a command was seen to make: the first of its kind, the second, ..."""
    for name, count in collections.Counter(calls).items():
        if name in among:
            for number in range(1, count + 1):
                yield f"{name}:{what}:when={number}"
