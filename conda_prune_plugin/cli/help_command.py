"""``conda prune help [COMMAND]`` and ``conda prune --version``."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from .parsing import help_text
from .parsing.bad_usage import Family, command_hint


class Version(argparse.Action):
    """Prints the version and ends the program."""

    def __init__(self, option_strings: list[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, default=argparse.SUPPRESS, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it. Looked up only now, because that takes long."""
        from importlib.metadata import version

        print(f"conda-prune {version('conda-prune')}")
        parser.exit()


def configure_parser(commands: Any, family: Family) -> argparse.ArgumentParser:
    """Add the parser of ``help`` and return it."""
    parser: argparse.ArgumentParser = help_text.add_command(
        commands, "help", "Show the help of a command.", "[COMMAND]", "Show the help of a command."
    )
    parser.add_argument("topic", metavar="COMMAND", nargs="?", help="The command (default: conda prune itself).")
    parser.set_defaults(prune_command=partial(_execute, family))
    return parser


def _execute(family: Family, arguments: argparse.Namespace) -> int:
    from ..errors import UsageError

    topic = arguments.topic
    if topic is not None and topic not in family.commands:
        raise UsageError(f"Unknown command {topic}.", hint=command_hint(topic, family.commands))
    parser = family.parser if topic is None else family.commands[topic]
    parser.print_help()
    return 0
