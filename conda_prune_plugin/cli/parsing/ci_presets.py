"""The presets of ``--ci``: the targets of each, and the options that contradict them."""

from __future__ import annotations

import argparse

from ...core.rules.targets import ALL, DEFAULT, OTHER, Target
from ...errors import UsageError

#: What each preset removes, if conda can do without it.
_TARGETS = {
    # Nothing in an image's caches is of use but what environments soft-link: a later layer would have to copy what it
    # hard-links out of this one.
    "image": ALL | Target.UNLINKED | Target.HARD_LINKED,
    # An archive is all that is needed to extract the rest.
    "cache": DEFAULT | OTHER | Target.REDUNDANT | Target.RECORDS,
}

#: What stands against a preset: options that choose what goes, or that keep what it frees.
_CONTRARY = {
    "packages": "--packages",
    "tarballs": "--tarballs",
    "all_tarballs": "--all-tarballs",
    "leftovers": "--leftovers",
    "index_cache": "--index-cache",
    "tempfiles": "--tempfiles",
    "logfiles": "--logfiles",
    "all": "--all",
    "unlinked": "--unlinked",
    "backup": "--backup",
    "backup_to": "--backup-to",
}


def targets_of_preset(preset: str) -> Target:
    """Return what a preset removes where this conda has been at work."""
    targets = _TARGETS[preset]
    if preset == "cache":
        targets &= ~_needed_offline()
    return targets


def _needed_offline() -> Target:
    """Return what this conda needs besides archives to make an environment again from each of its exports, offline.

    Records have the sha256 of an archive. Without it no package matches what asks for one: lockfiles, and what ``conda
    list --explicit --sha256`` writes (since conda 24.9). Index caches are what solvers read: rattler
    (conda-rattler-solver 0.2), and classic since conda 25.7, whose `conda.core.solve` makes its index without the
    packages of the caches. libmamba needs none.

    Before, classic makes its index of what is extracted (`PackageCacheData.get_all_extracted_entries`). An archive gets
    into it only if conda has no record of it, and extracts it to make one, without the sha256. From 24.9 on only whole
    directories serve both.
    """
    from ...discovery.clients.conda_context import is_older_than, solver

    if solver() == "classic" and is_older_than("25.7"):
        return Target(0) if is_older_than("24.9") else Target.REDUNDANT
    return Target.RECORDS if solver() == "libmamba" else Target.RECORDS | Target.INDEX_CACHE


def refuse_contrary(preset: str, arguments: argparse.Namespace) -> None:
    """Refuse options that choose what a preset chooses. Raises `UsageError`."""
    for name, option in _CONTRARY.items():
        if getattr(arguments, name, None):
            raise UsageError(
                f"--ci {preset} says itself what goes, and {option} says otherwise.",
                hint="Leave one of them out; `conda prune --help` explains the presets.",
            )
