"""The options by which packages stay, shared by the commands that plan. Their values are read in `arguments`."""

from __future__ import annotations

import argparse

from .options import Value

#: The options that choose packages, by the names of their values: who plans honours them also before its own name.
CHOICES = frozenset(
    {
        "lockfile",
        "keep_revisions",
        "keep",
        "only",
        "older_than",
        "keep_newest",
        "max_size",
        "free",
        "unlinked",
        "include_irreplaceable",
        "check_remote",
    }
)


def add_roots(group: argparse._ArgumentGroup) -> None:
    """Add the options that name roots beyond environments."""
    group.add_argument(
        "--lockfile",
        metavar="FILE",
        action="append",
        default=[],
        help="What FILE names stays: an @EXPLICIT file, conda-lock.yml, pixi.lock or environment.yml; can be repeated.",
    )
    group.add_argument(
        "--keep-revisions",
        metavar="N",
        action=Value,
        help="What the N revisions before the present one held in each environment stays, for "
        "`conda install --revision` (setting: prune_keep_revisions).",
    )
    group.add_argument(
        "--keep",
        metavar="SPEC",
        action="append",
        default=[],
        help="What matches SPEC stays, as numpy or 'numpy>=2'; can be repeated, and adds to the setting prune_keep.",
    )


def add_policies(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose among what nothing references."""
    which = parser.add_argument_group("which of what nothing needs")
    which.add_argument(
        "--only", metavar="SPEC", action="append", default=[], help="Only what matches SPEC; can be repeated."
    )
    which.add_argument(
        "--older-than",
        metavar="AGE",
        action=Value,
        help="Only what was last used at least AGE ago (12h, 30d, 8w, 6mo; setting: prune_older_than).",
    )
    which.add_argument(
        "--min-age",
        metavar="AGE",
        action=Value,
        help="Never touch what was fetched or extracted less than AGE ago (10m, 12h, 30d, 8w, 6mo; 0 for none; "
        "default: 10m): an install may be using it.",
    )
    which.add_argument(
        "--keep-newest",
        metavar="N",
        action=Value,
        help="Keep the N newest versions of each package name (setting: prune_keep_newest).",
    )
    which.add_argument(
        "--max-size",
        metavar="SIZE",
        action=Value,
        help="Remove, least recently used first, until the caches hold at most SIZE (500MB, 2.5GiB).",
    )
    which.add_argument(
        "--free", metavar="SIZE", action=Value, help="Remove, least recently used first, until SIZE is reclaimed."
    )
    which.add_argument(
        "--unlinked",
        action="store_true",
        help="Also what environments have but share no file with (copies, other file systems): they lose nothing.",
    )
    which.add_argument(
        "--include-irreplaceable",
        action="store_true",
        help="Also what can't be fetched again: without a url, from a file that is gone, or built here.",
    )
    which.add_argument(
        "--check-remote",
        action="store_true",
        help="Ask the channels whether they still have each package; what they have not is irreplaceable.",
    )
