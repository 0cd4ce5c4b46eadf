"""Explain the plan's decisions: discover, plan, and measure the links to packages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ... import failures
from ...core.model import Entry, Inventory, ReasonKind, RootKind
from ...core.notices import Notice
from ...core.rules.explanation import Explanation, KeptAlone, decided_on, explanations, kept_alone, named_by_one
from ...core.rules.planner import with_links
from ...discovery.links.link_types import LinkLocation, count_links, find_links, measure_entries, measure_links
from ...discovery.packages.match_spec import matching
from ...discovery.packages.package_identity import Names
from ...errors import NoSuchPackageError
from ...presentation.terminal.progress import Reporter
from ..options import WhyOptions
from .integrity_check import damaged_in_use
from .planning import discover_and_plan


@dataclass(frozen=True, slots=True)
class Explanations:
    """What a plan says of the entries that were asked for.

    locations: what holds hard links of an entry, if that was looked for. alone: what each root alone keeps, if that was
    asked for. complete: each specification matches something.
    """

    found: tuple[Explanation, ...]
    locations: Mapping[Entry, Sequence[LinkLocation]]
    alone: tuple[KeptAlone, ...] | None
    notices: tuple[Notice, ...]
    complete: bool


def explain(options: WhyOptions, reporter: Reporter) -> Explanations:
    """Discover, plan, and return what the plan says. Raises `PruneError`."""
    plan, remarks = discover_and_plan(options, reporter)
    # With the leftovers, which bear their own names.
    inventory = decided_on(plan)
    notices = (*inventory.notices, *remarks)
    entries, unmatched = _matching(options.specs, inventory)
    locations: dict[Entry, tuple[LinkLocation, ...]] = {}
    if options.find is not None:
        linked = _linked(explanations(plan).values(), entries if options.specs else None)
        locations = _find(options.find, linked, inventory, reporter)
        entries = (*entries, *(entry for entry in linked if entry not in entries))
    asked = frozenset(entries)
    kept = [decision for decision in plan.keep if decision.entry in asked]
    going = [decision for decision in plan.remove if decision.entry in asked]
    reporter.phase("Looking how environments link")
    links = measure_links(inventory, (*kept, *going))
    notices += damaged_in_use(_only(inventory, asked), reporter)
    measured = explanations(with_links(plan, links))
    alone = _alone(inventory, reporter) if options.every else None
    reporter.clear()
    found = tuple(measured[entry] for entry in entries)
    return Explanations(found, locations, alone, (*notices, *unmatched), complete=not unmatched)


def _matching(specs: Sequence[str], inventory: Inventory) -> tuple[tuple[Entry, ...], tuple[Notice, ...]]:
    """Return the entries that match, in the order of the caches, and what to say of each SPEC that matches nothing.

    Raises `NoSuchPackageError` if none does.
    """
    names = Names(inventory.roots)
    found = {spec: matching((spec,), inventory.caches, doubtful=False, names=names) for spec in specs}
    if specs and not any(found.values()):
        raise NoSuchPackageError(
            f"No package in the caches matches {', '.join(specs)}.",
            hint="Looked through: " + (", ".join(cache.path for cache in inventory.caches) or "no cache at all") + ".",
        )
    notices = tuple(
        Notice("no-match", f"No package in the caches matches {spec}.", "") for spec in specs if not found[spec]
    )
    every: frozenset[Entry] = frozenset().union(*found.values())
    return tuple(entry for cache in inventory.caches for entry in cache.entries if entry in every), notices


def _only(inventory: Inventory, entries: Collection[Entry]) -> Inventory:
    """Return an inventory with no other entries than these."""
    return replace(
        inventory,
        caches=tuple(
            replace(cache, entries=tuple(entry for entry in cache.entries if entry in entries))
            for cache in inventory.caches
        ),
    )


def _linked(decided: Iterable[Explanation], among: Sequence[Entry] | None) -> tuple[Entry, ...]:
    """Return the entries with links that nothing explains."""
    return tuple(
        item.entry
        for item in decided
        if any(reason.kind is ReasonKind.LINKED for reason in item.reasons) and (among is None or item.entry in among)
    )


def _find(
    directory: str, entries: Sequence[Entry], inventory: Inventory, reporter: Reporter
) -> dict[Entry, tuple[LinkLocation, ...]]:
    skip = frozenset(cache.real_path for cache in inventory.caches)
    progress = reporter.phase(f"Looking for links below {directory}")
    found = find_links(directory, measure_entries(inventory.caches, entries), skip, progress)
    return {entry: found.get(entry, ()) for entry in entries}


def _alone(inventory: Inventory, reporter: Reporter) -> tuple[KeptAlone, ...]:
    named = named_by_one(inventory)
    progress = reporter.phase("Measuring what roots keep", len(named))
    environments = {root: failures.realpath(root.path) for root in named if root.kind is RootKind.ENVIRONMENT}
    # What lies inside of an environment, but is a cache or another environment, does not go with it.
    skip = frozenset((*environments.values(), *(cache.real_path for cache in inventory.caches)))
    measurements, links = {}, {}
    for done, (root, entries) in enumerate(named.items()):
        progress(done)
        measured = measure_entries(inventory.caches, entries)
        measurements.update(measured)
        if root in environments:
            inodes = frozenset(
                (inode.device, inode.inode) for parts in measured.values() for m in parts for inode in m.shared
            )
            links[root] = count_links(environments[root], inodes, skip) if inodes else {}
    return kept_alone(inventory, measurements, links)
