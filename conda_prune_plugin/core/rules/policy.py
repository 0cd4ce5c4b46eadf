"""The rules that keep an entry or a leftover: a table of pure functions.

Every rule looks at one `Subject` and gives the reasons it has for keeping it; it goes when no rule objects. All rules
that apply are reported, so that lifting one does not bring the next one as a surprise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..accounting import missing_links
from ..dist_names import recorded_names
from ..evidence import Evidence, last_use
from ..model import Cache, Entry, LinkKind, Part, PartKind, ReasonKind, Root, RootKind
from ..plan import Reason
from ..units import format_age, plural
from .leftover import Leftover
from .ranking import NO_BUDGET, Budget, VersionKey

#: An install may be using what was fetched or extracted a moment ago: conda takes no lock on a cache.
DEFAULT_MIN_AGE = 600.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What the user asked for. Ages are in seconds.

    only: the entries that may go at all; None for no such choice.
    keep_newest: how many of the newest versions of each name stay; `version_key` sorts versions.
    leftovers: whether leftovers may go; damaged packages in use are repaired in any case.
    """

    kinds: frozenset[PartKind] = frozenset(PartKind)
    min_age: float = DEFAULT_MIN_AGE
    older_than: float = 0.0
    only: frozenset[Entry] | None = None
    keep_newest: int = 0
    version_key: VersionKey = field(default=str, repr=False)
    include_irreplaceable: bool = False
    budget: Budget = NO_BUDGET
    leftovers: bool = True

    def selected(self, item: Evidence) -> tuple[Part, ...]:
        """Return the parts of an entry that may go at all."""
        kinds = _EXCUSED.get(item.excuse, self.kinds)
        kinds = kinds | {PartKind.LOCK} if PartKind.EXTRACTED in kinds else kinds - {PartKind.LOCK}
        return tuple(part for part in item.entry.parts if part.kind in kinds)


