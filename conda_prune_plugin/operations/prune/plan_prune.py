"""From options and settings to what discovery looks for and the policy to plan by."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ... import settings
from ...cli.options import parsed
from ...core.model import Entry, Evidence, Inventory, Notice, ReasonKind, Root, RootKind
from ...core.plan import Other, Plan
from ...core.rules.leftover_policy import Leftover
from ...core.rules.planner import make_plan
from ...core.rules.policy import DEFAULT_MIN_AGE, Policy
from ...core.rules.ranking import Budget
from ...core.rules.reachability import candidates, references
from ...core.rules.targets import DEFAULT, Target, kinds
from ...core.soft_links import NO_SOFT_LINKS, SoftLinks
from ...core.units import format_size, parse_age, parse_size
from ...discovery.inventory import Request
from ...discovery.leftovers.conda_clean import find_other
from ...discovery.leftovers.leftover_search import (
    Found,
    Search,
    find_leftovers,
    with_archives,
    with_choices,
    with_links,
)
from ...discovery.links.redundant import doubles, held_elsewhere
from ...discovery.links.soft_link_signs import SoftLinkSearch, with_unseen
from ...discovery.links.unlinked import may_be_unlinked, unlinked
from ...discovery.packages import match_spec
from ...discovery.packages.inspection import Memory
from ...discovery.packages.match_spec import matching, version_key
from ...discovery.packages.package_identity import Names
from ...discovery.packages.removal_evidence import archives_beside, gather_evidence
from ...discovery.system.measure import Measure
from ...discovery.system.worker import Crew
from ...errors import UsageError
from ...presentation.terminal.progress import Reporter
from .integrity_check import kept_though_damaged

T = TypeVar("T")

#: The targets among what environments have.
_IN_USE = Target.UNLINKED | Target.DOUBLES

_UNREFERENCED = Search()


@dataclass(frozen=True, slots=True)
class _Spared:
    """What may go though environments have it: whole, or its extracted directory alone."""

    unlinked: frozenset[Entry] = frozenset()
    doubles: frozenset[Entry] = frozenset()


def request(arguments: argparse.Namespace) -> Request:
    """Return what discovery has to look for. Raises `UsageError`."""
    return Request(
        pkgs_dirs=tuple(arguments.pkgs_dir),
        roots=tuple(arguments.root),
        configured=settings.ROOTS.value(),
        searches=tuple(arguments.search),
        lockfiles=tuple(arguments.lockfile),
        # Lists add up: an option that is given once must not lift a protection that was set for good.
        keep=(*settings.KEEP.value(), *require_specs("--keep", arguments.keep)),
        keep_revisions=_setting(arguments.keep_revisions, parse_count, settings.KEEP_REVISIONS),
    )


class Choice:
    """What the options and settings choose among what nothing references; wrong values are refused when it is made."""

    def __init__(
        self, arguments: argparse.Namespace, targets: Target | None = None, search: Search = _UNREFERENCED
    ) -> None:
        """`targets` are those of the command, without them the default ones; `search`: where leftovers may be."""
        self._search = search
        self._targets = targets or DEFAULT | (Target.UNLINKED if arguments.unlinked else Target(0))
        self._keep = tuple(arguments.keep)
        self._only = require_specs("--only", arguments.only)
        self._check_remote = bool(arguments.check_remote)
        self._max_size = parsed(arguments.max_size, parse_size, None)
        self._free = parsed(arguments.free, parse_size, None)
        self._policy = Policy(
            kinds=kinds(self._targets),
            min_age=parsed(arguments.min_age, parse_age, DEFAULT_MIN_AGE),
            older_than=_setting(arguments.older_than, parse_age, settings.OLDER_THAN) or 0.0,
            keep_newest=_setting(arguments.keep_newest, parse_count, settings.KEEP_NEWEST),
            version_key=version_key,
            include_irreplaceable=bool(arguments.include_irreplaceable),
        )

    def plan(
        self,
        inventory: Inventory,
        reporter: Reporter,
        now: float,
        measured: Measure | None = None,
        crew: Crew | None = None,
    ) -> tuple[Plan, tuple[Notice, ...]]:
        """Gather the evidence and plan; return the plan and what the user should know about it.

        `measured` gives what has been measured already; a `crew` makes it faster.
        """
        referenced = references(inventory.roots)
        # Who has measured everything wants to know how much, not why: nothing is looked at a second time for that.
        names = Names(inventory.roots)
        search = self._search if measured is None else replace(self._search, contents=False)
        memory = Memory(measured)
        found = self._leftovers(inventory, referenced, search, reporter, memory, names, crew)
        inventory = found.inventory
        search_links = SoftLinkSearch(inventory.roots, inventory.caches, crew)
        if samples := memory.samples:
            search_links.begin(samples)
        evidence, spared, notices = self._evidence(inventory, referenced, reporter, memory, search_links)
        linked = frozenset(item.entry for item in evidence if item.outside and item.doubt is None)
        tarballs = self._tarballs(found, referenced, linked, spared.unlinked | spared.doubles, memory)
        progress = reporter.phase("Looking for temporary files", len(inventory.roots))
        other, remarks = find_other(
            self._targets,
            inventory.caches,
            inventory.roots,
            memory.measured,
            now - self._policy.min_age,
            progress,
        )
        policy = replace(
            self._policy,
            only=matching(self._only, inventory.caches, doubtful=False, names=names) if self._only else None,
            unlinked=spared.unlinked,
            doubles=spared.doubles,
            tarballs=frozenset(item.entry for item in tarballs),
            budget=self._budget(inventory, other, reporter),
        )

        def planned(softly: SoftLinks) -> tuple[Plan, tuple[Notice, ...]]:
            whole, unseen = with_unseen(inventory, softly)
            leftovers = self._chosen(found, referenced, softly, names)
            return make_plan(whole, (*evidence, *tarballs), policy, now, leftovers, other, softly), unseen

        # Nearly always there are none, so a plan is made while the helper still looks.
        plan, unseen = planned(NO_SOFT_LINKS)
        softly = self._soft_links(found, referenced, evidence, reporter, search_links)
        if softly != NO_SOFT_LINKS:
            plan, unseen = planned(softly)
        reporter.clear()
        notices = (*self._unmatched(inventory, names), *notices, *unseen, *remarks, *kept_though_damaged(plan))
        notices += self._missed(plan, policy.budget)
        return plan, notices

    def _evidence(
        self,
        inventory: Inventory,
        referenced: Mapping[str, Sequence[Root]],
        reporter: Reporter,
        memory: Memory,
        search_links: SoftLinkSearch,
    ) -> tuple[tuple[Evidence, ...], _Spared, tuple[Notice, ...]]:
        """Return the evidence on what may go, and which of it may go though environments have it."""
        if not self._policy.kinds and not self._targets & _IN_USE:
            # Nothing of all that was asked for, so it need not be opened.
            return tuple(map(Evidence, candidates(inventory, referenced))), _Spared(), ()
        lone: tuple[Entry, ...] = ()
        if self._targets & _IN_USE:
            softly = search_links.everywhere(reporter.phase("Looking for soft links"))
            lone = may_be_unlinked(inventory, referenced, softly)
        entries = (*candidates(inventory, referenced), *lone)
        progress = reporter.phase("Measuring packages" if lone else "Measuring unreferenced packages", len(entries))
        evidence = gather_evidence(inventory.caches, entries, progress, memory)
        in_use = frozenset(lone)
        shareless, doubled = self._spared(inventory, evidence, in_use, reporter)
        spared = {item.entry: item for item in (*shareless, *doubled)}
        evidence = tuple(
            spared.get(item.entry, item) for item in evidence if item.entry in spared or item.entry not in in_use
        )
        notices: tuple[Notice, ...] = ()
        if self._check_remote:
            from ...discovery.packages.channel_check import check_sources

            evidence, notices = check_sources(evidence, reporter.phase("Asking channels"))
        return evidence, _Spared(*(frozenset(one.entry for one in items) for items in (shareless, doubled))), notices

    def _leftovers(
        self,
        inventory: Inventory,
        referenced: Mapping[str, Sequence[Root]],
        search: Search,
        reporter: Reporter,
        memory: Memory,
        names: Names,
        crew: Crew | None,
    ) -> Found:
        if Target.LEFTOVERS not in self._targets and not search.everything:
            return Found(inventory)
        progress = reporter.counter("Verifying packages" if self._search.hashes else "Looking for leftovers")
        found = find_leftovers(inventory, referenced, search, memory, progress, crew)
        if Target.LEFTOVERS not in self._targets:
            return Found(inventory, whole=found.whole)
        return found

    @staticmethod
    def _soft_links(
        found: Found,
        referenced: Mapping[str, Sequence[Root]],
        evidence: Iterable[Evidence],
        reporter: Reporter,
        search_links: SoftLinkSearch,
    ) -> SoftLinks:
        """Return what environments soft-link of what may go: of those that show a sign of soft links, or of all."""
        looking = reporter.phase("Looking for soft links")
        if any(_of_package_in_use(item, referenced) for item in found.leftovers):
            return search_links.everywhere(looking)
        measured = [m for item in evidence for _, m in item.measurements]
        measured += [item.measurement for item in found.leftovers if item.measurement is not None]
        if not measured and not search_links.begun:
            return NO_SOFT_LINKS
        return search_links.where_signs_are((m.sample for m in measured if m.sample), looking)

    def _chosen(
        self, found: Found, referenced: Mapping[str, Sequence[Root]], softly: SoftLinks, names: Names
    ) -> list[Leftover]:
        """Return the leftovers with what keeps them and what the options choose among them."""
        roots, caches = found.inventory.roots, found.inventory.caches
        leftovers = with_links(found.leftovers, roots, softly, found.whole)
        if self._search.repair and any(_of_package_in_use(item, referenced) for item in leftovers):
            leftovers = with_archives(leftovers, found.inventory, referenced)
        rules = [root.name or "" for root in roots if root.kind is RootKind.KEEP]
        return list(with_choices(leftovers, caches, rules, self._only, names)) if leftovers else []

    def _tarballs(
        self,
        found: Found,
        referenced: Mapping[str, Sequence[Root]],
        linked: frozenset[Entry],
        spared: frozenset[Entry],
        memory: Memory,
    ) -> tuple[Evidence, ...]:
        """Return the evidence on the archives of entries in use whose extracted directory is whole.

        In use are those that roots name, and those with hard links from an environment that was not found.
        """
        if Target.ALL_TARBALLS not in self._targets:
            return ()
        entries = [
            entry for entry in found.whole if (entry.dist in referenced or entry in linked) and entry not in spared
        ]
        return archives_beside(found.inventory.caches, entries, memory)

    def _spared(
        self, inventory: Inventory, evidence: tuple[Evidence, ...], lone: frozenset[Entry], reporter: Reporter
    ) -> tuple[tuple[Evidence, ...], tuple[Evidence, ...]]:
        """Return the evidence on what may go though environments have it: whole, and in its extracted directory."""
        if Target.HARD_LINKED in self._targets:
            evidence = held_elsewhere(evidence, lone)
        shareless = unlinked(evidence, lone) if Target.UNLINKED in self._targets else ()
        if Target.DOUBLES not in self._targets:
            return shareless, ()
        progress = reporter.phase("Comparing archives with their hashes", len(lone))
        items = (item for item in evidence if item.entry in lone)
        return shareless, doubles(inventory.caches, items, progress, records=Target.RECORDS in self._targets)

    def _unmatched(self, inventory: Inventory, names: Names) -> tuple[Notice, ...]:
        """Return a warning for each option that matches nothing: it may have been meant to protect something."""
        kept = {root.name for root in inventory.roots if root.kind is RootKind.KEEP and root.dists}
        lost = [("--keep", text) for text in self._keep if text not in kept]
        caches = inventory.caches
        lost += [("--only", text) for text in self._only if not matching((text,), caches, doubtful=False, names=names)]
        return tuple(
            Notice("no-match", f"No package in the caches matches {option} {text}.", "") for option, text in lost
        )

    def _budget(self, inventory: Inventory, other: Sequence[Other], reporter: Reporter) -> Budget:
        """Return how much has to go of packages: what is none, and goes in any case, counts as gone."""
        from ...discovery.packages.cache_size import held

        free = None if self._free is None else max(self._free - sum(item.reclaimable for item in other), 0)
        if self._max_size is None:
            return Budget(None, free)
        # Measured only if it matters: every file of the caches is looked at.
        size = held(inventory.judged, reporter.phase("Measuring the caches"))
        caches = {cache.real_path for cache in inventory.judged}
        inside = sum(item.reclaimable for item in other if item.top in caches)
        return Budget(self._max_size, free, size - inside)

    @staticmethod
    def _missed(plan: Plan, budget: Budget) -> tuple[Notice, ...]:
        if not plan.missed:
            return ()
        met = (budget.needed or 0) - plan.missed
        over = 0 if budget.max_size is None else budget.held - budget.max_size
        asked = [name for name, needed in (("--max-size", over), ("--free", budget.free or 0)) if needed > met]
        message = (
            f"{' and '.join(asked)} can't be met: {format_size(plan.missed)} more would have to go than may go. "
            "What stays, and why, is shown by -v."
        )
        return (Notice("target-missed", message, ""),)


def _of_package_in_use(item: Leftover, referenced: Mapping[str, Sequence[Root]]) -> bool:
    return item.kind is not ReasonKind.PARTIAL_DOWNLOAD and item.of in referenced


def parse_count(text: str) -> int:
    """Return a whole number from 0. Raises `ValueError`, with a text meant for the user."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a whole number; write for instance 0, 1 or 2")
    return int(text)


def require_specs(option: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the texts if each is a package specification. Raises `UsageError`, naming the option."""
    try:
        match_spec.require_specs(texts)
    except ValueError as error:
        raise UsageError(f"{option}: {error.args[0]}.", hint="`conda prune --help` explains the options.") from error
    return tuple(texts)


def _setting(pair: tuple[str, str] | None, parse: Callable[[str], T], setting: settings.Setting[T]) -> T:
    """Return an option's value, or without the option the setting's. Raises `UsageError` or `SettingError`."""
    return setting.value() if pair is None else parsed(pair, parse, setting.default)
