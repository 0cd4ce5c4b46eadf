"""Explain the plan's decisions: discover, plan, and measure the links to packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from .planning import damaged_in_use, discover_and_plan


@dataclass(frozen=True, slots=True)
class Explanations:
    """The decisions on the chosen entries.

    locations: hard links of an entry elsewhere, with ``--find``. alone: what only one root keeps, with ``--all``.
    complete: each specification matches an entry.
    """

    found: tuple[Explanation, ...]
    locations: Mapping[Entry, Sequence[LinkLocation]]
    alone: tuple[KeptAlone, ...] | None
    notices: tuple[Notice, ...]
    complete: bool


def explain(options: WhyOptions, reporter: Reporter) -> Explanations:
    """Discover, plan, and explain the decisions. Raises `PruneError`."""
    plan, remarks = discover_and_plan(options, reporter)
    # With the leftovers, which have names of their own.
    inventory = decided_on(plan)
    notices = (*inventory.notices, *remarks)
    entries, unmatched = _matching(options.specs, inventory)
    locations: dict[Entry, tuple[LinkLocation, ...]] = {}
    if options.find is not None:
        linked = tuple(
            explanation.entry
            for explanation in explanations(plan).values()
            if any(reason.kind is ReasonKind.LINKED for reason in explanation.reasons)
            and (not options.specs or explanation.entry in entries)
        )
        skip = frozenset(cache.real_path for cache in inventory.caches)
        progress = reporter.phase(f"Looking for links below {options.find}")
        located = find_links(options.find, measure_entries(inventory.caches, linked), skip, progress)
        locations = {entry: located.get(entry, ()) for entry in linked}
        entries = (*entries, *(entry for entry in linked if entry not in entries))
    asked = frozenset(entries)
    kept = [decision for decision in plan.keep if decision.entry in asked]
    going = [decision for decision in plan.remove if decision.entry in asked]
    reporter.phase("Looking for links of environments")
    links = measure_links(inventory, (*kept, *going))
    caches = tuple(
        replace(cache, entries=tuple(entry for entry in cache.entries if entry in asked)) for cache in inventory.caches
    )
    notices += damaged_in_use(replace(inventory, caches=caches), reporter)
    measured = explanations(with_links(plan, links))
    alone = _alone(inventory, reporter) if options.every else None
    reporter.clear()
    found = tuple(measured[entry] for entry in entries)
    return Explanations(found, locations, alone, (*notices, *unmatched), complete=not unmatched)


def _matching(specs: Sequence[str], inventory: Inventory) -> tuple[tuple[Entry, ...], tuple[Notice, ...]]:
    """Return the entries that match, in the order of the caches, with a notice on each SPEC that matches nothing.

    Raises `NoSuchPackageError` if none does.
    """
    names = Names(inventory.roots)
    found = {spec: matching((spec,), inventory.caches, doubtful=False, names=names) for spec in specs}
    if specs and not any(found.values()):
        hint = f"Searched: {', '.join(cache.path for cache in inventory.caches) or 'no cache'}."
        known = {root.name or root.path for root in inventory.roots if root.kind is RootKind.ENVIRONMENT}
        if environment := next((spec for spec in specs if spec in known), None):
            hint = f"{environment} is an environment: run `conda prune usage {environment}`."
        raise NoSuchPackageError(f"No package in the caches matches {', '.join(specs)}.", hint=hint)
    notices = tuple(
        Notice("no-match", f"No package in the caches matches {spec}.", "") for spec in specs if not found[spec]
    )
    every: frozenset[Entry] = frozenset().union(*found.values())
    return tuple(entry for cache in inventory.caches for entry in cache.entries if entry in every), notices


def _alone(inventory: Inventory, reporter: Reporter) -> tuple[KeptAlone, ...]:
    named = named_by_one(inventory)
    progress = reporter.phase("Measuring packages in use", len(named))
    environments = {root: failures.realpath(root.path) for root in named if root.kind is RootKind.ENVIRONMENT}
    # A cache or another environment inside an environment is not removed with it.
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
