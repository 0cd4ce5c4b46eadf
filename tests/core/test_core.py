"""The pure core: units, names, accounting, the rules and the plan."""

from __future__ import annotations

import pytest

from conda_prune_plugin.core.accounting import Ledger, missing_links, without
from conda_prune_plugin.core.dist_names import archive_dist, is_dist_name
from conda_prune_plugin.core.evidence import Evidence, Remainder, SharedInode, last_use
from conda_prune_plugin.core.model import LastUsedFrom, Part, PartKind, ReasonKind, Verdict
from conda_prune_plugin.core.rules.planner import make_plan
from conda_prune_plugin.core.rules.policy import Policy
from conda_prune_plugin.core.units import format_age, format_size, parse_age, plural
from conda_prune_plugin.presentation.plan_json import iso_time

from .builders import NOW, a_measurement, a_root, an_entry, an_inventory, evidence_on

BOTH = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.ARCHIVE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("10m", 600), ("12h", 43_200), ("30d", 2_592_000), ("8w", 4_838_400), ("1.5 h", 5_400), ("0d", 0)],
)
def test_an_age_means_its_seconds(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds


def test_twelve_months_are_a_year() -> None:
    assert parse_age("12mo") == pytest.approx(parse_age("1y"))


@pytest.mark.parametrize("text", ["", "10", "m", "-3d", "3 fortnights", "1e3d", "nan", "٣d"])
def test_what_is_no_age_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="12h"):
        parse_age(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1_048_575, "1.0 MiB"),
        (5 << 40, "5.0 TiB"),
        (2048 << 40, "2048.0 TiB"),
    ],
)
def test_sizes_print_in_binary_units(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(("age", "text"), [(5, "seconds"), (60, "1 minute"), (86_400 * 21, "3 weeks"), (4e7, "1 year")])
def test_ages_print_in_the_largest_unit_that_fits(age: float, text: str) -> None:
    assert format_age(age) == text


def test_counts_agree_with_their_nouns() -> None:
    assert (plural(1, "entry", "entries"), plural(2000, "file")) == ("1 entry", "2,000 files")


def test_dists_and_archives_are_told_by_their_names() -> None:
    assert is_dist_name("r-base-4.3.1-h1_2")
    assert not any(map(is_dist_name, ("cache", "a-b", "a--b", "-1-0", "")))
    assert archive_dist("a-1-0.tar.bz2") == archive_dist("a-1-0.conda") == "a-1-0"
    assert archive_dist("a-1-0.conda.partial") is archive_dist(".conda") is None
    assert archive_dist("a-1-0.whl") is archive_dist("a-1-0.CONDA") is None
    assert archive_dist("A-1-0.WHL", (".conda", ".whl"), any_case=True) == "A-1-0"


def test_an_inode_comes_back_with_the_last_of_its_links() -> None:
    one = a_measurement(10, SharedInode(1, 7, links=3, inside=2, allocated=4096))
    other = a_measurement(20, SharedInode(1, 7, links=3, inside=1, allocated=4096))
    ledger = Ledger()

    assert ledger.remove(one) == 10
    assert ledger.remove(other) == 20 + 4096


def test_an_inode_with_a_link_outside_never_comes_back() -> None:
    ledger = Ledger()

    assert ledger.remove(a_measurement(10, SharedInode(1, 7, links=4, inside=3, allocated=4096))) == 10


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

    assert without(a_measurement(1000, *others), kept) == a_measurement(600, *others, files=4, apparent=70)


@pytest.mark.parametrize(("inside", "freed", "missing"), [(1, 600, {}), (2, 600, {(1, 7): 1})])
def test_a_file_that_stays_keeps_the_inode_that_it_shares(
    inside: int, freed: int, missing: dict[tuple[int, int], int]
) -> None:
    kept = Remainder(("info", "record"), 1, 7, apparent=30, single=400)
    left = without(a_measurement(1000, SharedInode(1, 7, inside, inside, 4096)), kept)

    assert Ledger().remove(left) == freed
    assert missing_links([left]) == missing


def test_a_removal_says_what_stays_of_the_directory() -> None:
    kept = Remainder(("info", "record"), 1, 7, apparent=30, single=400)
    others = (("a-1-0.tar.bz2", "https://host/a-1-0.tar.bz2"),)
    evidence = evidence_on(BOTH, remainder=kept, other_sources=others)
    (removal,) = make_plan(an_inventory(BOTH), [evidence], Policy(), NOW).remove

    assert (removal.remainder, removal.other_sources) == (kept, others)
