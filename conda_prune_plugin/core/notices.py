"""Notices: what the user should know, and the kinds that more than one module needs."""

from __future__ import annotations

from dataclasses import dataclass

#: The kind of the notice on a missing environment, and the command that removes it from the registry; with the option
#: also if its disk may not be mounted.
MISSING = "missing-environment"
FIX_REGISTRY, EVEN_UNMOUNTED = "conda prune envs --fix-registry", " --force"

#: The kind of the notice that an unknown environment may soft-link packages that are removed.
SOFT_LINKS_POSSIBLE = "soft-links-possible"

#: The kind of the notice on a cache that can't be read and was skipped.
UNREADABLE = "unreadable-cache"

#: The kind of the notice on a damaged package in use, and the command that repairs it.
DAMAGED, REPAIR = "damaged-package", "conda prune --verify --repair"

#: The kinds of the notices on environments that have the files of a damaged package: copies of them, and hard links to
#: them as they were before its repair.
COPIED_DAMAGE, STILL_DAMAGED = "copied-damage", "still-damaged"

#: The kind of the notice that a removal can't be undone.
FINAL = "irreplaceable-removal"

#: The kinds of notices that say why sizes are not exact.
ESTIMATED = "estimated-sizes"
LAYERED = "layered-file-system"
SHARED = "shared-storage"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know: a warning of the JSON contract.

    hides_roots: it may hide roots. Hard links reveal these and copies need no package, so this matters only for soft
        links.
    stops: it hides something that the user asked for, so nothing is removed without --ignore-unreadable.
    command: the command that helps, if it is not the usual one for notices of this kind.
    missing_directory: what is missing with an environment, as if a disk were not mounted.
    """

    kind: str
    message: str
    path: str
    hides_roots: bool = False
    stops: bool = False
    command: str = ""
    missing_directory: str = ""
