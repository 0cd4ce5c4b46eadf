"""Run a command: its output streams, its errors and its exit code."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .failure_report import (
    report_error,
    report_failures,
    settle_standard_error,
    silence,
)
from .parsing.parsers import require_honoured

#: The number of new objects before the garbage collector looks for reference cycles.
_RARELY = 1_000_000


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Run the garbage collector rarely: conda's modules stay, and next to none of our objects form cycles.

    Also at the interpreter's exit, where a collection would take half of the time. The collector is restored
    afterwards, because the calling program may go on.
    """
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.freeze()
    gc.set_threshold(_RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not frozen:
            gc.unfreeze()
        # Once, even if the program runs several commands.
        atexit.unregister(gc.freeze)
        atexit.register(gc.freeze)


@_rarely_collected()
def execute(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code; every error becomes a message."""
    from .. import failures
    from ..errors import refused_by_system
    from ..presentation.json_output import expect_document
    from ..presentation.terminal.streams import settle, waiting_for_space

    expect_document()
    failures.begin()
    # A stream that the caller closed is None here. Its output is discarded.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    with waiting_for_space():
        try:
            code = report_failures(_run_command(arguments))
            settle(sys.stdout)
        except BrokenPipeError:
            # The reader of our output has closed it.
            silence(sys.stdout, sys.stderr)
            return 1
        except OSError as error:
            # For example a full disk behind standard output, or a directory that can't be listed any more.
            heard = True
            try:
                settle(sys.stdout)
            except OSError:
                silence(sys.stdout)
                heard = False
            return report_error(refused_by_system(error), heard=heard)
        finally:
            settle_standard_error()
    return code


def _run_command(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code; our errors and conda's become messages."""
    from ..errors import InterruptedByUserError, PruneError, conda_refusals

    try:
        with conda_refusals():
            require_honoured(arguments)
            return int(arguments.prune_command(arguments))
    except PruneError as error:
        return report_error(error)
    except KeyboardInterrupt as interrupt:
        # At a question it carries the message for the answer no.
        hint = str(interrupt) or "The next run completes or rolls back whatever was unfinished."
        return report_error(InterruptedByUserError("Interrupted.", hint=hint))
