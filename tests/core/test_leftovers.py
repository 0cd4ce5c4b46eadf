"""What decides on leftovers, as pure functions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conda_prune_plugin.core.evidence import SharedInode
from conda_prune_plugin.core.model import Cache, Inventory, LastUsedFrom, PartKind, ReasonKind, Root, RootKind, Verdict
from conda_prune_plugin.core.plan import Keep, Reason, Remove
from conda_prune_plugin.core.rules.leftover import Archive, Leftover
from conda_prune_plugin.core.rules.planner import make_plan
from conda_prune_plugin.core.rules.policy import Policy
from conda_prune_plugin.core.units import NO_SPACE, Space

from .builders import DAY, NOW, a_budget, a_cache, a_measurement, a_removal, a_root, an_entry, an_inventory, evidence_on

CACHE = a_cache()
ENVIRONMENT = a_root("/envs/a", "a-1-0", name="a")
OTHER = a_root("/envs/b", "a-1-0")
ELSEWHERE = a_root("/envs/c", "b-1-0")
LOCKFILE = a_root("/x.lock", "a-1-0", kind=RootKind.LOCKFILE)
RULE = a_root("", "a-1-0", kind=RootKind.KEEP, name="a*")
ROOTS = (ENVIRONMENT, OTHER, ELSEWHERE, LOCKFILE, RULE)

OUTSIDE = SharedInode(1, 7, links=2, inside=1, allocated=10)
WHOLE = SharedInode(1, 8, links=2, inside=2, allocated=20)

WHAT = "files are missing"


def _leftover(kind: PartKind = PartKind.EXTRACTED, dist: str = "a-1-0", **more: Any) -> Leftover:
    fields = {"of": "a-1-0", "changed": NOW - DAY, "measurement": a_measurement(), **more}
    return Leftover(an_entry(dist, kind), ReasonKind.CORRUPT, WHAT, **fields)


def _removal(leftover: Leftover, **more: Any) -> Remove:
    """Return the removal of a leftover with all that is known of one that nothing else was said of."""
    sizes = {"files": 5, "apparent": 100}
    changed = {"last_used": NOW - DAY, "last_used_from": LastUsedFrom.EXTRACTION}
    return a_removal(leftover.entry, ReasonKind.CORRUPT, WHAT, **sizes, **changed, **more)


def _trash(**more: Any) -> Leftover:
    return _leftover(PartKind.LEFTOVER, ".trash", **more)


def _decide(
    leftover: Leftover, roots: tuple[Root, ...] = (), cache: Cache = CACHE, min_age: float = 0.0, **policy: Any
) -> Keep | Remove:
    plan = make_plan(Inventory((cache,), roots), (), Policy(min_age=min_age, **policy), NOW, (leftover,))
    decisions: list[Keep | Remove] = [*plan.remove, *plan.keep]
    return decisions[0]


def _words(leftover: Leftover, roots: tuple[Root, ...] = (), **more: Any) -> list[tuple[str, str, str | None]]:
    """Return the reasons to keep a leftover, without the last one, which says what it is."""
    decision = _decide(leftover, roots, **more)
    assert isinstance(decision, Keep)
    assert decision.verdict is Verdict.LEFTOVER
    assert decision.entry == leftover.entry
    *reasons, what = decision.reasons
    assert what == Reason(leftover.kind, leftover.detail)
    return [(reason.kind.value, reason.detail, reason.root) for reason in reasons]


@pytest.mark.parametrize("of", ["a-1-0", None])
def test_what_nothing_keeps_goes_with_all_that_is_known_of_it(of: str | None) -> None:
    leftover = _leftover(of=of, measurement=a_measurement(1000, WHOLE))

    decision = _decide(leftover, (ENVIRONMENT, LOCKFILE))

    assert decision == _removal(
        leftover,
        reclaimable=1020,
        reclaimable_inodes=4,
        names=frozenset({"a-1-0"} if of else ()),
        accepted=frozenset({ENVIRONMENT, LOCKFILE} if of else ()),
    )


def test_a_leftover_is_removed_whichever_parts_of_packages_are_selected() -> None:
    for leftover in (_leftover(), _trash()):
        decision = _decide(leftover, kinds=frozenset({PartKind.ARCHIVE}))

        assert isinstance(decision, Remove)
        assert decision.parts == leftover.entry.parts


def test_links_from_somewhere_unknown_keep_what_environments_may_have_been_linked_from() -> None:
    detail = (
        "1 file with hard links from an unknown place, probably an environment that was not found: "
        "add it with --root or --search"
    )
    words = ("linked", detail, None)

    assert _words(_leftover(measurement=a_measurement(1000, OUTSIDE, WHOLE))) == [words]
    assert _words(_leftover(measurement=a_measurement(1000, OUTSIDE)), (LOCKFILE,)) == [words]
    assert isinstance(_decide(_trash(measurement=a_measurement(1000, OUTSIDE))), Remove)


@pytest.mark.parametrize("changes", [{"linked": ("/envs/a",)}, {"measurement": a_measurement(1000, OUTSIDE)}])
def test_an_environment_keeps_the_damaged_package_that_it_is_linked_from(changes: dict[str, Any]) -> None:
    assert _words(_leftover(**changes), ROOTS) == [
        ("environment", "used by a, which links to its files (--repair)", "/envs/a"),
        ("environment", "used by /envs/b, which links to its files (--repair)", "/envs/b"),
    ]


def test_only_environments_keep_a_damaged_package_and_only_by_links() -> None:
    assert isinstance(_decide(_leftover(), ROOTS), Remove)
    assert isinstance(_decide(_leftover(), (ELSEWHERE, LOCKFILE, RULE)), Remove)


def test_all_roots_keep_what_is_extracted_anew() -> None:
    leftover = _leftover(archive=Archive("a-1-0.conda", None, None))

    assert _words(leftover, ROOTS) == [
        ("environment", "used by a", "/envs/a"),
        ("environment", "used by /envs/b", "/envs/b"),
        ("lockfile", "listed in /x.lock", "/x.lock"),
        ("keep", "kept by the rule a*", None),
    ]


def test_an_environment_keeps_what_was_set_aside_and_is_all_that_is_left_of_what_it_links() -> None:
    words = [
        ("environment", "a has soft links to a-1-0, which is incomplete (--repair)", "/envs/a"),
        ("environment", "/envs/b has soft links to a-1-0, which is incomplete (--repair)", "/envs/b"),
    ]

    assert _words(_trash(lacking=("/envs/a", "/envs/b")), (LOCKFILE, *ROOTS)) == words
    assert isinstance(_decide(_trash(), ROOTS), Remove)


def test_a_soft_link_keeps_a_leftover_though_no_record_names_it() -> None:
    linked = ("environment", "used by /envs/c, which has no record of it", "/envs/c")
    lacking = ("environment", "/envs/c has soft links to a-1-0, which is incomplete (--repair)", "/envs/c")

    assert _words(_leftover(linked=("/envs/c",))) == [linked]
    assert _words(_leftover(linked=("/envs/a", "/envs/c")), ROOTS)[0] == linked
    assert len(_words(_leftover(linked=("/envs/a", "/envs/c")), ROOTS)) == 3
    assert _words(_trash(linked=("/envs/c",), lacking=("/envs/c",))) == [linked, lacking]
    # A record is of the package, and says nothing of the trash.
    trash = ("environment", "used by /envs/a, which has no record of it", "/envs/a")
    assert _words(_trash(linked=("/envs/a",)), ROOTS) == [trash]


@pytest.mark.parametrize(
    ("changes", "policy", "kind", "words"),
    [
        ({"kept": "a*"}, {}, "keep", "kept by the rule a*"),
        ({"unreadable": "no permission", "measurement": None}, {}, "unreadable", "no permission"),
        ({"measurement": a_measurement(obstacle="a mount point")}, {}, "read-only", "a mount point"),
        ({"irreplaceable": "built here"}, {}, "irreplaceable", "built here (--include-irreplaceable)"),
        (
            {"changed": NOW - 120},
            {"min_age": 600.0},
            "recent",
            "changed 2 minutes ago, so an installation may be using it (--min-age)",
        ),
        (
            {"changed": NOW + 120},
            {"min_age": 600.0},
            "recent",
            "changed < 1 minute ago, so an installation may be using it (--min-age)",
        ),
        ({"chosen": False}, {}, "not-selected", "excluded by --only"),
        ({}, {"older_than": 2 * DAY}, "not-selected", "last used 1 day ago (--older-than)"),
        ({"changed": NOW + 120}, {"older_than": 60.0}, "not-selected", "last used < 1 minute ago (--older-than)"),
    ],
)
def test_each_rule_says_why_it_keeps_a_leftover(
    changes: dict[str, Any], policy: dict[str, Any], kind: str, words: str
) -> None:
    assert _words(_leftover(**changes), **policy) == [(kind, words, None)]


def test_a_leftover_in_a_cache_that_can_t_be_written_stays() -> None:
    words = ("read-only", "you don't have permission to change this cache", None)
    cache = replace(CACHE, writable=False)

    for measurement in (None, a_measurement(), a_measurement(obstacle="a mount point")):
        assert _words(_leftover(measurement=measurement), cache=cache) == [words]


def test_what_can_t_be_measured_stays_though_no_rule_says_so() -> None:
    assert _words(_leftover(measurement=None)) == []


def test_ages_of_leftovers_count_from_the_moment_on_at_which_they_are_reached() -> None:
    for age, decided in ((600, Remove), (599, Keep)):
        leftover = _leftover(changed=NOW - age)
        assert isinstance(_decide(leftover, min_age=600.0), decided)
        assert isinstance(_decide(leftover, older_than=600.0), decided)
    assert isinstance(_decide(_leftover(changed=NOW + 5)), Remove)
    final = _decide(_leftover(irreplaceable="built here"), include_irreplaceable=True)
    assert isinstance(final, Remove)
    assert final.irreplaceable == "built here"


def _plan(*leftovers: Leftover, roots: tuple[Root, ...] = ROOTS, **policy: Any) -> Any:
    return make_plan(Inventory((CACHE,), roots), (), Policy(**{"min_age": 0.0, **policy}), NOW, leftovers)


ARCHIVE = Archive("a-1-0.conda", "ff", {"name": "a"})


def test_what_roots_have_is_extracted_anew_from_its_archive() -> None:
    leftover = _leftover(archive=ARCHIVE, measurement=a_measurement(1000, OUTSIDE, WHOLE))

    (repair,) = _plan(leftover).repair

    assert (repair.archive, repair.dist, repair.sha256, repair.record) == ("a-1-0.conda", "a-1-0", "ff", {"name": "a"})
    assert repair.removal == _removal(
        leftover,
        reclaimable=0,
        names=frozenset({"a-1-0"}),
        known_links=(((1, 7), 1),),
        accepted=frozenset({ENVIRONMENT, OTHER, LOCKFILE, RULE}),
    )


@pytest.mark.parametrize(
    ("changes", "roots"),
    [
        ({"archive": None}, ROOTS),
        ({"of": None, "unreadable": None}, ROOTS),
        ({"measurement": None}, ROOTS),
        ({"unreadable": "no permission"}, ROOTS),
        ({"chosen": False}, ROOTS),
        ({}, (ELSEWHERE,)),
    ],
)
def test_what_no_root_has_or_a_rule_guards_is_not_extracted_anew(
    changes: dict[str, Any], roots: tuple[Root, ...]
) -> None:
    assert _plan(_leftover(**{"archive": ARCHIVE, **changes}), roots=roots).repair == ()


def test_what_a_rule_keeps_is_extracted_anew_though_no_root_has_it() -> None:
    (repair,) = _plan(_leftover(archive=ARCHIVE, kept="a*"), roots=()).repair

    assert repair.removal.accepted == frozenset()


def test_one_leftover_s_repair_is_no_other_s() -> None:
    mended, plain = _leftover(archive=ARCHIVE), _leftover(dist="b-1-0", linked=("/envs/b",))

    plan = _plan(plain, mended, _trash())

    assert [repair.removal.entry for repair in plan.repair] == [mended.entry]
    assert [decision.entry.dist for decision in plan.remove] == [".trash"]
    assert [keep.entry.dist for keep in plan.keep] == ["b-1-0", "a-1-0"]


def test_leftovers_go_first_and_count_for_a_target() -> None:
    entry = an_entry("b-1-0")

    def gone(free: int, **more: int) -> tuple[list[str], Space]:
        policy = Policy(min_age=0.0, budget=a_budget(free=free, **more))
        plan = make_plan(an_inventory(entry), (evidence_on(entry),), policy, NOW, (_trash(), _leftover(dist="c-1-0")))
        return [decision.entry.dist for decision in plan.remove], plan.missed

    assert gone(0) == gone(2000, free_inodes=10) == ([".trash", "c-1-0"], NO_SPACE)
    assert gone(2001) == gone(0, free_inodes=11) == ([".trash", "c-1-0", "b-1-0"], NO_SPACE)
    assert gone(3001, free_inodes=17) == ([".trash", "c-1-0", "b-1-0"], Space(1, 2))


@pytest.mark.parametrize(("shared", "kept"), [(OUTSIDE, True), (WHOLE, False)])
def test_the_archive_of_a_damaged_directory_stays_as_long_as_links_keep_that(shared: SharedInode, kept: bool) -> None:
    archive, other = an_entry("a-1-0", PartKind.ARCHIVE), an_entry("a-1-0", PartKind.ARCHIVE, cache="/other")
    leftover = _leftover(measurement=a_measurement(1000, shared))

    plan = make_plan(
        an_inventory(archive, other), map(evidence_on, (archive, other)), Policy(min_age=0), NOW, (leftover,)
    )

    reasons = {(item.entry.cache, item.entry.parts[0].kind): item.reasons for item in plan.keep}
    assert ((archive.cache, PartKind.ARCHIVE) in reasons) is kept
    assert (other.cache, PartKind.ARCHIVE) not in reasons
    for reason in reasons.values():
        assert reason[0].kind is ReasonKind.LINKED
    if kept:
        assert reasons[archive.cache, PartKind.ARCHIVE][0].detail == (
            "its extracted directory is damaged and hard-linked by an unknown environment"
        )


def test_a_damaged_directory_that_only_a_rule_keeps_keeps_no_archive() -> None:
    archive = an_entry("a-1-0", PartKind.ARCHIVE)

    plan = make_plan(
        an_inventory(archive), (evidence_on(archive),), Policy(min_age=0), NOW, (_leftover(dist="a-1-0", kept="a*"),)
    )

    assert [decision.entry for decision in plan.remove] == [archive]


def test_a_lock_that_a_process_holds_stays_whatever_its_age() -> None:
    lock = _leftover(PartKind.LEFTOVER, "a-1-0.conda.lock", of=None, held="process 7")

    assert _words(lock) == [("locked", "locked by process 7", None)]
    assert isinstance(_decide(replace(lock, held=None)), Remove)


def test_a_repair_alone_removes_no_leftover() -> None:
    mended = _leftover(archive=ARCHIVE)

    plan = _plan(mended, _trash(), leftovers=False)

    assert [repair.removal.entry for repair in plan.repair] == [mended.entry]
    assert plan.remove == ()
    trash = next(keep for keep in plan.keep if keep.entry.dist == ".trash")
    words = "not in use, and --repair removes nothing without --leftovers"
    assert trash.reasons[0] == Reason(ReasonKind.NOT_SELECTED, words)
