"""What inodes share without a link is freed with the last of them, against a slow and obvious count of blocks."""

from __future__ import annotations

from array import array
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from conda_prune_plugin.core.accounting import Ledger, with_common, without
from conda_prune_plugin.core.evidence import Evidence, Remainder, SharedExtents, SharedInode
from conda_prune_plugin.core.model import ReasonKind
from conda_prune_plugin.core.plan import Plan
from conda_prune_plugin.core.rules.leftover import Leftover
from conda_prune_plugin.core.rules.planner import make_plan
from conda_prune_plugin.core.rules.policy import Policy
from conda_prune_plugin.core.units import Space, Unit
from conda_prune_plugin.core.usage.disk_usage import Inodes, Tree, account, joined, occupied, released
from conda_prune_plugin.core.usage.shared_content import NO_DEVICE, Common, Extents, join

from .builders import NOW, a_measurement, an_entry, an_inventory, evidence_on

#: Of each inode where its extents start, and how long they are.
extents = st.lists(
    st.lists(st.tuples(st.integers(0, 8), st.integers(1, 5)), min_size=1, max_size=2), min_size=1, max_size=5
)


def _one(inode: int, *ranges: tuple[int, int], links: int = 1, inside: int = 1, whole: bool = False) -> SharedExtents:
    return SharedExtents(1, inode, links, inside, Extents(3, ranges, whole))


def _blocks(ranges: list[tuple[int, int]]) -> Counter[int]:
    return Counter(block for start, length in ranges for block in range(start, start + length))


@given(extents, st.data())
@example([[(0, 4)], [(0, 2)], [(2, 2)]], None)
@example([[(0, 2), (0, 2)], [(4, 1)]], None)
def test_a_block_is_freed_with_the_last_inode_that_holds_it(
    inodes: list[list[tuple[int, int]]], data: st.DataObject | None
) -> None:
    measured = [a_measurement(0, extents=(_one(number, *ranges),)) for number, ranges in enumerate(inodes)]
    order = list(range(len(inodes))) if data is None else data.draw(st.permutations(range(len(inodes))))
    ledger = Ledger()
    left = sum((_blocks(ranges) for ranges in inodes), Counter[int]())
    # Of what is shared, one more holder is needed.
    alone = {block for block, count in left.items() if count == 1}

    for number, measurement in zip(order, with_common([measured[number] for number in order])):
        mine = _blocks(inodes[number])
        left -= mine
        assert ledger.remove(measurement).bytes == len({block for block in mine if not left[block]} - alone)

    assert ledger.common == len(sum((_blocks(ranges) for ranges in inodes), Counter[int]()).keys() - alone)
    assert not ledger.bounded


@given(extents)
def test_extents_that_are_freed_as_a_whole_wait_for_all_that_hold_a_part(inodes: list[list[tuple[int, int]]]) -> None:
    parts = join({number: (1, Extents(3, tuple(ranges), whole=True)) for number, ranges in enumerate(inodes)})

    whole = {part for found in parts.values() for part in found}
    assert sum(part.size for part in whole) == len(sum((_blocks(ranges) for ranges in inodes), Counter[int]()))
    for number, ranges in enumerate(inodes):
        held = {part for part in whole for start, _ in ranges if part.number <= start < part.number + part.size}
        assert held == {*parts[number]}


def test_as_many_links_are_needed_as_all_holders_have() -> None:
    found = join(
        {
            "a": (2, Extents(3, ((10, 5), (30, 5)))),
            "b": (3, Extents(3, ((10, 5),))),
            "c": (4, Extents(4, ((10, 5),))),
            "d": (1, Extents(3, ((20, 5), (20, 5)))),
            "e": (7, Extents(3, ((30, 5),), whole=True)),
            "f": (1, Extents(3, ())),
        }
    )

    both = Common(3 | NO_DEVICE, 10, 5, 5)
    assert found == {
        "a": (both, Common(3 | NO_DEVICE, 30, 5, 3)),
        "b": (both,),
        "c": (Common(4 | NO_DEVICE, 10, 5, 5),),
        "d": (Common(3 | NO_DEVICE, 20, 5, 1),),
        "e": (Common(3 | NO_DEVICE, 30, 5, 8),),
        "f": (),
    }


def test_holders_need_no_order() -> None:
    one = (1, Extents(3, ((0, 5),)))

    assert join({None: one, "a": one}) == {None: (common := (Common(3 | NO_DEVICE, 0, 5, 2),)), "a": common}


