"""Make a plan from an inventory and evidence: one decision, with reasons, for every entry and every leftover."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ..accounting import Ledger, missing_links, with_common
from ..evidence import Evidence, SharedExtents, last_use
from ..model import LEFTOVER_KINDS, Entry, Inventory, LinkKind, ReasonKind, Root, RootKind, Verdict
from ..plan import Keep, Other, Plan, Reason, Remove, Repair
from ..units import NO_SPACE, Space
from .leftover import Leftover
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

#: The reasons that don't prevent a repair: the users of a package, and its defects.
_MENDABLE = LEFTOVER_KINDS | {ReasonKind(kind.value) for kind in RootKind}


def make_plan(
    inventory: Inventory,
    evidence: Iterable[Evidence],
    policy: Policy,
    now: float,
    leftovers: Sequence[Leftover] = (),
    other: Sequence[Other] = (),
    soft_links: SoftLinks = NO_SOFT_LINKS,
    sharing: Sequence[SharedExtents] = (),
) -> Plan:
    """Decide on every entry of the inventory, and on every leftover; `other` goes as it is.

    `evidence` has one item for each entry that no root names, and for each that no environment shares a file with if
    these may go too; `now` is the time that ages count from, in seconds since the epoch. What environments soft-link
    stays whatever their records say. `sharing`: further inodes that share content without a link. The same arguments
    always give the same plan.
    """
    evidence, leftovers, sharing = _joined(tuple(evidence), leftovers, sharing)
    by_entry = {item.entry: item for item in evidence}
    referenced = references(inventory.roots)
    ledger = Ledger()
    remove, keep, repair = _decide_on_leftovers(inventory, referenced, leftovers, policy, now, ledger)
    damaged = {
        (item.entry.cache, item.entry.dist)
        for item in keep
        if any(reason.kind is ReasonKind.LINKED for reason in item.reasons)
    }
    subjects = [
        replace(subject, damaged=(subject.entry.cache, subject.entry.dist) in damaged)
        for subject in _subjects(inventory, referenced, by_entry, policy, now, soft_links)
    ]
    reasons = {subject.entry: reasons_to_keep(subject) for subject in subjects}
    for subject in subjects:
        if subject.evidence is None and not reasons[subject.entry]:
            raise LookupError(f"no evidence on the candidate {subject.entry.dist} in {subject.entry.cache}")
    free_to_go = [by_entry[entry] for entry, found in reasons.items() if not found]
    going, missed = frozenset(item.entry for item in free_to_go), NO_SPACE
    if policy.budget.needed is not None:
        # Leftovers are of no use, so they go first and count.
        needed = policy.budget.needed - sum((decision.frees for decision in remove), NO_SPACE)
        going, missed = least_recently_used(free_to_go, policy.selected, needed)
    options = ", ".join(goal.option for goal in policy.budget.goals)
    enough = Reason(ReasonKind.NOT_SELECTED, f"removing packages used less recently is enough ({options})")
    others = Ledger()
    for subject in subjects:
        if subject.entry in going:
            remove.append(_removal(subject, by_entry[subject.entry], ledger))
        else:
            found = reasons[subject.entry] or with_references(subject, (enough,))
            withheld = _withheld(subject, found, others)
            keep.append(Keep(subject.entry, _verdict(found), found, withheld.bytes, withheld.inodes))
    return Plan(
        inventory=inventory,
        remove=tuple(remove),
        keep=tuple(keep),
        missed=missed,
        other=tuple(other),
        repair=tuple(repair),
        bounded=ledger.bounded,
        common=ledger.common,
        sharing=tuple(sharing),
    )


def _joined(
    evidence: Sequence[Evidence], leftovers: Sequence[Leftover], sharing: Sequence[SharedExtents]
) -> tuple[Sequence[Evidence], Sequence[Leftover], Sequence[SharedExtents]]:
    """Return all that was measured with its shared content joined, and all inodes that share any."""
    measured = [one for item in evidence for _, one in item.measurements]
    measured += [item.measurement for item in leftovers if item.measurement is not None]
    sharing = [*sharing, *(one for measurement in measured for one in measurement.extents)]
    if not sharing:
        return evidence, leftovers, ()
    joined = iter(with_common(measured, sharing))
    return (
        [replace(one, measurements=tuple((part, next(joined)) for part, _ in one.measurements)) for one in evidence],
        [one if one.measurement is None else replace(one, measurement=next(joined)) for one in leftovers],
        sharing,
    )


def _decide_on_leftovers(
    inventory: Inventory,
    referenced: _Referenced,
    leftovers: Iterable[Leftover],
    policy: Policy,
    now: float,
    ledger: Ledger,
) -> tuple[list[Remove], list[Keep], list[Repair]]:
    """Return the decisions on leftovers; packages to repair are also among those to keep."""
    remove, keep, repair = list[Remove](), list[Keep](), list[Repair]()
    caches = {cache.path: cache for cache in inventory.caches}
    for item in leftovers:
        known = (item.of,) if item.of else ()
        roots = {name: referenced[name] for name in known if name in referenced}
        evidence, cache = item.evidence, caches[item.entry.cache]
        subject = Subject(item.entry, cache, evidence, known, roots, policy, now, linking=item.linked, leftover=item)
        found = reasons_to_keep(subject)
        if not found and evidence.measurements:
            remove.append(_removal(subject, evidence, ledger))
            continue
        keep.append(Keep(item.entry, Verdict.LEFTOVER, (*found, item.reason)))
        archive = item.archive
        if archive and item.of and evidence.measurements and {reason.kind for reason in found} <= _MENDABLE:
            removal = replace(_removal(subject, evidence, Ledger()), reclaimable=0, reclaimable_inodes=0)
            repair.append(Repair(removal, archive.name, item.of, archive.sha256, archive.record))
    return remove, keep, repair


def with_links(plan: Plan, links: Links) -> Plan:
    """Return the plan with measured link kinds in the reasons that name environments."""

    def measured(entry: Entry, reason: Reason) -> Reason:
        of_environment = reason.kind in (ReasonKind.ENVIRONMENT, ReasonKind.UNLINKED)
        # A soft link without a record was seen itself.
        if reason.root is None or not of_environment or reason.link is LinkKind.SOFT:
            return reason
        return replace(reason, link=links.get((entry, reason.root)))

    def linked(decision: _Decision) -> _Decision:
        return replace(decision, reasons=tuple(measured(decision.entry, reason) for reason in decision.reasons))

    return replace(plan, keep=tuple(map(linked, plan.keep)), remove=tuple(map(linked, plan.remove)))


def _subjects(
    inventory: Inventory,
    referenced: _Referenced,
    evidence: Mapping[Entry, Evidence],
    policy: Policy,
    now: float,
    soft_links: SoftLinks,
) -> Iterator[Subject]:
    entries = [entry for cache in inventory.caches for entry in cache.entries]
    aliases = {alias: dist for root in inventory.roots for alias, dist in root.aliases.items()}
    newest = newest_versions(entries, evidence, policy.keep_newest, policy.version_key, aliases)
    for cache in inventory.caches:
        for entry in cache.entries:
            found = evidence.get(entry)
            known = names(entry, found)
            roots = {name: referenced[name] for name in known if name in referenced}
            # A soft link into the directory says nothing of an archive in use.
            alone = found is not None and found.excuse is ReasonKind.TARBALL
            parts = policy.selected(found) if found is not None and alone else entry.parts
            linking = soft_links.environments(cache.path, parts) if soft_links.entries else ()
            unsearched = entry in inventory.unsearched
            yield Subject(entry, cache, found, known, roots, policy, now, newest, linking, unsearched)


def _verdict(reasons: Sequence[Reason]) -> Verdict:
    kinds = {reason.kind for reason in reasons}
    if kinds & _REACHING:
        return Verdict.REACHABLE
    if kinds & {ReasonKind.UNKNOWN, ReasonKind.UNREADABLE}:
        return Verdict.UNKNOWN
    return Verdict.UNREFERENCED


def _withheld(subject: Subject, reasons: Sequence[Reason], ledger: Ledger) -> Space:
    """Return the space that only a lack of permission keeps; what went before is in a ledger."""
    if subject.evidence is None or {reason.kind for reason in reasons} != {ReasonKind.READ_ONLY}:
        return NO_SPACE
    measured = dict(subject.evidence.measurements)
    parts = (part for part in subject.policy.selected(subject.evidence) if part in measured)
    return sum((ledger.remove(measured[part]) for part in parts), NO_SPACE)


def _removal(subject: Subject, evidence: Evidence, ledger: Ledger) -> Remove:
    measured = dict(evidence.measurements)
    parts = subject.policy.selected(evidence) if subject.leftover is None else subject.entry.parts
    going = [measured[part] for part in parts]
    last_used, last_used_from = last_use(evidence)
    freed = sum((ledger.remove(measurement) for measurement in going), NO_SPACE)
    return Remove(
        entry=evidence.entry,
        parts=parts,
        identities=tuple(measurement.identity for measurement in going),
        reasons=reasons_to_remove(subject, evidence),
        files=sum(measurement.files for measurement in going),
        apparent=sum(measurement.apparent for measurement in going),
        reclaimable=freed.bytes,
        reclaimable_inodes=freed.inodes,
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
        irreplaceable=evidence.irreplaceable,
    )
