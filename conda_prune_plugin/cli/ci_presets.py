"""``--ci``: what its presets choose, and that they don't go with what chooses otherwise."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from contextlib import suppress

from ..core.rules.targets import ALL, DEFAULT, OTHER, Target
from ..core.run import Run
from ..errors import PruneError, UsageError
from ..execution.locks.run_lock import Patience

#: What each preset removes, if conda can do without it.
_TARGETS = {
    # Nothing in an image's caches is of use but what environments soft-link: a later layer would have to copy what it
    # hard-links out of this one.
    "image": ALL | Target.UNLINKED | Target.HARD_LINKED,
    # An archive is all that is needed to extract the rest.
    "cache": DEFAULT | OTHER | Target.DOUBLES | Target.RECORDS,
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

#: What takes the place of settings, and of the caution that a machine with people at it needs: what this job has
#: just installed may go. An option wins.
_VALUES = {"min_age": "0", "older_than": "0", "keep_newest": "0"}


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
    from conda import __version__
    from conda.base.context import context
    from conda.models.version import VersionOrder

    version = VersionOrder(__version__)
    if context.solver == "classic" and version < VersionOrder("25.7"):
        return Target(0) if version < VersionOrder("24.9") else Target.DOUBLES
    return Target.RECORDS if context.solver == "libmamba" else Target.RECORDS | Target.INDEX_CACHE


def with_preset(arguments: argparse.Namespace) -> argparse.Namespace:
    """Return the arguments as the preset has them, if one was asked for. Raises `UsageError`."""
    if arguments.ci is None:
        return arguments
    for name, option in _CONTRARY.items():
        if getattr(arguments, name, None):
            raise UsageError(
                f"--ci {arguments.ci} says itself what goes, and {option} says otherwise.",
                hint="Leave one of them out; `conda prune --help` explains the presets.",
            )
    chosen = argparse.Namespace(**vars(arguments))
    chosen.backup = False
    for name, value in _VALUES.items():
        if getattr(arguments, name) is None:
            setattr(chosen, name, ("--ci", value))
    return chosen


def forget(run: Run, pkgs_dirs: Iterable[str], patience: Patience) -> None:
    """Remove the receipts of a run where that can be done; one that stays does no harm."""
    from ..operations.runs.run_store import take_stock
    from .purge import chosen_runs, purge_runs

    with suppress(PruneError, OSError):
        purge_runs(chosen_runs(take_stock(pkgs_dirs), (run.id,), None, run.started), patience, lambda files: None)
