"""Explain a command line that argparse refuses: name the option or word at fault, and suggest what was meant.

argparse takes the value of an unknown option for a command, and would complain about that.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from shlex import quote

from ...core.suggestion import nearest
from .command_table import COMMANDS

#: What an option without its value needs, by the kind of value; any other needs a value.
_NEEDS = {
    "SIZE": "a size",
    "LIMIT": "a size or a number of files",
    "AGE": "an age",
    "TIME": "a time",
    "N": "a number",
    "SPEC": "a package",
    "DIR": "a directory",
    "PREFIX": "an environment",
    "FILE": "a file",
}

#: What an option says of a negative number.
_NEGATIVE = "can't be negative"

#: What people call what this program, or conda, calls otherwise: the commands to use, with `{}` for the words after it.
_ELSEWHERE = {
    "undo": "conda prune restore",
    "clean": "conda prune",
    "doctor": "conda doctor",
    **dict.fromkeys(("remove", "rm", "delete", "uninstall"), "conda prune envs {} --remove"),
}

#: The name in a package specification.
_SPEC_NAME = re.compile(r"[A-Za-z0-9_.-]+")

#: conda's own options for an environment.
_OF_ENVIRONMENT = ("-n", "--name", "--prefix")


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
        if option in _OF_ENVIRONMENT:
            command = next((word for word in ("usage", "envs") if parser.prog.endswith(word)), "envs")
            return f"Unknown option {option}.", f"Run `conda prune {command} {_following(words, option)}`."
        return f"Unknown option {option}.", _option_hint(parser, option, top, parsers)
    if word:
        before = words[words.index(word) - 1]
        if before.isdecimal() and word.isalpha():
            return f"Unknown command {word}.", f"Write a number and its unit as one word: {before}{word}."
        return f"Unknown command {word}.", command_hint(word, commands, _following(words, word))
    message = message.removeprefix("argument ")
    names, _, problem = message.partition(": ")
    action = parser._option_string_actions.get(names.split("/")[0])  # noqa: SLF001
    if action and problem == "expected one argument":
        # argparse takes a negative number for an option.
        negative = any(
            word in names.split("/") and re.match(r"-\d", value) for word, value in zip(words, list(words)[1:])
        )
        needs = f"needs {_NEEDS.get(str(action.metavar), 'a value')}"
        message = f"{names} {_NEGATIVE if negative else needs}"
    return f"{message[:1].upper()}{message[1:].rstrip('.')}.", _help_of(parser)


def command_hint(word: str, commands: Iterable[str], following: str = "NAME") -> str:
    """Return a hint for an unknown command: it may have another name, be misspelled, or be a package or environment.

    following: the word after it.
    """
    if word in _ELSEWHERE:
        return f"Did you mean `{_ELSEWHERE[word].format(following)}`?"
    if close := nearest(word, commands):
        return f"Did you mean `conda prune {close}`?"
    from .completion import environments, packages, quietly

    spec = quote(word)
    if word in quietly(environments)(word):
        return f"{word} is an environment. Run `conda prune envs {spec}` or `conda prune usage {spec}`."
    name = _SPEC_NAME.match(word)
    if name is None or name.group() not in quietly(packages)(name.group()):
        return "See `conda prune --help`."
    return (
        f"Run `conda prune --only {spec}` to prune only this package, or `conda prune why {spec}` to see what keeps it."
    )


def _following(words: Sequence[str], word: str) -> str:
    """Return the word after another one, to be copied; ``NAME`` if there is none."""
    after = list(words)[list(words).index(word) + 1 :] if word in words else []
    return quote(after[0]) if after and not after[0].startswith("-") else "NAME"


def _at_fault(
    parser: argparse.ArgumentParser, words: Sequence[str], commands: Collection[str]
) -> tuple[str | None, str | None]:
    """Return the first unknown option, or the unknown word in the place of a command."""
    left = iter(words)
    takes_many = False
    for word in left:
        if word == "--":
            break
        if not word.startswith("-") or word == "-":
            if commands and not takes_many:
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
        takes_many = action.nargs == "*" and option == word
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
