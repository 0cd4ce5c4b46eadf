"""Notices: what the user should know, and the kinds that more than one module needs."""

from __future__ import annotations

from dataclasses import dataclass

#: The kind of the notice on a missing environment.
MISSING = "missing-environment"

#: The kind of the notice that an unknown environment may soft-link what is removed.
SOFT_LINKS_POSSIBLE = "soft-links-possible"

#: The kind of the notice on a cache that can't be read and was skipped.
UNREADABLE = "unreadable-cache"

#: The kind of the notice on a damaged package in use.
DAMAGED = "damaged-package"

#: The kinds of notices that say why sizes are not exact.
ESTIMATED = "estimated-sizes"
LAYERED = "layered-file-system"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know: a warning of the JSON contract.

    hides_roots: it may hide roots. Hard links reveal these and copies need no package, so this matters only for soft
        links.
    stops: it hides something that the user asked for, so nothing is removed without --ignore-unreadable.
    command: the command that helps, if it is not the usual one for notices of this kind.
    """

    kind: str
    message: str
    path: str
    hides_roots: bool = False
    stops: bool = False
    command: str = ""
