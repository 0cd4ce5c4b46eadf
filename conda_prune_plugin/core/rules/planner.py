"""Make a plan from an inventory and evidence: one decision, with reasons, for every entry."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ..accounting import Ledger, missing_links
from ..evidence import Evidence, last_use
from ..model import Cache, Entry, Inventory, LinkKind, Part, ReasonKind, Root, Verdict
from ..plan import Keep, Other, Plan, Reason, Remove
from .leftover_policy import Leftover, decide, repairs
from .policy import Policy, Subject, names, reasons_to_keep, reasons_to_remove, with_references
from .ranking import least_recently_used, newest_versions
from .reachability import NO_SOFT_LINKS, SoftLinks, references

#: Measured link kinds, by entry and path of the environment.
Links = Mapping[tuple[Entry, str], LinkKind]

#: The roots that name a dist.
_Referenced = Mapping[str, Sequence[Root]]

_Decision = TypeVar("_Decision", Keep, Remove)

#: What makes an entry reachable: roots, and links that none of those we know explains.
_REACHING = frozenset(
    {ReasonKind.ENVIRONMENT, ReasonKind.REVISION, ReasonKind.LOCKFILE, ReasonKind.KEEP, ReasonKind.LINKED}
)


def make_plan(
    inventory: Inventory,
    evidence: Iterable[Evidence],
    policy: Policy,
    now: float,
    leftovers: Sequence[Leftover] = (),
    other: Sequence[Other] = (),
    soft_links: SoftLinks = NO_SOFT_LINKS,
) -> Plan:
    """Decide on every entry of the inventory, and on every leftover; `other` goes as it is.

    `evidence` has one item for each entry that no root names, and for each that no environment shares a file with if
    these may go too; `now` is the time that ages count from, in seconds since the epoch. What environments soft-link
    stays whatever their records say. The same arguments always give the same plan.
    """
    by_entry = {item.entry: item for item in evidence}
    referenced = references(inventory.roots)
    ledger = Ledger()
    remove, keep = _leftovers(inventory, referenced, leftovers, policy, now, ledger)
    damaged = frozenset(
        (item.entry.cache, item.entry.dist)
        for item in keep
        if any(reason.kind is ReasonKind.LINKED for reason in item.reasons)
    )
    subjects = _subjects(inventory, referenced, by_entry, damaged, policy, now, soft_links)
    reasons = {subject.entry: reasons_to_keep(subject) for subject in subjects}
    for subject in subjects:
        if subject.evidence is None and not reasons[subject.entry]:
            raise LookupError(f"no evidence on the candidate {subject.entry.dist} in {subject.entry.cache}")
    free_to_go = [by_entry[entry] for entry, found in reasons.items() if not found]
    needed, missed = policy.budget.needed, 0
    if needed is not None:
        # Leftovers are of no use to anybody, so they go first and count.
        needed = max(needed - sum(decision.reclaimable for decision in remove), 0)
    going = frozenset(item.entry for item in free_to_go)
    if needed is not None:
        going, missed = least_recently_used(free_to_go, policy.selected, needed)
    others = Ledger()
    for subject in subjects:
        if subject.entry in going:
            remove.append(_removal(subject, by_entry[subject.entry], ledger))
        else:
            found = reasons[subject.entry] or with_references(subject, (_NOT_NEEDED_FOR_LIMIT,))
            keep.append(Keep(subject.entry, _verdict(found), found, _withheld(subject, found, others)))
    mended = repairs(leftovers, keep, referenced)
    return Plan(inventory, tuple(remove), tuple(keep), missed, tuple(other), mended)


def _leftovers(
    inventory: Inventory,
    referenced: _Referenced,
    leftovers: Iterable[Leftover],
    policy: Policy,
    now: float,
    ledger: Ledger,
) -> tuple[list[Remove], list[Keep]]:
    caches = {cache.path: cache for cache in inventory.caches}
    decisions = [decide(item, caches[item.entry.cache], referenced, policy, now, ledger) for item in leftovers]
    return (
        [decision for decision in decisions if isinstance(decision, Remove)],
        [decision for decision in decisions if isinstance(decision, Keep)],
    )


_NOT_NEEDED_FOR_LIMIT = Reason(ReasonKind.NOT_SELECTED, "what was used less recently is enough (--max-size, --free)")


def with_links(plan: Plan, links: Links) -> Plan:
    """Return the plan with measured link kinds in the reasons that name environments."""

    def linked(decision: _Decision) -> _Decision:
        reasons = tuple(
            replace(reason, link=links.get((decision.entry, reason.root)))
            if reason.root is not None and _measurable(reason)
            else reason
            for reason in decision.reasons
        )
        return replace(decision, reasons=reasons)

    return replace(
        plan, keep=tuple(linked(keep) for keep in plan.keep), remove=tuple(linked(removal) for removal in plan.remove)
    )


def _measurable(reason: Reason) -> bool:
    """Return whether files tell how the environment of a reason links; a soft link without a record was seen itself."""
    of_environment = reason.kind in (ReasonKind.ENVIRONMENT, ReasonKind.UNLINKED)
    return of_environment and reason.link is not LinkKind.SOFT


def _subjects(
    inventory: Inventory,
    referenced: _Referenced,
    evidence: Mapping[Entry, Evidence],
    damaged: Collection[tuple[str, str]],
    policy: Policy,
    now: float,
    soft_links: SoftLinks,
) -> tuple[Subject, ...]:
    entries = [entry for cache in inventory.caches for entry in cache.entries]
    aliases = {alias: dist for root in inventory.roots for alias, dist in root.aliases.items()}
    newest = newest_versions(entries, evidence, policy.keep_newest, policy.version_key, aliases)

    def subject(cache: Cache, entry: Entry) -> Subject:
        found = evidence.get(entry)
        known = names(entry, found)
        roots = {name: referenced[name] for name in known if name in referenced}
        unsearched, broken = entry in inventory.unsearched, (entry.cache, entry.dist) in damaged
        linking = soft_links.environments(cache.path, _linkable(entry, found, policy)) if soft_links.entries else ()
        return Subject(entry, cache, found, known, roots, newest, policy, now, linking, unsearched, broken)

    return tuple(subject(cache, entry) for cache in inventory.caches for entry in cache.entries)


def _linkable(entry: Entry, evidence: Evidence | None, policy: Policy) -> tuple[Part, ...]:
    """Return the parts that a soft link keeps: one into the directory says nothing of an archive in use."""
    archives = evidence is not None and evidence.excuse is ReasonKind.TARBALL
    return policy.selected(evidence) if evidence is not None and archives else entry.parts


def _verdict(reasons: Sequence[Reason]) -> Verdict:
    kinds = {reason.kind for reason in reasons}
    if kinds & _REACHING:
        return Verdict.REACHABLE
    if kinds & {ReasonKind.UNKNOWN, ReasonKind.UNREADABLE}:
        return Verdict.UNKNOWN
    return Verdict.UNREFERENCED


def _withheld(subject: Subject, reasons: Sequence[Reason], ledger: Ledger) -> int:
    """Return the bytes that only a lack of permission keeps; what went before is in a ledger."""
    if subject.evidence is None or {reason.kind for reason in reasons} != {ReasonKind.READ_ONLY}:
        return 0
    measured = dict(subject.evidence.measurements)
    return sum(ledger.remove(measured[part]) for part in subject.policy.selected(subject.evidence) if part in measured)


def _removal(subject: Subject, evidence: Evidence, ledger: Ledger) -> Remove:
    measured = dict(evidence.measurements)
    parts = subject.policy.selected(evidence)
    going = [measured[part] for part in parts]
    last_used, last_used_from = last_use(evidence)
    return Remove(
        entry=evidence.entry,
        parts=parts,
        identities=tuple(measurement.identity for measurement in going),
        reasons=reasons_to_remove(subject, evidence),
        files=sum(measurement.files for measurement in going),
        apparent=sum(measurement.apparent for measurement in going),
        reclaimable=sum(ledger.remove(measurement) for measurement in going),
        last_used=last_used,
        last_used_from=last_used_from,
        source=evidence.source,
        sha256=evidence.sha256,
        record=evidence.record,
        names=frozenset(subject.names),
        known_links=tuple(missing_links(going).items()),
        accepted=frozenset(root for roots in subject.roots.values() for root in roots),
        beside=evidence.beside,
        remainder=evidence.remainder,
        other_sources=evidence.other_sources,
    )
