"""The parsers of ``conda prune`` and its commands, made from the tables of commands and options.

conda makes the parsers of all its commands at every command, and other programs read them there (completion, MCP
servers). So this module imports only the tables, and everything else when a line is parsed, refused or explained.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

from .command_table import COMMANDS, PRUNE, Command
from .option_table import add_options
from .output_options import OUTPUT, add_output_options


def configure_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``conda prune`` and the parsers of its commands."""
    # The same name for `conda prune`, `conda-prune` and the module.
    parser.prog = "conda prune"
    parser.usage = f"conda prune {PRUNE.operands}"
    _configure(parser, "prune", PRUNE)
    parser.add_argument("--help-all", action=_FullHelp, help="Show all options and exit.")
    parser.add_argument("-V", "--version", action=_Version, help="Show the version and exit.")
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
        subparser.set_defaults(prune_parsers=(parser, subparser, command))
    commands.choices["help"].set_defaults(prune_command=partial(_show_help, parser, commands.choices))
    for any_parser in (parser, *commands.choices.values()):
        _explain_bad_usage(any_parser, parser, commands.choices)


def _configure(parser: argparse.ArgumentParser, name: str, command: Command) -> None:
    parser.description, parser.epilog = command.description, command.epilog or None
    add_options(parser, name)
    if command.output is not None:
        add_output_options(parser, command.output)
    parser.format_help = partial(_format_help, parser, name)  # type: ignore[method-assign]
    parser.set_defaults(prune_command=partial(_start, name))


def _format_help(parser: argparse.ArgumentParser, name: str) -> str:
    from .help_text import full_help, short_help

    return short_help(parser) if name == "prune" else full_help(parser)


class _FullHelp(argparse._VersionAction):  # noqa: SLF001
    """Prints the help with all options. Readers of the parser know argparse's own class for printing and exiting."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it."""
        from .help_text import full_help

        print(full_help(parser), end="")
        parser.exit()


class _Version(argparse._VersionAction):  # noqa: SLF001
    """Prints the version."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it. The import is slow, so it is made only here."""
        from importlib.metadata import version

        print(f"conda-prune {version('conda-prune')}")
        parser.exit()


def require_honoured(arguments: argparse.Namespace) -> None:
    """Refuse options before a command's name that the command can't honour. Raises `UsageError`."""
    from ...errors import UsageError

    if not hasattr(arguments, "prune_parsers"):
        return
    parser, subparser, command = arguments.prune_parsers
    known = {action.dest for action in subparser._actions}.union(command.above, OUTPUT)  # noqa: SLF001
    for action in parser._actions:  # noqa: SLF001
        if not action.option_strings or action.dest in known:
            continue
        # As in argparse, the first of several options with one name has the default.
        known.add(action.dest)
        if getattr(arguments, action.dest, action.default) != action.default:
            raise UsageError(
                f"This command doesn't take {action.option_strings[-1]}.",
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
        from ...errors import UsageError
        from ..failure_report import report_error
        from .bad_usage import explained

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
    from ...errors import UsageError
    from .bad_usage import command_hint

    topic = arguments.topic
    if topic is not None and topic not in parsers:
        raise UsageError(f"Unknown command {topic}.", hint=command_hint(topic, parsers))
    (parser if topic is None else parsers[topic]).print_help()
    return 0


def _start(name: str, arguments: argparse.Namespace) -> int:
    """Run a command and return its exit code."""
    return int(import_module(f"..{name}", __package__).execute(arguments))
