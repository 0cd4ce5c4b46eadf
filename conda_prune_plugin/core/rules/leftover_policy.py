"""Leftovers of failed installs and removals, and the rules by which they are kept or removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..accounting import Ledger, missing_links
from ..evidence import Measurement
from ..model import LEFTOVER_KINDS, Cache, Entry, LastUsedFrom, PartKind, ReasonKind, Root, RootKind, Verdict
from ..plan import Keep, Reason, Remove, Repair
from ..units import format_age, plural
from .policy import Policy, soft_linked_by


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive that a damaged directory can be extracted from anew: its name, its hash and its record."""

    name: str
    sha256: str | None
    record: Mapping[str, Any] | None = field(hash=False)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A leftover as it was found.

    entry: bears the file's own name as dist, and has it as its only part.
    kind: one of `model.LEFTOVER_KINDS`; detail: what shows it.
    of: the dist that it is of, where its name tells.
    changed: the newest change of anything in it, in seconds since the epoch.
    measurement: None if it can't be read, which `unreadable` explains then.
    linked: the paths of the environments that have symbolic links into it, or where that can't be ruled out.
    lacking: for trash, those that have links to the package that it was, which is missing or incomplete.
    chosen: it is of what ``--only`` names, where that was given. kept: the rule of ``--keep`` that it falls under.
    archive: what it is to be extracted from anew, if roots have it and that was asked for.
    irreplaceable: why what is left of a package can't be had again, None if it can.
    held: the process that holds it, if it is a lock and one does.
    """

    entry: Entry
    kind: ReasonKind
    detail: str
    of: str | None
    changed: float
    measurement: Measurement | None
    unreadable: str | None = None
    linked: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    chosen: bool = True
    kept: str | None = None
    archive: Archive | None = None
    irreplaceable: str | None = None
    held: str | None = None

    @property
    def holds_files(self) -> bool:
        """Whether environments may be linked from it."""
        return self.entry.parts[0].kind is PartKind.EXTRACTED


Rule = Callable[["_LeftoverSubject"], Iterable[Reason]]


@dataclass(frozen=True, slots=True)
class _LeftoverSubject:
    leftover: Leftover
    cache: Cache
    roots: Sequence[Root]
    policy: Policy
    now: float


def _kept(subject: _LeftoverSubject) -> Iterable[Reason]:
    if subject.leftover.kept is not None:
        yield Reason(ReasonKind.KEEP, f"kept by the rule {subject.leftover.kept}")


def _in_use(subject: _LeftoverSubject) -> Iterable[Reason]:
    leftover = subject.leftover
    if not leftover.holds_files:
        yield from map(soft_linked_by, leftover.linked)
        yield from _stands_in(subject)
        return
    outside = len(missing_links([leftover.measurement])) if leftover.measurement is not None else 0
    environments = [root for root in subject.roots if root.kind is RootKind.ENVIRONMENT]
    if leftover.archive is not None:
        for root in subject.roots:
            yield Reason(ReasonKind(root.kind.value), f"of {root.name or root.path}", root=root.path or None)
    elif leftover.linked or (environments and outside):
        named = {root.path for root in environments}
        yield from (soft_linked_by(path) for path in leftover.linked if path not in named)
        for root in environments:
            detail = f"used by {root.name or root.path}, and files are linked from it (--repair)"
            yield Reason(ReasonKind.ENVIRONMENT, detail, root=root.path)
    elif outside:
        yield Reason(ReasonKind.LINKED, f"{plural(outside, 'file')} with hard links from somewhere unknown")


def _stands_in(subject: _LeftoverSubject) -> Iterable[Reason]:
    """Give the environments for which trash may be all that is left of a package."""
    names = {root.path: root.name for root in subject.roots if root.kind is RootKind.ENVIRONMENT}
    for path in subject.leftover.lacking:
        detail = f"{names.get(path) or path} has soft links to {subject.leftover.of}, which is not whole (--repair)"
        yield Reason(ReasonKind.ENVIRONMENT, detail, root=path)


def _unreadable(subject: _LeftoverSubject) -> Iterable[Reason]:
    if subject.leftover.unreadable is not None:
        yield Reason(ReasonKind.UNREADABLE, subject.leftover.unreadable)


def _held(subject: _LeftoverSubject) -> Iterable[Reason]:
    if subject.leftover.held is not None:
        yield Reason(ReasonKind.LOCKED, f"{subject.leftover.held} holds it")


def _read_only(subject: _LeftoverSubject) -> Iterable[Reason]:
    measurement = subject.leftover.measurement
    if not subject.cache.writable:
        yield Reason(ReasonKind.READ_ONLY, "no permission to remove anything from this cache")
    elif measurement is not None and measurement.obstacle is not None:
        yield Reason(ReasonKind.READ_ONLY, measurement.obstacle)


def _irreplaceable(subject: _LeftoverSubject) -> Iterable[Reason]:
    why = subject.leftover.irreplaceable
    if why is not None and not subject.policy.include_irreplaceable:
        yield Reason(ReasonKind.IRREPLACEABLE, f"{why} (--include-irreplaceable)")


def _recent(subject: _LeftoverSubject) -> Iterable[Reason]:
    age = subject.now - subject.leftover.changed
    if subject.policy.min_age and age < subject.policy.min_age:
        detail = f"changed {format_age(age)} ago, an install may be at work on it (--min-age)"
        yield Reason(ReasonKind.RECENT, detail)


def _not_selected(subject: _LeftoverSubject) -> Iterable[Reason]:
    if not subject.policy.leftovers and subject.leftover.archive is None:
        yield Reason(ReasonKind.NOT_SELECTED, "not what was asked for (--repair without --leftovers)")
    if not subject.leftover.chosen:
        yield Reason(ReasonKind.NOT_SELECTED, "not what was asked for (--only)")
    age = subject.now - subject.leftover.changed
    if subject.policy.older_than and age < subject.policy.older_than:
        yield Reason(ReasonKind.NOT_SELECTED, f"last changed {format_age(age)} ago (--older-than)")


#: The strongest reason first, as in `policy.RULES`.
RULES: tuple[Rule, ...] = (_kept, _in_use, _held, _unreadable, _read_only, _irreplaceable, _recent, _not_selected)


def decide(
    leftover: Leftover,
    cache: Cache,
    referenced: Mapping[str, Sequence[Root]],
    policy: Policy,
    now: float,
    ledger: Ledger,
) -> Remove | Keep:
    """Return the decision on a leftover; the first reason to keep it says what it is."""
    roots = referenced.get(leftover.of or "", ())
    subject = _LeftoverSubject(leftover, cache, roots, policy, now)
    found = tuple(reason for rule in RULES for reason in rule(subject))
    if found or leftover.measurement is None:
        return Keep(leftover.entry, Verdict.LEFTOVER, (*found, Reason(leftover.kind, leftover.detail)))
    return _removal(leftover, leftover.measurement, roots, ledger.remove(leftover.measurement))


#: The reasons that don't stand in the way of a repair: what uses a package, and what is wrong with it.
_MENDABLE = LEFTOVER_KINDS | {ReasonKind(kind.value) for kind in RootKind}


def repairs(
    leftovers: Sequence[Leftover], kept: Iterable[Keep], referenced: Mapping[str, Sequence[Root]]
) -> tuple[Repair, ...]:
    """Return what of the kept is extracted anew."""
    with_archive = {item.entry for item in leftovers if item.archive is not None}
    mendable = {
        keep.entry
        for keep in kept
        if keep.entry in with_archive and all(reason.kind in _MENDABLE for reason in keep.reasons)
    }
    return tuple(
        Repair(
            _removal(item, item.measurement, referenced.get(item.of, ()), 0),
            item.archive.name,
            item.of,
            item.archive.sha256,
            item.archive.record,
        )
        for item in leftovers
        if item.archive is not None and item.of is not None and item.measurement is not None and item.entry in mendable
    )


def _removal(leftover: Leftover, measurement: Measurement, roots: Iterable[Root], reclaimable: int) -> Remove:
    return Remove(
        entry=leftover.entry,
        parts=leftover.entry.parts,
        identities=(measurement.identity,),
        reasons=(Reason(leftover.kind, leftover.detail),),
        files=measurement.files,
        apparent=measurement.apparent,
        reclaimable=reclaimable,
        last_used=leftover.changed,
        last_used_from=LastUsedFrom.EXTRACTION,
        source=None,
        sha256=None,
        record=None,
        names=frozenset({leftover.of} if leftover.of else ()),
        known_links=tuple(missing_links([measurement]).items()),
        accepted=frozenset(roots),
    )
