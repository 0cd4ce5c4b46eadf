"""The small parts of the core: names, units, what a status says, sums and words."""

from __future__ import annotations

import os
import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conda_prune_plugin.core import file_status
from conda_prune_plugin.core.accounting import Precision, hedge, precision
from conda_prune_plugin.core.dist_names import (
    extended,
    is_dist_name,
    is_file_name,
    note_name,
    noted_run,
    package_name,
    package_version,
    plain_dist,
    recorded_names,
)
from conda_prune_plugin.core.envs.envs_result import EnvsResult
from conda_prune_plugin.core.model import Inventory, OtherKind, PartKind, ReasonKind, Result, Verdict
from conda_prune_plugin.core.notices import ESTIMATED, LAYERED, Notice
from conda_prune_plugin.core.plan import Keep, Other, Outcome, Plan, Reason, Remove, Repair, label, what_goes
from conda_prune_plugin.core.rules.reachability import SoftLinks
from conda_prune_plugin.core.rules.targets import Target, kinds
from conda_prune_plugin.core.run import Check
from conda_prune_plugin.core.suggestion import nearest
from conda_prune_plugin.core.units import format_age, format_size, parse_age, parse_size, size_as_typed
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

from .builders import HASH, IDENTITY, a_cache, a_removal, a_root, an_entry

if TYPE_CHECKING:
    from pathlib import Path


def _plan(*remove: Remove, keep: tuple[Keep, ...] = (), other: tuple[Other, ...] = ()) -> Plan:
    return Plan(Inventory((), ()), remove, keep, other=other)


def _other(kind: OtherKind) -> Other:
    return Other(kind, "/pkgs", "/pkgs/x", IDENTITY, files=2, apparent=20, reclaimable=200)


def test_a_dist_ends_with_two_words_behind_hyphens() -> None:
    assert (package_name("r-base-4.3-h1"), package_version("r-base-4.3-h1")) == ("r-base", "4.3")
    assert is_dist_name("a--1-0")
    assert not any(map(is_dist_name, ("a--0", "a-1-", "-1-0", "a-1")))
    assert package_name("cache") == "cache"

    with pytest.raises(ValueError, match="unpack"):
        package_version("cache")


@given(st.text("ab1-", min_size=1), st.text("ab1.", min_size=1), st.text("ab1_", min_size=1))
def test_a_name_a_version_and_a_build_make_a_dist_and_come_out_of_it(name: str, version: str, build: str) -> None:
    dist = f"{name}-{version}-{build}"

    assert is_dist_name(dist)
    assert (package_name(dist), package_version(dist)) == (name, version)


def test_a_hash_of_rattler_s_is_no_part_of_a_dist() -> None:
    assert plain_dist(f"a-1-0{HASH}") == "a-1-0"
    assert recorded_names(f"a-1-0{HASH}") == (f"a-1-0{HASH}", "a-1-0")
    assert recorded_names("a-1-0") == ("a-1-0",)


@pytest.mark.parametrize("dist", [f"a-1-0{HASH}-x", f"a-1-0{HASH[:-1]}", f"a-1-0{HASH.upper()}", f"a-1{HASH}", "a-1-0"])
def test_what_only_looks_like_a_hash_of_rattler_s_stays(dist: str) -> None:
    assert plain_dist(dist) == dist


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_leads_elsewhere_is_no_file_name(name: str) -> None:
    assert not is_file_name(name, "/")
    assert not is_file_name(name, "\\")


def test_no_character_leads_elsewhere_but_what_separates() -> None:
    """A backslash and a colon only on Windows."""
    characters = [chr(number) for number in range(256)]

    assert [each for each in characters if not is_file_name(f"a{each}..", "/")] == ["\0", "/"]
    assert [each for each in characters if not is_file_name(f"a{each}..", "\\")] == ["\0", "/", ":", "\\"]


