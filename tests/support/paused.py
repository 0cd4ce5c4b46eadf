"""Real conda, and real `conda prune`, that stop at a chosen moment until they are told to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from machine import Machine

#: The moments: what is about to be called when a process stops.
BEFORE_LINKING = "conda.core.link:UnlinkLinkTransaction._execute"
BEFORE_MOVING = "conda_prune_plugin.execution.quarantine.executor:Executor.clear_out"
BEFORE_DELETING = "conda_prune_plugin.execution.quarantine.executor:Executor.dispose"
BEFORE_RESTORING = "conda_prune_plugin.execution.restore_backups:_Restoration.run"
BEFORE_LEAVING = "conda_prune_plugin.presentation.terminal.progress:Reporter.__exit__"
BEFORE_PURGING = "conda_prune_plugin.execution.purge_backups:_delete_parts"

_PATIENCE = 60.0


class Paused:
    """A process that has stopped; `go_on` lets it run to its end."""

    def __init__(self, process: subprocess.Popen[str], go: Path) -> None:
        self._process = process
        self._go = go
        self.output = ""

    def go_on(self) -> int:
        """Let it run on and return its exit code; what it printed is in `output` then."""
        self._go.touch()
        return self._ended()

    def interrupt(self) -> int:
        """Interrupt it as Ctrl-C would where it has stopped, and return its exit code likewise."""
        self._process.send_signal(signal.SIGINT)
        return self._ended()

    def _ended(self) -> int:
        self.output = self._process.communicate(timeout=_PATIENCE)[0]
        return self._process.returncode


@contextmanager
def paused(machine: Machine, moment: str, *command: str, **environ: str) -> Iterator[Paused]:
    """Start ``conda COMMAND`` and wait until it stops at a moment. It is ended with the block at the latest."""
    ready, go, script = (machine.directory / name for name in ("ready", "go", "conda"))
    for file in (ready, go, script):
        file.unlink(missing_ok=True)
    # By its name it is conda, to whom looks at the processes.
    script.symlink_to(__file__)
    process = subprocess.Popen(
        [sys.executable, script, *command],
        env=machine.environ(**environ, PAUSE_BEFORE=moment, PAUSE_READY=str(ready), PAUSE_GO=str(go)),
        cwd=machine.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + _PATIENCE
        while not ready.exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "it never came to that moment"
            time.sleep(0.01)
        yield Paused(process, go)
    finally:
        if process.poll() is None:
            process.kill()
        # Read to its end already where it never came to that moment.
        if process.stdout and not process.stdout.closed:
            process.communicate()


def _main() -> int:
    from functools import wraps
    from importlib import import_module

    from conda_prune_plugin.embedded import activate, main

    moment, ready, go = (os.environ[f"PAUSE_{name}"] for name in ("BEFORE", "READY", "GO"))
    # Started in the background of a shell it would not be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    activate()
    module, _, path = moment.partition(":")
    *owners, name = path.split(".")
    owner = import_module(module)
    for item in owners:
        owner = getattr(owner, item)
    original = getattr(owner, name)

    @wraps(original)
    def stop(*arguments: object, **options: object) -> object:
        with open(ready, "w"):
            pass
        while not os.path.exists(go):
            time.sleep(0.01)
        return original(*arguments, **options)

    setattr(owner, name, stop)
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_main())
