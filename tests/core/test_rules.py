"""What each rule of the core says, word for word, and what a plan carries on from what was found."""

from __future__ import annotations

from typing import Any

import pytest

from conda_prune_plugin.core.accounting import Ledger, missing_links, unexplained
from conda_prune_plugin.core.evidence import Evidence, Identity, Measurement, SharedInode, last_use
from conda_prune_plugin.core.model import LastUsedFrom, LinkKind, PartKind, ReasonKind, Root, RootKind, Verdict
from conda_prune_plugin.core.plan import Keep, Plan, Reason, Remove
from conda_prune_plugin.core.rules.planner import make_plan, with_links
from conda_prune_plugin.core.rules.policy import Policy
from conda_prune_plugin.core.rules.ranking import Budget, Goal, newest_versions
from conda_prune_plugin.core.rules.reachability import SoftLinks, candidates, references
from conda_prune_plugin.core.units import NO_SPACE, Space, Unit

from .builders import HASH, HOUR, IDENTITY, NOW, a_budget, a_measurement, a_root, an_entry, an_inventory, evidence_on

UNKNOWN_LINKS = (
    "1 file with hard links from an unknown place, probably an environment that was not found: "
    "add it with --root or --search"
)


def _plan(
    *evidence: Evidence, roots: tuple[Root, ...] = (), writable: bool = True, unsearched: bool = False, **policy: Any
) -> Plan:
    entries = tuple(item.entry for item in evidence)
    nobody = frozenset(entries if unsearched else ())
    inventory = an_inventory(*entries, roots=roots, writable=writable, unsearched=nobody)
    return make_plan(inventory, evidence, Policy(**{"min_age": 0.0, **policy}), NOW)


def _reasons(plan: Plan) -> list[tuple[str, str]]:
    decisions: list[Keep | Remove] = [*plan.keep, *plan.remove]
    return [(reason.kind.value, reason.detail) for decision in decisions for reason in decision.reasons]


@pytest.mark.parametrize(
    ("changes", "policy", "kind", "words"),
    [
        ({"doubt": "it is odd"}, {}, "unknown", "it is odd"),
        ({"unreadable": "no permission"}, {}, "unreadable", "no permission"),
        (
            {"outside": 1},
            {},
            "linked",
            UNKNOWN_LINKS,
        ),
        (
            {"fetched": NOW - 120},
            {"min_age": 600.0},
            "recent",
            "downloaded or extracted 2 minutes ago, so an installation may be using it (--min-age)",
        ),
        (
            {"fetched": NOW + 120},
            {"min_age": 600.0},
            "recent",
            "downloaded or extracted < 1 minute ago, so an installation may be using it (--min-age)",
        ),
        ({}, {"keep_newest": 1}, "newest", "the newest version (--keep-newest)"),
        ({}, {"keep_newest": 2}, "newest", "one of the 2 newest versions (--keep-newest)"),
        ({"irreplaceable": "built here"}, {}, "irreplaceable", "built here (--include-irreplaceable)"),
        (
            {},
            {"kinds": frozenset({PartKind.ARCHIVE})},
            "not-selected",
            "your options exclude its extracted part",
        ),
        ({}, {"kinds": frozenset()}, "not-selected", "your options exclude it"),
        ({}, {"only": frozenset()}, "not-selected", "excluded by --only"),
        ({}, {"only": frozenset(), "unchosen": "not chosen"}, "not-selected", "not chosen"),
        (
            {"fetched": None},
            {"older_than": HOUR},
            "not-selected",
            "last use unknown (--older-than)",
        ),
        ({}, {"older_than": 48 * HOUR}, "not-selected", "last used 1 day ago (--older-than)"),
        ({"fetched": NOW + 1}, {"older_than": HOUR}, "not-selected", "last used < 1 minute ago (--older-than)"),
        (
            {},
            {"budget": a_budget(free=0, max_inodes=-1)},
            "not-selected",
            "removing packages used less recently is enough (--free, --max-inodes)",
        ),
    ],
)
def test_each_rule_says_why_it_keeps_and_how_to_lift_it(
    changes: dict[str, Any], policy: dict[str, Any], kind: str, words: str
) -> None:
    assert _reasons(_plan(evidence_on(an_entry(), **changes), **policy)) == [(kind, words)]


