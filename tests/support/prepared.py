"""Commands of conda in processes forked from one that has imported conda: most of a command is its imports.

That one, one for each process of the tests, has imported, has built the parsers of conda's own commands, and has done
nothing else. A command is a process of its own with its own files, environment and directory; it goes through conda's
entry and ends as the interpreter ends. What is about the interpreter's start runs a fresh one by `subprocess`; so does
everything where there is no `pidfd_open`, and with ``CONDA_PRUNE_TESTS_FRESH=1``.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from syscalls import CHANGING, hand_over

from conda_prune_plugin import embedded
from conda_prune_plugin.demo.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: A request: at most so many bytes, with so many descriptors.
_LONGEST, _MOST = 1 << 17, 5

#: The variables that the interpreter reads when it starts.
_AT_START = ("PYTHON", "LANG", "LC_", "TZ", "LD_", "COVERAGE_")

#: What the commands import, and packages of which they import nearly all.
_MODULES = ("conda.core.link", "conda.core.solve", "conda.notices.core")
_PACKAGES = ("conda.cli", "conda_prune_plugin")


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was started; where the end of it is told."""

    pid: int
    _told: socket.socket

    def wait(self) -> int:
        """Wait for its end and return its exit code, negative for a signal."""
        with self._told:
            return int(self._told.recv(16))


def possible(environ: Mapping[str, str]) -> bool:
    """Return whether a command with these variables can do without an interpreter of its own."""
    if os.environ.get("CONDA_PRUNE_TESTS_FRESH") or not hasattr(os, "pidfd_open"):
        return False
    return _at_start(environ) == _at_start(_environ())


def start(
    arguments: Sequence[str],
    environ: Mapping[str, str],
    directory: Path,
    files: Sequence[int],
    watcher: int | None = None,
    *,
    measured: bool = True,
    calls: Sequence[str] = CHANGING,
) -> Command:
    """Start ``conda ARGUMENTS`` with three files.

    watcher: a connection to who answers some of its system `calls` (see `syscalls`).
    measured: whether its coverage counts, where coverage is measured.
    """
    umask = os.umask(0)
    os.umask(umask)
    request = {
        "arguments": list(arguments),
        "environ": dict(environ),
        "directory": str(directory),
        "umask": umask,
        "measured": measured,
        "calls": list(calls),
    }
    told, telling = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with telling:
        descriptors = [telling.fileno(), *files, *([] if watcher is None else [watcher])]
        socket.send_fds(_server()[1], [json.dumps(request).encode()], descriptors)
    return Command(int(told.recv(16)), told)


def run(
    arguments: Sequence[str], environ: Mapping[str, str], directory: Path, stdin: str | None
) -> subprocess.CompletedProcess[str]:
    """Run ``conda ARGUMENTS`` to its end and return what it printed."""
    with _in_memory() as given, _in_memory() as printed, _in_memory() as told:
        given.write(stdin or "")
        given.seek(0)
        files = (0 if stdin is None else given.fileno(), printed.fileno(), told.fileno())
        code = start(arguments, environ, directory, files).wait()
        printed.seek(0)
        told.seek(0)
        return subprocess.CompletedProcess(arguments, code, printed.read(), told.read())


def _in_memory() -> TextIO:
    return open(os.memfd_create("file"), "w+", errors="surrogateescape")


def _at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(_AT_START)}


@cache
def _environ() -> dict[str, str]:
    """The variables of the process that is forked: what it imports must find nothing of the user's."""
    return Sandbox(Path("/nonexistent")).environ()


@cache
def _server() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start the process that is forked; it ends with its socket."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        process = subprocess.Popen(
            [sys.executable, __file__], env=_environ(), stdin=its.fileno(), stdout=subprocess.DEVNULL
        )
    return process, ours


def stop() -> None:
    """End the process that is forked, if it was started."""
    if _server.cache_info().currsize:
        process, requests = _server()
        requests.close()
        process.wait()
        _server.cache_clear()


def _import() -> None:
    """Import what the commands import."""
    if embedded.activate():
        embedded._leave_out_conda_lock()
    for name in (*_MODULES, *_PACKAGES):
        importlib.import_module(name)
    for package in _PACKAGES:
        for found in pkgutil.walk_packages(sys.modules[package].__path__, f"{package}."):
            importlib.import_module(found.name)
    from conda.plugins.manager import get_plugin_manager

    get_plugin_manager()
    _build_parsers()
    # What the imports have run counts once, not in each child again.
    if coverage := _coverage():
        coverage.save()
    # Else the first collection in each child copies all of it.
    gc.collect()
    gc.freeze()


def _build_parsers() -> None:
    """Have ``conda prune`` find the parsers of conda's other commands, half of what it does, as they are built here.

    Those hold conda's plugins, the directory and what is on the search path, of which nothing but the first concerns
    it. Its own options conda builds when it comes to parse them.
    """
    from conda.base.context import context
    from conda.cli import conda_argparse

    build = conda_argparse.generate_parser
    sys.argv = [embedded.__file__]
    parser = build(add_help=True)

    def generate_parser(**options: Any) -> Any:
        return parser if sys.argv[1] == "prune" and not context.no_plugins else build(**options)

    conda_argparse.generate_parser = generate_parser


def _coverage() -> Any:
    """Return what measures this process, if it is measured."""
    return sys.modules["coverage"].Coverage.current() if "coverage" in sys.modules else None


def _serve(requests: socket.socket) -> Sequence[str] | None:
    """Fork for each request, and return its arguments in the fork; nothing once there are no more requests."""
    selector = selectors.PollSelector()
    selector.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.data:
                selector.unregister(key.fileobj)
                _tell_end(*key.data)
                continue
            message, files, _, _ = socket.recv_fds(requests, _LONGEST, _MOST)
            if not message:
                return None
            pid = os.fork()
            if pid == 0:
                requests.detach()
                return _become(json.loads(message), *files[1:])
            telling = files.pop(0)
            for file in files:
                os.close(file)
            os.write(telling, b"%d" % pid)
            process = os.pidfd_open(pid)
            selector.register(process, selectors.EVENT_READ, (pid, process, telling))


def _tell_end(pid: int, process: int, telling: int) -> None:
    os.close(process)
    os.write(telling, b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    os.close(telling)


def _become(request: dict[str, Any], stdin: int, stdout: int, stderr: int, watcher: int | None = None) -> Sequence[str]:
    """Make this process what a new one for a command would be, and return the command's arguments."""
    from conda.base import context

    # Where the tests run in the background of a shell, that has them ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate((stdin, stdout, stderr)):
        os.dup2(file, number)
    os.umask(request["umask"])
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environ"])
    # What conda has taken from the environment when it was imported.
    os.environ.setdefault("CONDA_ROOT", sys.prefix)
    context.user_rc_path = os.path.abspath(os.path.expanduser("~/.condarc"))
    context.reset_context()
    if not request["measured"] and (coverage := _coverage()):
        coverage.stop()
        coverage._auto_save = False
    if watcher is not None:
        hand_over(watcher, request["calls"])
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    return [str(item) for item in request["arguments"]]


def _main() -> int:
    with socket.socket(fileno=os.dup(0)) as requests:
        _import()
        arguments = _serve(requests)
    if arguments is None:
        return 0
    sys.argv = [embedded.__file__, *arguments]
    code = embedded.main()
    with suppress(OSError):
        # All that counts of the interpreter's end, which takes as long again to free memory.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


if __name__ == "__main__":
    sys.exit(_main())
