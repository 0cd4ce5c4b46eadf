"""Options that several commands have, conda's own among them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...operations.interaction import Output

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


class Value(argparse.Action):
    """Keeps an option's text together with the option's name, to be parsed when errors can be reported.

    argparse would print its usage for a wrong value even where JSON was asked for.
    """

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Store the pair."""
        setattr(namespace, self.dest, (option, values))


def add_output_and_prompt_options(parser: argparse.ArgumentParser) -> None:
    """Add conda's own options for output and prompts: ``--json``, ``--dry-run``, ``--yes`` and so on."""
    from conda.cli import helpers

    helpers.add_output_and_prompt_options(parser)


def conda_output() -> Output:
    """Return what conda made of its own options, of its environment variables and of ``.condarc``."""
    from conda.base.context import context

    from ...operations.interaction import Output

    return Output(
        json=bool(context.json),
        dry_run=bool(context.dry_run),
        yes=bool(context.always_yes),
        quiet=bool(context.quiet),
        verbosity=int(context.verbosity or 0),
    )


def wants_json() -> bool:
    """Return whether JSON was asked for, also where another of conda's settings is wrong."""
    from conda.base.context import context

    return bool(context.json)


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


def add_ci(group: Any) -> None:
    """Add the options for continuous integration."""
    group.add_argument(
        "--ci",
        choices=("image", "cache"),
        help="Without a question, and whatever its age: image makes the smallest layer, and leaves in the caches only "
        "what environments soft-link; cache leaves what is worth saving between runs: the archives, and what else "
        "conda needs to make the present environments again offline from any of its exports.",
    )
    group.add_argument(
        "--check",
        metavar="SIZE",
        action=Value,
        help="Change nothing; exit with 3 if more than SIZE (500MB, 2.5GiB) is reclaimable, with 0 if not.",
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
