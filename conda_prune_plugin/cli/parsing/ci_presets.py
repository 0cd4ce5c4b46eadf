"""The presets of ``--ci``: their targets, and the options that they exclude."""

from __future__ import annotations

import argparse

from ...core.rules.targets import ALL, DEFAULT, OTHER, Target
from ...errors import UsageError

#: The targets of each preset; `targets_of_preset` leaves out those that conda needs.
_TARGETS = {
    # An image needs only packages that environments soft-link: a later layer can't hard-link into an earlier one
    # without copying.
    "image": ALL | Target.UNLINKED | Target.HARD_LINKED,
    # Everything else can be extracted from an archive.
    "cache": DEFAULT | OTHER | Target.REDUNDANT | Target.RECORDS,
}

#: Options that contradict a preset: they choose targets, or keep the space that it would free.
_CONTRARY = (
    "packages",
    "tarballs",
    "all_tarballs",
    "leftovers",
    "index_cache",
    "tempfiles",
    "logfiles",
    "all",
    "unlinked",
    "backup",
    "backup_to",
)


def targets_of_preset(preset: str) -> Target:
    """Return the targets of a preset for this conda."""
    targets = _TARGETS[preset]
    if preset == "cache":
        targets &= ~_needed_offline()
    return targets


def _needed_offline() -> Target:
    """Return what this conda needs, besides archives, to create an environment from each of its exports offline.

    Records have the SHA-256 of an archive. Without it no package matches a lockfile or the output of ``conda list
    --explicit --sha256`` (since conda 24.9). Some solvers read index caches: rattler (conda-rattler-solver 0.2), and
    classic since conda 25.7, whose `conda.core.solve` makes its index without the packages of the caches. libmamba
    needs none.

    Before 25.7, classic makes its index of the extracted packages (`PackageCacheData.get_all_extracted_entries`). An
    archive gets into it only if conda has no record of it and extracts it to make one, without the SHA-256. From 24.9
    on only complete directories serve both.
    """
    from ...discovery.clients.conda_context import is_older_than, solver

    if solver() == "classic" and is_older_than("25.7"):
        return Target(0) if is_older_than("24.9") else Target.REDUNDANT
    return Target.RECORDS if solver() == "libmamba" else Target.RECORDS | Target.INDEX_CACHE


def refuse_contrary(preset: str, arguments: argparse.Namespace) -> None:
    """Refuse options that contradict a preset. Raises `UsageError`."""
    for name in _CONTRARY:
        # --tempfiles may have no values.
        if getattr(arguments, name) not in (None, False):
            raise UsageError(
                f"--ci {preset} and --{name.replace('_', '-')} can't be combined.",
                hint="Leave one of them out. `conda prune --help-all` explains the presets.",
            )
