"""conda's own options for output and prompts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from conda.base.context import context
from conda.cli.helpers import add_output_and_prompt_options

if TYPE_CHECKING:
    from ...operations.interaction import Output


def add_output_options(parser: argparse.ArgumentParser, texts: Mapping[str, str]) -> None:
    """Add ``--json``, ``--dry-run``, ``--yes`` and so on, with help texts of ours by the names of their values.

    Those without a text are accepted, because scripts pass them to every command, but the help doesn't list them: they
    change nothing there.
    """
    add_output_and_prompt_options(parser)
    # argparse has no public way to get at a group that conda made.
    group = parser._action_groups[-1]  # noqa: SLF001
    group.title = "output and prompts"
    for action in group._group_actions:  # noqa: SLF001
        # conda hides some itself.
        if action.help != argparse.SUPPRESS:
            action.help = texts.get(action.dest, argparse.SUPPRESS)


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
