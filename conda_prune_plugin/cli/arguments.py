"""The options that say what to remove, and the value that they make."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.rules.targets import Target
    from ..discovery.leftovers.leftover_search import Search


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


def targets_of(arguments: argparse.Namespace) -> Target:
    """Return the targets that the options make."""
    from ..core.rules.targets import ALL, DEFAULT, Target
    from .ci_presets import targets_of_preset

    if arguments.ci is not None:
        return targets_of_preset(arguments.ci)
    table = (
        (arguments.packages, Target.PACKAGES),
        (arguments.tarballs, Target.TARBALLS),
        (arguments.all_tarballs, Target.TARBALLS | Target.ALL_TARBALLS),
        (arguments.leftovers, Target.LEFTOVERS),
        # No temporary file is of a package that could be chosen.
        (arguments.leftovers and not getattr(arguments, "only", None), Target.TEMPFILES),
        (arguments.index_cache, Target.INDEX_CACHE),
        (arguments.tempfiles, Target.TEMPFILES),
        (arguments.logfiles, Target.LOGFILES),
        (arguments.all, ALL),
    )
    targets = Target(0)
    for given, target in table:
        if given:
            targets |= target
    if arguments.verify or arguments.repair:
        targets = (targets or DEFAULT) | Target.LEFTOVERS
    return (targets or DEFAULT) | (Target.UNLINKED if arguments.unlinked else Target(0))


def search_of(arguments: argparse.Namespace, targets: Target) -> Search:
    """Return where to look for leftovers: in all that is in use too only if they were asked for."""
    from ..core.rules.targets import Target
    from ..discovery.leftovers.leftover_search import Search

    asked = arguments.leftovers or arguments.all or arguments.verify or arguments.repair
    # An archive goes only where what was extracted from it is whole.
    everything = asked or Target.ALL_TARBALLS in targets
    return Search(everything=bool(everything), hashes=bool(arguments.verify), repair=bool(arguments.repair))
