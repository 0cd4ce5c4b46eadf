"""The parser of ``conda prune`` and the way to its commands.

conda builds this parser at every command it runs: nothing is imported here that is not needed for that.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from ..errors import PruneError


def configure_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``conda prune`` and the parsers of its commands."""
    from . import demo, prune, usage

    # However it was called: as `conda prune`, as `conda-prune`, or as a module.
    parser.prog = "conda prune"
    _answer_bad_usage_in_json(parser)
    prune.configure_parser(parser)
    parser.set_defaults(prune_command=prune.execute)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog="conda prune")
    _answer_bad_usage_in_json(usage.configure_parser(commands))
    _answer_bad_usage_in_json(demo.configure_parser(commands))


def _answer_bad_usage_in_json(parser: argparse.ArgumentParser) -> None:
    """Make bad usage an error document where JSON was asked for; argparse writes its usage to standard error only.

    conda makes the parser, so its methods are replaced instead of overridden; and what a subparser does not know it
    hands to conda's own parser, whose error would not be ours, so it has to be refused here.
    """
    argparse_error, parse_known_args = parser.error, parser.parse_known_args

    def error(message: str) -> NoReturn:
        from conda.base.context import context

        if not context.json:
            argparse_error(message)
        from ..errors import UsageError

        # Not raised: conda has not set up yet what would print it.
        sys.exit(_report(UsageError(message, hint="`conda prune --help` explains the options.")))

    def parse(*arguments: Any, **options: Any) -> tuple[argparse.Namespace, list[str]]:
        namespace, unknown = parse_known_args(*arguments, **options)
        if unknown:
            parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        return namespace, unknown

    parser.error = error  # type: ignore[method-assign]
    parser.parse_known_args = parse  # type: ignore[method-assign, assignment]


def execute(arguments: argparse.Namespace) -> int:
    """Run the command that was given and return the exit code; every error of ours becomes a message."""
    from ..errors import PruneError

    # A stream that the caller has closed is None here; what goes to it is lost, as it should be.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    try:
        try:
            code = int(arguments.prune_command(arguments))
        except PruneError as error:
            code = _report(error)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing more can be written, not even by the interpreter's exit.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
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
