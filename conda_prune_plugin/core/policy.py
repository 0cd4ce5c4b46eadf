"""The rules by which an entry stays, as a table over a pure function.

Every rule looks at one `Subject` and gives the reasons it has for keeping it; an entry goes when no rule objects. All
rules that apply are reported, so that lifting one does not bring the next one as a surprise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .model import Cache, Entry, Evidence, Part, PartKind, Reason, ReasonKind, Root
from .units import format_age, plural

#: An install may be using what was fetched or extracted a moment ago: conda takes no lock on a cache.
DEFAULT_MIN_AGE = 600.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user asked for. Ages are in seconds."""

    kinds: frozenset[PartKind] = frozenset(PartKind)
    min_age: float = DEFAULT_MIN_AGE

    def selected(self, entry: Entry) -> tuple[Part, ...]:
        """Return the parts of an entry that may go at all."""
        return tuple(part for part in entry.parts if part.kind in self.kinds)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule may look at; `evidence` is None for an entry that a root names."""

    entry: Entry
    cache: Cache
    evidence: Evidence | None
    referenced: Mapping[str, Sequence[Root]]
    policy: Policy
    now: float


Rule = Callable[[Subject], Iterable[Reason]]


def _environment(subject: Subject) -> Iterable[Reason]:
    names = {subject.entry.dist}
    if subject.evidence is not None and subject.evidence.dist is not None:
        names.add(subject.evidence.dist)
    for name in sorted(names):
        for root in subject.referenced.get(name, ()):
            alias = "" if name == subject.entry.dist else f" as {name}"
            yield Reason(ReasonKind.ENVIRONMENT, f"used by {root.name or root.path}{alias}", root=root.path)


def _unknown(subject: Subject) -> Iterable[Reason]:
    if subject.evidence is not None and subject.evidence.doubt is not None:
        yield Reason(ReasonKind.UNKNOWN, subject.evidence.doubt)


def _unreadable(subject: Subject) -> Iterable[Reason]:
    if subject.evidence is not None and subject.evidence.unreadable is not None:
        yield Reason(ReasonKind.UNREADABLE, subject.evidence.unreadable)


def _linked(subject: Subject) -> Iterable[Reason]:
    if subject.evidence is not None and subject.evidence.outside:
        files = plural(subject.evidence.outside, "file")
        yield Reason(
            ReasonKind.LINKED,
            f"{files} with hard links from somewhere unknown, probably an environment that was not found: "
            "name it with --root or --search",
        )


def _read_only(subject: Subject) -> Iterable[Reason]:
    if subject.evidence is None:
        return
    if not subject.cache.writable:
        yield Reason(ReasonKind.READ_ONLY, "no permission to remove anything from this cache")
        return
    for _, measurement in subject.evidence.measurements:
        if measurement.obstacle is not None:
            yield Reason(ReasonKind.READ_ONLY, measurement.obstacle)
            return


def _recent(subject: Subject) -> Iterable[Reason]:
    evidence = subject.evidence
    if evidence is None or evidence.fetched is None or not subject.policy.min_age:
        return
    age = subject.now - evidence.fetched
    if age < subject.policy.min_age:
        yield Reason(
            ReasonKind.RECENT,
            f"fetched or extracted {format_age(max(age, 0.0))} ago, an install may be using it (--min-age)",
        )


def _not_selected(subject: Subject) -> Iterable[Reason]:
    if subject.evidence is not None and not subject.policy.selected(subject.entry):
        kinds = " and ".join(sorted({part.kind.value for part in subject.entry.parts}))
        yield Reason(ReasonKind.NOT_SELECTED, f"unreferenced, but only its {kinds} part is here")


#: The strongest reason first; the order is that of the output.
RULES: tuple[Rule, ...] = (
    _environment,
    _unknown,
    _unreadable,
    _linked,
    _read_only,
    _recent,
    _not_selected,
)


def reasons_to_keep(subject: Subject) -> tuple[Reason, ...]:
    """Return all reasons to keep an entry; none means that it may go."""
    return tuple(reason for rule in RULES for reason in rule(subject))