@pytest.mark.parametrize(
    ("excuse", "kind", "words"),
    [
        (None, "unreferenced", "no environment uses it"),
        (ReasonKind.EXTRACTED, "extracted", "its archive is in the cache and intact (--ci cache)"),
        (ReasonKind.TARBALL, "tarball", "its extracted directory is in the cache and complete (--all-tarballs)"),
    ],
)
def test_what_goes_says_why(excuse: ReasonKind | None, kind: str, words: str) -> None:
    entry = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.ARCHIVE)
    roots = (a_root("/envs/a", "a-1-0"),) if excuse else ()

    assert _reasons(_plan(evidence_on(entry, excuse=excuse), roots=roots)) == [(kind, words)]


def test_ages_count_from_the_moment_on_at_which_they_are_reached() -> None:
    entry = an_entry()

    assert not _plan(evidence_on(entry, fetched=NOW - 600), min_age=600.0).keep
    assert _plan(evidence_on(entry, fetched=NOW - 599), min_age=600.0).keep
    assert not _plan(evidence_on(entry, fetched=NOW - 600), older_than=600.0).keep
    assert _plan(evidence_on(entry, fetched=NOW - 599), older_than=600.0).keep


def test_a_cache_that_can_t_be_written_says_so_once() -> None:
    assert _reasons(_plan(evidence_on(an_entry()), writable=False)) == [
        ("read-only", "you don't have permission to change this cache")
    ]


def test_the_first_obstacle_in_an_entry_is_enough() -> None:
    entry = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.ARCHIVE, PartKind.LOCK)
    obstacles = (None, "somebody else's", "a mount point")
    measured = tuple((part, a_measurement(obstacle=obstacle)) for part, obstacle in zip(entry.parts, obstacles))

    assert _reasons(_plan(evidence_on(entry, measurements=measured))) == [("read-only", "somebody else's")]


def test_every_root_is_named_in_the_words_of_its_kind() -> None:
    roots = (
        a_root("/envs/a", "a-1-0", name="a"),
        a_root("/envs/b", "a-1-0"),
        a_root("/envs/c", "b-1-0"),
        a_root("/envs/a", "a-1-0", kind=RootKind.REVISION, name="a, revision 2"),
        a_root("/x.lock", "a-1-0", kind=RootKind.LOCKFILE, notes={"a-1-0": ", line 3"}),
        a_root("", "a-1-0", kind=RootKind.KEEP, name="a*"),
    )

    plan = _plan(evidence_on(an_entry()), roots=roots)

    assert [(reason.kind.value, reason.detail, reason.root) for reason in plan.keep[0].reasons] == [
        ("environment", "used by a", "/envs/a"),
        ("environment", "used by /envs/b", "/envs/b"),
        ("revision", "part of a, revision 2", "/envs/a"),
        ("lockfile", "listed in /x.lock, line 3", "/x.lock"),
        ("keep", "kept by the rule a*", None),
    ]


def test_a_root_that_names_an_entry_otherwise_says_how() -> None:
    renamed = an_entry("renamed")

    plan = _plan(evidence_on(renamed, dist="a-1-0"), roots=(a_root("/envs/a", "a-1-0"),))

    assert _reasons(plan) == [("environment", "used by /envs/a as a-1-0")]


@pytest.mark.parametrize(
    ("dist", "inside", "names"),
    [
        ("a-1-0", None, {"a-1-0"}),
        ("a-1-0", "a-1-0", {"a-1-0"}),
        ("renamed", "a-1-0", {"renamed", "a-1-0"}),
        ("a-1-0" + HASH, "a-1-0", {"a-1-0" + HASH, "a-1-0"}),
    ],
)
def test_a_root_may_mean_an_entry_by_its_own_name_and_by_that_in_its_metadata(
    dist: str, inside: str | None, names: set[str]
) -> None:
    (removal,) = _plan(evidence_on(an_entry(dist), dist=inside)).remove

    assert removal.names == names


