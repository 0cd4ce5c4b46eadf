"""What an operation needs to interact: conda's output options, progress, messages, questions.

conda's own `confirm_yn` is not used: it takes the end of its input for a yes.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from ..presentation.terminal.progress import Reporter
from ..presentation.terminal.wrapping import wrapped

if TYPE_CHECKING:
    from ..errors import ConfirmationError
    from ..execution.locks.run_lock import Patience


@dataclass(frozen=True, slots=True)
class Output:
    """conda's own options for output and prompts."""

    json: bool
    dry_run: bool
    yes: bool
    quiet: bool
    verbosity: int


@dataclass(frozen=True, slots=True)
class Interaction:
    """What the steps of one operation share: conda's output options, and the progress display."""

    output: Output
    reporter: Reporter

    @property
    def may_change(self) -> bool:
        """Whether the user has agreed to changes, or can be asked, and it is no dry run."""
        return not self.output.dry_run and (self.output.yes or may_ask(self.output))

    def tell(self, message: str) -> None:
        """Print a message on standard error while the work continues."""
        # A full disk behind standard error must not stop the work.
        with suppress(OSError):
            self.reporter.clear()
            if not self.output.quiet:
                print(message, file=sys.stderr, flush=True)

    def patience(self, seconds: float) -> Patience:
        """Return how long to wait for locks; waiting is announced on standard error."""
        from ..execution.locks.run_lock import Patience

        return Patience(seconds, self.tell)


@contextmanager
def interacting(output: Output, *, progress: bool = True) -> Iterator[Interaction]:
    """Show progress on standard error, except with ``--json`` and ``--quiet``."""
    with Reporter(sys.stderr, enabled=progress and not (output.json or output.quiet)) as reporter:
        yield Interaction(output, reporter)


def may_ask(output: Output) -> bool:
    """Return True if a user can answer: standard input is a terminal, and no JSON was asked for."""
    return not output.json and sys.stdin is not None and sys.stdin.isatty()


def require_answer(output: Output) -> None:
    """Refuse to continue where a user can't answer. Raises `ConfirmationError`."""
    if not may_ask(output):
        raise _unconfirmed(" with --json" if output.json else ": standard input is not a terminal")


def confirm(question: str, interaction: Interaction, declined: str = "Nothing was removed.") -> bool:
    """Return True if the user says yes; anything but a clear yes is a no, which prints `declined`.

    Ends the progress display, so that nothing is drawn over the question. Text typed before the question does not
    count as an answer. Raises `ConfirmationError` if no user can answer and there is no ``--yes``, and
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
        width = shutil.get_terminal_size().columns
        screen.write("\n".join(wrapped(f"{question} [y/N]", width - 1)) + " ")
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


def _unconfirmed(cause: str) -> ConfirmationError:
    from ..errors import ConfirmationError

    return ConfirmationError(
        f"Can't ask for confirmation{cause}.",
        hint="Nothing was changed. Add --yes to go ahead without a question, or --dry-run to only see the plan.",
    )


def forget_typed() -> None:
    """Discard what was typed at the terminal and not read. Raises `ConfirmationError` if that fails.

    A terminal returns one line per read, so Python's buffer holds nothing of the next.
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
        raise _unconfirmed(": text typed before the question can't be discarded") from error
