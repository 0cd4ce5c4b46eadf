"""Explain the plan's decisions: discover, plan, and measure the links to packages."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...core.accounting import InodeKey
from ...core.model import Entry, Inventory, ReasonKind, RootKind
from ...core.notices import Notice
from ...core.rules.explanation import Explanation, KeptAlone, decided_on, explanations, kept_alone, named_by_one
from ...core.rules.planner import with_links
from ...discovery.links.link_types import LinkLocation, find_links, measure_entries, measure_links
from ...discovery.packages.match_spec import matching
from ...discovery.packages.package_identity import Names
from ...discovery.usage.survey import survey
from ...errors import NoSuchPackageError
from ...failures import suppress
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
    environments = tuple(root for root in inventory.roots if root.kind is RootKind.ENVIRONMENT)
    scan = survey(replace(inventory, roots=environments), reporter.counter("Measuring packages in use"), pips=False)
    trees, directories = dict(scan.environments), {cache.path: cache.real_path for cache in inventory.caches}
    measurements, links = {}, {}
    for root, entries in named_by_one(inventory).items():
        found: set[InodeKey] = set()
        for entry in entries:
            with suppress(OSError):
                paths = (os.path.join(directories[entry.cache], part.name) for part in entry.parts)
                measured = measurements[entry] = tuple(map(scan.measured, paths))
                found.update((inode.device, inode.inode) for one in measured for inode in (*one.shared, *one.common))
        theirs = scan.links([trees[root]] if root in trees else ())
        links[root] = {key: theirs[key] for key in found if key in theirs}
    return kept_alone(inventory, measurements, links)