def test_an_entry_whose_environments_nobody_looked_for_stays_unless_a_root_is_the_reason() -> None:
    words = "pixi and rattler keep no list of environments: name the directories of your projects with --search"

    plan = _plan(evidence_on(an_entry()), unsearched=True)
    assert _reasons(plan) == [("unknown", words)]
    assert plan.keep[0].verdict is Verdict.UNKNOWN

    used = _plan(evidence_on(an_entry()), roots=(a_root("/envs/a", "a-1-0"),), unsearched=True)
    assert _reasons(used) == [("environment", "used by /envs/a")]


SHARED = SharedInode(1, 7, links=2, inside=1, allocated=10)


@pytest.mark.parametrize(
    ("shared", "why"),
    [
        ((), "but shares no files with it (--unlinked)"),
        ((SHARED,), "and keeps its hard links to the files (--ci image)"),
    ],
)
def test_what_goes_though_environments_have_it_names_them(shared: tuple[SharedInode, ...], why: str) -> None:
    entry = an_entry("a-1-0" + HASH)
    roots = (a_root("/envs/a", "a-1-0", name="a"), a_root("/envs/b", entry.dist), a_root("/envs/c", "b-1-0"))
    measured = ((entry.parts[0], a_measurement(5, *shared)),)

    (removal,) = _plan(evidence_on(entry, measurements=measured, excuse=ReasonKind.UNLINKED), roots=roots).remove

    assert removal.reasons == (
        Reason(ReasonKind.UNLINKED, f"/envs/b uses it {why}", "/envs/b"),
        Reason(ReasonKind.UNLINKED, f"a uses it {why}", "/envs/a"),
    )
    assert removal.accepted == frozenset(roots[:2])
    assert removal.names == {entry.dist, "a-1-0"}


@pytest.mark.parametrize("excuse", [ReasonKind.UNLINKED, ReasonKind.EXTRACTED, ReasonKind.TARBALL])
def test_what_stays_though_its_environments_would_let_it_go_names_them_first(excuse: ReasonKind) -> None:
    entry = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.ARCHIVE)
    roots = (a_root("/envs/a", "a-1-0"), a_root("/x.lock", "a-1-0", kind=RootKind.LOCKFILE))
    evidence = evidence_on(entry, excuse=excuse)

    held = _plan(evidence, roots=roots)
    assert _reasons(held) == [("environment", "used by /envs/a"), ("lockfile", "listed in /x.lock")]

    spared = _plan(evidence, roots=roots[:1], budget=a_budget(free=0))
    assert [kind for kind, _ in _reasons(spared)] == ["environment", "not-selected"]
    assert spared.keep[0].verdict is Verdict.REACHABLE
    assert _plan(evidence, roots=roots[:1]).remove


@pytest.mark.parametrize(
    ("policy", "going"),
    [
        ({}, {PartKind.EXTRACTED, PartKind.ARCHIVE, PartKind.LOCK}),
        ({"kinds": frozenset({PartKind.EXTRACTED})}, {PartKind.EXTRACTED, PartKind.LOCK}),
        ({"kinds": frozenset({PartKind.ARCHIVE})}, {PartKind.ARCHIVE}),
        ({"kinds": frozenset({PartKind.ARCHIVE, PartKind.LOCK})}, {PartKind.ARCHIVE}),
        ({"excuse": ReasonKind.EXTRACTED}, {PartKind.EXTRACTED, PartKind.LOCK}),
        ({"excuse": ReasonKind.TARBALL}, {PartKind.ARCHIVE}),
    ],
)
def test_rattler_s_lock_goes_with_the_directory_and_never_without(policy: dict[str, Any], going: set[PartKind]) -> None:
    entry = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.ARCHIVE, PartKind.LOCK)
    asked = {name: value for name, value in policy.items() if name != "excuse"}

    (removal,) = _plan(evidence_on(entry, excuse=policy.get("excuse")), **asked).remove

    assert {part.kind for part in removal.parts} == going


