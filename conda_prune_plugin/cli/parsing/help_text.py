"""How the help of ``conda prune`` looks: wrapped to the terminal, with a short form for the most used options."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterable
from typing import Any

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
        # A line never ends within an option's name.
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = [part.split("\n") for part in text.strip().split("\n\n")]
        return "\n\n".join("\n".join(_wrapped(lines, width, indent)) for lines in paragraphs)


def _wrapped(lines: list[str], width: int, indent: str) -> Iterable[str]:
    """Yield the lines of a paragraph; lines up to the first indented one are running text."""
    first_example = next((number for number, line in enumerate(lines) if line.startswith(" ")), len(lines))
    text = " ".join(lines[:first_example])
    yield from textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    inner = f"{indent}      "
    for line in lines[first_example:]:
        if len(line) <= width:
            yield f"{indent}{line}"
            continue
        if parts := _EXAMPLE.fullmatch(line):
            yield f"{indent}{parts['command']}"
        meaning = parts["meaning"] if parts else line.strip()
        yield from textwrap.wrap(meaning, width, initial_indent=inner, subsequent_indent=inner)


def add_command(commands: Any, name: str, summary: str, operands: str, description: str, epilog: str = "") -> Any:
    """Add the parser of a command and return it; `operands`: what follows the options on its usage line."""
    parser = commands.add_parser(
        name,
        help=summary,
        usage=f"conda prune {name} {operands}",
        description=description,
        epilog=epilog or None,
        formatter_class=HelpFormatter,
    )
    # argparse's own title is "positional arguments".
    parser._positionals.title = "arguments"  # noqa: SLF001
    return parser


def add_output_options(
    parser: argparse.ArgumentParser,
    *,
    verbose: str | None = None,
    quiet: str | None = "Print nothing but warnings and errors.",
    dry_run: str | None = None,
    yes: str | None = None,
) -> None:
    """Add conda's options for output and prompts, with texts of ours.

    Those without a text are accepted, because scripts give them to every command, but the help doesn't list them: they
    change nothing there.
    """
    from .shared_options import add_output_and_prompt_options

    add_output_and_prompt_options(parser)
    # argparse has no other way to ask for the newest group and its options.
    group = parser._action_groups[-1]  # noqa: SLF001
    group.title = "output and prompts"
    texts = {
        "json": "Print the result as JSON.",
        "verbosity": verbose,
        "quiet": quiet,
        "dry_run": dry_run,
        "yes": yes,
    }
    for action in group._group_actions:  # noqa: SLF001
        # What conda itself hides stays hidden.
        if action.help != argparse.SUPPRESS:
            action.help = texts.get(action.dest) or argparse.SUPPRESS


class FullHelp(argparse.Action):
    """Prints the help with all options and ends the program."""

    def __init__(self, option_strings: list[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, default=argparse.SUPPRESS, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it."""
        # Of the class: the instance has the short form (see `shorten`).
        print(type(parser).format_help(parser), end="")
        parser.exit()


def shorten(parser: argparse.ArgumentParser, options: tuple[str, ...], epilog: str) -> None:
    """Make a parser's ``--help`` list its commands and only some options, in the order given, and end in `epilog`."""

    def short_help() -> str:
        formatter = parser._get_formatter()  # noqa: SLF001
        formatter.add_usage(parser.usage, (), ())
        formatter.add_text(parser.description)
        known = parser._option_string_actions  # noqa: SLF001
        (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
        sections = {"commands": commands._get_subactions(), "options": [known[name] for name in options]}  # noqa: SLF001
        for title, actions in sections.items():
            formatter.start_section(title)
            formatter.add_arguments(actions)
            formatter.end_section()
        formatter.add_text(epilog)
        return formatter.format_help()

    parser.format_help = short_help  # type: ignore[method-assign]
