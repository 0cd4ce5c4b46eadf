"""Report the error that ended a command: as text, as JSON, or as an annotation on GitHub."""

from __future__ import annotations

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
    from ..presentation.github import annotation
    from ..presentation.terminal.notice_groups import grouped, unreported_failures
    from ..presentation.terminal.printable import is_github

    if unreported := unreported_failures():
        from ..presentation.terminal.console import console
        from ..presentation.terminal.printable import printable

        for shown in grouped(unreported):
            with suppress(OSError):
                if is_github(os.environ):
                    print(annotation("error", shown.message), file=sys.stderr)
                else:
                    console(sys.stderr).print(f"error: {printable(shown.message)}", style="red")
    return code or int(bool(failures.noted()))


def report_error(error: PruneError, *, heard: bool = True) -> int:
    """Report an error and return its exit code; `heard`: False if standard output is known to be unreadable."""
    from ..presentation.github import annotation
    from ..presentation.json_output import document_begun
    from ..presentation.terminal.printable import is_github

    told = wants_json() and heard and not document_begun() and _report_in_json(error)

    if is_github(os.environ):
        with suppress(OSError):
            print(annotation("error", f"{error.message}\n{error.hint}"), file=sys.stderr)
    elif not told:
        from ..presentation.terminal.console import console
        from ..presentation.terminal.printable import printable

        err = console(sys.stderr)
        with suppress(OSError):
            err.print(f"error: {printable(error.message)}", style="red")
            err.print(printable(error.hint))
    return error.return_code


def _report_in_json(error: PruneError) -> bool:
    """Print an error as JSON and return True if that worked or the reader is gone; the disk may be full."""
    import json

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