def test_the_lock_is_not_among_the_parts_that_nobody_asked_for() -> None:
    entry = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.LOCK)

    plan = _plan(evidence_on(entry), kinds=frozenset({PartKind.ARCHIVE}))

    assert _reasons(plan) == [("not-selected", "your options exclude its extracted part")]


def test_the_lock_alone_can_t_be_asked_for() -> None:
    entry = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.ARCHIVE, PartKind.LOCK)

    plan = _plan(evidence_on(entry), kinds=frozenset({PartKind.LOCK}))

    assert _reasons(plan) == [("not-selected", "your options exclude its archive and extracted part")]


def test_a_decision_carries_on_what_was_found() -> None:
    entry = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.ARCHIVE)
    beside = ((entry.parts[1], Identity(7, 8, 9)),)
    evidence = evidence_on(
        entry,
        measurements=(
            (entry.parts[0], a_measurement(1000, SHARED, payload_ctime=NOW - HOUR)),
            (entry.parts[1], Measurement(Identity(4, 5, 6), 1, 7, 8, ())),
        ),
        source="https://x/a-1-0.conda",
        sha256="ff",
        record={"name": "a"},
        beside=beside,
    )

    plan = _plan(evidence)
    (removal,) = plan.remove

    assert plan.inventory.caches[0].entries == (entry,)
    assert (removal.entry, removal.parts) == (entry, entry.parts)
    assert removal.identities == (IDENTITY, Identity(4, 5, 6))
    assert (removal.files, removal.apparent, removal.reclaimable) == (6, 107, 1008)
    assert (removal.last_used, removal.last_used_from) == (NOW - HOUR, LastUsedFrom.LINK)
    assert (removal.source, removal.sha256, removal.record) == ("https://x/a-1-0.conda", "ff", {"name": "a"})
    assert (removal.names, removal.known_links) == (frozenset({"a-1-0"}), (((1, 7), 1),))
    assert removal.beside == beside
    assert removal.accepted == frozenset()


def test_a_candidate_without_evidence_is_named_with_its_cache() -> None:
    with pytest.raises(LookupError, match=r"^no evidence on the candidate a-1-0 in /pkgs$"):
        make_plan(an_inventory(an_entry()), (), Policy(), NOW)


def test_link_kinds_stand_in_the_reasons_that_name_environments() -> None:
    used, unlinked = an_entry(), an_entry("b-1-0")
    roots = (
        a_root("/envs/a", "a-1-0", "b-1-0"),
        a_root("/envs/b", "a-1-0"),
        a_root("/envs/a", "a-1-0", kind=RootKind.REVISION),
        a_root("", "a-1-0", kind=RootKind.KEEP, name="a"),
    )
    plan = _plan(evidence_on(used), evidence_on(unlinked, excuse=ReasonKind.UNLINKED), roots=roots)
    links = {(used, "/envs/a"): LinkKind.HARD, (unlinked, "/envs/a"): LinkKind.COPY}

    measured = with_links(plan, links)

    assert [reason.link for reason in measured.keep[0].reasons] == [LinkKind.HARD, None, None, None]
    assert [reason.link for reason in measured.remove[0].reasons] == [LinkKind.COPY]
    assert with_links(measured, {}) == plan


