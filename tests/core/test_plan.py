"""Plans and what they are made of: decisions, accounting, sums, targets and limits."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from conda_prune_plugin.core.accounting import Ledger, Precision, hedge, missing_links, precision, without
from conda_prune_plugin.core.envs.environment_use import EnvsResult
from conda_prune_plugin.core.evidence import Evidence, Remainder, SharedInode, last_use
from conda_prune_plugin.core.model import (
    Inventory,
    LastUsedFrom,
    OtherKind,
    Part,
    PartKind,
    ReasonKind,
    Result,
    Verdict,
)
from conda_prune_plugin.core.notices import ESTIMATED, LAYERED, Notice
from conda_prune_plugin.core.plan import (
    Keep,
    Other,
    Outcome,
    Plan,
    Reason,
    Remove,
    Repair,
    counted,
    label,
    what_goes,
)
from conda_prune_plugin.core.rules.planner import make_plan
from conda_prune_plugin.core.rules.policy import Policy
from conda_prune_plugin.core.rules.reachability import SoftLinks
from conda_prune_plugin.core.rules.targets import Target, kinds
from conda_prune_plugin.core.run import Check, RunSummary
from conda_prune_plugin.core.suggestion import nearest
from conda_prune_plugin.core.units import Space, Unit
from conda_prune_plugin.core.usage.disk_usage import Account
from conda_prune_plugin.core.usage.usage_report import (
    CacheUsage,
    EnvironmentUsage,
    FileSystem,
    PipPackages,
    Usage,
    kept_by_age,
    reclaimable_in,
)
from conda_prune_plugin.presentation.documents import iso_time

from .builders import (
    IDENTITY,
    NOW,
    a_cache,
    a_measurement,
    a_removal,
    a_root,
    an_entry,
    an_inventory,
    evidence_on,
)

if TYPE_CHECKING:
    pass


BOTH = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.ARCHIVE)


def test_an_inode_comes_back_with_the_last_of_its_links() -> None:
    one = a_measurement(10, SharedInode(1, 7, links=3, inside=2, allocated=4096))
    other = a_measurement(20, SharedInode(1, 7, links=3, inside=1, allocated=4096))
    ledger = Ledger()

    # Of its five files two, or one, are the inode's.
    assert ledger.remove(one) == Space(10, 5 - 2)
    assert ledger.remove(other) == Space(20 + 4096, 4 + 1)
    # Links that were made meanwhile free it no second time.
    assert ledger.remove(other) == Space(20, 4)


def test_an_inode_with_a_link_outside_never_comes_back() -> None:
    ledger = Ledger()

    assert ledger.remove(a_measurement(10, SharedInode(1, 7, links=4, inside=3, allocated=4096))) == Space(10, 5 - 3)


def test_links_are_missing_only_where_all_parts_together_do_not_have_them() -> None:
    one = a_measurement(0, SharedInode(1, 7, 3, 2, 1), SharedInode(1, 8, 2, 1, 1))
    other = a_measurement(0, SharedInode(1, 7, 3, 1, 1))

    assert missing_links((one, other)) == {(1, 8): 1}


def test_a_plan_decides_on_every_entry_exactly_once() -> None:
    used, unused = an_entry("used-1-0"), BOTH
    inventory = an_inventory(used, unused, roots=(a_root("/envs/e", "used-1-0"),))

    plan = make_plan(inventory, (evidence_on(unused),), Policy(), NOW)

    assert [decision.entry for decision in plan.remove] == [unused]
    assert [decision.entry for decision in plan.keep] == [used]
    assert plan.keep[0].verdict is Verdict.REACHABLE
    assert (plan.files, plan.apparent, plan.reclaimable) == (10, 200, 2000)


def test_every_root_that_uses_an_entry_is_a_reason() -> None:
    roots = (a_root("/envs/a", "a-1-0"), a_root("/envs/b", "a-1-0"))

    plan = make_plan(an_inventory(BOTH, roots=roots), (), Policy(), NOW)

    assert [reason.root for reason in plan.keep[0].reasons] == ["/envs/a", "/envs/b"]


def test_an_entry_installed_under_another_name_is_kept_by_the_name_in_its_metadata() -> None:
    renamed = an_entry("renamed", PartKind.EXTRACTED, PartKind.ARCHIVE)
    roots = (a_root("/envs/a", "a-1-0"),)

    plan = make_plan(an_inventory(renamed, roots=roots), (evidence_on(renamed, dist="a-1-0"),), Policy(), NOW)

    assert plan.keep[0].reasons[0].kind is ReasonKind.ENVIRONMENT


@pytest.mark.parametrize(
    ("changes", "kind", "verdict"),
    [
        ({"doubt": "strange"}, ReasonKind.UNKNOWN, Verdict.UNKNOWN),
        ({"unreadable": "no"}, ReasonKind.UNREADABLE, Verdict.UNKNOWN),
        ({"outside": 2}, ReasonKind.LINKED, Verdict.REACHABLE),
        ({"fetched": NOW - 599}, ReasonKind.RECENT, Verdict.UNREFERENCED),
        ({"fetched": NOW + 3600}, ReasonKind.RECENT, Verdict.UNREFERENCED),
    ],
)
def test_each_rule_keeps_and_says_why(changes: dict[str, object], kind: ReasonKind, verdict: Verdict) -> None:
    plan = make_plan(an_inventory(BOTH), (evidence_on(BOTH, **changes),), Policy(), NOW)

    assert plan.remove == ()
    assert [reason.kind for reason in plan.keep[0].reasons] == [kind]
    assert plan.keep[0].verdict is verdict


def test_all_rules_that_apply_are_told() -> None:
    evidence = evidence_on(BOTH, outside=1, fetched=NOW)

    plan = make_plan(an_inventory(BOTH, writable=False), (evidence,), Policy(), NOW)

    kinds = [reason.kind for reason in plan.keep[0].reasons]
    assert kinds == [ReasonKind.LINKED, ReasonKind.READ_ONLY, ReasonKind.RECENT]


def test_an_obstacle_inside_an_entry_keeps_it() -> None:
    blocked = a_measurement(obstacle="somebody else's")
    entry = an_entry()

    plan = make_plan(
        an_inventory(entry), (evidence_on(entry, measurements=((entry.parts[0], blocked),)),), Policy(), NOW
    )

    assert plan.keep[0].reasons[0].kind is ReasonKind.READ_ONLY


def test_no_minimum_age_means_none() -> None:
    plan = make_plan(an_inventory(BOTH), (evidence_on(BOTH, fetched=NOW + 5),), Policy(min_age=0), NOW)

    assert len(plan.remove) == 1


def test_only_the_selected_parts_go() -> None:
    policy = Policy(kinds=frozenset({PartKind.ARCHIVE}))

    plan = make_plan(an_inventory(BOTH), (evidence_on(BOTH),), policy, NOW)

    assert plan.remove[0].parts == (Part(PartKind.ARCHIVE, "a-1-0.conda"),)
    assert plan.remove[0].files == 5


def test_the_sum_over_decisions_counts_a_shared_inode_once() -> None:
    one, other = an_entry(), an_entry("b-1-0")
    shared = a_measurement(0, SharedInode(1, 7, links=2, inside=1, allocated=4096))
    evidence = tuple(evidence_on(entry, measurements=((entry.parts[0], shared),)) for entry in (one, other))

    plan = make_plan(an_inventory(one, other), evidence, Policy(), NOW)

    assert [decision.reclaimable for decision in plan.remove] == [0, 4096]
    assert plan.remove[0].known_links == (((1, 7), 1),)


def test_a_time_that_no_calendar_has_is_not_shown() -> None:
    assert iso_time(0) == "1970-01-01T00:00:00Z"
    assert iso_time(1e12) is iso_time(None) is None


def test_a_candidate_without_evidence_is_a_mistake_and_not_removed() -> None:
    with pytest.raises(LookupError, match="a-1-0"):
        make_plan(an_inventory(BOTH), (), Policy(), NOW)


def test_a_link_made_after_extraction_is_the_last_use() -> None:
    entry = an_entry()

    def evidence(ctime: float | None) -> Evidence:
        return evidence_on(entry, measurements=((entry.parts[0], a_measurement(payload_ctime=ctime)),), fetched=NOW)

    assert last_use(evidence(NOW + 5)) == (NOW + 5, LastUsedFrom.LINK)
    assert last_use(evidence(NOW - 5)) == (NOW, LastUsedFrom.EXTRACTION)
    assert last_use(evidence(None)) == (NOW, LastUsedFrom.EXTRACTION)
    assert last_use(Evidence(entry)) == (None, None)


def test_what_stays_of_a_directory_is_in_none_of_its_numbers() -> None:
    kept = Remainder(("info", "record"), 1, 7, apparent=30, single=400)
    others = (SharedInode(1, 8, 3, 2, 4096), SharedInode(2, 7, 3, 2, 4096))

    whole = a_measurement(1000, *others, directories=3)
    assert without(whole, kept) == a_measurement(600, *others, files=4, apparent=70, directories=1)


@pytest.mark.parametrize(("inside", "missing"), [(1, {}), (2, {(1, 7): 1})])
def test_a_file_that_stays_keeps_the_inode_that_it_shares(inside: int, missing: dict[tuple[int, int], int]) -> None:
    kept = Remainder(("info", "record"), 1, 7, apparent=30, single=400)
    left = without(a_measurement(1000, SharedInode(1, 7, inside, inside, 4096), directories=3), kept)

    # The other files and one directory.
    assert Ledger().remove(left) == Space(600, 5 - inside + 1)
    assert missing_links([left]) == missing


def test_a_removal_says_what_stays_of_the_directory() -> None:
    kept = Remainder(("info", "record"), 1, 7, apparent=30, single=400)
    others = (("a-1-0.tar.bz2", "https://host/a-1-0.tar.bz2"),)
    evidence = evidence_on(BOTH, remainder=kept, other_sources=others)
    (removal,) = make_plan(an_inventory(BOTH), [evidence], Policy(), NOW).remove

    assert (removal.remainder, removal.other_sources) == (kept, others)


def _plan(*remove: Remove, keep: tuple[Keep, ...] = (), other: tuple[Other, ...] = ()) -> Plan:
    return Plan(Inventory((), ()), remove, keep, other=other)


def _other(kind: OtherKind) -> Other:
    return Other(kind, "/pkgs", "/pkgs/x", IDENTITY, files=2, apparent=20, reclaimable=200)


def test_what_else_goes_is_in_the_plan_as_it_is() -> None:
    other = _other(OtherKind.LOGFILES)

    assert make_plan(an_inventory(BOTH), [evidence_on(BOTH)], Policy(), NOW, other=[other]).other == (other,)


def test_what_is_known_of_sizes_is_said_before_them() -> None:
    estimated, layered, odd = (Notice(kind, "", "") for kind in (ESTIMATED, LAYERED, "odd"))

    assert (hedge(()), hedge([odd]), hedge([odd, estimated]), hedge([estimated, layered])) == (
        "",
        "",
        "about ",
        "at most ",
    )
    assert precision([layered, odd]) is Precision.AT_MOST


@pytest.mark.parametrize(
    ("targets", "parts"),
    [
        (Target.PACKAGES, {PartKind.EXTRACTED}),
        (Target.TARBALLS, {PartKind.ARCHIVE}),
        (Target.PACKAGES | Target.TARBALLS | Target.LOGFILES, {PartKind.EXTRACTED, PartKind.ARCHIVE}),
        (Target.LEFTOVERS | Target.ALL_TARBALLS, set()),
    ],
)
def test_targets_name_the_parts_that_go(targets: Target, parts: set[PartKind]) -> None:
    assert kinds(targets) == parts


def test_what_goes_is_told_in_a_few_words() -> None:
    one, two = a_removal(an_entry()), a_removal(an_entry("b-1-0"))
    leftover = a_removal(an_entry("c"), ReasonKind.TRASH)
    index, log, temporary = (_other(kind) for kind in (OtherKind.INDEX_CACHE, OtherKind.LOGFILES, OtherKind.TEMPFILES))

    assert what_goes(_plan()) == ""
    assert what_goes(_plan(one)) == "1 package"
    assert what_goes(_plan(one, two, leftover)) == "2 packages and 1 leftover"
    assert what_goes(_plan(leftover, leftover)) == "2 leftovers"
    assert (
        what_goes(_plan(one, other=(log, index, temporary)))
        == "1 package, 1 index cache, 1 temporary file and 1 log file"
    )
    assert (
        what_goes(_plan(other=(index, index, temporary, temporary, log, log)))
        == "2 index caches, 2 temporary files and 2 log files"
    )
    assert what_goes(_plan(one, two), backup=True) == "2 packages aside"
    assert what_goes(_plan(one, other=(log, index)), backup=True) == (
        "1 package aside, and delete 1 index cache and 1 log file"
    )


def test_parts_of_packages_are_not_counted_as_packages() -> None:
    entry = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.ARCHIVE, PartKind.ARCHIVE, PartKind.LOCK)
    tree, archive, older, lock = entry.parts

    def going(*parts: Part) -> Remove:
        return dataclasses.replace(a_removal(entry), parts=parts)

    assert counted([going(tree, archive, older, lock)]) == "1 package"
    assert counted([going(archive, older)]) == "2 package archives"
    assert counted([going(tree, lock), going(archive)]) == "1 extracted package and 1 package archive"
    assert counted([going(tree), going(tree)]) == "2 extracted packages"
    assert counted([going(archive)]) == "1 package archive"
    assert counted([]) == ""
    assert counted([_other(OtherKind.LOGFILES)]) == "1 log file"


def test_a_plan_counts_all_that_goes() -> None:
    plan = _plan(a_removal(an_entry()), other=(_other(OtherKind.LOGFILES),))
    repair = Repair(a_removal(an_entry()), "a-1-0.conda", "a-1-0", None, None)

    assert (plan.files, plan.apparent, plan.reclaimable) == (3, 30, 300)
    assert plan.changes
    assert _plan(other=(_other(OtherKind.LOGFILES),)).changes
    assert Plan(Inventory((), ()), (), (), repair=(repair,)).changes
    assert repair.entry == an_entry()
    assert not _plan(keep=(Keep(an_entry(), Verdict.REACHABLE, ()),)).changes


def test_a_decision_tells_its_paths_and_what_it_is_of() -> None:
    root = a_root("/envs/e")
    package, accepted = a_removal(an_entry()), a_removal(an_entry(), accepted=frozenset({root}))
    archive = an_entry("a-1-0", PartKind.ARCHIVE)
    leftover = a_removal(an_entry(), ReasonKind.CORRUPT)

    assert package.paths == ("/pkgs/a-1-0",)
    assert (package.linkable, accepted.linkable) == (False, True)
    assert not a_removal(archive, accepted=frozenset({root})).linkable
    assert (package.leftover, leftover.leftover) == (False, True)
    assert (package.label, leftover.label) == ("a-1-0", "a-1-0.leftover")
    assert label("x", leftover=False) == "x"
    assert Outcome(an_entry(), Result.REMOVED).freed == 0


def test_an_entry_that_an_environment_may_soft_link_is_not_spared() -> None:
    links = SoftLinks({("/pkgs", "a-1-0"): frozenset({"/envs/b", "/envs/a"})}, frozenset({"/envs/unseen"}))
    seen, unseen = (a_root(path) for path in ("/envs/seen", "/envs/unseen"))

    assert links.spare(an_entry("b-1-0"), [seen])
    assert not links.spare(an_entry("A-1-0"), [seen])
    assert links.spare(an_entry("a-1-0", cache="/other"), [seen])
    assert not links.spare(an_entry("b-1-0"), [seen, unseen])
    assert links.environments("/pkgs", an_entry("A-1-0").parts) == ("/envs/a", "/envs/b")
    assert links.environments("/pkgs", an_entry("b-1-0").parts) == ()


def test_a_cache_s_share_of_a_plan_is_told_apart() -> None:
    one, two = (a_cache(path) for path in ("/pkgs", "/two"))
    recent = Reason(ReasonKind.RECENT, "")
    keep = tuple(
        Keep(an_entry(f"{number}-1-0", cache=cache), Verdict.UNREFERENCED, reasons)
        for number, (cache, reasons) in enumerate(
            [
                ("/pkgs", (recent,)),
                ("/pkgs", (recent, recent)),
                ("/pkgs", (recent, Reason(ReasonKind.NEWEST, ""))),
                ("/two", (recent,)),
            ]
        )
    )
    plan = _plan(
        *(
            a_removal(an_entry(dist, cache=cache), reclaimable_inodes=3)
            for dist, cache in (("a-1-0", "/pkgs"), ("b-1-0", "/pkgs"), ("c-1-0", "/two"))
        ),
        keep=keep,
    )

    assert [reclaimable_in(plan, cache) for cache in (one, two)] == [Space(200, 6), Space(100, 3)]
    assert [kept_by_age(plan, cache) for cache in (one, two)] == [2, 1]


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("reflinks", [True, False])
def test_usage_is_exact_where_all_was_counted_and_blocks_are_not_shared_unseen(complete: bool, reflinks: bool) -> None:
    account = Account(1, 1, 7, 1, 0, 2, 0, own_inodes=4, shared_inodes=5)
    environment = EnvironmentUsage(a_root("/e"), account, PipPackages(), None, None, True)
    cache = CacheUsage(a_cache(), account, {"logs": 1}, 0, 0, {"logs": 2})
    systems = (FileSystem("/", "ext4", 1, 1, False), FileSystem("/x", "btrfs", 1, 1, reflinks))
    plan = _plan(a_removal(an_entry(), reclaimable_inodes=6))
    usage = Usage((environment,), (cache, cache), systems, 5, plan, complete, inodes=8)

    assert usage.exact is (complete and not reflinks)
    assert (usage.apparent, usage.reclaimable, usage.reflinks) == (21, 100, reflinks)
    assert (usage.takes, usage.reclaimable_inodes) == (Space(5, 8), 6)
    assert (account.takes, account.inodes) == (Space(3, 9), 9)
    assert [(account.own_of(unit), cache.kinds_in(unit)) for unit in Unit] == [(1, {"logs": 1}), (4, {"logs": 2})]


def test_a_limit_is_exceeded_by_more_only() -> None:
    assert [Check(10, "10 B").exceeded(Space(size, 99)) for size in (9, 10, 11)] == [False, False, True]
    check = Check(10, unit=Unit.INODES)
    assert [check.exceeded(Space(99, count)) for count in (9, 10, 11)] == [False, False, True]


@pytest.mark.parametrize(
    ("check", "amount"),
    [
        (Check(10, "10 B"), "2.0 KiB"),
        (Check(10, "10 files", Unit.INODES), "1,204 files"),
        (Check(10, "10 inodes", Unit.INODES), "1,204 inodes"),
        (Check(10, unit=Unit.INODES), "1,204 inodes"),
        (Check(10, "10 files"), "2.0 KiB"),
    ],
)
def test_what_a_check_finds_has_the_name_that_was_typed(check: Check, amount: str) -> None:
    assert check.amount(Space(2048, 1204)) == amount


@pytest.mark.parametrize(("in_place", "own_files", "expected"), [(False, 0, True), (True, 0, False), (True, 1, True)])
def test_a_run_whose_packages_are_back_can_be_restored_only_for_the_users_own_files(
    in_place: bool, own_files: int, expected: bool
) -> None:
    run = RunSummary("id", None, (), (), 0, 0, complete=True, own_files=own_files, in_place=in_place)

    assert run.restorable is expected


def test_a_misspelled_word_suggests_the_most_similar_one() -> None:
    words = ("envs", "purge", "restore", "usage")

    assert [nearest(word, iter(words)) for word in ("restor", "usgae", "numpy")] == ["restore", "usage", None]


def test_a_list_of_environments_reports_no_change_and_no_failure() -> None:
    result = EnvsResult((), 0, {}, 0.0)

    assert (result.remove, result.outcomes, result.fix, result.run) == ((), (), None, None)
    assert (result.failed, result.interrupted) == (False, False)


def test_nothing_may_go_from_a_cache_all_of_whose_entries_are_unsearched() -> None:
    one, two = an_entry(), an_entry("b-1-0")
    caches = tuple(a_cache(str(entries), *entries) for entries in ((one,), (one, two), ()))

    inventory = Inventory(caches, (), unsearched=frozenset({one}))

    assert inventory.judged == caches[1:]
