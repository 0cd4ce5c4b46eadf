"""How far sizes can be promised: notices of discovery say it, and every sum that is shown."""

from __future__ import annotations

from collections.abc import Iterable

from .model import Notice

#: The kinds of notices that say why sizes are no promise.
ESTIMATED = "estimated-sizes"
LAYERED = "layered-file-system"


def hedge(notices: Iterable[Notice]) -> str:
    """Return what has to stand before a size, with a space behind it; nothing where it is exact."""
    kinds = {notice.kind for notice in notices}
    if LAYERED in kinds:
        return "at most "
    return "about " if ESTIMATED in kinds else ""
