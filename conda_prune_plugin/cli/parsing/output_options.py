"""conda's own options for output and prompts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from conda.base.context import context
from conda.cli.actions import NullCountAction
from conda.common.constants import NULL

if TYPE_CHECKING:
    from ...operations.interaction import Output


#: conda's options that every command accepts. Scripts pass them to all commands, also to those that change nothing.
#: ``--console`` is not among them: it chooses conda's reporters, which don't print our output.
OUTPUT = ("json", "verbosity", "quiet", "dry_run", "yes")


def add_output_options(parser: argparse.ArgumentParser, texts: Mapping[str, str]) -> None:
    """Add ``--json``, ``--dry-run``, ``--yes`` and so on, with help texts by the names of their values.

    Those without a text are accepted, but the help doesn't list them: they change nothing there.
    """
    group = parser.add_argument_group("output and prompts")

    def flag(*names: str, default: Any = NULL) -> None:
        text = texts.get(names[-1].strip("-").replace("-", "_"), argparse.SUPPRESS)
        group.add_argument(*names, action="store_true", default=default, help=text)

    flag("--json")
    group.add_argument(
        "-v",
        "--verbose",
        action=NullCountAction,
        dest="verbosity",
        default=NULL,
        help=texts.get("verbosity", argparse.SUPPRESS),
    )
    for hidden in ("--debug", "--trace"):
        flag(hidden)
    flag("-q", "--quiet")
    flag("-d", "--dry-run", default=False)
    flag("-y", "--yes")


def conda_output() -> Output:
    """Return the values of conda's output options, from the command line, the environment and ``.condarc``."""
    from ...operations.interaction import Output

    return Output(
        json=bool(context.json),
        dry_run=bool(context.dry_run),
        yes=bool(context.always_yes),
        quiet=bool(context.quiet),
        verbosity=int(context.verbosity or 0),
    )


def wants_json() -> bool:
    """Return True if JSON was requested, even if another of conda's settings is invalid."""
    return bool(context.json)
