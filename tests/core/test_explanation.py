"""What each root alone keeps, and what a plan says of each entry, against a slow and obvious count."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from conda_prune_plugin.core.evidence import Measurement, SharedInode
from conda_prune_plugin.core.model import Entry, ReasonKind, Root, Verdict
from conda_prune_plugin.core.plan import Keep, Plan, Reason
from conda_prune_plugin.core.rules.explanation import Explanation, decided_on, explanations, kept_alone, named_by_one

from .builders import HASH, a_measurement, a_removal, a_root, an_entry, an_inventory


def test_every_entry_of_a_plan_is_explained() -> None:
    kept, plain, unlinked, leftover = (an_entry(f"{name}-1-0") for name in "kpul")
    keep = Keep(kept, Verdict.UNKNOWN, (Reason(ReasonKind.UNKNOWN, "odd"),))
    root = a_root("/e", "u-1-0", "l-1-0")
    removals = (
        a_removal(plain),
        a_removal(unlinked, ReasonKind.UNLINKED, accepted=frozenset({root})),
        a_removal(leftover, ReasonKind.CORRUPT, accepted=frozenset({root})),
    )

    found = explanations(Plan(an_inventory(kept), removals, (keep,)))

    assert found == {
        kept: Explanation(kept, Verdict.UNKNOWN, keep.reasons),
        plain: Explanation(plain, Verdict.UNREFERENCED, removals[0].reasons, removals[0]),
        unlinked: Explanation(unlinked, Verdict.REACHABLE, removals[1].reasons, removals[1]),
        leftover: Explanation(leftover, Verdict.LEFTOVER, removals[2].reasons, removals[2]),
    }


def test_leftovers_are_among_the_entries_that_a_plan_decides_on() -> None:
    kept, going, other = an_entry("c-1-0"), an_entry("b-1-0"), an_entry("x-1-0", cache="/two")
    leftover = an_entry("a-1-0.trash")
    inventory = an_inventory(kept, going, other, roots=(a_root("/e", "c-1-0"),))
    plan = Plan(
        inventory, (a_removal(leftover), a_removal(going), a_removal(other)), (Keep(kept, Verdict.REACHABLE, ()),)
    )

    decided = decided_on(plan)

    assert [cache.entries for cache in decided.caches] == [(leftover, going, kept), (other,)]
    assert replace(decided, caches=inventory.caches) == inventory


def test_an_entry_is_named_by_one_root_whatever_its_name_and_however_often() -> None:
    one, two = a_root("/one", "a-1-0", "b-1-0", "c-1-0"), a_root("/two", "a-1-0", "d-1-0" + HASH)
    entries = [
        an_entry("a-1-0"),
        an_entry("b-1-0"),
        an_entry("c-1-0" + HASH),
        an_entry("d-1-0" + HASH),
        an_entry("e-1-0"),
    ]
    second = an_entry("b-1-0", cache="/two")

    found = named_by_one(an_inventory(*entries, second, roots=(one, two, a_root("/none"))))

    assert found == {one: (entries[1], entries[2], second), two: (entries[3],), a_root("/none"): ()}


#: What holds an inode's links: three entries, of which each root alone names one or two, the roots, and somewhere else.
A, B, C = (an_entry(f"{name}-1-0") for name in "abc")
ONE, TWO = a_root("/one", "a-1-0", "b-1-0"), a_root("/two", "c-1-0")
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
        return a_measurement(size, *shared)

    measurements = {entry: (measured(entry, size),) for entry, size in zip((A, B, C), single)}

    def expected(going: set[Entry | Root | None], size: int) -> int:
        whole = [
            SIZES[number]
            for number, (_, where) in enumerate(inodes)
            if going.issuperset(where) and any(isinstance(holder, Entry) for holder in where)
        ]
        return size + sum(whole)

    inventory = an_inventory(A, B, C, roots=(ONE, TWO))
    alone = kept_alone(inventory, measurements, {ONE: links[ONE], TWO: links[TWO]})

    assert [(item.root, item.entries) for item in alone] == [(ONE, (A, B)), (TWO, (C,))]
    assert alone[0].reclaimable == expected({A, B, ONE}, single[0] + single[1])
    assert alone[1].reclaimable == expected({C, TWO}, single[2])


def test_what_a_root_keeps_counts_each_inode_once_and_only_by_links_that_go() -> None:
    spread = a_measurement(5, SharedInode(1, 7, links=3, inside=1, allocated=100))
    held = a_measurement(5, SharedInode(2, 7, links=3, inside=1, allocated=1000))
    inventory, measurements = an_inventory(A, B, C, roots=(ONE, TWO)), {A: (spread, held), B: (spread,)}

    (one, two) = kept_alone(inventory, measurements, {ONE: {(1, 7): 1}})

    assert (one.reclaimable, two.reclaimable) == (5 + 5 + 5 + 100, 0)
    # Each part has four other files.
    assert (one.reclaimable_inodes, two.reclaimable_inodes) == (3 * (5 - 1) + 1, 0)
    (one, _) = kept_alone(inventory, measurements, {ONE: {(2, 7): 2}, TWO: {}})
    assert one.reclaimable == 15 + 1000
