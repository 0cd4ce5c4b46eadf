"""Report the error that ended a command: as text, as JSON, or as an annotation on GitHub."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from .parsing.output_options import wants_json

if TYPE_CHECKING:
    from ..errors import PruneError


def report_failures(code: int) -> int:
    """Report disk errors that no warning has reported, and return the exit code, 1 if the disk failed."""
    from .. import failures
    from ..presentation.terminal.notice_groups import grouped, unreported_failures

    for shown in grouped(unreported_failures()):
        _print_error(shown.message)
    return code or int(bool(failures.noted()))


def report_error(error: PruneError, *, heard: bool = True) -> int:
    """Report an error and return its exit code; `heard`: False if standard output is known to be unreadable."""
    from ..presentation.json_output import document_begun
    from ..presentation.terminal.printable import is_github

    reported = wants_json() and heard and not document_begun() and _report_in_json(error)
    if is_github(os.environ) or not reported:
        _print_error(error.message, error.hint)
    return error.return_code


def _print_error(message: str, *hint: str) -> None:
    """Print an error on standard error, which may be on a full disk."""
    from ..presentation.github import annotation
    from ..presentation.terminal.printable import is_github

    with suppress(OSError):
        if is_github(os.environ):
            print(annotation("error", "\n".join((message, *hint))), file=sys.stderr)
            return
        from ..presentation.terminal.console import console, print_line, print_problem

        print_problem(console(sys.stderr), "error", message)
        for text in hint:
            print_line(console(sys.stderr), text, hanging=0)


def _report_in_json(error: PruneError) -> bool:
    """Print an error as JSON and return True if that worked or the reader is gone; the disk may be full."""
    from ..presentation.terminal.streams import settle

    try:
        print(json.dumps(error.dump_map(), indent=2, sort_keys=True, default=str))
        settle(sys.stdout)
    except OSError as failure:
        silence(sys.stdout)
        # The reader of a closed pipe wants no more output.
        return isinstance(failure, BrokenPipeError)
    return True


def settle_standard_error() -> None:
    """Discard errors that couldn't be written: the interpreter would try again and change the exit code."""
    from ..presentation.terminal.streams import settle

    try:
        settle(sys.stderr)
    except OSError:
        silence(sys.stderr)


def silence(*streams: TextIO) -> None:
    """Discard further output to a stream that can't be written, also at the interpreter's exit."""
    for stream in streams:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
