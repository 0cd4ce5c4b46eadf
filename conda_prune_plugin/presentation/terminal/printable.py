"""Make text safe to print in a terminal or in a log of GitHub Actions."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

#: Set by the runner: what runs under it, and the file that the summary is appended to.
RUNNING = "GITHUB_ACTIONS"


def is_github(environ: Mapping[str, str]) -> bool:
    """Return whether GitHub Actions runs us."""
    return environ.get(RUNNING) == "true"


def disarmed(text: str) -> str:
    """Return text that makes no line a command, wherever it stands in it (ActionCommand.cs, both of its forms)."""
    return text.replace("::", ":\\x3a").replace("##[", "#\\x23[")


def printable(text: str) -> str:
    """Return text that fits on one line of any terminal: control characters and odd bytes are escaped.

    In GitHub Actions so is what would make a command of the line.
    """
    return disarmed(on_one_line(text)) if is_github(os.environ) else on_one_line(text)


def on_one_line(text: str) -> str:
    """Return text with control characters and odd bytes escaped."""
    return (
        visible(text).encode(sys.stdout.encoding or "utf-8", "backslashreplace").decode(sys.stdout.encoding or "utf-8")
    )


def visible(text: str) -> str:
    """Return text with what can't be seen, or would change how the rest is shown, escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )
