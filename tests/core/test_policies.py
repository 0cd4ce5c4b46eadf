"""Policies: every rule, alone and combined, against a slow and obvious reading of the documentation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune_plugin.core.evidence import Evidence, Measurement, SharedInode
from conda_prune_plugin.core.model import Entry, Inventory, Part, PartKind, ReasonKind, Root, RootKind, Verdict
from conda_prune_plugin.core.plan import Plan
from conda_prune_plugin.core.rules.planner import make_plan
from conda_prune_plugin.core.rules.policy import Policy
from conda_prune_plugin.core.rules.ranking import Budget, Goal
from conda_prune_plugin.core.units import NO_SPACE, Space, Unit, parse_size

from .builders import NOW, a_budget, a_cache, a_measurement, a_root, an_entry

if TYPE_CHECKING:
    from collections.abc import Callable

DIST_NAMES = [f"{name}-{version}-{build}" for name in "ab" for version in ("1", "2", "10", "odd") for build in "01"]

# Made once, and not in each of some thousand worlds, where that took a quarter of the time.
DISTS = st.lists(st.sampled_from(DIST_NAMES), unique=True, max_size=5)
KINDS = st.sampled_from([(PartKind.EXTRACTED,), (PartKind.ARCHIVE,), (PartKind.EXTRACTED, PartKind.ARCHIVE)])
ROOTS = st.lists(st.tuples(st.sampled_from(RootKind), st.sets(st.sampled_from(DIST_NAMES), max_size=3)))
SINGLE = st.integers(0, 4)
SIZES = st.lists(st.integers(1, 8), max_size=3)
GOALS = st.builds(Goal, st.just("--x"), st.sampled_from(Unit), st.integers(-10, 30))
TIMES = st.sampled_from([None, *(NOW - age for age in (900, 500, 100, 1, -500))])
LINK_TIMES = st.sampled_from([None, NOW - 950, NOW - 50])
OUTSIDE = st.sampled_from([0, 0, 0, 1])
RARELY = st.sampled_from([None, None, None, None, "it is so"])


def _version_key(version: str) -> int | None:
    return None if version == "odd" else int(version)


@dataclass(frozen=True, slots=True)
class Asked(Policy):
    """A policy, and the entries that discovery finds to share no file with the environments that have them."""

    unlinked: frozenset[Entry] = frozenset()


class World:
    """What discovery would find: an inventory, the evidence, and how many links each inode has where."""

    def __init__(self, draw: st.DrawFn) -> None:
        caches = ("/one", "/two")
        self.entries = [an_entry(dist, *draw(KINDS), cache=cache) for cache in caches for dist in draw(DISTS)]
        writable = draw(st.booleans())
        self.caches = tuple(
            a_cache(path, *(e for e in self.entries if e.cache == path), writable=path == "/one" or writable)
            for path in caches
        )
        self.roots = tuple(
            a_root(f"/root/{number}", *dists, kind=kind) for number, (kind, dists) in enumerate(draw(ROOTS))
        )
        self._links(draw)
        self.evidence = {entry: self._evidence(draw, entry) for entry in self.entries}

    def _links(self, draw: st.DrawFn) -> None:
        places = [(entry, part) for entry in self.entries for part in entry.parts]
        self.single = {place: draw(SINGLE) for place in places}
        #: For each inode its size, and how many of its links lie in which part; None is somewhere else.
        self.inodes: list[tuple[int, dict[tuple[Entry, Part] | None, int]]] = []
        for size in draw(SIZES) if places else ():
            holders = draw(st.lists(st.sampled_from([*places, None]), min_size=1, max_size=4))
            self.inodes.append((size, {place: holders.count(place) for place in holders}))

    def _evidence(self, draw: st.DrawFn, entry: Entry) -> Evidence:
        measurements = tuple((part, self._measurement(draw, entry, part)) for part in entry.parts)
        return Evidence(
            entry,
            measurements,
            fetched=draw(TIMES),
            outside=draw(OUTSIDE),
            doubt=draw(RARELY),
            unreadable=draw(RARELY),
            irreplaceable=draw(RARELY),
        )

    def _measurement(self, draw: st.DrawFn, entry: Entry, part: Part) -> Measurement:
        shared = tuple(
            SharedInode(1, number, sum(holders.values()), holders[entry, part], size)
            for number, (size, holders) in enumerate(self.inodes)
            if (entry, part) in holders
        )
        ctime = draw(LINK_TIMES) if part.kind is PartKind.EXTRACTED else None
        # The bytes of directories and of files with one link are as many as these.
        single = self.single[entry, part]
        files = single + sum(inode.inside for inode in shared)
        return a_measurement(single, *shared, files=files, payload_ctime=ctime)

    def plan(self, policy: Asked, roots: tuple[Root, ...] | None = None) -> Plan:
        """Return the plan, given evidence as discovery gives it: on what no root names, and on what is unlinked."""
        inventory = Inventory(self.caches, self.roots if roots is None else roots)
        named = {dist for root in inventory.roots for dist in root.dists}
        excused = {e: replace(self.evidence[e], excuse=ReasonKind.UNLINKED) for e in policy.unlinked}
        evidence = [
            excused.get(e, self.evidence[e]) for e in self.entries if e.dist not in named or e in policy.unlinked
        ]
        return make_plan(inventory, evidence, policy, NOW)

    def freed(self, parts: set[tuple[Entry, Part]]) -> Space:
        """Return what the file system gives back when these parts go: inodes all of whose links are among them."""
        whole = [size for size, holders in self.inodes if all(place in parts for place in holders)]
        single = sum(self.single[place] for place in parts)
        return Space(single + sum(whole), single + len(whole))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    return World(draw)


@st.composite
def policies(draw: st.DrawFn, world: World, *, budget: bool = True) -> Asked:
    entries = st.frozensets(st.sampled_from(world.entries)) if world.entries else st.just(frozenset())
    named = {dist for root in world.roots for dist in root.dists}
    unlinked = frozenset(e for e in draw(entries) if e.dist in named)
    return Asked(
        kinds=draw(st.sampled_from([frozenset(PartKind), *(frozenset({kind}) for kind in PartKind)])),
        min_age=draw(st.sampled_from([0.0, 60.0, 600.0])),
        older_than=draw(st.sampled_from([0.0, 60.0, 600.0])),
        only=draw(st.none() | entries),
        keep_newest=draw(st.integers(0, 2)),
        version_key=_version_key,
        include_irreplaceable=draw(st.booleans()),
        unlinked=unlinked,
        budget=Budget(tuple(draw(st.lists(GOALS, max_size=3)))) if budget else Budget(),
    )


def _removed(plan: Plan) -> set[Entry]:
    return {decision.entry for decision in plan.remove}


def _last_used(evidence: Evidence) -> float | None:
    times = [m.payload_ctime for _, m in evidence.measurements if m.payload_ctime is not None]
    known = [time for time in (*times, evidence.fetched) if time is not None]
    return max(known) if known else None


def _parts(entry: Entry, policy: Asked) -> set[tuple[Entry, Part]]:
    return {(entry, part) for part in entry.parts if part.kind in policy.kinds}


def _may_go(world: World, entry: Entry, policy: Asked) -> bool:
    """The documentation's rules, one after the other."""
    evidence = world.evidence[entry]
    roots = [root for root in world.roots if entry.dist in root.dists]
    used = _last_used(evidence)
    objections = (
        any(root.kind is not RootKind.ENVIRONMENT or entry not in policy.unlinked for root in roots),
        evidence.doubt or evidence.unreadable or evidence.outside,
        not next(cache.writable for cache in world.caches if cache.path == entry.cache),
        evidence.irreplaceable and not policy.include_irreplaceable,
        policy.min_age and evidence.fetched is not None and NOW - evidence.fetched < policy.min_age,
        policy.keep_newest and _newer_versions(world, entry) < policy.keep_newest,
        not _parts(entry, policy),
        policy.only is not None and entry not in policy.only,
        policy.older_than and (used is None or NOW - used < policy.older_than),
    )
    return not any(objections)


