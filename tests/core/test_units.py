"""Bytes and ages as text, both ways."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from conda_prune_plugin.core.run import Check
from conda_prune_plugin.core.units import (
    NO_SPACE,
    Space,
    Unit,
    age_as_typed,
    exact_size,
    format_age,
    format_amount,
    format_size,
    format_space,
    parse_age,
    parse_limit,
    parse_size,
    plural,
    size_as_typed,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("10m", 600), ("12h", 43_200), ("30d", 2_592_000), ("8w", 4_838_400), ("1.5 h", 5_400), ("0d", 0)],
)
def test_an_age_means_its_seconds(text: str, seconds: float) -> None:
    assert parse_age(text) == seconds


def test_twelve_months_are_a_year() -> None:
    assert parse_age("12mo") == pytest.approx(parse_age("1y"))


@pytest.mark.parametrize("text", ["", "m", "-3d", "3 fortnights", "1e3d", "nan", "٣d"])
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


@pytest.mark.parametrize(
    ("age", "text"), [(5, "< 1 minute"), (60, "1 minute"), (86_400 * 21, "3 weeks"), (4e7, "1 year")]
)
def test_ages_print_in_the_largest_unit_that_fits(age: float, text: str) -> None:
    assert format_age(age) == text


def test_counts_agree_with_their_nouns() -> None:
    assert (plural(1, "entry", "entries"), plural(2000, "file")) == ("1 entry", "2,000 files")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1e9, "< 1 minute"),
        (59.9, "< 1 minute"),
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


@pytest.mark.parametrize("parse", [parse_size, size_as_typed])
def test_a_number_needs_a_unit(parse: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match=r"^1\.5 has no unit; use 1\.5MB or 1\.5GB$"):
        parse(" 1.5 ")
    with pytest.raises(ValueError, match=r"^30 has no unit; use 30m, 30h or 30d$"):
        parse_age(" 30 ")
    with pytest.raises(ValueError, match=r"^30 has no unit; "):
        age_as_typed("30")


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


def test_a_limit_is_shown_as_it_was_typed_or_else_in_binary_units() -> None:
    assert (Check(5_000_000, "5 MB").shown, Check(2048).shown) == ("5 MB", "2.0 KiB")
    assert Check(20_000, unit=Unit.INODES).shown == "20,000 inodes"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("20000files", (20_000, Unit.INODES)),
        (" 3 Inodes ", (3, Unit.INODES)),
        ("1file", (1, Unit.INODES)),
        ("1 inode", (1, Unit.INODES)),
        ("0 files", (0, Unit.INODES)),
        ("1MB", (1_000_000, Unit.BYTES)),
        ("2.5 kib", (2560, Unit.BYTES)),
        ("0", (0, Unit.BYTES)),
        ("0.0", (0, Unit.BYTES)),
    ],
)
def test_a_limit_is_of_bytes_or_of_inodes_which_quotas_call_files(text: str, limit: tuple[int, Unit]) -> None:
    assert parse_limit(text) == limit


def test_what_is_no_limit_is_told_with_both_forms() -> None:
    for text in ("", "much", "1.5files", "-3files", "3 bytes", "3 filesystems", "1e3files"):
        with pytest.raises(
            ValueError,
            match=f"^{re.escape(repr(text))} is not a limit; write for instance 500MB, 2.5GiB, 20000files, or 0$",
        ):
            parse_limit(text)
    with pytest.raises(ValueError, match=r"^20 has no unit; use 20MB or 20files$"):
        parse_limit(" 20 ")


def test_space_is_told_in_bytes_and_if_wanted_in_inodes() -> None:
    assert [format_space(Space(2048, 1204), inodes=inodes) for inodes in (False, True)] == [
        "2.0 KiB",
        "2.0 KiB and 1,204 inodes",
    ]
    assert [format_amount(1, unit) for unit in Unit] == ["1 B", "1 inode"]


def test_spaces_add_up_by_unit() -> None:
    assert Space(5, 7) + Space(10, 20) == Space(15, 27)
    assert Space(5, 7) - Space(10, 20) == Space(-5, -13)
    assert [Space(5, 7).of(unit) for unit in Unit] == [5, 7]
    assert Space(0, 0) == NO_SPACE


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1MB", "1 MB"),
        ("5g", "5 GiB"),
        (" 2.50 gib ", "2.5 GiB"),
        ("1.5GB", "1.5 GB"),
        ("10kb", "10 KB"),
        ("1KiB", "1 KiB"),
        ("3t", "3 TiB"),
        ("2000TB", "2,000 TB"),
        ("1234567B", "1.2 MiB"),
        ("7B", "7 B"),
        ("0", "0 B"),
    ],
)
def test_a_size_is_shown_in_the_unit_in_which_it_was_probably_typed(text: str, shown: str) -> None:
    assert exact_size(parse_size(text)) == shown


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (999_949, "999.9 KB"),
        (999_950, "1.0 MB"),
        (-2_500_000, "-2.5 MB"),
        (4_800_000_000, "4.8 GB"),
        (25 * 10**14, "2500.0 TB"),
    ],
)
def test_a_size_in_decimal_units_changes_its_unit_at_a_thousand(size: int, text: str) -> None:
    assert format_size(size, decimal=True) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("30d", "30 days"),
        (" 1 W ", "1 week"),
        ("1.5y", "1.5 years"),
        ("90mins", "90 minutes"),
        ("6mo", "6 months"),
        ("2S", "2 seconds"),
        ("1h", "1 hour"),
        ("0", "0 days"),
    ],
)
def test_an_age_is_echoed_in_words_in_the_unit_in_which_it_was_typed(text: str, words: str) -> None:
    assert age_as_typed(text) == words
