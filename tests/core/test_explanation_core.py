"""What each root alone keeps, and what a plan says of each entry, against a slow and obvious count."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from conda_prune_plugin.core.decision import Keep, Plan, Reason, Remove
from conda_prune_plugin.core.explanation import Explanation, decided_on, explanations, kept_alone, named_by_one
from conda_prune_plugin.core.model import (
    Cache,
    Entry,
    Identity,
    Inventory,
    Measurement,
    Part,
    PartKind,
    ReasonKind,
    Root,
    RootState,
    SharedInode,
    Verdict,
)

HASH = "-" + "0" * 64


def _entry(dist: str, cache: str = "/pkgs") -> Entry:
    return Entry(cache, dist, (Part(PartKind.EXTRACTED, dist),))


def _root(path: str, *dists: str) -> Root:
    return Root(path, None, RootState.OK, frozenset(dists))


def _inventory(roots: tuple[Root, ...], *entries: Entry) -> Inventory:
    paths = dict.fromkeys(entry.cache for entry in entries)
    return Inventory(
        tuple(Cache(path, path, "conda", True, tuple(e for e in entries if e.cache == path)) for path in paths), roots
    )


def _remove(entry: Entry, kind: ReasonKind = ReasonKind.UNREFERENCED, *accepted: Root) -> Remove:
    return Remove(
        entry=entry,
        parts=entry.parts,
        identities=(Identity(1, 2, 3),),
        reasons=(Reason(kind, "why"),),
        files=1,
        apparent=1,
        reclaimable=1,
        last_used=None,
        last_used_from=None,
        source=None,
        sha256=None,
        record=None,
        names=frozenset(),
        known_links=(),
        accepted=frozenset(accepted),
    )


def test_every_entry_of_a_plan_is_explained() -> None:
    kept, plain, unlinked, leftover = (_entry(f"{name}-1-0") for name in "kpul")
    keep = Keep(kept, Verdict.UNKNOWN, (Reason(ReasonKind.UNKNOWN, "odd"),))
    root = _root("/e", "u-1-0", "l-1-0")
    removals = (
        _remove(plain),
        _remove(unlinked, ReasonKind.UNLINKED, root),
        _remove(leftover, ReasonKind.CORRUPT, root),
    )

    found = explanations(Plan(_inventory((), kept), removals, (keep,)))

    assert found == {
        kept: Explanation(kept, Verdict.UNKNOWN, keep.reasons),
        plain: Explanation(plain, Verdict.UNREFERENCED, removals[0].reasons, removals[0]),
        unlinked: Explanation(unlinked, Verdict.REACHABLE, removals[1].reasons, removals[1]),
        leftover: Explanation(leftover, Verdict.LEFTOVER, removals[2].reasons, removals[2]),
    }


def test_leftovers_are_among_the_entries_that_a_plan_decides_on() -> None:
    kept, going, other = _entry("c-1-0"), _entry("b-1-0"), _entry("x-1-0", "/two")
    leftover = _entry("a-1-0.trash")
    inventory = _inventory((_root("/e", "c-1-0"),), kept, going, other)
    plan = Plan(inventory, (_remove(leftover), _remove(going), _remove(other)), (Keep(kept, Verdict.REACHABLE, ()),))

    decided = decided_on(plan)

    assert [cache.entries for cache in decided.caches] == [(leftover, going, kept), (other,)]
    assert replace(decided, caches=inventory.caches) == inventory


def test_an_entry_is_named_by_one_root_whatever_its_name_and_however_often() -> None:
    one, two = _root("/one", "a-1-0", "b-1-0", "c-1-0"), _root("/two", "a-1-0", "d-1-0" + HASH)
    entries = [_entry("a-1-0"), _entry("b-1-0"), _entry("c-1-0" + HASH), _entry("d-1-0" + HASH), _entry("e-1-0")]
    second = _entry("b-1-0", "/two")

    found = named_by_one(_inventory((one, two, _root("/none")), *entries, second))

    assert found == {one: (entries[1], entries[2], second), two: (entries[3],), _root("/none"): ()}


#: What holds an inode's links: three entries, of which each root alone names one or two, the roots, and somewhere else.
A, B, C = (_entry(f"{name}-1-0") for name in "abc")
ONE, TWO = _root("/one", "a-1-0", "b-1-0"), _root("/two", "c-1-0")
HOLDERS: tuple[Entry | Root | None, ...] = (A, B, C, ONE, TWO, None)
#: Their sums tell which are in them.
SIZES = (10, 100, 1_000, 10_000, 100_000)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.lists(st.sampled_from(HOLDERS), min_size=1, max_size=6)), max_size=5),
    st.lists(st.integers(0, 9), min_size=3, max_size=3),
)
def test_a_root_alone_keeps_the_bytes_whose_last_link_goes_with_it(
    inodes: list[tuple[int, list[Entry | Root | None]]], single: list[int]
) -> None:
    links = {
        holder: Counter({(device, number): where.count(holder) for number, (device, where) in enumerate(inodes)})
        for holder in HOLDERS
    }

    def measured(entry: Entry, size: int) -> Measurement:
        shared = tuple(
            SharedInode(device, number, len(where), where.count(entry), SIZES[number])
            for number, (device, where) in enumerate(inodes)
            if entry in where
        )
        return Measurement(Identity(1, 2, 3), 1, 1, size, shared)

    measurements = {entry: (measured(entry, size),) for entry, size in zip((A, B, C), single)}

    def expected(going: set[Entry | Root | None], size: int) -> int:
        whole = [
            SIZES[number]
            for number, (_, where) in enumerate(inodes)
            if going.issuperset(where) and any(isinstance(holder, Entry) for holder in where)
        ]
        return size + sum(whole)

    inventory = _inventory((ONE, TWO), A, B, C)
    alone = kept_alone(inventory, measurements, {ONE: links[ONE], TWO: links[TWO]})

    assert [(item.root, item.entries) for item in alone] == [(ONE, (A, B)), (TWO, (C,))]
    assert alone[0].reclaimable == expected({A, B, ONE}, single[0] + single[1])
    assert alone[1].reclaimable == expected({C, TWO}, single[2])


def test_what_a_root_keeps_counts_each_inode_once_and_only_by_links_that_go() -> None:
    def part(*shared: SharedInode) -> Measurement:
        return Measurement(Identity(1, 2, 3), 1, 1, 5, shared)

    spread = SharedInode(1, 7, links=3, inside=1, allocated=100)
    held = SharedInode(2, 7, links=3, inside=1, allocated=1000)
    inventory = _inventory((ONE, TWO), A, B, C)

    (one, two) = kept_alone(inventory, {A: (part(spread), part(held)), B: (part(spread),)}, {ONE: {(1, 7): 1}})

    assert (one.reclaimable, two.reclaimable) == (5 + 5 + 5 + 100, 0)
    (one, _) = kept_alone(inventory, {A: (part(spread), part(held)), B: (part(spread),)}, {ONE: {(2, 7): 2}, TWO: {}})
    assert one.reclaimable == 15 + 1000
