"""A terminal of its own for a command: what stands on it is read, and keys are typed, as a user would."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from machine import Machine

_PATIENCE = 120.0

INTERRUPT = b"\x03"
END_OF_INPUT = b"\x04"


class Terminal:
    """A command at a terminal; `screen`: everything that was written there so far, with what the terminal echoed."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self._process = process
        self._master = master
        self.screen = ""
        self.hung_up = False

    def type(self, keys: bytes) -> None:
        """Type, whether anything waits for it or not."""
        os.write(self._master, keys)

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until a text stands on the screen that many times."""
        deadline = time.monotonic() + _PATIENCE
        while self.screen.count(text) < times:
            assert time.monotonic() < deadline, self.screen
            assert self._read(), f"ended without {text!r}: {self.screen}"

    def wait(self) -> int:
        """Wait for the end of the command and return its exit code."""
        deadline = time.monotonic() + _PATIENCE
        while self._read():
            assert time.monotonic() < deadline, self.screen
        return self._process.wait(_PATIENCE)

    def hang_up(self) -> None:
        """Close the terminal, as a lost connection does, and wait for the end of the command."""
        self.hung_up = True
        os.close(self._master)
        self._process.wait(_PATIENCE)

    def _read(self) -> bool:
        """Read what is there; return False once the command has closed the terminal."""
        if not select.select([self._master], [], [], 1.0)[0]:
            return True
        try:
            written = os.read(self._master, 65536)
        except OSError:  # The other end is closed.
            return False
        self.screen += written.decode(errors="replace").replace("\r\n", "\n")
        return bool(written)


@contextmanager
def at_a_terminal(
    machine: Machine, *arguments: str, ahead: bytes = b"", code: str | None = None, **environ: str
) -> Iterator[Terminal]:
    """Start ``conda prune ARGUMENTS``, or other `code`, at a terminal on which some keys were typed ahead."""
    import fcntl
    import pty
    import termios

    master, slave = pty.openpty()
    os.write(master, ahead)
    process = subprocess.Popen(
        [
            sys.executable,
            *(("-m", "conda_prune_plugin.embedded", "prune", *arguments) if code is None else ("-c", code)),
        ],
        env=machine.environ(**environ),
        cwd=machine.directory,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        # Without it Ctrl-C would be a character like any other.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # It allocates nothing.
    )
    os.close(slave)
    terminal = Terminal(process, master)
    try:
        yield terminal
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if not terminal.hung_up:
            os.close(master)
