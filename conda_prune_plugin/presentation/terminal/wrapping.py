"""Wrap text to the width of a terminal, so that whatever is copied or read as one stays on one line."""

from __future__ import annotations

import re
import textwrap

#: Texts that are not broken at their spaces: a command in backquotes, or at the end behind a colon; a size; an option
#: with its value.
_TOGETHER = re.compile(
    r"`[^`]*`"
    r"|(?<=: )(?:sudo|conda prune|conda install) [^;]*$"
    r"|\b\d[\d.,]* (?:[KMGT]i?)?B\b"
    r"|--[a-z][a-z-]* (?:\d\S*|[A-Z]{2,}\b)"
    r"|--ci \w+"
)

#: Stands for a space that is not a place to break; `printable` leaves none in a text.
_JOINER = "\N{NO-BREAK SPACE}"


def wrapped(text: str, width: int, indent: str = "", hanging: str = "") -> list[str]:
    """Return the lines of a text; `indent` begins the first of them, `hanging` the others.

    Words, paths, commands, sizes, and options with their values are never broken, so they may exceed the width.
    """
    joined = _TOGETHER.sub(lambda found: found.group().replace(" ", _JOINER), text)
    lines = textwrap.wrap(
        joined,
        width,
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(_JOINER, " ") for line in lines]
