"""What a plan takes away, in a few words."""

from __future__ import annotations

from collections import Counter

from .model import OtherKind
from .plan import Plan
from .units import plural

_OTHER = {
    OtherKind.INDEX_CACHE: ("index cache", "index caches"),
    OtherKind.TEMPFILES: ("temporary file", "temporary files"),
    OtherKind.LOGFILES: ("log file", "log files"),
}


def what_goes(plan: Plan) -> str:
    """Return how many entries, leftovers and other things go."""
    leftovers = sum(decision.leftover for decision in plan.remove)
    counts = [(len(plan.remove) - leftovers, ("entry", "entries")), (leftovers, ("leftover", "leftovers"))]
    other = Counter(item.kind for item in plan.other)
    counts += [(other[kind], words) for kind, words in _OTHER.items()]
    return _listed([plural(count, *words) for count, words in counts if count])


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