def test_neighbours_have_nothing_in_common() -> None:
    parts = join({"a": (1, Extents(3, ((0, 5),), True)), "b": (1, Extents(3, ((5, 5),), True))})

    assert [len(found) for found in parts.values()] == [1, 1]
    assert parts["a"] != parts["b"]


@pytest.mark.parametrize(("ranges", "count"), [(255, 255), (256, 1)])
def test_what_overlaps_in_too_many_ways_is_one(ranges: int, count: int) -> None:
    """So the time stays linear."""
    found = join({number: (1, Extents(3, ((0, number + 1),))) for number in range(ranges)})

    assert len(found[ranges - 1]) == count
    assert sum(part.size for part in found[ranges - 1]) == ranges


def test_links_and_shared_content_of_one_inode_go_together() -> None:
    inode = SharedInode(1, 7, 3, 2, 4096)
    first = a_measurement(100, inode, extents=(_one(7, (0, 50), links=3, inside=2), _one(9, (0, 50))))
    second = a_measurement(10, SharedInode(1, 7, 3, 1, 4096), extents=(_one(7, (0, 50), links=3),))

    one, two = with_common([first, second])
    ledger = Ledger()

    assert (ledger.remove(one).bytes, ledger.common) == (100, 0)
    assert (ledger.remove(two).bytes, ledger.common) == (10 + 4096 + 50, 50)
    assert (one.extents, two.extents) == ((), ())
    assert one.common == (SharedInode(3 | NO_DEVICE, 0, 4, 3, 50),)
    assert Ledger().remove(first).bytes == 100


def test_shared_content_is_no_inode() -> None:
    ledger = Ledger()
    both = with_common(
        [a_measurement(0, directories=1, files=1, extents=(_one(number, (0, 50)),)) for number in (1, 2)]
    )

    assert [ledger.remove(one) for one in both] == [Space(0, 2), Space(50, 2)]
    linked = [SharedInode(1, inode, 1, 1, 10) for inode in range(3)]
    assert Ledger().remove(a_measurement(0, *linked, directories=1, files=3)) == Space(30, 4)


def test_what_stays_keeps_what_it_shares() -> None:
    both = [a_measurement(0, extents=(_one(number, (0, 50)),)) for number in (1, 2)]

    def freed(*others: SharedExtents) -> int:
        ledger = Ledger()
        return sum(ledger.remove(one).bytes for one in with_common(both, others))

    # It may be among them.
    assert freed() == freed(_one(2, (0, 50), inside=0)) == 50
    assert freed(_one(3, (0, 20), inside=0)) == 30
    assert freed(_one(3, (0, 50), inside=0)) == 0


def test_a_measurement_without_shared_content_stays_as_it_is() -> None:
    known = (SharedInode(NO_DEVICE, 0, 2, 1, 50),)
    measured = a_measurement(1, common=known)

    assert with_common([measured]) == (measured,)
    # The more that is known of one, the more there is.
    (more,) = with_common([a_measurement(1, common=known, extents=(_one(1, (0, 5)),))])
    assert more.common == (*known, SharedInode(3 | NO_DEVICE, 0, 2, 1, 5))


def test_a_bound_makes_all_a_bound() -> None:
    ledger = Ledger()

    ledger.remove(a_measurement(1, at_most=True))
    ledger.remove(a_measurement(1))

    assert ledger.bounded


def test_the_file_that_stays_keeps_its_extents() -> None:
    kept = Remainder(("info", "record"), 1, 7, apparent=30, single=400)
    measured = a_measurement(1000, extents=(_one(7, (0, 5)), _one(8, (0, 5)), _one(9, (9, 1), links=2, inside=2)))

    assert without(measured, kept).extents == (_one(8, (0, 5)), _one(9, (9, 1), links=2, inside=2))
    twice = a_measurement(1000, extents=(_one(7, (0, 5), links=2, inside=2),))
    assert without(twice, kept).extents == (_one(7, (0, 5), links=2),)


A, B, C = (an_entry(f"{name}-1-0") for name in "abc")


def _evidence(number: int, *ranges: tuple[int, int], **more: object) -> Evidence:
    entry = (A, B, C)[number]
    part = (entry.parts[0], a_measurement(1000, extents=(_one(number, *ranges),), **more))
    return evidence_on(entry, measurements=(part,))


def _summed(plan: Plan) -> tuple[dict[str, int], int, bool]:
    return {item.entry.dist: item.reclaimable for item in plan.remove}, plan.common, plan.bounded


