"""Asking before anything is removed. conda's own `confirm_yn` takes the end of its input for a yes."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..cli.options import Output
    from ..presentation.terminal.progress import Reporter


def may_ask(output: Output) -> bool:
    """Return True if a user can answer: standard input is a terminal, and no JSON was asked for."""
    return not output.json and sys.stdin is not None and sys.stdin.isatty()


def require_answer(output: Output) -> None:
    """Refuse to go on where a user can't answer. Raises `ConfirmationError`."""
    if not may_ask(output):
        raise _unconfirmed("with --json nothing is asked" if output.json else "standard input is not a terminal")


def confirm(question: str, output: Output, reporter: Reporter, declined: str = "Nothing was removed.") -> bool:
    """Return True if the user says yes; anything but a clear yes is a no, which prints `declined`.

    Ends the progress that is shown, so that nothing is drawn over the question. What was typed before the question is
    not an answer to it. Raises `ConfirmationError` if no user can answer and there is no ``--yes``, and
    `KeyboardInterrupt`, with `declined` as its text, at Ctrl-C.
    """
    if output.yes:
        return True
    require_answer(output)
    reporter.clear()
    sys.stdout.flush()
    screen = sys.stdout if sys.stdout.isatty() and not sys.stderr.isatty() else sys.stderr
    try:
        forget_typed()
        screen.write(f"{question} [y/N] ")
        screen.flush()
        answer = sys.stdin.readline()
    except UnicodeDecodeError:
        answer = "\n"
    except KeyboardInterrupt:
        screen.write("\n")
        raise KeyboardInterrupt(declined) from None
    if not answer.endswith("\n"):
        # The end of input leaves the cursor behind the question.
        screen.write("\n")
    if answer.strip().lower() in ("y", "yes"):
        return True
    if not output.quiet:
        print(declined, file=screen, flush=True)
    return False


def _unconfirmed(why: str) -> Exception:
    from ..errors import ConfirmationError

    return ConfirmationError(
        f"Removal has to be confirmed, and {why}.",
        hint="Add --yes to remove without a question, or --dry-run to only see the plan. Nothing was removed.",
    )


def forget_typed() -> None:
    """Discard what was typed at the terminal and not read. Raises `ConfirmationError` if that fails.

    A terminal hands over one line a read, so Python's buffer holds nothing of the next.
    """
    try:
        import termios
    except ImportError:  # Windows
        console = import_module("msvcrt")
        while console.kbhit():
            console.getwch()
        return
    try:
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
    except termios.error as error:
        raise _unconfirmed("what was typed before the question can't be discarded") from error