def test_a_long_path_of_windows_gets_its_prefix_once() -> None:
    assert extended("C:\\a/b", "\\") == "\\\\?\\C:\\a\\b"
    assert extended("\\\\host\\share/x", "\\") == "\\\\?\\UNC\\host\\share\\x"
    assert extended("\\\\?\\C:\\a", "\\") == "\\\\?\\C:\\a"
    assert extended("/a/b", "/") == "/a/b"
    assert extended("//a", "/") == "//a"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1e9, "seconds"),
        (59.9, "seconds"),
        (119, "1 minute"),
        (3_599, "59 minutes"),
        (3_600, "1 hour"),
        (86_399, "23 hours"),
        (86_400, "1 day"),
        (604_799, "6 days"),
        (604_800, "1 week"),
        (2_629_745, "4 weeks"),
        (2_629_746, "1 month"),
        (31_556_951, "11 months"),
        (31_556_952, "1 year"),
        (63_113_904, "2 years"),
    ],
)
def test_an_age_changes_its_unit_when_the_next_one_is_full(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (1_047_000, "1022.5 KiB"),
        (1_048_524, "1023.9 KiB"),
        (1_048_525, "1.0 MiB"),
        (int(1023.95 * 2**20), "1023.9 MiB"),
        (1 << 30, "1.0 GiB"),
        (22_528, "22.0 KiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_a_size_is_never_a_thousand_and_more_of_a_unit(size: int, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [(" 2S ", 2), ("3min", 180), ("1w", 604_800), ("1y", 31_556_952), ("0.0", 0)]
)
def test_an_age_may_have_spaces_and_capitals_and_be_nothing(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds
    assert isinstance(parse_age(text), float)


@pytest.mark.parametrize(
    ("text", "size"), [(" 2Mib ", 2 << 20), ("3tib", 3 << 40), ("1gb", 10**9), ("0.0", 0), ("7 b", 7)]
)
def test_a_size_may_have_spaces_and_capitals_and_be_nothing(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert isinstance(parse_size(text), int)


def test_what_is_no_quantity_is_told_in_its_own_words() -> None:
    with pytest.raises(
        ValueError, match=r"^'3 X' is not an age; write for instance 10m, 12h, 30d, 8w, 6mo, '2 weeks', or 0$"
    ):
        parse_age("3 X")
    with pytest.raises(ValueError, match=r"^'3 X' is not a size; write for instance 500MB, 2.5GiB, 5G, 1B, or 0$"):
        parse_size("3 X")
    with pytest.raises(ValueError, match=r"^'3 X' is not a size; "):
        size_as_typed("3 X")


@pytest.mark.parametrize(
    ("units", "seconds"),
    [
        ("s sec secs second seconds", 1),
        ("m min mins minute minutes", 60),
        ("h hr hrs hour hours", 3_600),
        ("d day days", 86_400),
        ("w wk wks week weeks", 604_800),
        ("mo mos month months", 2_629_746),
        ("y yr yrs year years", 31_556_952),
    ],
)
def test_the_unit_of_an_age_may_be_a_letter_or_a_word(units: str, seconds: int) -> None:
    for unit in units.split():
        assert parse_age(f"2{unit}") == parse_age(f" 2 {unit} ") == 2 * seconds
        assert unit == "m" or parse_age(f"2 {unit.capitalize()}") == 2 * seconds


@pytest.mark.parametrize(("text", "minutes", "months"), [("6M", "6min", "6mo"), (" 1.5 M ", "1.5min", "1.5mo")])
def test_a_large_m_is_no_age_as_it_may_be_minutes_or_months(text: str, minutes: str, months: str) -> None:
    told = f"^{text!r} can mean minutes or months; write {minutes} or {months}$"
    with pytest.raises(ValueError, match=told):
        parse_age(text)
    with pytest.raises(ValueError, match="is not an age"):
        parse_age("many M")


@pytest.mark.parametrize(("letter", "power"), [("K", 1), ("M", 2), ("G", 3), ("T", 4)])
def test_a_size_with_a_b_is_decimal_and_a_letter_alone_is_binary(letter: str, power: int) -> None:
    for text in (f"3{letter}B", f"3 {letter}b", f"3{letter.lower()}b"):
        assert parse_size(text) == 3 * 1000**power
    for text in (f"3{letter}iB", f"3{letter.lower()}ib", f"3{letter}", f"3 {letter.lower()}"):
        assert parse_size(text) == 3 * 1024**power


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("1MB", "1 MB"),
        ("5g", "5 G"),
        (" 2.50 gib ", "2.50 GiB"),
        ("10kb", "10 KB"),
        ("3t", "3 T"),
        ("7B", "7 B"),
        ("0", "0 B"),
        ("0.0", "0 B"),
    ],
)
def test_a_size_is_echoed_in_the_unit_in_which_it_was_typed(text: str, typed: str) -> None:
    assert size_as_typed(text) == typed


def _status(**fields: int) -> os.stat_result:
    """A status as other systems give it, which this one can't make."""
    return cast("os.stat_result", SimpleNamespace(**fields))


def test_what_a_file_takes_is_counted_in_blocks_or_else_in_whole_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    assert file_status.allocated(_status(st_blocks=3, st_size=1)) == 1536

    monkeypatch.setattr(file_status, "KNOWS_BLOCKS", False)
    lengths = (0, 1, 4096, 4097)

    assert [file_status.allocated(_status(st_size=length)) for length in lengths] == [0, 4096, 4096, 8192]
    assert isinstance(file_status.allocated(_status(st_size=1)), int)


def test_a_directory_is_one_that_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = _status(st_mode=stat.S_IFDIR, st_file_attributes=stat.FILE_ATTRIBUTE_DIRECTORY)
    junction = _status(st_mode=stat.S_IFDIR, st_file_attributes=stat.FILE_ATTRIBUTE_REPARSE_POINT)
    file = _status(st_mode=stat.S_IFREG, st_file_attributes=stat.FILE_ATTRIBUTE_REPARSE_POINT)

    for windows in (False, True):
        monkeypatch.setattr(file_status, "ON_WINDOWS", windows)
        assert file_status.is_directory(plain)
        assert file_status.is_directory(_status(st_mode=stat.S_IFDIR))
        assert file_status.is_directory(junction) is not windows
        assert not file_status.is_directory(file)


def test_why_something_can_t_be_removed_is_said_for_flags_and_junctions(monkeypatch: pytest.MonkeyPatch) -> None:
    locked = _status(st_mode=stat.S_IFREG, st_flags=stat.UF_IMMUTABLE)
    hidden = _status(st_mode=stat.S_IFREG, st_flags=stat.UF_HIDDEN)
    junction = _status(st_mode=stat.S_IFDIR, st_file_attributes=stat.FILE_ATTRIBUTE_REPARSE_POINT)
    cloud = _status(st_mode=stat.S_IFREG, st_file_attributes=stat.FILE_ATTRIBUTE_REPARSE_POINT)

    for windows in (False, True):
        monkeypatch.setattr(file_status, "ON_WINDOWS", windows)
        assert file_status.irremovable(locked) == "is locked by a flag"
        assert file_status.irremovable(hidden) is file_status.irremovable(cloud) is None
        assert file_status.irremovable(_status(st_mode=stat.S_IFDIR)) is None
        assert file_status.irremovable(junction) == ("is a junction, which is never followed" if windows else None)


def test_the_status_of_what_was_listed_is_the_link_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (item,) = os.scandir(tmp_path)

    for windows in (False, True):
        monkeypatch.setattr(file_status, "ON_WINDOWS", windows)
        assert stat.S_ISLNK(file_status.listed_status(item).st_mode)
    # What Windows' listing has told lacks half of it, so it is asked again there.
    (tmp_path / "link").unlink()
    monkeypatch.setattr(file_status, "ON_WINDOWS", False)
    assert stat.S_ISLNK(file_status.listed_status(item).st_mode)
    monkeypatch.setattr(file_status, "ON_WINDOWS", True)
    with pytest.raises(FileNotFoundError):
        file_status.listed_status(item)


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
    assert what_goes(_plan(one)) == "1 entry"
    assert what_goes(_plan(one, two, leftover)) == "2 entries and 1 leftover"
    assert what_goes(_plan(leftover, leftover)) == "2 leftovers"
    assert (
        what_goes(_plan(one, other=(log, index, temporary)))
        == "1 entry, 1 index cache, 1 temporary file and 1 log file"
    )
    assert (
        what_goes(_plan(other=(index, index, temporary, temporary, log, log)))
        == "2 index caches, 2 temporary files and 2 log files"
    )


def test_a_plan_counts_all_that_goes() -> None:
    plan = _plan(a_removal(an_entry()), other=(_other(OtherKind.LOGFILES),))
    repair = Repair(a_removal(an_entry()), "a-1-0.conda", "a-1-0", None, None)

    assert (plan.files, plan.apparent, plan.reclaimable) == (3, 30, 300)
    assert plan.changes
    assert _plan(other=(_other(OtherKind.LOGFILES),)).changes
    assert Plan(Inventory((), ()), (), (), repair=(repair,)).changes
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
        a_removal(an_entry()), a_removal(an_entry("b-1-0")), a_removal(an_entry("c-1-0", cache="/two")), keep=keep
    )

    assert [reclaimable_in(plan, cache) for cache in (one, two)] == [200, 100]
    assert [kept_by_age(plan, cache) for cache in (one, two)] == [2, 1]


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("reflinks", [True, False])
def test_usage_is_exact_where_all_was_counted_and_blocks_are_not_shared_unseen(complete: bool, reflinks: bool) -> None:
    account = Account(1, 1, 7, 1, 0, 0, 0)
    environment = EnvironmentUsage(a_root("/e"), account, PipPackages(), None, None, True)
    cache = CacheUsage(a_cache(), account, {}, 0, 0)
    systems = (FileSystem("/", "ext4", 1, 1, False), FileSystem("/x", "btrfs", 1, 1, reflinks))
    usage = Usage((environment,), (cache, cache), systems, 5, _plan(a_removal(an_entry())), complete)

    assert usage.exact is (complete and not reflinks)
    assert (usage.apparent, usage.reclaimable, usage.reflinks) == (21, 100, reflinks)


def test_a_limit_is_exceeded_by_more_only() -> None:
    assert [Check(10, "10 B").exceeded(size) for size in (9, 10, 11)] == [False, False, True]


def test_a_limit_is_shown_as_it_was_typed_or_else_in_binary_units() -> None:
    assert (Check(5_000_000, "5 MB").shown, Check(2048).shown) == ("5 MB", "2.0 KiB")


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


@given(st.binary())
def test_the_name_of_a_note_tells_its_run(place: bytes) -> None:
    name = note_name("20260101T000000Z-12345678", place)

    assert noted_run(name) == noted_run(f"{name}.new") == "20260101T000000Z-12345678"
    assert is_file_name(name)
    assert name == note_name("20260101T000000Z-12345678", place)


@pytest.mark.parametrize(
    "name", ["place-", "lock", "place-run-1234567", "place-../x-12345678", "place-run-12345678.old"]
)
def test_what_is_no_note_tells_of_no_run(name: str) -> None:
    assert noted_run(name) is None


def test_the_name_of_a_note_tells_places_apart() -> None:
    assert note_name("r", b"/one") == "place-r-5c383f97" != note_name("r", b"/two")
