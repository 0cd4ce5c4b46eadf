"""Make text safe to print in a terminal or in a log of GitHub Actions."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

#: Set by the runner of GitHub Actions.
RUNNING = "GITHUB_ACTIONS"


def is_github(environ: Mapping[str, str]) -> bool:
    """Return whether this runs in GitHub Actions."""
    return environ.get(RUNNING) == "true"


def disarmed(text: str) -> str:
    """Return text that can't be a command of GitHub Actions, anywhere in a line (ActionCommand.cs, both forms)."""
    return text.replace("::", ":\\x3a").replace("##[", "#\\x23[")


def printable(text: str) -> str:
    """Return text that fits on one line of any terminal: control characters and odd bytes are escaped.

    In GitHub Actions, commands are escaped too.
    """
    return disarmed(on_one_line(text)) if is_github(os.environ) else on_one_line(text)


def on_one_line(text: str) -> str:
    """Return text with control characters and odd bytes escaped."""
    # What stands in for standard output, such as in the browser, may have none.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return visible(text).encode(encoding, "backslashreplace").decode(encoding)


def visible(text: str) -> str:
    """Return text with invisible characters and control characters escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )
