"""Plain values of the core for its tests, so that each test names only what is its own."""

from __future__ import annotations

from typing import Any

from conda_prune_plugin.core.evidence import Evidence, Identity, Measurement, SharedInode
from conda_prune_plugin.core.model import Cache, Entry, Inventory, Part, PartKind, ReasonKind, Root, RootKind, RootState
from conda_prune_plugin.core.plan import Reason, Remove
from conda_prune_plugin.core.rules.ranking import Budget, Goal
from conda_prune_plugin.core.units import Unit

HOUR = 3600.0
DAY = 24 * HOUR
NOW = 1_000_000.0

#: What rattler writes behind a dist.
HASH = "-" + "0123456789abcdef" * 4

IDENTITY = Identity(1, 2, 3)


def an_entry(dist: str = "a-1-0", *kinds: PartKind, cache: str = "/pkgs") -> Entry:
    """Return an entry with parts of these kinds, in this order; with an extracted directory if none is named."""
    names = {PartKind.ARCHIVE: f"{dist}.conda", PartKind.LOCK: f"{dist}.lock"}
    return Entry(cache, dist, tuple(Part(kind, names.get(kind, dist)) for kind in kinds or (PartKind.EXTRACTED,)))


def a_cache(path: str = "/pkgs", *entries: Entry, writable: bool = True) -> Cache:
    return Cache(path, path, "conda", writable, entries)


def a_root(path: str, *dists: str, kind: RootKind = RootKind.ENVIRONMENT, **more: Any) -> Root:
    """Return a root that can be read and has no name."""
    return Root(path, dists=frozenset(dists), kind=kind, **{"name": None, "state": RootState.OK, **more})


def an_inventory(*entries: Entry, roots: tuple[Root, ...] = (), writable: bool = True, **more: Any) -> Inventory:
    """Return an inventory of the caches that the entries lie in."""
    caches = tuple(
        a_cache(path, *(entry for entry in entries if entry.cache == path), writable=writable)
        for path in dict.fromkeys(entry.cache for entry in entries)
    )
    return Inventory(caches, roots, **more)


def a_measurement(single: int = 1000, *shared: SharedInode, **more: Any) -> Measurement:
    sizes = {"files": 5, "apparent": 100, **more}
    return Measurement(IDENTITY, single=single, shared=shared, **sizes)


def a_budget(**needed: int) -> Budget:
    """Return a budget with a goal for each option: how much has to be freed for it."""
    units = {True: Unit.INODES, False: Unit.BYTES}
    options = {name: f"--{name.replace('_', '-')}" for name in needed}
    return Budget(tuple(Goal(options[name], units["inodes" in name], much) for name, much in needed.items()))


def evidence_on(entry: Entry, **changes: Any) -> Evidence:
    """Return evidence that nothing keeps an entry: its metadata gives its name, and it was fetched a day ago."""
    measured = tuple((part, a_measurement()) for part in entry.parts)
    return Evidence(entry, **{"measurements": measured, "dist": entry.dist, "fetched": NOW - DAY, **changes})


def a_removal(entry: Entry, kind: ReasonKind = ReasonKind.UNREFERENCED, detail: str = "why", **more: Any) -> Remove:
    """Return the decision to remove an entry of which nothing is known."""
    nothing = dict.fromkeys(("last_used", "last_used_from", "source", "sha256", "record"))
    sizes = {"files": 1, "apparent": 10, "reclaimable": 100}
    links = {"names": frozenset[str](), "known_links": ()}
    fields: dict[str, Any] = {"identities": (IDENTITY,), **nothing, **sizes, **links, **more}
    return Remove(entry, entry.parts, reasons=(Reason(kind, detail),), **fields)
