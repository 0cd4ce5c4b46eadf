"""The rules that keep an entry or a leftover: a table of pure functions.

Every rule looks at one `Subject` and gives the reasons it has for keeping it; it goes when no rule objects. All rules
that apply are reported, so that lifting one does not bring the next one as a surprise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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

    only: the entries that may go at all; None for no such choice. unchosen: why the others stay.
    keep_newest: how many of the newest versions of each name stay; `version_key` sorts versions.
    leftovers: whether leftovers may go; damaged packages in use are repaired in any case.
    """

    kinds: frozenset[PartKind] = frozenset(PartKind)
    min_age: float = DEFAULT_MIN_AGE
    older_than: float = 0.0
    only: frozenset[Entry] | None = None
    unchosen: str = "excluded by --only"
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


def names(entry: Entry, evidence: Evidence | None) -> tuple[str, ...]:
    """Return the dists that a root would reference an entry by: its own name, and what its metadata says."""
    inside = (evidence.dist, *evidence.aliases) if evidence is not None else ()
    return tuple(dict.fromkeys(filter(None, (*recorded_names(entry.dist), *inside))))


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


#: The kinds of roots: all of them, those that a policy may lift, and those that hold whatever it says.
_ALL, _LIFTED = tuple(RootKind), (RootKind.ENVIRONMENT,)
_LASTING = tuple(kind for kind in RootKind if kind not in _LIFTED)

#: How a reason names a root of each kind.
_REFERENCES = {
    RootKind.ENVIRONMENT: "used by",
    RootKind.REVISION: "part of",
    RootKind.LOCKFILE: "listed in",
    RootKind.KEEP: "kept by the rule",
}


def _soft_linked(subject: Subject) -> Iterator[Reason]:
    """Give the environments that soft-link an entry and have no record of it."""
    # Records name packages, so none names trash.
    recorded = subject.leftover is None or subject.leftover.holds_files
    named = {root.path for root in subject.environments} if recorded else set[str]()
    for path in subject.linking:
        if path not in named:
            detail = f"used by {path}, which has no record of it"
            yield Reason(ReasonKind.ENVIRONMENT, detail, root=path, link=LinkKind.SOFT)


def _damaged_in_use(subject: Subject, leftover: Leftover) -> Iterator[Reason]:
    """Give the roots of a leftover: those of a damaged package, or of the one that trash is all that is left of."""
    environments = subject.environments
    if leftover.archive is not None:
        yield from _references(subject, _ALL)
    elif leftover.holds_files and (leftover.linked or leftover.evidence.outside):
        for root in environments:
            detail = f"used by {root.name or root.path}, which links to its files (--repair)"
            yield Reason(ReasonKind.ENVIRONMENT, detail, root=root.path)
    known = {root.path: root.name for root in environments}
    for path in leftover.lacking:
        detail = f"{known.get(path) or path} has soft links to {leftover.of}, which is incomplete (--repair)"
        yield Reason(ReasonKind.ENVIRONMENT, detail, root=path)


def _held(subject: Subject, _: Evidence) -> str | None:
    held = subject.leftover.held if subject.leftover is not None else None
    return None if held is None else f"locked by {held}"


def _damaged(subject: Subject, _: Evidence) -> str | None:
    return "its extracted directory is damaged and hard-linked by an unknown environment" if subject.damaged else None


def _linked(subject: Subject, evidence: Evidence) -> str | None:
    # Environments that have the leftover explain the links to it.
    if not evidence.outside or (subject.leftover is not None and subject.environments):
        return None
    return (
        f"{plural(evidence.outside, 'file')} with hard links from an unknown place, probably an environment that was "
        "not found: add it with --root or --search"
    )


def _read_only(subject: Subject, evidence: Evidence) -> str | None:
    if not subject.cache.writable:
        return "you don't have permission to change this cache"
    obstacles = (measurement.obstacle for _, measurement in evidence.measurements)
    return next((obstacle for obstacle in obstacles if obstacle is not None), None)


def _irreplaceable(subject: Subject, evidence: Evidence) -> str | None:
    if evidence.irreplaceable is None or subject.policy.include_irreplaceable:
        return None
    return f"{evidence.irreplaceable} (--include-irreplaceable)"


def _recent(subject: Subject, evidence: Evidence) -> str | None:
    fetched, least = evidence.fetched, subject.policy.min_age
    if fetched is None or not least or subject.now - fetched >= least:
        return None
    made = "downloaded or extracted" if subject.leftover is None else "changed"
    return f"{made} {format_age(subject.now - fetched)} ago, so an installation may be using it (--min-age)"


