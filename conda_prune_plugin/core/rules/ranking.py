"""Rules over all entries at once: the newest versions of each name, and least recently used first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..accounting import Ledger
from ..dist_names import is_dist_name, package_name, package_version, plain_dist
from ..evidence import Evidence, last_use
from ..model import Entry, Part

#: The sort key of a version; None for one that can't be compared, which never counts as old.
VersionKey = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much has to be removed, in bytes; None for no such target.

    held: what the caches hold now, every inode counted once.
    """

    max_size: int | None = None
    free: int | None = None
    held: int = 0

    @property
    def needed(self) -> int | None:
        """The bytes to free to meet every target; None without a target, if everything may be removed."""
        if self.max_size is None and self.free is None:
            return None
        over = 0 if self.max_size is None else self.held - self.max_size
        return max(over, self.free or 0, 0)


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
    evidence: Iterable[Evidence], selected: Callable[[Evidence], Sequence[Part]], needed: int
) -> tuple[frozenset[Entry], int]:
    """Return the entries to remove to free `needed` bytes, and how many bytes are still missing then.

    The least recently used come first, those of unknown use last. An inode that several entries share is freed with the
    last of them, so some of these may free nothing by themselves.
    """
    ledger = Ledger()
    going: set[Entry] = set()
    freed = 0
    for item in sorted(evidence, key=_age_order):
        if freed >= needed:
            break
        measured = dict(item.measurements)
        freed += sum(ledger.remove(measured[part]) for part in selected(item))
        going.add(item.entry)
    return frozenset(going), max(needed - freed, 0)


def _age_order(evidence: Evidence) -> tuple[bool, float, str, str]:
    time, _ = last_use(evidence)
    return (time is None, time or 0.0, evidence.entry.cache, evidence.entry.dist)


def _dist(entry: Entry, evidence: Evidence | None, aliases: Mapping[str, str]) -> str | None:
    """Return the name-version-build that conda knows an entry by, or else its own name."""
    inside = evidence.dist if evidence is not None else None
    known = (inside, aliases.get(entry.dist), entry.dist)
    return next((plain_dist(dist) for dist in known if dist is not None and is_dist_name(dist)), None)
