"""How the help of ``conda prune`` looks: wrapped to the terminal, with a short form for the most used options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from typing import Any

from .command_table import COMMON, SHORT_EPILOG

#: Lines longer than this are hard to read, however wide the terminal is.
_WIDEST = 100

#: A line of an example: indentation, command, and what it does.
_EXAMPLE = re.compile(r"(?P<command> +\S.*?)(?P<gap> {2,})(?P<meaning>\S.*)")


class HelpFormatter(argparse.HelpFormatter):
    """Wraps paragraphs and keeps examples, which are indented, one to a line."""

    def __init__(self, prog: str, **options: Any) -> None:
        options.setdefault("max_help_position", 24)
        super().__init__(prog, **options)
        self._width = min(self._width, _WIDEST)

    def _split_lines(self, text: str, width: int) -> list[str]:
        from ...presentation.terminal.wrapping import wrapped

        return wrapped(" ".join(text.split()), width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = [part.split("\n") for part in text.strip().split("\n\n")]
        return "\n\n".join("\n".join(_paragraph(lines, width, indent)) for lines in paragraphs)


def _paragraph(lines: list[str], width: int, indent: str) -> Iterable[str]:
    """Yield the lines of a paragraph; lines up to the first indented one are running text."""
    from ...presentation.terminal.wrapping import wrapped

    first_example = next((number for number, line in enumerate(lines) if line.startswith(" ")), len(lines))
    text = " ".join(lines[:first_example])
    yield from wrapped(text, width, indent, indent)
    inner = f"{indent}      "
    for line in lines[first_example:]:
        if len(line) <= width:
            yield f"{indent}{line}"
            continue
        if parts := _EXAMPLE.fullmatch(line):
            yield f"{indent}{parts['command']}"
        meaning = parts["meaning"] if parts else line.strip()
        yield from wrapped(meaning, width, inner, inner)


def full_help(parser: argparse.ArgumentParser) -> str:
    """Return the help with all options."""
    parser.formatter_class = HelpFormatter
    # The method of the class: the instance's own may give the short help.
    return type(parser).format_help(parser)


def short_help(parser: argparse.ArgumentParser) -> str:
    """Return the help that lists the commands and the most used options only."""
    formatter = HelpFormatter(parser.prog)
    formatter.add_usage(parser.usage, (), ())
    formatter.add_text(parser.description)
    known = parser._option_string_actions  # noqa: SLF001
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    sections = {"commands": commands._get_subactions(), "options": [known[name] for name in COMMON]}  # noqa: SLF001
    for title, actions in sections.items():
        formatter.start_section(title)
        formatter.add_arguments(actions)
        formatter.end_section()
    formatter.add_text(SHORT_EPILOG)
    return formatter.format_help()
