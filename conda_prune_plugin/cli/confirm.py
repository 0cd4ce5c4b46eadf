"""Asking before anything is removed. conda's own `confirm_yn` takes the end of its input for a yes."""

from __future__ import annotations

import sys

from .options import Output


def may_ask(output: Output) -> bool:
    """Return whether somebody is there to be asked."""
    return not output.json and sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str, output: Output) -> bool:
    """Return whether the user says yes; anything but a clear yes is a no.

    Raises `ConfirmationError` when there is nobody to ask and no ``--yes``.
    """
    from ..errors import ConfirmationError

    if output.yes:
        return True
    if not may_ask(output):
        why = "with --json nothing is asked" if output.json else "standard input is not a terminal"
        raise ConfirmationError(
            f"Removal has to be confirmed, and {why}.",
            hint="Add --yes to remove without a question, or --dry-run to only see the plan. Nothing was removed.",
        )
    sys.stdout.flush()
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except (KeyboardInterrupt, UnicodeDecodeError):
        sys.stderr.write("\n")
        return False
