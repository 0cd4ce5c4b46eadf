"""Examine the caches for what may go: one call gathers all the evidence that the planner needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ..core.evidence import Evidence
from ..core.model import Entry, Inventory, ReasonKind, RootKind
from ..core.notices import Notice
from ..core.plan import Other
from ..core.rules.leftover import Leftover
from ..core.rules.reachability import NO_SOFT_LINKS, SoftLinks, candidates, references
from ..core.rules.targets import Target, kinds
from ..core.units import NO_SPACE, Space
from .inventory import Request
from .leftovers.conda_clean import find_other
from .leftovers.leftover_search import LeftoverSearchResult, find_leftovers, with_evidence
from .links.redundant import held_elsewhere, may_be_unlinked, redundant, unlinked
from .links.soft_link_signs import SoftLinkSearch, with_unseen
from .packages.inspection import Memory
from .packages.match_spec import matching
from .packages.package_identity import Names
from .packages.removal_evidence import gather_evidence, redundant_archives
from .system.measure import Measure
from .usage.survey import held

#: The targets among what environments have.
_IN_USE = Target.UNLINKED | Target.REDUNDANT


class Progress(Protocol):
    """Takes the progress of long work, phase by phase: see `presentation.terminal.progress.Reporter`."""

    def phase(self, words: str, total: int | None = None) -> Callable[[int], None]:
        """Begin a phase; the function returned takes how much of it is done so far."""

    def counter(self, words: str, total: int | None = None) -> Callable[[int], None]:
        """Begin a phase; the function returned takes how much was done since it was called last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The evidence on what may go.

    inventory: without the leftovers, which are decided on by themselves. evidence: on packages. chosen: what
    `Request.only` matches; None without. other: what is not a package. held: the space of the caches, none if no
    maximum was given: every file of them is looked at.
    """

    inventory: Inventory
    evidence: tuple[Evidence, ...]
    chosen: frozenset[Entry] | None
    leftovers: tuple[Leftover, ...]
    other: tuple[Other, ...]
    soft_links: SoftLinks
    held: Space
    notices: tuple[Notice, ...]


def examine(
    inventory: Inventory, request: Request, progress: Progress, now: float, measured: Measure | None = None
) -> Findings:
    """Return the evidence on what may go at the time `now`. Nothing is written.

    `measured` gives what has been measured already.
    """
    return _Examination(inventory, request, progress, measured).findings(now)


class _Examination:
    """The values that the steps share."""

    def __init__(self, inventory: Inventory, request: Request, progress: Progress, measured: Measure | None) -> None:
        self._request = request
        self._progress = progress
        self._memory = Memory(measured)
        self._names = Names(inventory.roots)
        self._referenced = references(inventory.roots)
        # A caller that has measured everything asks how much, not why: no package is opened for that once more.
        self._search = request.search if measured is None else replace(request.search, contents=False)
        self._found = self._find_leftovers(inventory)
        self._inventory = self._found.inventory
        self._link_search = SoftLinkSearch(self._inventory.roots, self._inventory.caches)

    def findings(self, now: float) -> Findings:
        """Take all steps."""
        request, inventory = self._request, self._inventory
        packages, remote = self._package_evidence()
        tarballs = self._tarballs(packages)
        looking = self._progress.phase("Looking for temporary files", len(inventory.roots))
        other, remarks = find_other(
            request.targets, inventory, self._memory.measured, now - request.min_age, looking, request.tempfiles
        )
        chosen = self._matching(request.only) if request.only else None
        soft_links = self._soft_links(packages)
        inventory, unseen = with_unseen(inventory, soft_links)
        return Findings(
            inventory=inventory,
            evidence=(*packages, *tarballs),
            chosen=chosen,
            leftovers=with_evidence(
                self._found, self._referenced, soft_links, request.only, self._names, repair=self._search.repair
            ),
            other=tuple(other),
            soft_links=soft_links,
            held=held(inventory.judged, self._progress.counter("Measuring the caches"))
            if request.limits_caches
            else NO_SPACE,
            notices=(*self._unmatched(), *remote, *unseen, *remarks),
        )

    def _find_leftovers(self, inventory: Inventory) -> LeftoverSearchResult:
        asked = bool(self._request.targets & (Target.LEFTOVERS | Target.REPAIR))
        if not asked and not self._search.everything:
            return LeftoverSearchResult(inventory)
        words = "Verifying packages" if self._search.hashes else "Looking for leftovers"
        progress = self._progress.counter(words)
        found = find_leftovers(inventory, self._referenced, self._search, self._memory, progress)
        return found if asked else LeftoverSearchResult(inventory, whole=found.whole)

    def _package_evidence(self) -> tuple[tuple[Evidence, ...], tuple[Notice, ...]]:
        """Return the evidence on packages, and what channels say of them if they are asked."""
        targets, inventory = self._request.targets, self._inventory
        unreferenced = tuple(candidates(inventory, self._referenced))
        if not kinds(targets) and not targets & _IN_USE:
            # Nothing of all that was asked for, so it need not be opened.
            return tuple(map(Evidence, unreferenced)), ()
        in_use: tuple[Entry, ...] = ()
        if targets & _IN_USE:
            soft_links = self._link_search.everywhere(self._progress.phase("Looking for soft links"))
            in_use = may_be_unlinked(inventory, self._referenced, soft_links)
        entries = (*unreferenced, *in_use)
        words = "Measuring packages" if in_use else "Measuring unreferenced packages"
        evidence = gather_evidence(inventory.caches, entries, self._progress.phase(words, len(entries)), self._memory)
        used = frozenset(in_use)
        excused = {item.entry: item for item in self._excused(evidence, used)}
        evidence = tuple(
            excused.get(item.entry, item) for item in evidence if item.entry in excused or item.entry not in used
        )
        if not self._request.check_remote:
            return evidence, ()
        from .packages.channel_check import check_sources

        return check_sources(evidence, self._progress.phase("Asking channels"))

    def _excused(self, evidence: tuple[Evidence, ...], used: frozenset[Entry]) -> Iterator[Evidence]:
        """Give the evidence on what may go though environments have it, the one that counts last."""
        targets = self._request.targets
        if Target.HARD_LINKED in targets:
            evidence = held_elsewhere(evidence, used)
        if Target.UNLINKED in targets:
            yield from unlinked(evidence, used)
        if Target.REDUNDANT in targets:
            progress = self._progress.phase("Comparing archives with their hashes", len(used))
            items = (item for item in evidence if item.entry in used)
            yield from redundant(
                self._inventory.caches, items, progress, self._memory.systems, records=Target.RECORDS in targets
            )

    def _tarballs(self, packages: Sequence[Evidence]) -> tuple[Evidence, ...]:
        """Return the evidence on the archives of entries in use whose extracted directory is whole.

        In use are those that roots name, and those with hard links from an environment that was not found.
        """
        if Target.ALL_TARBALLS not in self._request.targets:
            return ()
        linked = {item.entry for item in packages if item.outside and item.doubt is None}
        spared = {item.entry for item in packages if item.excuse is not None}
        entries = [
            entry
            for entry in self._found.whole
            if (entry.dist in self._referenced or entry in linked) and entry not in spared
        ]
        return redundant_archives(self._inventory.caches, entries, self._memory)

    def _soft_links(self, evidence: Iterable[Evidence]) -> SoftLinks:
        """Return what environments soft-link of what may go: of those that show a sign of soft links, or of all."""
        looking = self._progress.phase("Looking for soft links")
        leftovers = self._found.leftovers
        if any(item.kind is not ReasonKind.PARTIAL_DOWNLOAD and item.of in self._referenced for item in leftovers):
            return self._link_search.everywhere(looking)
        measured = [m for item in evidence for _, m in item.measurements]
        measured += [item.measurement for item in leftovers if item.measurement is not None]
        if not measured:
            return NO_SOFT_LINKS
        return self._link_search.where_signs_are((m.sample for m in measured if m.sample), looking)

    def _matching(self, specs: Sequence[str]) -> frozenset[Entry]:
        return matching(specs, self._inventory.caches, doubtful=False, names=self._names)

    def _unmatched(self) -> tuple[Notice, ...]:
        """Return a warning for each specification that matches nothing: it may have been meant to protect something."""
        kept = {root.name for root in self._inventory.roots if root.kind is RootKind.KEEP and root.dists}
        lost = [("--keep", text) for text in self._request.keep if text not in kept]
        lost += [("--only", text) for text in self._request.only if not self._matching((text,))]
        return tuple(
            Notice("no-match", f"No package in the caches matches {option} {text}.", "") for option, text in lost
        )
