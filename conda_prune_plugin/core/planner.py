"""From an inventory and the evidence on its candidates to a plan: one decision, with reasons, for every entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .accounting import Ledger, missing_links
from .model import (
    Entry,
    Evidence,
    Inventory,
    Keep,
    LastUsedFrom,
    LinkKind,
    Part,
    Plan,
    Reason,
    ReasonKind,
    Remove,
    Verdict,
)
from .policy import Policy, Subject, reasons_to_keep
from .reachability import references

#: Measured link kinds, by entry and path of the environment.
Links = Mapping[tuple[Entry, str], LinkKind]


def make_plan(inventory: Inventory, evidence: Iterable[Evidence], policy: Policy, now: float) -> Plan:
    """Decide on every entry of the inventory.

    `evidence` has one item for each entry that no root names; `now` is the time that ages count from, in seconds
    since the epoch. The same arguments always give the same plan.
    """
    referenced = references(inventory.roots)
    by_entry = {item.entry: item for item in evidence}
    ledger = Ledger()
    remove: list[Remove] = []
    keep: list[Keep] = []
    for cache in inventory.caches:
        for entry in cache.entries:
            subject = Subject(entry, cache, by_entry.get(entry), referenced, policy, now)
            reasons = reasons_to_keep(subject)
            if subject.evidence is None and not reasons:
                raise LookupError(f"no evidence on the candidate {entry.dist} in {entry.cache}")
            if reasons or subject.evidence is None:
                keep.append(Keep(entry, _verdict(reasons), reasons))
            else:
                remove.append(_removal(subject.evidence, policy.selected(entry), ledger))
    return Plan(inventory, tuple(remove), tuple(keep))


def with_links(plan: Plan, links: Links) -> Plan:
    """Return the plan with measured link kinds in the reasons of its kept entries."""

    def linked(keep: Keep) -> Keep:
        reasons = tuple(
            Reason(reason.kind, reason.detail, reason.root, links.get((keep.entry, reason.root or "")))
            for reason in keep.reasons
        )
        return Keep(keep.entry, keep.verdict, reasons)

    return Plan(plan.inventory, plan.remove, tuple(linked(keep) for keep in plan.keep))


def last_use(evidence: Evidence) -> tuple[float | None, LastUsedFrom | None]:
    """Return when an environment was last built from an entry or removed, and where that is known from.

    Making or removing a hard link changes the inode's ctime, and extraction sets the ctime of every file before it
    writes ``info/repodata_record.json``: a newer ctime means that a link was made or removed since. Without one, the
    time of fetching and extraction stands in.
    """
    payload = [item.payload_ctime for _, item in evidence.measurements if item.payload_ctime is not None]
    newest = max(payload, default=None)
    if newest is not None and (evidence.fetched is None or newest > evidence.fetched):
        return newest, LastUsedFrom.LINK
    return evidence.fetched, None if evidence.fetched is None else LastUsedFrom.EXTRACTION


def _verdict(reasons: Sequence[Reason]) -> Verdict:
    kinds = {reason.kind for reason in reasons}
    if kinds & {ReasonKind.ENVIRONMENT, ReasonKind.LINKED}:
        return Verdict.REACHABLE
    if kinds & {ReasonKind.UNKNOWN, ReasonKind.UNREADABLE}:
        return Verdict.UNKNOWN
    return Verdict.UNREFERENCED


def _removal(evidence: Evidence, parts: tuple[Part, ...], ledger: Ledger) -> Remove:
    measured = dict(evidence.measurements)
    going = [measured[part] for part in parts]
    last_used, last_used_from = last_use(evidence)
    return Remove(
        entry=evidence.entry,
        parts=parts,
        identities=tuple(measurement.identity for measurement in going),
        reasons=(Reason(ReasonKind.UNREFERENCED, "no environment references it"),),
        files=sum(measurement.files for measurement in going),
        apparent=sum(measurement.apparent for measurement in going),
        reclaimable=sum(ledger.remove(measurement) for measurement in going),
        last_used=last_used,
        last_used_from=last_used_from,
        source=evidence.source,
        sha256=evidence.sha256,
        record=evidence.record,
        names=frozenset({evidence.entry.dist, evidence.dist or evidence.entry.dist}),
        known_links=tuple(missing_links(going).items()),
    )
