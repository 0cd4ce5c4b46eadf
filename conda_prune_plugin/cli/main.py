"""The parser of ``conda prune``, and the dispatch to its commands.

The parser is built for ``conda prune`` only (see `plugin`), but also for ``--help`` and bad usage. So this module
imports only what these need, and the module of a command when it runs.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

from .failure_report import (
    report_error,
    report_failures,
    settle_standard_error,
    silence,
)
from .parsing import help_text
from .parsing.bad_usage import command_hint, explained
from .parsing.command_table import COMMANDS, COMMON, PRUNE, SHORT_EPILOG, Command
from .parsing.option_table import add_options
from .parsing.output_options import add_output_options

#: The number of new objects before the garbage collector looks for reference cycles.
_RARELY = 1_000_000

#: conda's options that every command accepts. Scripts pass them to all commands, also to those that change nothing.
_OUTPUT = ("json", "console", "verbosity", "quiet", "dry_run", "yes")


def configure_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``conda prune`` and the parsers of its commands."""
    # The same name for `conda prune`, `conda-prune` and the module.
    parser.prog = "conda prune"
    parser.usage = f"conda prune {PRUNE.operands}"
    _configure(parser, "prune", PRUNE)
    parser.add_argument("--help-all", action=help_text.FullHelp, help="Show all options and exit.")
    parser.add_argument("-V", "--version", action=help_text.Version, help="Show the version and exit.")
    help_text.shorten(parser, COMMON, SHORT_EPILOG)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog="conda prune")
    # argparse has no public way to ask for its options.
    own = {action.dest for action in parser._actions}  # noqa: SLF001
    for name, command in COMMANDS.items():
        usage = f"conda prune {name} {command.operands}"
        subparser: argparse.ArgumentParser = commands.add_parser(name, help=command.summary, usage=usage)
        # argparse's own title is "positional arguments".
        subparser._positionals.title = "arguments"  # noqa: SLF001
        _configure(subparser, name, command)
        for action in subparser._actions:  # noqa: SLF001
            if action.dest in own:
                # The command's default would overwrite an option that was given before its name.
                action.default = argparse.SUPPRESS
        subparser.set_defaults(prune_refused=_refused(parser, subparser, command))
    commands.choices["help"].set_defaults(prune_command=partial(_show_help, parser, commands.choices))
    for any_parser in (parser, *commands.choices.values()):
        _explain_bad_usage(any_parser, parser, commands.choices)


def _configure(parser: argparse.ArgumentParser, name: str, command: Command) -> None:
    parser.description, parser.epilog = command.description, command.epilog or None
    parser.formatter_class = help_text.HelpFormatter
    add_options(parser, name)
    if command.output is not None:
        add_output_options(parser, command.output)
    parser.set_defaults(prune_command=partial(_start, name))


def _refused(
    parser: argparse.ArgumentParser, subparser: argparse.ArgumentParser, command: Command
) -> tuple[tuple[str, str, object], ...]:
    """Return name, option and default of the options of ``conda prune`` itself that a command can't honour."""
    known = {action.dest for action in subparser._actions}.union(command.above, _OUTPUT)  # noqa: SLF001
    refused: dict[str, tuple[str, str, object]] = {}
    for action in parser._actions:  # noqa: SLF001
        if action.option_strings and action.dest not in known:
            # As in argparse, the first of several options with one name has the default.
            refused.setdefault(action.dest, (action.dest, action.option_strings[-1], action.default))
    return tuple(refused.values())


def _require_honoured(arguments: argparse.Namespace) -> None:
    """Refuse options before a command's name that the command can't honour. Raises `UsageError`."""
    from ..errors import UsageError

    for name, option, default in getattr(arguments, "prune_refused", ()):
        if getattr(arguments, name, default) != default:
            raise UsageError(
                f"This command doesn't take {option}.",
                hint="Leave it out. If the command has an option of that name, put it after the command.",
            )


def _explain_bad_usage(
    parser: argparse.ArgumentParser, top: argparse.ArgumentParser, parsers: Mapping[str, argparse.ArgumentParser]
) -> None:
    """Report bad usage like every other error, as JSON if that was requested; argparse would print its usage.

    conda makes the parser, so its methods are replaced instead of overridden. A subparser hands unknown arguments to
    conda's own parser, which would report them in its own form, so they are refused here.
    """
    parse_known_args = parser.parse_known_args
    given: list[str] = []

    def error(message: str) -> NoReturn:
        from ..errors import UsageError

        message, hint = explained(parser, given, message, top, parsers)
        # Not raised: conda hasn't set up its error handling yet.
        sys.exit(report_error(UsageError(message, hint=hint)))

    def parse(
        arguments: Sequence[str] | None = None, *rest: Any, **options: Any
    ) -> tuple[argparse.Namespace, list[str]]:
        given[:] = sys.argv[1:] if arguments is None else arguments
        namespace, unknown = parse_known_args(list(given), *rest, **options)
        if unknown:
            parser.error(f"unexpected arguments: {' '.join(unknown)}")
        return namespace, unknown

    parser.error = error  # type: ignore[method-assign]
    parser.parse_known_args = parse  # type: ignore[method-assign, assignment]


def _show_help(
    parser: argparse.ArgumentParser, parsers: Mapping[str, argparse.ArgumentParser], arguments: argparse.Namespace
) -> int:
    """Run ``conda prune help [COMMAND]``."""
    from ..errors import UsageError

    topic = arguments.topic
    if topic is not None and topic not in parsers:
        raise UsageError(f"Unknown command {topic}.", hint=command_hint(topic, parsers))
    (parser if topic is None else parsers[topic]).print_help()
    return 0


def _start(name: str, arguments: argparse.Namespace) -> int:
    return int(import_module(f".{name}", __package__).execute(arguments))


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
            _require_honoured(arguments)
            return int(arguments.prune_command(arguments))
    except PruneError as error:
        return report_error(error)
    except KeyboardInterrupt as interrupt:
        # At a question it carries the message for the answer no.
        hint = str(interrupt) or "The next run completes or rolls back whatever was unfinished."
        return report_error(InterruptedByUserError("Interrupted.", hint=hint))