def test_a_plan_frees_what_all_that_goes_has_in_common() -> None:
    evidence = [_evidence(0, (0, 50)), _evidence(1, (0, 50), (80, 5)), evidence_on(C)]
    inventory = an_inventory(A, B, C)
    alone = Leftover(
        an_entry("rest"), ReasonKind.TRASH, "", None, 0.0, a_measurement(7, extents=(_one(9, (80, 5)),), at_most=True)
    )
    unread = Leftover(an_entry("other"), ReasonKind.TRASH, "", None, 0.0, None, unreadable="why")

    plan = make_plan(inventory, iter(evidence), Policy(), NOW)
    assert _summed(plan) == ({"a-1-0": 1000, "b-1-0": 1050, "c-1-0": 1000}, 50, False)
    assert plan.sharing == (_one(0, (0, 50)), _one(1, (0, 50), (80, 5)))
    plan = make_plan(inventory, evidence, Policy(), NOW, [unread, alone])
    assert _summed(plan) == ({"rest": 7, "a-1-0": 1000, "b-1-0": 1055, "c-1-0": 1000}, 55, True)
    plan = make_plan(inventory, evidence, Policy(only=frozenset({A})), NOW)
    assert _summed(plan) == ({"a-1-0": 1000}, 0, False)
    further = (_one(8, (0, 20), inside=0),)
    plan = make_plan(inventory, evidence, Policy(), NOW, sharing=further)
    assert _summed(plan) == ({"a-1-0": 1000, "b-1-0": 1030, "c-1-0": 1000}, 30, False)
    assert plan.sharing == (*further, _one(0, (0, 50)), _one(1, (0, 50), (80, 5)))
    assert make_plan(inventory, [evidence_on(A), evidence_on(B), evidence_on(C)], Policy(), NOW).sharing == ()


def _table() -> tuple[Inodes, Tree, Tree]:
    """A tree and a clone of it, which shares two of three files; each file takes 10 bytes by itself."""
    inodes = Inodes()
    rows = [inodes.row(1, number, 99, 10, 1 + number % 2) for number in range(5)]
    for row, start in ((0, 0), (1, 50), (2, 0), (3, 60), (4, 200)):
        inodes.extents[rows[row]] = Extents(3, ((start, 50),))
    plain = inodes.row(1, 5, 99, 10, 1)
    return inodes, Tree(files=4, rows=array("I", [0, 1, 1, plain])), Tree(files=4, rows=[2, 3, 3, 4])


def test_trees_hold_what_they_share_in_common() -> None:
    inodes, first, second = _table()
    assert inodes.with_common(first) is first
    assert (inodes.find(1, 4), inodes.find(1, 9), inodes.find(2, 4), inodes.asked) == (4, None, None, False)
    count = len(inodes)

    inodes.join()
    first, second = inodes.with_common(first), inodes.with_common(second)

    assert [inodes.is_common(row) for row in range(len(inodes))] == [False] * count + [True] * (len(inodes) - count)
    ((one,), (two,)) = account([first], [second], inodes)
    assert occupied([first], inodes) == 3 * 10 + 100
    assert occupied([first, second], inodes) == 6 * 10 + 50 + 60 + 50
    assert (one.own, one.with_environments, one.elsewhere) == (30, 50 + 40, 10)
    assert (two.own, two.with_caches, two.elsewhere) == (30, 50 + 40, 10 + 50)
    assert one.apparent == 4 * 99
    assert (first.common, joined([first, second]).common) == (5, 5 + 6)
    assert (one.own_inodes, one.shared_inodes, two.inodes) == (3, 0, 3)
    assert occupied([first, second], inodes, Unit.INODES) == released([first, second], inodes, Unit.INODES) == 6
    assert released([first, second], inodes) == 60 + 50 + 40
    common = [row for row in first.rows if inodes.is_common(row)]
    assert sorted(inodes.shared(row, 1).allocated for row in {*common}) == [10, 40, 50]
    assert {inodes.shared(row, 1).device for row in common} == {3 | NO_DEVICE}


def test_content_of_the_file_system_with_the_number_zero_is_no_inode_either() -> None:
    inodes = Inodes()
    inodes.extents[inodes.row(0, 0, 1, 1, 1)] = Extents(0, ((0, 5),))

    inodes.join()

    assert [inodes.is_common(row) for row in (0, 1)] == [False, True]


def test_a_tree_of_trees_is_a_bound_if_one_of_them_is() -> None:
    assert joined([Tree(), Tree(at_most=True)]).at_most
    assert not joined([Tree()]).at_most
