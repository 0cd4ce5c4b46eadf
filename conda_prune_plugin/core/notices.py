"""Notices: what the user should know, and the kinds that more than one module needs."""

from __future__ import annotations

from dataclasses import dataclass

#: The kind of the notice on an environment that is not there.
MISSING = "missing-environment"

#: The kind of the notice that an environment which is not known may soft-link what goes.
SOFT_LINKS_POSSIBLE = "soft-links-possible"

#: The kind of the notice on a cache that was left alone.
UNREADABLE = "unreadable-cache"

#: The kind of the notice on a package in use that is not whole.
DAMAGED = "damaged-package"

#: The kinds of notices that say why sizes are no promise.
ESTIMATED = "estimated-sizes"
LAYERED = "layered-file-system"


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know: a warning of the JSON contract.

    hides_roots: there may be roots that are not known because of it. Hard links tell of them and copies need nothing,
        so this matters only where soft links are possible.
    stops: what it hides was asked for, so nothing is removed unless the user says so.
    command: what helps, for many of one kind that are shown as one; empty for the usual command of the kind.
    """

    kind: str
    message: str
    path: str
    hides_roots: bool = False
    stops: bool = False
    command: str = ""
