"""Options that several commands have, and the types of their values."""

from __future__ import annotations

import argparse
from typing import Any


class Value(argparse.Action):
    """Keeps an option's text together with the option's name, to be parsed when errors can be reported.

    argparse would print its usage for a wrong value even where JSON was asked for.
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Store the pair."""
        setattr(namespace, self.dest, (option, values))


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


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what to remove."""
    what = parser.add_argument_group("what to remove (default: unreferenced packages and leftovers)")
    what.add_argument(
        "-p", "--packages", action="store_true", help="Only extracted directories of unreferenced packages."
    )
    what.add_argument("-t", "--tarballs", action="store_true", help="Only archives of unreferenced packages.")
    what.add_argument(
        "--all-tarballs",
        action="store_true",
        help="Archives of packages in use too, where their extracted directory is whole.",
    )
    what.add_argument(
        "--leftovers",
        action="store_true",
        help="Only what failed installs and removals left: partial downloads, incomplete and corrupt packages, trash, "
        "stale locks, temporary files. Looks at the packages in use and at all environments too.",
    )
    what.add_argument("-i", "--index-cache", action="store_true", help="The index caches, as conda clean does.")
    what.add_argument(
        "-c",
        "--tempfiles",
        action="store_true",
        help="Temporary files, trash and stale locks in all known environments and in the index caches.",
    )
    what.add_argument("-l", "--logfiles", action="store_true", help="Log files in the caches, as conda clean does.")
    what.add_argument("-a", "--all", action="store_true", help="All of the above.")
    what.add_argument(
        "--verify",
        action="store_true",
        help="Read all packages and compare every file and archive with its hash, to find what is corrupt.",
    )
    what.add_argument(
        "--repair",
        action="store_true",
        help="Extract damaged packages that are in use anew, from their archives in the cache.",
    )
