"""The parser of ``conda prune``, and the dispatch to its commands.

It is built for ``conda prune`` only (see `plugin`), for ``--help`` and wrong usage too: nothing is imported here that
is not needed for that.
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

#: How many objects are made before the garbage collector looks for those that refer to themselves.
_RARELY = 1_000_000

#: conda's options that every command may be given: those that change nothing have nothing to ask nor to try out.
_OUTPUT = ("json", "console", "verbosity", "quiet", "dry_run", "yes")


def configure_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``conda prune`` and the parsers of its commands."""
    from . import demo, envs, help_command, prune, purge, restore, usage, why

    # However it was called: as `conda prune`, as `conda-prune`, or as a module.
    parser.prog = "conda prune"
    prune.configure_parser(parser)
    parser.add_argument(
        "-V", "--version", action=help_command.Version, help="Show the version of conda prune and exit."
    )
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
    """Let options count that stand before the command's name: its defaults would overwrite them.

    `own` are those that mean something else there than above.
    """
    # argparse has no other way to ask for its options.
    shared = {action.dest for action in parser._actions}  # noqa: SLF001
    for action in command._actions:  # noqa: SLF001
        if action.dest in shared and action.dest not in own:
            action.default = argparse.SUPPRESS


def _not_for(
    parser: argparse.ArgumentParser, command: argparse.ArgumentParser, above: Collection[str]
) -> tuple[tuple[str, str, object], ...]:
    """Return name, option and default of those options of ``conda prune`` itself that a command can't honour."""
    known = {action.dest for action in command._actions}.union(above, _OUTPUT)  # noqa: SLF001
    found: dict[str, tuple[str, str, object]] = {}
    for action in parser._actions:  # noqa: SLF001
        if action.option_strings and action.dest not in known:
            # As in argparse, the default of several for one name is that of the first.
            found.setdefault(action.dest, (action.dest, action.option_strings[-1], action.default))
    return tuple(found.values())


def _require_honoured(arguments: argparse.Namespace) -> None:
    """Refuse options that stand before a command's name and mean nothing to it. Raises `UsageError`."""
    from ..errors import UsageError

    for name, option, default in getattr(arguments, "prune_refused", ()):
        if getattr(arguments, name, default) != default:
            raise UsageError(
                f"{option} means nothing to the command that was given.",
                hint="Leave it out, or put it behind the command's name if that has an option that is called so.",
            )


def _explain_bad_usage(parser: argparse.ArgumentParser, family: Family) -> None:
    """Make bad usage an error like all others, a document where JSON was asked for; argparse would print its usage.

    conda makes the parser, so its methods are replaced instead of overridden; and what a subparser does not know it
    hands to conda's own parser, whose error would not be ours, so it has to be refused here.
    """
    parse_known_args = parser.parse_known_args
    given: list[str] = []

    def error(message: str) -> NoReturn:
        from ..errors import UsageError

        message, hint = explained(parser, given, message, family)
        # Not raised: conda has not set up yet what would print it.
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
    """Let the garbage collector rest: what conda has imported stays, and next to nothing of ours refers to itself.

    At the interpreter's exit too: looking through all that there is once more would be half of what that takes.
    conda may have been called by a program that goes on, which finds the collector as it was.
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
        # Once, however many commands the program runs.
        atexit.unregister(gc.freeze)
        atexit.register(gc.freeze)


@_rarely_collected()
def execute(arguments: argparse.Namespace) -> int:
    """Run the command that was given and return the exit code; every error becomes a message."""
    from .. import failures
    from ..presentation.json_output import expect_document
    from ..presentation.terminal.streams import waiting_for_space

    expect_document()
    failures.begin()
    # A stream that the caller has closed is None here; what goes to it is lost, as it should be.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    with waiting_for_space():
        return _executed(arguments)


def _executed(arguments: argparse.Namespace) -> int:
    """Run the command that was given and return the exit code; every error becomes a message."""
    from ..errors import refused_by_system
    from ..presentation.terminal.streams import settle

    try:
        code = report_failures(_run_command(arguments))
        settle(sys.stdout)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        silence(sys.stdout, sys.stderr)
        return 1
    except OSError as error:
        # A full disk behind standard output, a directory that can't be listed any more.
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
    """Run the command that was given and return the exit code; errors of ours and of conda's become messages."""
    from ..errors import CondaError, InterruptedByUserError, PruneError, is_of_configuration, refused_by_conda

    try:
        _require_honoured(arguments)
        return int(arguments.prune_command(arguments))
    except PruneError as error:
        return report_error(error)
    except KeyboardInterrupt as interrupt:
        # At a question it carries what the answer no would have said.
        hint = str(interrupt) or "The next run completes or rolls back whatever was unfinished."
        return report_error(InterruptedByUserError("Interrupted.", hint=hint))
    except CondaError as error:
        return report_error(refused_by_conda(error))
    except (AttributeError, TypeError) as error:
        if not is_of_configuration(error):
            raise
        return report_error(refused_by_conda(error))