#: The kinds of parts that may go for an excuse, if not all of those that were asked for.
_EXCUSED: Mapping[ReasonKind | None, frozenset[PartKind]] = {
    ReasonKind.EXTRACTED: frozenset({PartKind.EXTRACTED}),
    ReasonKind.TARBALL: frozenset({PartKind.ARCHIVE}),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule may look at; `evidence` is None for an entry that a root names, unless it may go all the same.

    names: the dists that a root would reference it by. roots: the roots that do, by name.
    newest: the entries of the newest versions of their names.
    linking: the paths of the environments that soft-link what may go of it.
    unsearched: its environments are registered nowhere, and nobody looked for them.
    damaged: its extracted directory is not whole, and stays because an environment that was not found is linked to it.
    leftover: what is known besides the evidence if it is no entry but a leftover.
    """

    entry: Entry
    cache: Cache
    evidence: Evidence | None
    names: tuple[str, ...]
    roots: Mapping[str, Sequence[Root]]
    policy: Policy
    now: float
    newest: frozenset[Entry] = frozenset()
    linking: tuple[str, ...] = ()
    unsearched: bool = False
    damaged: bool = False
    leftover: Leftover | None = None

    @property
    def excused(self) -> bool:
        """Whether it may go, or a part of it, although environments have it."""
        return self.evidence is not None and self.evidence.excuse is not None

    @property
    def environments(self) -> list[Root]:
        """The environments that reference it."""
        return [root for roots in self.roots.values() for root in roots if root.kind is RootKind.ENVIRONMENT]


#: What looks at the evidence on a subject, and gives its reasons to keep it.
Rule = Callable[[Subject, Evidence], Iterable[Reason]]


def names(entry: Entry, evidence: Evidence | None) -> tuple[str, ...]:
    """Return the dists that a root would reference an entry by: its own name, and what its metadata says."""
    inside = (evidence.dist, *evidence.aliases) if evidence is not None else ()
    return tuple(dict.fromkeys(filter(None, (*recorded_names(entry.dist), *inside))))


def _kept(subject: Subject) -> Iterable[Reason]:
    if subject.leftover is not None and subject.leftover.kept is not None:
        yield Reason(ReasonKind.KEEP, f"kept by the rule {subject.leftover.kept}")


def _referenced(subject: Subject) -> Iterable[Reason]:
    if subject.leftover is None:
        yield from _references(subject, _LASTING if subject.excused else _ALL)


def _references(subject: Subject, kinds: Collection[RootKind]) -> Iterator[Reason]:
    for name, roots in subject.roots.items():
        alias = "" if name == subject.entry.dist else f" as {name}"
        for root in roots:
            if root.kind in kinds:
                yield _reference(root.kind, root.path, root.name, alias + root.notes.get(name, ""))


@functools.lru_cache(1024)
def _reference(kind: RootKind, path: str, name: str | None, more: str) -> Reason:
    # Most entries that a root names have one and the same reason.
    return Reason(ReasonKind(kind.value), f"{_REFERENCES[kind]} {name or path}{more}", root=path or None)


def _soft_linked(subject: Subject) -> Iterable[Reason]:
    """Give the environments that soft-link an entry and have no record of it."""
    # Records name packages, so none names trash.
    recorded = subject.leftover is None or subject.leftover.holds_files
    named = {root.path for root in subject.environments} if recorded else set[str]()
    for path in subject.linking:
        if path not in named:
            detail = f"used by {path}, without a record"
            yield Reason(ReasonKind.ENVIRONMENT, detail, root=path, link=LinkKind.SOFT)


#: The kinds of roots: all of them, those that a policy may lift, and those that hold whatever it says.
_ALL, _LIFTED = tuple(RootKind), (RootKind.ENVIRONMENT,)
_LASTING = tuple(kind for kind in RootKind if kind not in _LIFTED)

#: How a reason names a root of each kind.
_REFERENCES = {
    RootKind.ENVIRONMENT: "used by",
    RootKind.REVISION: "held by",
    RootKind.LOCKFILE: "locked by",
    RootKind.KEEP: "kept by the rule",
}


def _damaged_in_use(subject: Subject) -> Iterable[Reason]:
    """Give the roots of a leftover: those of a damaged package, or of the one that trash is all that is left of."""
    leftover, environments = subject.leftover, subject.environments
    if leftover is None:
        return
    if leftover.archive is not None:
        for root in (root for roots in subject.roots.values() for root in roots):
            yield Reason(ReasonKind(root.kind.value), f"of {root.name or root.path}", root=root.path or None)
    elif leftover.holds_files and (leftover.linked or leftover.evidence.outside):
        for root in environments:
            detail = f"used by {root.name or root.path}, and files are linked from it (--repair)"
            yield Reason(ReasonKind.ENVIRONMENT, detail, root=root.path)
    known = {root.path: root.name for root in environments}
    for path in leftover.lacking:
        detail = f"{known.get(path) or path} has soft links to {leftover.of}, which is not whole (--repair)"
        yield Reason(ReasonKind.ENVIRONMENT, detail, root=path)


def _unsearched(subject: Subject) -> Iterable[Reason]:
    if subject.unsearched and not subject.roots:
        yield Reason(
            ReasonKind.UNKNOWN,
            "rattler and pixi keep no list of their environments: say with --search where to look for them",
        )


def _held(subject: Subject, _: Evidence) -> Iterable[Reason]:
    if subject.leftover is not None and subject.leftover.held is not None:
        yield Reason(ReasonKind.LOCKED, f"{subject.leftover.held} holds it")


def _unknown(_: Subject, evidence: Evidence) -> Iterable[Reason]:
    if evidence.doubt is not None:
        yield Reason(ReasonKind.UNKNOWN, evidence.doubt)


def _unreadable(_: Subject, evidence: Evidence) -> Iterable[Reason]:
    if evidence.unreadable is not None:
        yield Reason(ReasonKind.UNREADABLE, evidence.unreadable)


def _linked(subject: Subject, evidence: Evidence) -> Iterable[Reason]:
    if subject.damaged:
        yield Reason(ReasonKind.LINKED, "its extracted directory is damaged, and has hard links from somewhere unknown")
    # Environments that have the leftover explain the links to it.
    if evidence.outside and not (subject.leftover is not None and subject.environments):
        files = plural(evidence.outside, "file")
        yield Reason(
            ReasonKind.LINKED,
            f"{files} with hard links from somewhere unknown, probably an environment that was not found: "
            "name it with --root or --search",
        )


def _read_only(subject: Subject, evidence: Evidence) -> Iterable[Reason]:
    if not subject.cache.writable:
        yield Reason(ReasonKind.READ_ONLY, "no permission to remove anything from this cache")
        return
    for _, measurement in evidence.measurements:
        if measurement.obstacle is not None:
            yield Reason(ReasonKind.READ_ONLY, measurement.obstacle)
            return


def _recent(subject: Subject, evidence: Evidence) -> Iterable[Reason]:
    if evidence.fetched is None or not subject.policy.min_age:
        return
    age = subject.now - evidence.fetched
    if age < subject.policy.min_age:
        made = "fetched or extracted" if subject.leftover is None else "changed"
        yield Reason(ReasonKind.RECENT, f"{made} {format_age(age)} ago, an install may be using it (--min-age)")


def _newest(subject: Subject, _: Evidence) -> Iterable[Reason]:
    if subject.entry in subject.newest:
        count = subject.policy.keep_newest
        which = "the newest version" if count == 1 else f"one of the {count} newest versions"
        yield Reason(ReasonKind.NEWEST, f"{which} of its name (--keep-newest)")


def _irreplaceable(subject: Subject, evidence: Evidence) -> Iterable[Reason]:
    if evidence.irreplaceable is not None and not subject.policy.include_irreplaceable:
        yield Reason(ReasonKind.IRREPLACEABLE, f"{evidence.irreplaceable} (--include-irreplaceable)")


def _not_selected(subject: Subject, evidence: Evidence) -> Iterable[Reason]:
    policy, leftover = subject.policy, subject.leftover
    if leftover is not None and not policy.leftovers and leftover.archive is None:
        yield Reason(ReasonKind.NOT_SELECTED, "not what was asked for (--repair without --leftovers)")
    if leftover is None and not policy.selected(evidence):
        kinds = " and ".join(sorted({part.kind.value for part in subject.entry.parts} - {PartKind.LOCK.value}))
        only = f"only its {kinds} part is here, which" if policy.kinds else "it"
        yield Reason(ReasonKind.NOT_SELECTED, f"{only} was not asked for")
    chosen = policy.only is None or subject.entry in policy.only if leftover is None else leftover.chosen
    if not chosen:
        yield Reason(ReasonKind.NOT_SELECTED, "not what was asked for (--only)")
    if policy.older_than:
        used, _ = last_use(evidence)
        if used is None:
            yield Reason(ReasonKind.NOT_SELECTED, "when it was last used is not known (--older-than)")
        elif subject.now - used < policy.older_than:
            age = format_age(subject.now - used)
            yield Reason(ReasonKind.NOT_SELECTED, f"last used {age} ago (--older-than)")


#: The rules that need no evidence: what references, or may reference, something.
_REFERENCE_RULES = (_kept, _referenced, _soft_linked, _damaged_in_use, _unsearched)

#: The strongest reason first, behind those that need no evidence; the order is that of the output.
RULES: tuple[Rule, ...] = (
    _held,
    _unknown,
    _unreadable,
    _linked,
    _read_only,
    _irreplaceable,
    _recent,
    _newest,
    _not_selected,
)


def reasons_to_keep(subject: Subject) -> tuple[Reason, ...]:
    """Return all reasons to keep an entry or a leftover; none means that it may go."""
    found = [reason for reference_rule in _REFERENCE_RULES for reason in reference_rule(subject)]
    if subject.evidence is not None:
        found += (reason for rule in RULES for reason in rule(subject, subject.evidence))
    return with_references(subject, tuple(found)) if found else ()


def with_references(subject: Subject, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """Return the reasons by which an entry stays, with the references that alone would have let it go."""
    return (*_references(subject, _LIFTED), *reasons) if subject.excused else reasons


def reasons_to_remove(subject: Subject, evidence: Evidence) -> tuple[Reason, ...]:
    """Return why an entry or a leftover goes that nothing keeps."""
    if subject.leftover is not None:
        return (subject.leftover.reason,)
    if evidence.excuse is ReasonKind.EXTRACTED:
        return (Reason(ReasonKind.EXTRACTED, "its archive is here and sound (--ci cache)"),)
    if evidence.excuse is ReasonKind.TARBALL:
        return (Reason(ReasonKind.TARBALL, "its extracted directory is here and whole (--all-tarballs)"),)
    why = "but shares no file with it (--unlinked)"
    if missing_links(measurement for _, measurement in evidence.measurements):
        why = "and keeps the files that it hard-links (--ci image)"
    unlinked = tuple(
        Reason(ReasonKind.UNLINKED, f"{root.name or root.path} has it {why}", root=root.path)
        for roots in subject.roots.values()
        for root in roots
    )
    return unlinked or (Reason(ReasonKind.UNREFERENCED, "no environment references it"),)
