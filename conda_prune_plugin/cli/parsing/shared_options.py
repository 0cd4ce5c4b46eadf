"""Options that several commands share, conda's own among them, and the types of their values."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...operations.interaction import Output

#: The options that choose packages, by the names of their values. Commands that plan a prune honour them also before
#: their own name.
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
    """Return the values of conda's output options, from the command line, the environment and ``.condarc``."""
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
    """Return True if JSON was requested, even if another of conda's settings is invalid."""
    from conda.base.context import context

    return bool(context.json)


def directory(text: str) -> str:
    """Return the name of a directory, which doesn't have to exist; for argparse."""
    if not text:
        raise argparse.ArgumentTypeError("a directory name is required")
    return text


def add_pkgs_dir(group: Any) -> None:
    """Add ``--pkgs-dir``."""
    group.add_argument(
        "--pkgs-dir",
        metavar="DIR",
        type=directory,
        action="append",
        default=[],
        help="Use this package cache instead of the configured ones (repeatable).",
    )


def add_lock_timeout(group: Any) -> None:
    """Add ``--lock-timeout``."""
    group.add_argument(
        "--lock-timeout",
        metavar="TIME",
        action=Value,
        help="Wait at most TIME for another program that uses the cache (30s, 5m; default: 5m).",
    )


def add_ignore_running(group: Any) -> None:
    """Add ``--ignore-running``."""
    group.add_argument(
        "--ignore-running",
        action="store_true",
        help="With --yes: continue even if another conda, mamba or pixi is installing packages.",
    )


def add_min_age(group: Any) -> None:
    """Add ``--min-age``."""
    group.add_argument(
        "--min-age",
        metavar="AGE",
        action=Value,
        help="Keep packages fetched or extracted less than AGE ago, because an install may still need them "
        "(default: 10m; 0 keeps none).",
    )


def add_backup(group: Any) -> None:
    """Add ``--backup`` and ``--no-backup``."""
    group.add_argument(
        "--backup",
        action="store_true",
        default=None,
        help="Move to a backup instead of deleting. `conda prune restore` brings everything back as it was. "
        "`conda prune purge` frees the space.",
    )
    group.add_argument(
        "--no-backup",
        dest="backup",
        action="store_false",
        help="Delete, even if the setting prune_backup is on.",
    )


def add_places(parser: argparse.ArgumentParser) -> Any:
    """Add the options for where to look, and return their group."""
    where = parser.add_argument_group("where to look")
    add_pkgs_dir(where)
    where.add_argument(
        "--root",
        metavar="PREFIX",
        type=directory,
        action="append",
        default=[],
        help="Also keep packages of this environment (repeatable; setting: prune_roots).",
    )
    where.add_argument(
        "--search",
        metavar="DIR",
        type=directory,
        action="append",
        default=[],
        help="Also keep packages of environments below DIR (repeatable). Required to prune the caches of pixi and "
        "rattler.",
    )
    return where


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Add the options for what to remove."""
    what = parser.add_argument_group("what to remove (default: unused packages and leftovers)")
    what.add_argument("-p", "--packages", action="store_true", help="Extracted directories of unused packages.")
    what.add_argument("-t", "--tarballs", action="store_true", help="Archives of unused packages.")
    what.add_argument(
        "--all-tarballs",
        action="store_true",
        help="Archives of all packages whose extracted directory is complete, in use or not.",
    )
    what.add_argument(
        "--leftovers",
        action="store_true",
        help="Remains of failed installs and removals: partial downloads, incomplete and corrupt packages, trash, "
        "stale locks, temporary files. Also checks packages in use and all environments.",
    )
    what.add_argument("-i", "--index-cache", action="store_true", help="Cached channel indexes.")
    what.add_argument(
        "-c",
        "--tempfiles",
        action="store_true",
        help="Temporary files, trash and stale locks in environments and index caches.",
    )
    what.add_argument("-l", "--logfiles", action="store_true", help="Log files in the caches.")
    what.add_argument(
        "-a",
        "--all",
        action="store_true",
        help="Unused packages, all archives, leftovers, index caches, temporary files and logs.",
    )
    what.add_argument(
        "--verify",
        action="store_true",
        help="Find corrupt packages by comparing every file and archive with its hash.",
    )
    what.add_argument(
        "--repair",
        action="store_true",
        help="Extract damaged packages that are in use again, from their cached archives.",
    )


def add_ci(group: Any) -> None:
    """Add the options for continuous integration."""
    group.add_argument(
        "--ci",
        choices=("image", "cache"),
        help="Prune without asking, whatever the age. image: make the smallest image layer. cache: keep only what is "
        "worth saving between runs.",
    )
    group.add_argument(
        "--check",
        metavar="SIZE",
        action=Value,
        help="Change nothing; exit with 3 if more than SIZE can be freed (500MB, 2.5GiB).",
    )


def add_roots(group: argparse._ArgumentGroup) -> None:
    """Add the options that keep packages besides those of environments."""
    group.add_argument(
        "--lockfile",
        metavar="FILE",
        action="append",
        default=[],
        help="Keep packages that FILE lists: an @EXPLICIT file, conda-lock.yml, pixi.lock or environment.yml "
        "(repeatable).",
    )
    group.add_argument(
        "--keep-revisions",
        metavar="N",
        action=Value,
        help="Keep packages of the last N revisions of each environment, for `conda install --revision` "
        "(setting: prune_keep_revisions).",
    )
    group.add_argument(
        "--keep",
        metavar="SPEC",
        action="append",
        default=[],
        help="Keep packages that match SPEC, such as numpy or 'numpy>=2' (repeatable; adds to the setting prune_keep).",
    )


def add_policies(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose among unused packages."""
    which = parser.add_argument_group("which unused packages")
    which.add_argument(
        "--only", metavar="SPEC", action="append", default=[], help="Only packages that match SPEC (repeatable)."
    )
    which.add_argument(
        "--older-than",
        metavar="AGE",
        action=Value,
        help="Only packages unused for at least AGE (12h, 30d, 8w, 6mo; setting: prune_older_than).",
    )
    add_min_age(which)
    which.add_argument(
        "--keep-newest",
        metavar="N",
        action=Value,
        help="Keep the N newest versions of each package (setting: prune_keep_newest).",
    )
    which.add_argument(
        "--max-size",
        metavar="SIZE",
        action=Value,
        help="Remove the least recently used packages until the caches hold at most SIZE (500MB, 2.5GiB).",
    )
    which.add_argument(
        "--free",
        metavar="SIZE",
        action=Value,
        help="Remove the least recently used packages until SIZE is freed.",
    )
    which.add_argument(
        "--unlinked",
        action="store_true",
        help="Also packages in use that no environment links to: environments have their own copies.",
    )
    which.add_argument(
        "--include-irreplaceable",
        action="store_true",
        help="Also packages that can't be downloaded again: no URL, a missing file:// source, or built locally.",
    )
    which.add_argument(
        "--check-remote",
        action="store_true",
        help="Ask the channels which packages they still have, and keep the others as irreplaceable.",
    )
