"""How far sizes can be promised: notices of discovery say it, and every sum that is shown."""

from __future__ import annotations

from collections.abc import Iterable

from .model import Word
from .notices import ESTIMATED, LAYERED, Notice


class Precision(Word):
    """How far a size can be relied on."""

    EXACT = "exact"
    ABOUT = "about"
    AT_MOST = "at-most"


_HEDGES = {Precision.EXACT: "", Precision.ABOUT: "about ", Precision.AT_MOST: "at most "}


def precision(notices: Iterable[Notice]) -> Precision:
    """Return how far the sizes can be relied on that notices were given with."""
    kinds = {notice.kind for notice in notices}
    if LAYERED in kinds:
        return Precision.AT_MOST
    return Precision.ABOUT if ESTIMATED in kinds else Precision.EXACT


def hedge(notices: Iterable[Notice]) -> str:
    """Return what has to stand before a size, with a space behind it; nothing where it is exact."""
    return _HEDGES[precision(notices)]
