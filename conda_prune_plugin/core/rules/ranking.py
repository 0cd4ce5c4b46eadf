"""Rules over all entries at once: the newest versions of each name, and least recently used first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..accounting import Ledger
from ..dist_names import is_dist_name, package_name, package_version, plain_dist
from ..evidence import Evidence, last_use
from ..model import Entry, Part
from ..units import NO_SPACE, Space, Unit

#: The sort key of a version; None for one that can't be compared, which never counts as old.
VersionKey = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """How much of a unit has to be freed for an option, such as ``--free``; nothing if that is negative."""

    option: str
    unit: Unit
    needed: int


@dataclass(frozen=True, slots=True)
class Budget:
    """The space to free: enough to meet every goal."""

    goals: tuple[Goal, ...] = ()

    @property
    def needed(self) -> Space | None:
        """The space to free to meet every goal; None without a goal, if everything may be removed."""
        if not self.goals:
            return None
        return Space(*(max((goal.needed for goal in self.goals if goal.unit is unit), default=0) for unit in Unit))


NO_BUDGET = Budget()

_NO_ALIASES: Mapping[str, str] = {}


def newest_versions(
    entries: Iterable[Entry],
    evidence: Mapping[Entry, Evidence],
    count: int,
    version_key: VersionKey,
    aliases: Mapping[str, str] = _NO_ALIASES,
) -> frozenset[Entry]:
    """Return the entries that are of one of the `count` newest versions of their package name.

    All entries of all caches count, also those that are kept, and all builds of a version are one version. An entry
    without a comparable version is among the newest, to be safe. `aliases`: the dists of environments for entries
    with other names.
    """
    if not count:
        return frozenset()
    by_name: dict[str, list[tuple[Any, Entry]]] = {}
    found: set[Entry] = set()
    for entry in entries:
        dist = _dist(entry, evidence.get(entry), aliases)
        key = version_key(package_version(dist)) if dist is not None else None
        if dist is None or key is None:
            found.add(entry)
        else:
            by_name.setdefault(package_name(dist), []).append((key, entry))
    for versions in by_name.values():
        newest: list[Any] = []
        for key, entry in sorted(versions, key=lambda version: version[0], reverse=True):
            if not newest or newest[-1] != key:
                newest.append(key)
            if len(newest) > count:
                break
            found.add(entry)
    return frozenset(found)


def least_recently_used(
    evidence: Iterable[Evidence], selected: Callable[[Evidence], Sequence[Part]], needed: Space
) -> tuple[frozenset[Entry], Space]:
    """Return the entries to remove to free the needed space, and how much of it is still missing then.

    The least recently used come first, those of unknown use last. An inode that several entries share is freed with the
    last of them, so some of these may free nothing by themselves.
    """
    ledger = Ledger()
    going: set[Entry] = set()
    missing = needed
    for item in sorted(evidence, key=_age_order):
        if missing.bytes <= 0 and missing.inodes <= 0:
            break
        measured = dict(item.measurements)
        missing -= sum((ledger.remove(measured[part]) for part in selected(item)), NO_SPACE)
        going.add(item.entry)
    return frozenset(going), Space(max(missing.bytes, 0), max(missing.inodes, 0))


def _age_order(evidence: Evidence) -> tuple[bool, float, str, str]:
    time, _ = last_use(evidence)
    return (time is None, time or 0.0, evidence.entry.cache, evidence.entry.dist)


def _dist(entry: Entry, evidence: Evidence | None, aliases: Mapping[str, str]) -> str | None:
    """Return the name-version-build that conda knows an entry by, or else its own name."""
    inside = evidence.dist if evidence is not None else None
    known = (inside, aliases.get(entry.dist), entry.dist)
    return next((plain_dist(dist) for dist in known if dist is not None and is_dist_name(dist)), None)