def _newer_versions(world: World, entry: Entry) -> int:
    name, version, _ = entry.dist.rsplit("-", 2)
    if version == "odd":
        return 0
    others = {e.dist.rsplit("-", 2)[1] for e in world.entries if e.dist.startswith(f"{name}-")} - {"odd"}
    return sum(int(other) > int(version) for other in others)


def _expected(world: World, policy: Asked) -> tuple[set[Entry], Space]:
    """Return what goes, and by how much the goals are missed."""
    going = [entry for entry in world.entries if _may_go(world, entry, policy)]
    if not policy.budget.goals:
        return set(going), NO_SPACE

    def order(entry: Entry) -> tuple[float, str, str]:
        used = _last_used(world.evidence[entry])
        return (float("inf") if used is None else used, entry.cache, entry.dist)

    def missing(gone: list[Entry]) -> Space:
        freed = world.freed(set().union(*(_parts(entry, policy) for entry in gone)))
        short = dict.fromkeys(Unit, 0)
        for goal in policy.budget.goals:
            short[goal.unit] = max(short[goal.unit], goal.needed - freed.of(goal.unit))
        return Space(short[Unit.BYTES], short[Unit.INODES])

    gone: list[Entry] = []
    for entry in sorted(going, key=order):
        if missing(gone) == NO_SPACE:
            break
        gone.append(entry)
    return set(gone), missing(gone)


