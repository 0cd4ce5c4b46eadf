"""Types of option values, and conda's output options as one value."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from ..execution.locks.run_lock import Patience
    from ..presentation.terminal.progress import Reporter

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


def parse_timeout(text: str) -> float:
    """Return the seconds that ``90``, ``90s`` or ``5m`` means. Raises `ValueError`."""
    from ..core.units import parse_age

    text = text.strip()
    return float(text) if text.isascii() and text.isdecimal() else parse_age(text)


def directory(text: str) -> str:
    """Return the name of a directory, be there one or not; for argparse."""
    if not text:
        raise argparse.ArgumentTypeError("it needs the name of a directory")
    return text


def add_pkgs_dir(group: Any) -> None:
    """Add ``--pkgs-dir``."""
    group.add_argument(
        "--pkgs-dir",
        metavar="DIR",
        type=directory,
        action="append",
        default=[],
        help="This package cache instead of the configured ones; can be repeated.",
    )


def add_lock_timeout(group: Any) -> None:
    """Add ``--lock-timeout``."""
    group.add_argument(
        "--lock-timeout",
        metavar="TIME",
        action=Value,
        help="Wait at most this long (30s, 5m; default: 5m) for another program that works on the cache.",
    )


def patience_of(arguments: argparse.Namespace, output: Output, reporter: Reporter) -> Patience:
    """Return how long to wait for locks; the user is told on standard error. Raises `UsageError`."""
    from ..execution.locks.run_lock import DEFAULT_PATIENCE, Patience

    return Patience(parsed(arguments.lock_timeout, parse_timeout, DEFAULT_PATIENCE), teller(output, reporter))


def teller(output: Output, reporter: Reporter) -> Callable[[str], None]:
    """Return what says something to the user while the work goes on."""
    import sys

    def tell(message: str) -> None:
        # With a full disk behind standard error the work goes on unseen: what failed is not what it works on.
        with suppress(OSError):
            reporter.clear()
            if not output.quiet:
                print(message, file=sys.stderr, flush=True)

    return tell


def add_places(parser: argparse.ArgumentParser) -> Any:
    """Add the options that say where to look, and return their group."""
    where = parser.add_argument_group("where to look, and what stays")
    add_pkgs_dir(where)
    where.add_argument(
        "--root",
        metavar="PREFIX",
        type=directory,
        action="append",
        default=[],
        help="A further environment whose packages stay; can be repeated.",
    )
    where.add_argument(
        "--search",
        metavar="DIR",
        type=directory,
        action="append",
        default=[],
        help="Look for further environments everywhere below DIR; pixi's and rattler's caches are pruned only with it; "
        "can be repeated.",
    )
    return where
