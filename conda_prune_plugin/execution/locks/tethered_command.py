"""Run a command that never outlives its parent or its lock.

A process of ours, started from this file alone, stands between the two. It holds the reading end of a pipe whose
writing end only the caller has: when the caller ends, for whatever reason, the kernel closes that, and the command is
killed with all that it has started. It holds the lock's descriptor too, so that the lock is free only when nothing
runs under it any more. On Linux the command also dies with the process between, should that be killed alone.

A parent death signal from the caller itself (``PR_SET_PDEATHSIG``) would be less: only Linux has it, what the command
has started lives on, and setting it between fork and exec is unsafe where the caller has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

#: How often the caller is told that the command still runs, in seconds.
BEAT = 1.0

#: How long an interrupted command may take to clear up before it is killed, in seconds.
_GRACE = 10.0

#: prctl(2).
_PR_SET_PDEATHSIG = 1


def run_tethered(
    command: Sequence[str], environ: Mapping[str, str], lock: int | None, beat: Callable[[], None]
) -> tuple[int, bytes]:
    """Run a command to its end; return its exit code and what it printed.

    lock: a descriptor that stays open as long as the command runs. beat: called every `BEAT` seconds meanwhile.

    Raises `OSError` if no process can be started. Before it raises anything else it ends the command.
    """
    reading, writing = os.pipe()
    try:
        try:
            process = subprocess.Popen(
                # Isolated, since this file needs nothing but the standard library.
                [sys.executable, "-I", "-S", __file__, *command],
                env=environ,
                stdin=reading,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=() if lock is None else (lock,),
                # The terminal's Ctrl-C comes to the caller alone.
                start_new_session=True,
            )
        finally:
            os.close(reading)
        with process:
            try:
                while True:
                    try:
                        output, _ = process.communicate(timeout=BEAT)
                    except subprocess.TimeoutExpired:
                        beat()
                    else:
                        return process.returncode, output
            except BaseException:
                # Let the command end by itself, as by Ctrl-C, if that takes it only a moment.
                with suppress(OSError, subprocess.TimeoutExpired, KeyboardInterrupt):
                    os.write(writing, b"i")
                    process.communicate(timeout=_GRACE)
                raise
            finally:
                os.close(writing)
                writing = -1
    finally:
        if writing >= 0:
            os.close(writing)


def _main(command: Sequence[str]) -> int:
    """Run a command as the process between, and return its exit code."""
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            # The lock's descriptor too.
            close_fds=False,
            start_new_session=True,
            preexec_fn=_dying_with(os.getpid()) if sys.platform == "linux" else None,  # noqa: PLW1509  # No threads yet.
        )
    except OSError as error:
        print(f"{command[0]}: {error.strerror or error}")
        return 127
    threading.Thread(target=_watch, args=(child,), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _dying_with(parent: int) -> Callable[[], None]:
    """Return a function that has a new child killed at the end of its parent, also if that has ended by then."""
    libc = ctypes.CDLL(None)

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def _watch(child: subprocess.Popen[bytes]) -> None:
    """Interrupt a child for each byte that the caller writes, and kill it when that has ended."""
    while os.read(0, 1):
        _send(child, signal.SIGINT)
    _send(child, getattr(signal, "SIGKILL", signal.SIGTERM))


def _send(child: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to a child and to all that it has started."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, number)
        else:
            child.terminate()


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