def test_a_soft_link_keeps_an_entry_of_which_no_record_tells() -> None:
    linked, named, lone, other = (an_entry(f"{name}-1-0") for name in "abcd")
    roots = (a_root("/envs/e", "b-1-0"),)
    links = SoftLinks(
        {("/pkgs", "a-1-0"): frozenset({"/envs/e", "/envs/f"}), ("/pkgs", "b-1-0"): frozenset({"/envs/e"})},
    )
    evidence = tuple(map(evidence_on, (linked, lone, other)))
    inventory = an_inventory(linked, named, lone, other, roots=roots)

    plan = make_plan(inventory, evidence, Policy(min_age=0.0), NOW, soft_links=links)

    assert [removal.entry for removal in plan.remove] == [lone, other]
    kept = {keep.entry: keep for keep in plan.keep}
    assert [(reason.kind.value, reason.root, reason.link) for reason in kept[linked].reasons] == [
        ("environment", "/envs/e", LinkKind.SOFT),
        ("environment", "/envs/f", LinkKind.SOFT),
    ]
    assert kept[linked].reasons[0].detail == "used by /envs/e, which has no record of it"
    assert kept[linked].verdict is Verdict.REACHABLE
    assert [reason.detail for reason in kept[named].reasons] == ["used by /envs/e"]
    # What was seen is not measured once more by records that are not there.
    assert with_links(plan, {(linked, "/envs/e"): LinkKind.RECORDED}).keep[0] == kept[linked]


def test_a_soft_link_into_the_directory_says_nothing_of_an_archive_in_use() -> None:
    entry = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.ARCHIVE)
    archive = next(part for part in entry.parts if part.kind is PartKind.ARCHIVE)
    evidence, policy = evidence_on(entry, excuse=ReasonKind.TARBALL), Policy(min_age=0.0)

    def removed(linked: str) -> int:
        links = SoftLinks({("/pkgs", linked): frozenset({"/envs/f"})})
        return len(make_plan(an_inventory(entry), (evidence,), policy, NOW, soft_links=links).remove)

    assert (removed("a-1-0"), removed(archive.name)) == (1, 0)
    # But if nothing uses the package, a soft link into the directory is the only sign that something does.
    evidence, policy = evidence_on(entry), Policy(min_age=0.0, kinds=frozenset({PartKind.ARCHIVE}))
    assert removed("a-1-0") == 0


def test_inodes_of_two_devices_are_two() -> None:
    one, other = (a_measurement(0, SharedInode(device, 7, 2, 1, 10)) for device in (1, 2))
    ledger = Ledger()

    assert (ledger.remove(one), ledger.remove(other), ledger.remove(one)) == (
        Space(0, 5 - 1),
        Space(0, 4),
        Space(10, 5),
    )
    assert missing_links((one, other)) == {(1, 7): 1, (2, 7): 1}


def test_files_with_unexplained_links_are_counted() -> None:
    measurement = a_measurement(0, *(SharedInode(1, number, 2, 1, 10) for number in range(4)))

    assert unexplained(measurement, {(1, 0): 1, (1, 1): 0, (1, 2): 5, (2, 3): 1}) == 2


def test_a_link_made_at_the_moment_of_extraction_is_no_use() -> None:
    entry = an_entry()

    def evidence(fetched: float | None) -> Evidence:
        return evidence_on(entry, measurements=((entry.parts[0], a_measurement(payload_ctime=NOW)),), fetched=fetched)

    assert last_use(evidence(NOW)) == (NOW, LastUsedFrom.EXTRACTION)
    assert last_use(evidence(None)) == (NOW, LastUsedFrom.LINK)


def test_roots_reference_by_every_name_of_an_entry() -> None:
    entries = (an_entry("a-1-0"), an_entry("b-1-0" + HASH), an_entry("c-1-0"), an_entry("d-1-0"))
    roots = (a_root("/one", "a-1-0", "b-1-0"), a_root("/two", "a-1-0"))
    inventory = an_inventory(*entries, roots=roots, unsearched=frozenset({entries[3]}))

    referenced = references(roots)

    assert referenced == {"a-1-0": roots, "b-1-0": roots[:1]}
    assert candidates(inventory, referenced) == (entries[2],)
    assert candidates(inventory, {}) == entries[:3]


def _newest(count: int, *evidence: Evidence) -> set[str]:
    def key(version: str) -> int | None:
        return int(version) if version.isdigit() else None

    by_entry = {item.entry: item for item in evidence}
    return {entry.dist for entry in newest_versions([*by_entry], by_entry, count, key)}


