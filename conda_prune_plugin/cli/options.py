"""Types of option values, and conda's output options as one value."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Output:
    """conda's own options for output and prompts."""

    json: bool
    dry_run: bool
    yes: bool
    quiet: bool
    verbosity: int

    @classmethod
    def from_context(cls) -> Output:
        """Return what conda made of command line, environment and ``.condarc``."""
        from conda.base.context import context

        return cls(
            json=bool(context.json),
            dry_run=bool(context.dry_run),
            yes=bool(context.always_yes),
            quiet=bool(context.quiet),
            verbosity=int(context.verbosity or 0),
        )


class Value(argparse.Action):
    """Keeps an option's text together with the option's name, to be parsed when errors can be reported.

    argparse would print its usage for a wrong value even where JSON was asked for.
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Store the pair."""
        setattr(namespace, self.dest, (option, values))


def parsed(pair: tuple[str, str] | None, parse: Callable[[str], T], default: T) -> T:
    """Return the parsed value of an option that `Value` kept, or the default if it was not given.

    Raises `UsageError`, naming the option.
    """
    from ..errors import UsageError

    if pair is None:
        return default
    option, text = pair
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}.", hint="`conda prune --help` explains the options.") from error


def add_places(parser: argparse.ArgumentParser) -> Any:
    """Add the options that say where to look, and return their group."""
    where = parser.add_argument_group("where to look")
    where.add_argument(
        "--pkgs-dir",
        metavar="DIR",
        action="append",
        default=[],
        help="This package cache instead of the configured ones; can be repeated.",
    )
    where.add_argument(
        "--root",
        metavar="PREFIX",
        action="append",
        default=[],
        help="A further environment whose packages stay; can be repeated.",
    )
    where.add_argument(
        "--search",
        metavar="DIR",
        action="append",
        default=[],
        help="Look for further environments everywhere below DIR; can be repeated.",
    )
    return where


def inherit(parser: argparse.ArgumentParser, *, own: Collection[str]) -> None:
    """Make the options of a command, but for its `own`, leave alone what was given before the command's name.

    argparse lets a command's defaults win over what the parser above it has read.
    """
    for action in parser._actions:  # noqa: SLF001
        if action.option_strings and action.dest not in own:
            action.default = argparse.SUPPRESS
