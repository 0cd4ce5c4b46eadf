"""Targets: what the user wants removed, as one value."""

from __future__ import annotations

from enum import Flag, auto

from ..model import PartKind


class Target(Flag):
    """A set of targets; each member is one of the command line's.

    PACKAGES, TARBALLS: extracted directories and archives of unreferenced entries. ALL_TARBALLS: the
    archives of reachable entries too, if their extracted directory is complete. UNLINKED: also reachable entries that
    no environment shares a file with. HARD_LINKED: and those whose files environments hard-link, which keep them then.
    REDUNDANT: the extracted directories of reachable entries that no environment soft-links and whose archive is sound;
    RECORDS: with conda's records of the archives in them. INDEX_CACHE, TEMPFILES and LOGFILES are not in the entries of
    a cache. REPAIR: nothing is removed; damaged packages in use are extracted again.
    """

    PACKAGES = auto()
    TARBALLS = auto()
    ALL_TARBALLS = auto()
    LEFTOVERS = auto()
    UNLINKED = auto()
    HARD_LINKED = auto()
    REDUNDANT = auto()
    RECORDS = auto()
    INDEX_CACHE = auto()
    TEMPFILES = auto()
    LOGFILES = auto()
    REPAIR = auto()


#: Without any target.
DEFAULT = Target.PACKAGES | Target.TARBALLS | Target.LEFTOVERS

#: The targets of ``--all``: all that are safe without a second thought, unlike `Target.UNLINKED`.
ALL = DEFAULT | Target.ALL_TARBALLS | Target.INDEX_CACHE | Target.TEMPFILES | Target.LOGFILES

#: The targets that are not in the entries of a cache.
OTHER = Target.INDEX_CACHE | Target.TEMPFILES | Target.LOGFILES


def kinds(targets: Target) -> frozenset[PartKind]:
    """Return the kinds of parts of unreferenced entries that may go."""
    table = ((Target.PACKAGES, PartKind.EXTRACTED), (Target.TARBALLS, PartKind.ARCHIVE))
    return frozenset(kind for target, kind in table if target in targets)
