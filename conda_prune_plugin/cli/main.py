"""The parser of ``conda prune`` and the way to its commands.

conda builds this parser at every command it runs: nothing is imported here that is not needed for that.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..errors import PruneError


def configure_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``conda prune`` and the parsers of its commands."""
    from . import demo, prune

    # However it was called: as `conda prune`, as `conda-prune`, or as a module.
    parser.prog = "conda prune"
    prune.configure_parser(parser)
    parser.set_defaults(prune_command=prune.execute)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog="conda prune")
    demo.configure_parser(commands)


def execute(arguments: argparse.Namespace) -> int:
    """Run the command that was given and return the exit code; every error of ours becomes a message."""
    from ..errors import PruneError

    try:
        code = int(arguments.prune_command(arguments))
        sys.stdout.flush()
    except PruneError as error:
        return _report(error)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing more can be written, not even by the interpreter's exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _report(error: PruneError) -> int:
    from conda.base.context import context

    if context.json:
        import json

        print(json.dumps(error.dump_map(), indent=2, sort_keys=True, default=str))
    else:
        from ..presentation.text import console, printable

        err = console(sys.stderr)
        err.print(f"error: {printable(error.message)}", style="red")
        err.print(printable(error.hint))
    return error.return_code