def _newest(subject: Subject, _: Evidence) -> str | None:
    count = subject.policy.keep_newest
    which = "the newest version" if count == 1 else f"one of the {count} newest versions"
    return f"{which} (--keep-newest)" if subject.entry in subject.newest else None


def _unselected(subject: Subject, evidence: Evidence) -> str | None:
    policy, leftover = subject.policy, subject.leftover
    if leftover is not None:
        kept = not policy.leftovers and leftover.archive is None
        return "not in use, and --repair removes nothing without --leftovers" if kept else None
    if policy.selected(evidence):
        return None
    kinds = " and ".join(sorted({part.kind.value for part in subject.entry.parts} - {PartKind.LOCK.value}))
    return f"your options exclude {f'its {kinds} part' if policy.kinds else 'it'}"


def _not_chosen(subject: Subject, _: Evidence) -> str | None:
    policy, leftover = subject.policy, subject.leftover
    chosen = policy.only is None or subject.entry in policy.only if leftover is None else leftover.chosen
    return None if chosen else policy.unchosen


def _used_since(subject: Subject, evidence: Evidence) -> str | None:
    used, _ = last_use(evidence)
    if not subject.policy.older_than:
        return None
    if used is None:
        return "last use unknown (--older-than)"
    age = subject.now - used
    return f"last used {format_age(age)} ago (--older-than)" if age < subject.policy.older_than else None


#: What looks at the evidence on a subject, and says why to keep it, if there is a reason of a kind.
Rule = Callable[[Subject, Evidence], "str | None"]

#: The strongest reason first, behind the references, which need no evidence; the order is that of the output.
RULES: tuple[tuple[ReasonKind, Rule], ...] = (
    (ReasonKind.LOCKED, _held),
    (ReasonKind.UNKNOWN, lambda subject, evidence: evidence.doubt),
    (ReasonKind.UNREADABLE, lambda subject, evidence: evidence.unreadable),
    (ReasonKind.LINKED, _damaged),
    (ReasonKind.LINKED, _linked),
    (ReasonKind.READ_ONLY, _read_only),
    (ReasonKind.IRREPLACEABLE, _irreplaceable),
    (ReasonKind.RECENT, _recent),
    (ReasonKind.NEWEST, _newest),
    (ReasonKind.NOT_SELECTED, _unselected),
    (ReasonKind.NOT_SELECTED, _not_chosen),
    (ReasonKind.NOT_SELECTED, _used_since),
)

#: Why entries are kept if their environments could not be searched for.
_UNSEARCHED = Reason(
    ReasonKind.UNKNOWN,
    "pixi and rattler keep no list of environments: name the directories of your projects with --search",
)


def reasons_to_keep(subject: Subject) -> tuple[Reason, ...]:
    """Return all reasons to keep an entry or a leftover; none means that it may go."""
    found: list[Reason] = []
    if subject.leftover is None:
        found += _references(subject, _LASTING if subject.excused else _ALL)
    elif subject.leftover.kept is not None:
        found.append(Reason(ReasonKind.KEEP, f"kept by the rule {subject.leftover.kept}"))
    found += _soft_linked(subject)
    if subject.leftover is not None:
        found += _damaged_in_use(subject, subject.leftover)
    if subject.unsearched and not subject.roots:
        found.append(_UNSEARCHED)
    if subject.evidence is not None:
        details = ((kind, rule(subject, subject.evidence)) for kind, rule in RULES)
        found += (Reason(kind, detail) for kind, detail in details if detail is not None)
    return with_references(subject, tuple(found)) if found else ()


def with_references(subject: Subject, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
    """Return the reasons by which an entry stays, with the references that alone would have let it go."""
    return (*_references(subject, _LIFTED), *reasons) if subject.excused else reasons


def reasons_to_remove(subject: Subject, evidence: Evidence) -> tuple[Reason, ...]:
    """Return why an entry or a leftover goes that nothing keeps."""
    if subject.leftover is not None:
        return (subject.leftover.reason,)
    if evidence.excuse is ReasonKind.EXTRACTED:
        return (Reason(ReasonKind.EXTRACTED, "its archive is in the cache and intact (--ci cache)"),)
    if evidence.excuse is ReasonKind.TARBALL:
        return (Reason(ReasonKind.TARBALL, "its extracted directory is in the cache and complete (--all-tarballs)"),)
    why = "but shares no files with it (--unlinked)"
    if missing_links(measurement for _, measurement in evidence.measurements):
        why = "and keeps its hard links to the files (--ci image)"
    unlinked = tuple(
        Reason(ReasonKind.UNLINKED, f"{root.name or root.path} uses it {why}", root=root.path)
        for roots in subject.roots.values()
        for root in roots
    )
    return unlinked or (Reason(ReasonKind.UNREFERENCED, "no environment uses it"),)
