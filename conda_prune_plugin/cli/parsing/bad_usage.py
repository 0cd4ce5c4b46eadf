"""Explain a command line that argparse refuses: name the option or word at fault, and suggest what was meant.

argparse takes the value of an unknown option for a command, and would complain about that.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Mapping, Sequence

from ...core.suggestion import nearest
from .command_table import COMMANDS


def explained(
    parser: argparse.ArgumentParser,
    words: Sequence[str],
    message: str,
    top: argparse.ArgumentParser,
    parsers: Mapping[str, argparse.ArgumentParser],
) -> tuple[str, str]:
    """Return a parser's error as our two parts: the message, and a hint about what to do.

    top: the parser of ``conda prune``. parsers: of its commands, by name.
    """
    commands = parsers if parser is top else {}
    option, word = _at_fault(parser, words, commands)
    if option:
        return f"Unknown option {option}.", _option_hint(parser, option, top, parsers)
    if word:
        return f"Unknown command {word}.", command_hint(word, commands)
    message = message.removeprefix("argument ")
    return f"{message[:1].upper()}{message[1:].rstrip('.')}.", _help_of(parser)


def command_hint(word: str, commands: Iterable[str]) -> str:
    """Return a hint for an unknown command: it may be misspelled, or the name of a package."""
    if close := nearest(word, commands):
        return f"Did you mean `conda prune {close}`?"
    from shlex import quote

    spec = quote(word)
    return f"Run `conda prune --only {spec}` to prune only this package, `conda prune why {spec}` to see what keeps it."


def _at_fault(
    parser: argparse.ArgumentParser, words: Sequence[str], commands: Collection[str]
) -> tuple[str | None, str | None]:
    """Return the first unknown option, or the unknown word in the place of a command."""
    left = iter(words)
    for word in left:
        if word == "--":
            break
        if not word.startswith("-") or word == "-":
            if commands:
                return None, None if word in commands else word
            continue
        # A word may contain the option's value.
        option = word.split("=", 1)[0] if word.startswith("--") else word[:2]
        # argparse has no public way to ask for its options. It accepts the beginning of a long one.
        known = parser._option_string_actions  # noqa: SLF001
        beginning = (name for name in known if option.startswith("--") and name.startswith(option))
        action = known.get(option) or known.get(next(beginning, ""))
        if action is None:
            return option, None
        if action.nargs is None and option == word:
            next(left, None)
    return None, None


def _option_hint(
    parser: argparse.ArgumentParser,
    option: str,
    top: argparse.ArgumentParser,
    parsers: Mapping[str, argparse.ArgumentParser],
) -> str:
    known = parser._option_string_actions  # noqa: SLF001
    command = parser.prog.removeprefix(top.prog).strip()
    if command and (action := top._option_string_actions.get(option)):  # noqa: SLF001
        if action.dest in COMMANDS[command].above:
            return f"Put it before the command: conda prune {option} ... {command}"
    elif others := [name for name, other in parsers.items() if option in other._option_string_actions]:  # noqa: SLF001
        return f"Did you mean `conda prune {others[0]} {option}`?"
    # Without the dashes, which would make any two options similar.
    if close := nearest(option[2:], (name[2:] for name in known if name.startswith("--"))):
        return f"Did you mean --{close}?"
    return _help_of(parser)


def _help_of(parser: argparse.ArgumentParser) -> str:
    option = "--help-all" if parser.prog == "conda prune" else "--help"
    return f"`{parser.prog} {option}` explains the options."
