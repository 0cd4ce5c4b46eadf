"""Running a command of ours so that the kernel kills it, or fails it, at one chosen system call.

The command runs whole, in a child process that was forked from this one (starting Python and importing conda anew for
each of a thousand runs would take an hour). strace(1) attaches to the child before it begins.
"""

from __future__ import annotations

import collections
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from conda_prune_plugin.embedded import main

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
    pid, go = _start(sandbox, command)
    os.close(go)
    return _ended(sandbox, pid)


def run_traced(sandbox: Sandbox, command: Sequence[str], *inject: str) -> End:
    """Run ``conda COMMAND`` to its end, or to the end that the injections (strace's ``--inject``) put to it."""
    trace = sandbox.directory / "trace"
    pid, go = _start(sandbox, command)
    call = ["strace", "--follow-forks", f"--trace={','.join(CHANGING)}", f"--output={trace}", f"--attach={pid}"]
    with subprocess.Popen(
        [*call, *(f"--inject={item}" for item in inject)], stderr=subprocess.PIPE, text=True
    ) as tracer:
        assert tracer.stderr is not None
        attached = tracer.stderr.readline()
        os.close(go)
        end = _ended(sandbox, pid)
        attached += tracer.stderr.read()
    assert "attached" in attached, attached
    found = (_CALL.match(line) for line in trace.read_text(errors="replace").splitlines())
    return replace(end, calls=tuple(match[1] for match in found if match))


def _start(sandbox: Sandbox, command: Sequence[str]) -> tuple[int, int]:
    """Return the pid of a process that runs a command once the descriptor is closed."""
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go)
        _be_the_command(sandbox, command, ready)
    os.close(ready)
    return pid, go


def _ended(sandbox: Sandbox, pid: int) -> End:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return End(code, (sandbox.directory / PRINTED).read_text(errors="replace"))


def injections(calls: Sequence[str], what: str, among: Sequence[str] = CHANGING) -> Iterator[str]:
    """Give an injection for each call that a command was seen to make: the first of its kind, the second, ..."""
    for name, count in collections.Counter(calls).items():
        if name in among:
            for number in range(1, count + 1):
                yield f"{name}:{what}:when={number}"


def warm_up(sandbox: Sandbox) -> None:
    """Import in this process what the commands import, which every child would have to repeat."""
    import filelock  # noqa: F401

    from conda_prune_plugin.cli import environments_back, envs_removal, fetching, purge, restore  # noqa: F401
    from conda_prune_plugin.execution import purge as purging  # noqa: F401
    from conda_prune_plugin.presentation import runs  # noqa: F401

    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(sandbox.environ())
        _forget_this_machine()
        main(["prune", "--dry-run", "--quiet"])
    finally:
        os.environ.clear()
        os.environ.update(before)
        _forget_this_machine()


def _be_the_command(sandbox: Sandbox, command: Sequence[str], ready: int) -> None:
    """Become the command in this process, which never returns."""
    code = 99
    # Where the tests run in the background of a shell, that has them ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        output = os.open(sandbox.directory / PRINTED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        os.environ.clear()
        os.environ.update(sandbox.environ())
        os.chdir(sandbox.directory)
        _forget_this_machine()
        os.read(ready, 1)
        code = main(command)
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        os._exit(code)


def _forget_this_machine() -> None:
    """Let conda read its configuration anew."""
    from conda.base.context import reset_context
    from conda.core.package_cache_data import PackageCacheData
    from conda.core.prefix_data import PrefixData

    reset_context()
    PackageCacheData.clear()
    PrefixData._cache_.clear()
