"""The parts of caches and environments in the HTML report, each byte in exactly one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...core.model import Verdict, Word
from ...core.plan import Keep, Plan
from ...core.units import plural
from ...core.usage.disk_usage import Inodes, Tree, shares
from ...core.usage.package_usage import Cached, Contents, OwnerKind
from ...core.usage.usage_report import Usage


class Standing(Word):
    """The state of a part. The words are also CSS classes and names of patterns."""

    USED = "used"
    OWN = "own"
    FREE = "free"
    KEPT = "kept"
    OTHER = "other"


#: Each standing in the words of the screen, in the order of the legend.
STANDINGS: Mapping[Standing, str] = {
    Standing.USED: "in use",
    Standing.OWN: "only in an environment",
    Standing.FREE: "can be freed",
    Standing.KEPT: "kept for now",
    Standing.OTHER: "other cache files",
}

#: What every environment has: one part for all environments, or they would hide the packages.
_OVERHEAD = frozenset({OwnerKind.RECORDS, OwnerKind.DIRECTORIES})
_OWNER_REASONS = {
    OwnerKind.CONDA: "files that no cache has",
    OwnerKind.PIP: "installed by pip",
    OwnerKind.OTHER: "installed by neither conda nor pip",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A package in one place, or something else there.

    place: the path of a cache or an environment; empty for files in several of them. size: allocated bytes that no part
    before it has. used: when it was last used, in seconds since the epoch.
    """

    place: str
    name: str
    size: int
    standing: Standing
    reason: str
    used: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """All bytes on disk in three parts: those in use, those that `conda prune` would free, and the rest."""

    on_disk: int
    in_use: int
    free: int

    @property
    def rest(self) -> int:
        """Unused packages that are kept for now, and other files in caches."""
        return max(self.on_disk - self.in_use - self.free, 0)


def parts(usage: Usage, contents: Sequence[Contents], cached: Cached, inodes: Inodes) -> list[Part]:
    """Return all parts, the largest first; their sizes add up to the usage on disk."""
    pairs = [*_of_caches(usage.plan, cached), *_of_environments(usage, contents)]
    sizes = shares((tree for tree, _ in pairs), inodes)
    whole: dict[tuple[str, str], Part] = {}
    for size, (_, part) in zip(sizes, pairs):
        # A package's directory and its archives are one part.
        known = whole.get((part.place, part.name), replace(part, size=0))
        used = max((time for time in (known.used, part.used) if time is not None), default=None)
        whole[part.place, part.name] = replace(known, size=known.size + size, used=used)
    rest = usage.allocated - sum(sizes)
    place = usage.caches[0].cache.path if len(usage.caches) == 1 else ""
    others = Part(place, "index caches, logs and the like", rest, Standing.OTHER, "no package")
    return sorted(
        (part for part in (*whole.values(), others) if part.size > 0),
        key=lambda part: (-part.size, part.name, part.place),
    )


def figures(usage: Usage, found: Sequence[Part]) -> Figures:
    """Return the three figures; the rest includes what a removal leaves because something in use links it."""
    in_use = sum(part.size for part in found if part.standing in {Standing.USED, Standing.OWN})
    return Figures(usage.allocated, in_use, usage.reclaimable)


def _of_caches(plan: Plan, cached: Cached) -> Iterator[tuple[Tree, Part]]:
    decided = _decisions(plan)
    for dist, trees in cached.parts.items():
        for cache, tree in trees:
            standing, reason, used = decided.get((cache, dist), (Standing.KEPT, "", None))
            yield tree, Part(cache, dist, 0, standing, reason, used or tree.changed)


def _of_environments(usage: Usage, contents: Sequence[Contents]) -> Iterator[tuple[Tree, Part]]:
    used = {item.root.path: item.used for item in usage.environments}
    for item in contents:
        path = item.root.path
        for owner, tree in item.owners.items():
            if owner.kind in _OVERHEAD:
                yield tree, Part("", "directories and conda's records", 0, Standing.OWN, "of all environments")
            else:
                name = owner.name or "files in no record"
                yield tree, Part(path, name, 0, Standing.OWN, _OWNER_REASONS[owner.kind], used.get(path))


def _decisions(plan: Plan) -> Mapping[tuple[str, str], tuple[Standing, str, float | None]]:
    """Return the standing of each entry, by the path of its cache and its dist."""
    found: dict[tuple[str, str], tuple[Standing, str, float | None]] = {}
    for removal in plan.remove:
        reason = removal.reasons[0].detail if removal.reasons else ""
        found[removal.entry.cache, removal.entry.dist] = (Standing.FREE, reason, removal.last_used)
    for keep in plan.keep:
        standing = Standing.USED if keep.verdict is Verdict.REACHABLE else Standing.KEPT
        found[keep.entry.cache, keep.entry.dist] = (standing, _why(keep), None)
    return found


def _why(keep: Keep) -> str:
    """Return the first reason, and how many more there are: some packages are used by hundreds of environments."""
    details = [reason.detail for reason in keep.reasons]
    more = f" and {plural(len(details) - 1, 'more reason')}" if len(details) > 1 else ""
    if keep.verdict is Verdict.REACHABLE and len(details) > 1:
        more = f" and {len(details) - 1:,} more"
    return "".join(details[:1]) + more
