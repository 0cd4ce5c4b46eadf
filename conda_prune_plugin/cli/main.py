"""The parser of ``conda prune``, and the dispatch to its commands.

The parser is built for ``conda prune`` only (see `plugin`), but also for ``--help`` and bad usage. So this module
imports only what these need.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from .failure_report import (
    report_error,
    report_failures,
    settle_standard_error,
    silence,
)
from .parsing.bad_usage import Family, explained

if TYPE_CHECKING:
    pass

#: The number of new objects before the garbage collector looks for reference cycles.
_RARELY = 1_000_000

#: conda's options that every command accepts. Scripts pass them to all commands, also to those that change nothing.
_OUTPUT = ("json", "console", "verbosity", "quiet", "dry_run", "yes")


def configure_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``conda prune`` and the parsers of its commands."""
    from . import demo, envs, help_command, prune, purge, restore, usage, why

    # The same name for `conda prune`, `conda-prune` and the module.
    parser.prog = "conda prune"
    prune.configure_parser(parser)
    parser.add_argument("-V", "--version", action=help_command.Version, help="Show the version and exit.")
    parser.set_defaults(prune_command=prune.execute)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog="conda prune")
    family = Family(parser, commands.choices, {})
    for command in (usage, why, envs, restore, purge, demo):
        subparser = command.configure_parser(commands)
        _share_options(parser, subparser, command.OWN)
        subparser.set_defaults(prune_refused=_not_for(parser, subparser, command.ABOVE))
        family.above[subparser.prog.split()[-1]] = command.ABOVE
    helper = help_command.configure_parser(commands, family)
    helper.set_defaults(prune_refused=_not_for(parser, helper, ()))
    for any_parser in (parser, *commands.choices.values()):
        _explain_bad_usage(any_parser, family)


def _share_options(parser: argparse.ArgumentParser, command: argparse.ArgumentParser, own: Collection[str]) -> None:
    """Keep options given before the command's name, which the command's defaults would overwrite.

    `own`: options with another meaning in the command.
    """
    # argparse has no other way to ask for its options.
    shared = {action.dest for action in parser._actions}  # noqa: SLF001
    for action in command._actions:  # noqa: SLF001
        if action.dest in shared and action.dest not in own:
            action.default = argparse.SUPPRESS


def _not_for(
    parser: argparse.ArgumentParser, command: argparse.ArgumentParser, above: Collection[str]
) -> tuple[tuple[str, str, object], ...]:
    """Return name, option and default of the options of ``conda prune`` itself that a command can't honour."""
    known = {action.dest for action in command._actions}.union(above, _OUTPUT)  # noqa: SLF001
    found: dict[str, tuple[str, str, object]] = {}
    for action in parser._actions:  # noqa: SLF001
        if action.option_strings and action.dest not in known:
            # As in argparse, the first of several options with one name has the default.
            found.setdefault(action.dest, (action.dest, action.option_strings[-1], action.default))
    return tuple(found.values())


def _require_honoured(arguments: argparse.Namespace) -> None:
    """Refuse options before a command's name that the command can't honour. Raises `UsageError`."""
    from ..errors import UsageError

    for name, option, default in getattr(arguments, "prune_refused", ()):
        if getattr(arguments, name, default) != default:
            raise UsageError(
                f"This command doesn't take {option}.",
                hint="Leave it out. If the command has an option of that name, put it after the command.",
            )


def _explain_bad_usage(parser: argparse.ArgumentParser, family: Family) -> None:
    """Report bad usage like every other error, as JSON if that was requested; argparse would print its usage.

    conda makes the parser, so its methods are replaced instead of overridden. A subparser hands unknown arguments to
    conda's own parser, which would report them in its own form, so they are refused here.
    """
    parse_known_args = parser.parse_known_args
    given: list[str] = []

    def error(message: str) -> NoReturn:
        from ..errors import UsageError

        message, hint = explained(parser, given, message, family)
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
    from ..presentation.json_output import expect_document
    from ..presentation.terminal.streams import waiting_for_space

    expect_document()
    failures.begin()
    # A stream that the caller closed is None here. Its output is discarded.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    with waiting_for_space():
        return _executed(arguments)


def _executed(arguments: argparse.Namespace) -> int:
    """Run the command and return its exit code; every error becomes a message."""
    from ..errors import refused_by_system
    from ..presentation.terminal.streams import settle

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
    from ..errors import CondaError, InterruptedByUserError, PruneError, is_of_configuration, refused_by_conda

    try:
        _require_honoured(arguments)
        return int(arguments.prune_command(arguments))
    except PruneError as error:
        return report_error(error)
    except KeyboardInterrupt as interrupt:
        # At a question it carries the message for the answer no.
        hint = str(interrupt) or "The next run completes or rolls back whatever was unfinished."
        return report_error(InterruptedByUserError("Interrupted.", hint=hint))
    except CondaError as error:
        return report_error(refused_by_conda(error))
    except (AttributeError, TypeError) as error:
        if not is_of_configuration(error):
            raise
        return report_error(refused_by_conda(error))
