"""What an operation needs to interact: conda's options for output, progress, messages, questions.

conda's own `confirm_yn` takes the end of its input for a yes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ..presentation.terminal.progress import Reporter

if TYPE_CHECKING:
    from ..execution.locks.run_lock import Patience


@dataclass(frozen=True, slots=True)
class Output:
    """conda's own options for output and prompts."""

    json: bool
    dry_run: bool
    yes: bool
    quiet: bool
    verbosity: int


def message_printer(output: Output, reporter: Reporter) -> Callable[[str], None]:
    """Return what says something to the user while the work goes on."""

    def tell(message: str) -> None:
        # With a full disk behind standard error the work goes on unseen: what failed is not what it works on.
        with suppress(OSError):
            reporter.clear()
            if not output.quiet:
                print(message, file=sys.stderr, flush=True)

    return tell


@dataclass(frozen=True, slots=True)
class Interaction:
    """What the steps of one operation share: conda's options for output, and where progress is shown."""

    output: Output
    reporter: Reporter

    @property
    def may_change(self) -> bool:
        """Whether the user has agreed to changes, or can be asked, and it is no dry run."""
        return not self.output.dry_run and (self.output.yes or may_ask(self.output))

    def tell(self, message: str) -> None:
        """Say something while the work goes on."""
        message_printer(self.output, self.reporter)(message)

    def patience(self, seconds: float) -> Patience:
        """Return how long to wait for locks; the user is told on standard error."""
        from ..execution.locks.run_lock import Patience

        return Patience(seconds, self.tell)


@contextmanager
def interacting(output: Output, *, progress: bool = True) -> Iterator[Interaction]:
    """Show progress on standard error where somebody may look at it."""
    with Reporter(sys.stderr, enabled=progress and not (output.json or output.quiet)) as reporter:
        yield Interaction(output, reporter)


def may_ask(output: Output) -> bool:
    """Return True if a user can answer: standard input is a terminal, and no JSON was asked for."""
    return not output.json and sys.stdin is not None and sys.stdin.isatty()


def require_answer(output: Output) -> None:
    """Refuse to go on where a user can't answer. Raises `ConfirmationError`."""
    if not may_ask(output):
        raise _unconfirmed("with --json nothing is asked" if output.json else "standard input is not a terminal")


def confirm(question: str, interaction: Interaction, declined: str = "Nothing was removed.") -> bool:
    """Return True if the user says yes; anything but a clear yes is a no, which prints `declined`.

    Ends the progress that is shown, so that nothing is drawn over the question. What was typed before the question is
    not an answer to it. Raises `ConfirmationError` if no user can answer and there is no ``--yes``, and
    `KeyboardInterrupt`, with `declined` as its text, at Ctrl-C.
    """
    output = interaction.output
    if output.yes:
        return True
    require_answer(output)
    interaction.reporter.clear()
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