def test_the_newest_versions_are_counted_name_by_name_and_with_all_their_builds() -> None:
    dists = ("a-1-0", "a-2-0", "a-2-1", "a-10-0", "b-1-0", "b-3-0", "b-2-0")
    evidence = [evidence_on(an_entry(dist)) for dist in dists]

    assert _newest(0, *evidence) == set()
    assert _newest(1, *evidence) == {"a-10-0", "b-3-0"}
    assert _newest(2, *evidence) == {"a-10-0", "a-2-0", "a-2-1", "b-3-0", "b-2-0"}
    assert _newest(3, *evidence) == set(dists)


def test_what_has_no_version_is_among_the_newest_and_displaces_none() -> None:
    evidence = [evidence_on(an_entry(dist), dist=None) for dist in ("a-1-0", "a-2-0", "a-odd-0", "odd")]

    assert _newest(1, *evidence) == {"a-2-0", "a-odd-0", "odd"}


def test_an_entry_counts_by_the_name_that_conda_knows_it_by() -> None:
    evidence = [
        evidence_on(an_entry("a-2-0" + HASH)),
        evidence_on(an_entry("renamed"), dist="a-1-0"),
        evidence_on(an_entry("odd"), dist="odd too"),
        evidence_on(an_entry("a-0-0"), dist="a-9-0"),
    ]

    assert _newest(1, *evidence) == {"a-0-0", "odd"}
    assert _newest(1, *evidence[:3]) == {"a-2-0" + HASH, "odd"}
    assert newest_versions([an_entry("renamed")], {}, 1, int) == {an_entry("renamed")}


def test_of_what_was_used_at_one_time_and_of_what_nobody_knows_the_order_is_that_of_the_names() -> None:
    times = {"b-1-0": 5.0, "a-1-0": 5.0, "d-1-0": None, "c-1-0": None, "e-1-0": 0.0, "f-1-0": 0.5}
    evidence = [evidence_on(an_entry(dist), fetched=time) for dist, time in times.items()]
    evidence.append(evidence_on(an_entry(cache="/a"), fetched=5.0))

    gone = [
        {
            f"{item.entry.cache}/{item.entry.dist}"
            for item in _plan(*evidence, budget=a_budget(free=1000 * count)).remove
        }
        for count in range(8)
    ]

    order = ["/pkgs/e-1-0", "/pkgs/f-1-0", "/a/a-1-0", "/pkgs/a-1-0", "/pkgs/b-1-0", "/pkgs/c-1-0", "/pkgs/d-1-0"]
    assert gone == [set(order[:count]) for count in range(8)]


@pytest.mark.parametrize("unit", Unit)
def test_a_goal_is_met_to_the_unit_and_what_it_is_missed_by_is_told(unit: Unit) -> None:
    # Each of these takes 1,000 bytes, and 1,000 inodes.
    measured = a_measurement(1000, files=990, directories=10)
    evidence = [
        evidence_on(entry, measurements=((entry.parts[0], measured),), fetched=time)
        for time, entry in enumerate(map(an_entry, ("a-1-0", "b-1-0")))
    ]

    def missed(*needed: int) -> tuple[int, int, int]:
        plan = _plan(*evidence, budget=Budget(tuple(Goal("--x", unit, much) for much in needed)))
        other = next(one for one in Unit if one is not unit)
        return len(plan.remove), plan.missed.of(unit), plan.missed.of(other)

    assert [missed(needed) for needed in (-1, 0, 1, 1000, 1001, 2001)] == [
        (0, 0, 0),
        (0, 0, 0),
        (1, 0, 0),
        (1, 0, 0),
        (2, 0, 0),
        (2, 1, 0),
    ]
    assert missed(500, 1500) == missed(1500, 500) == (2, 0, 0)
    assert missed(-5, -6) == (0, 0, 0)


