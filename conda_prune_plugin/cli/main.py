"""The parser of ``conda prune`` and the way to its commands.

It is built for ``conda prune`` only (see `plugin`), for ``--help`` and wrong usage too: nothing is imported here that
is not needed for that.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
import traceback
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from .bad_usage import Family, explained

if TYPE_CHECKING:
    from ..errors import PruneError

#: How many objects are made before the garbage collector looks for those that refer to themselves.
_RARELY = 1_000_000

#: conda's options that every command may be given: those that change nothing have nothing to ask nor to try out.
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
        sys.exit(_report(UsageError(message, hint=hint)))

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
    from ..presentation.terminal.streams import waiting_for_room

    expect_document()
    failures.begin()
    # A stream that the caller has closed is None here; what goes to it is lost, as it should be.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    with waiting_for_room():
        return _executed(arguments)


def _executed(arguments: argparse.Namespace) -> int:
    """Run the command that was given and return the exit code; every error becomes a message."""
    from ..errors import SystemRefusedError
    from ..presentation.terminal.streams import settle

    try:
        code = _told_of_failures(_run_command(arguments))
        settle(sys.stdout)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _silence(sys.stdout, sys.stderr)
        return 1
    except OSError as error:
        # A full disk behind standard output, a directory that can't be listed any more.
        heard = True
        try:
            settle(sys.stdout)
        except OSError:
            _silence(sys.stdout)
            heard = False
        where = f" ({error.filename})" if error.filename else ""
        return _report(
            SystemRefusedError(
                f"The system refused something: {error.strerror or error}{where}.",
                hint="Nothing is lost: what was not deleted is at its place, or the next run puts it back.",
            ),
            heard=heard,
        )
    finally:
        _forget_what_was_not_heard()
    return code


def _run_command(arguments: argparse.Namespace) -> int:
    """Run the command that was given and return the exit code; errors of ours and of conda's become messages."""
    from conda import CondaError

    from ..errors import InterruptedByUserError, PruneError

    try:
        _require_honoured(arguments)
        return int(arguments.prune_command(arguments))
    except PruneError as error:
        return _report(error)
    except KeyboardInterrupt as interrupt:
        # At a question it carries what the answer no would have said.
        hint = str(interrupt) or "The next run completes or rolls back whatever was unfinished."
        return _report(InterruptedByUserError("Interrupted.", hint=hint))
    except CondaError as error:
        return _report(_refused_by_conda(error))
    except (AttributeError, TypeError) as error:
        if not _is_of_configuration(error):
            raise
        return _report(_refused_by_conda(error))


def _told_of_failures(code: int) -> int:
    """Name where the disk has failed, as far as no warning has, and return the exit code that says so."""
    from .. import failures
    from ..presentation.github import annotation
    from ..presentation.terminal.notice_groups import grouped, untold_failures
    from ..presentation.terminal.printable import is_github

    if untold := untold_failures():
        from ..presentation.terminal.console import console
        from ..presentation.terminal.printable import printable

        for shown in grouped(untold):
            with suppress(OSError):
                if is_github(os.environ):
                    print(annotation("error", shown.message), file=sys.stderr)
                else:
                    console(sys.stderr).print(f"error: {printable(shown.message)}", style="red")
    return code or int(bool(failures.noted()))


def _is_of_configuration(error: Exception) -> bool:
    """Return whether conda failed at a value of its configuration: for some it has no error of its own."""
    module = [frame.f_globals.get("__name__") for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    return module == "conda.common.configuration"


def _refused_by_conda(error: Exception) -> PruneError:
    """Return an error of conda's own in the form of ours."""
    from conda.common.configuration import ConfigurationError

    from ..errors import CondaRefusedError

    hint = "What was begun the next run finishes or takes back."
    if isinstance(error, ConfigurationError) or _is_of_configuration(error):
        hint = "`conda config --show-sources` shows what conda is configured to do, and where that is written."
    # On one line: conda's messages have several.
    message = " ".join(str(error).split())
    return CondaRefusedError(f"conda failed: {type(error).__name__}: {message}", hint=hint)


def _report(error: PruneError, *, heard: bool = True) -> int:
    """Tell of an error, and return its exit code; `heard`: somebody reads standard output, as far as is known."""
    from conda.base.context import context

    from ..presentation.github import annotation
    from ..presentation.json_output import document_begun
    from ..presentation.terminal.printable import is_github

    told = context.json and heard and not document_begun() and _report_in_json(error)

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
    """Print the document of an error, and return whether that is all: the disk may be full behind standard output."""
    import json

    from ..presentation.terminal.streams import settle

    try:
        print(json.dumps(error.dump_map(), indent=2, sort_keys=True, default=str))
        settle(sys.stdout)
    except OSError as failure:
        _silence(sys.stdout)
        # Whoever has closed a pipe has seen enough.
        return isinstance(failure, BrokenPipeError)
    return True


def _forget_what_was_not_heard() -> None:
    """Keep what standard error had no room for from being the exit code: the interpreter would try once more."""
    from ..presentation.terminal.streams import settle

    try:
        settle(sys.stderr)
    except OSError:
        _silence(sys.stderr)


def _silence(*streams: TextIO) -> None:
    """Let nothing more be written to a stream that can't be written to, not even by the interpreter's exit."""
    for stream in streams:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