@given(st.data())
def test_any_combination_of_rules_removes_what_the_documentation_says(data: st.DataObject) -> None:
    world = data.draw(worlds())
    policy = data.draw(policies(world))

    plan = world.plan(policy)

    assert (_removed(plan), plan.missed) == _expected(world, policy)
    assert [d.entry for d in plan.remove] == [e for e in world.entries if e in _removed(plan)]
    assert {d.entry for d in plan.keep} == set(world.entries) - _removed(plan)
    assert plan.frees == world.freed({(d.entry, part) for d in plan.remove for part in d.parts})
    assert plan.frees == Space(plan.reclaimable, plan.reclaimable_inodes)
    assert plan == world.plan(policy)


_RULES: dict[str, Callable[[World], Asked]] = {
    "nothing": lambda world: Asked(min_age=0),
    "min-age": lambda world: Asked(min_age=60),
    "older-than": lambda world: Asked(min_age=0, older_than=600),
    "only": lambda world: Asked(min_age=0, only=frozenset(world.entries[::2])),
    "keep-newest": lambda world: Asked(min_age=0, keep_newest=1, version_key=_version_key),
    "include-irreplaceable": lambda world: Asked(min_age=0, include_irreplaceable=True),
    "unlinked": lambda world: Asked(min_age=0, unlinked=_named(world)),
    "max-size": lambda world: Asked(min_age=0, budget=a_budget(max_size=5)),
    "free": lambda world: Asked(min_age=0, budget=a_budget(free=6)),
    "free-inodes": lambda world: Asked(min_age=0, budget=a_budget(free_inodes=5)),
    "packages": lambda world: Asked(min_age=0, kinds=frozenset({PartKind.EXTRACTED})),
}


def _named(world: World) -> frozenset[Entry]:
    named = {dist for root in world.roots for dist in root.dists}
    return frozenset(entry for entry in world.entries if entry.dist in named)


@pytest.mark.parametrize("rule", _RULES)
@given(world=worlds())
def test_each_rule_alone_removes_what_the_documentation_says(rule: str, world: World) -> None:
    policy = _RULES[rule](world)

    plan = world.plan(policy)

    assert (_removed(plan), plan.missed) == _expected(world, policy)


@given(st.data())
def test_a_larger_budget_never_removes_more(data: st.DataObject) -> None:
    world = data.draw(worlds())
    policy = data.draw(policies(world))
    more = data.draw(st.integers(0, 10))
    roomier = Budget(tuple(replace(goal, needed=goal.needed - more) for goal in policy.budget.goals))

    assert _removed(world.plan(replace(policy, budget=roomier))) <= _removed(world.plan(policy))


@given(st.data())
def test_an_extra_root_never_removes_more(data: st.DataObject) -> None:
    """But for a target, which is then met by others, if it can be."""
    world = data.draw(worlds())
    policy = data.draw(policies(world, budget=False))
    dists = data.draw(st.frozensets(st.sampled_from(DIST_NAMES)))
    root = a_root("/root/extra", *dists, kind=data.draw(st.sampled_from(RootKind)))

    assert _removed(world.plan(policy, (*world.roots, root))) <= _removed(world.plan(policy))


@given(st.data())
def test_no_root_s_entry_goes_for_a_target(data: st.DataObject) -> None:
    world = data.draw(worlds())
    policy = replace(data.draw(policies(world)), unlinked=frozenset(), budget=a_budget(max_size=10**9))

    plan = world.plan(policy)

    assert not _named(world) & _removed(plan)
    assert plan.missed == Space(10**9 - plan.reclaimable)


@given(st.data())
def test_every_reason_to_keep_is_true(data: st.DataObject) -> None:
    world = data.draw(worlds())
    policy = data.draw(policies(world))
    naming = {dist: {(r.kind.value, r.path) for r in world.roots if dist in r.dists} for dist in DIST_NAMES}

    for keep in world.plan(policy).keep:
        evidence, kinds = world.evidence[keep.entry], {reason.kind for reason in keep.reasons}
        roots = {(r.kind.value, r.root) for r in keep.reasons if r.root is not None}
        assert roots == naming[keep.entry.dist]
        assert (keep.verdict is Verdict.REACHABLE) == bool(roots or ReasonKind.LINKED in kinds)
        true = {
            ReasonKind.UNKNOWN: bool(evidence.doubt),
            ReasonKind.UNREADABLE: bool(evidence.unreadable),
            ReasonKind.LINKED: bool(evidence.outside),
            ReasonKind.IRREPLACEABLE: bool(evidence.irreplaceable) and not policy.include_irreplaceable,
            ReasonKind.RECENT: bool(policy.min_age),
            ReasonKind.NEWEST: bool(policy.keep_newest),
        }
        assert all(true.get(kind, True) for kind in kinds)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1B", 1),
        ("500MB", 500_000_000),
        ("2.5GiB", 5 << 29),
        ("1 kb", 1000),
        ("1KiB", 1024),
        ("1.1TB", 11 * 10**11),
    ],
)
def test_a_size_means_its_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "10", "GB", "-1GB", "1 parsec", "1e3GB", "inf", "1,5GB", "٣GB"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="MB"):
        parse_size(text)