def test_goals_in_two_units_are_both_met() -> None:
    small, many = a_measurement(10, files=990, directories=10), a_measurement(1000, files=1)
    evidence = [
        evidence_on(entry, measurements=((entry.parts[0], measured),), fetched=time)
        for time, (entry, measured) in enumerate(zip(map(an_entry, ("a-1-0", "b-1-0")), (small, many)))
    ]

    def gone(**needed: int) -> tuple[int, Space]:
        plan = _plan(*evidence, budget=a_budget(**needed))
        return len(plan.remove), plan.missed

    assert gone(free=10, free_inodes=1000) == (1, NO_SPACE)
    assert gone(free=11, free_inodes=1000) == gone(free=10, free_inodes=1001) == (2, NO_SPACE)
    assert gone(free=1011, free_inodes=1003) == (2, Space(1, 2))
    assert gone(free=2000, free_inodes=5) == (2, Space(990, 0))
    assert Budget().needed is None


def test_a_root_has_a_package_once_by_however_many_names_it_means_it() -> None:
    root = a_root("/e", "python-x-1-0", "x-1-py3-none-any", aliases={"x-1-py3-none-any": "python-x-1-0"})

    assert root.packages == {"python-x-1-0"}
    assert a_root("/e", "x-1-0").packages == {"x-1-0"}
    assert references([root]) == dict.fromkeys(root.dists, (root,))


def test_what_environments_know_by_another_name_counts_among_the_newest_by_that() -> None:
    wheel, older = an_entry("x-2-py3-none-any"), an_entry("x-1-py3-none-any")
    root = a_root("/e", "python-x-2-0", wheel.dist, aliases={wheel.dist: "python-x-2-0"})
    evidence = evidence_on(older, dist="python-x-1-0")

    plan = make_plan(
        an_inventory(wheel, older, roots=(root,)), [evidence], Policy(min_age=0, keep_newest=1, version_key=int), NOW
    )

    assert [removal.entry for removal in plan.remove] == [older]


def test_an_entry_is_referenced_by_each_name_that_its_metadata_has() -> None:
    entry = an_entry("x-1-py3-none-any")
    for name in ("python-x-1-0", "x-1-0"):
        evidence = evidence_on(entry, dist="python-x-1-0", aliases=("x-1-0",))
        plan = make_plan(an_inventory(entry, roots=(a_root("/e", name),)), [evidence], Policy(min_age=0), NOW)
        assert [keep.entry for keep in plan.keep] == [entry]


def test_what_only_a_lack_of_permission_keeps_tells_its_space() -> None:
    both = an_entry("a-1-0", PartKind.EXTRACTED, PartKind.ARCHIVE)

    def withheld(item: Evidence, **policy: Any) -> list[Space]:
        return [keep.frees for keep in _plan(item, writable=False, **policy).keep]

    assert withheld(evidence_on(both)) == [Space(2000, 10)]
    assert withheld(evidence_on(both), kinds=frozenset({PartKind.ARCHIVE})) == [Space(1000, 5)]
    assert withheld(evidence_on(both, doubt="it is odd")) == [NO_SPACE]
    assert withheld(evidence_on(both, irreplaceable="no url")) == [NO_SPACE]
    assert withheld(evidence_on(both, measurements=())) == [NO_SPACE]
    root = a_root("/envs/e", "a-1-0")
    assert [keep.frees for keep in _plan(evidence_on(both), roots=(root,), writable=False).keep] == [NO_SPACE]
    assert Keep(both, Verdict.UNKNOWN, ()).frees == NO_SPACE


def test_what_two_withheld_packages_share_counts_once() -> None:
    inode = SharedInode(1, 7, links=2, inside=1, allocated=50)
    items = [
        evidence_on(entry, measurements=((entry.parts[0], a_measurement(1000, inode)),))
        for entry in (an_entry("a-1-0"), an_entry("b-1-0"))
    ]

    assert [keep.frees for keep in _plan(*items, writable=False).keep] == [Space(1000, 4), Space(1050, 5)]
