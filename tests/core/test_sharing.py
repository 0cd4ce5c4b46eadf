"""Which copy the others share, in what order, and what that frees."""

from __future__ import annotations

from conda_prune_plugin.core.usage.sharing import (
    Extent,
    FileCopy,
    Gain,
    Place,
    PlaceKind,
    SharePlan,
    gains,
    plan_shares,
)

_PACKAGE = Place(PlaceKind.PACKAGE, "/pkgs/a-1-0", "a-1-0", 1, 1000)
_ONE = Place(PlaceKind.ENVIRONMENT, "/envs/one", "one", 1, 1000)
_TWO = Place(PlaceKind.ENVIRONMENT, "/envs/two", "two", 1, 1000)


def _extent(start: int, length: int = 8192, *, shared: bool = False) -> Extent:
    return Extent(start, length, shared)


def _copy(place: Place, *extents: Extent, inode: int = 1, name: str = "lib/x", package: str = "a-1-0") -> FileCopy:
    return FileCopy(place, name, package, inode, 8000, 8192, extents)


def test_a_path_is_below_its_place() -> None:
    assert _copy(_ONE).path == "/envs/one/lib/x"


def test_the_package_keeps_its_storage_and_the_rest_of_the_first_is_freed() -> None:
    package, one, two = _copy(_PACKAGE, _extent(0)), _copy(_ONE, _extent(10)), _copy(_TWO, _extent(20))

    shares = plan_shares([(one, package, two)])

    assert [(share.file, share.source, share.frees) for share in shares] == [
        (one, package, 8192),
        (two, package, 8192),
    ]


def test_the_first_path_keeps_its_storage_where_no_package_has_it() -> None:
    one, two = _copy(_ONE, _extent(10)), _copy(_TWO, _extent(20))

    assert [share.source for share in plan_shares([(two, one)])] == [one]


def test_the_storage_of_most_stays() -> None:
    clones = [_copy(place, _extent(10, shared=True)) for place in (_ONE, _TWO)]
    package = _copy(_PACKAGE, _extent(0))

    (share,) = plan_shares([(package, *clones)])

    assert (share.file, share.source, share.frees) == (package, clones[0], 8192)


def test_storage_that_is_not_known_is_nobodys_choice_and_counted_whole() -> None:
    unknown = [FileCopy(place, "lib/x", "a-1-0", 1, 8000, 8192) for place in (_PACKAGE, _ONE)]
    known = _copy(_TWO, _extent(20))

    shares = plan_shares([(*unknown, known)])

    assert {share.source for share in shares} == {known}
    assert [share.frees for share in shares] == [8192, 8192]


def test_where_nothing_is_known_the_package_keeps_its_storage() -> None:
    package, one = (FileCopy(place, "lib/x", "a-1-0", 1, 8000, 8192) for place in (_PACKAGE, _ONE))

    (share,) = plan_shares([(one, package)])

    assert (share.file, share.source) == (one, package)


def test_what_shares_already_is_not_changed() -> None:
    same = [_copy(place, _extent(0, shared=True)) for place in (_PACKAGE, _ONE)]

    assert plan_shares([same]) == ()


def test_a_run_that_two_hold_is_freed_with_the_second() -> None:
    clones = [_copy(place, _extent(10, shared=True), _extent(30)) for place in (_ONE, _TWO)]
    others = [_copy(_PACKAGE, _extent(0, shared=True), name=name) for name in "xyz"]

    shares = plan_shares([(*clones, *others)])

    assert sorted(share.frees for share in shares) == [0, 2 * 8192]


def test_a_run_that_a_copy_keeps_is_not_freed() -> None:
    source = _copy(_PACKAGE, _extent(0, shared=True), _extent(50))
    partly = _copy(_ONE, _extent(0, shared=True), _extent(60))

    assert [share.frees for share in plan_shares([(source, partly)])] == [8192]


def test_a_run_that_an_unknown_file_holds_is_not_freed() -> None:
    package, one = _copy(_PACKAGE, _extent(0)), _copy(_ONE, _extent(10, shared=True), _extent(20))

    assert [share.frees for share in plan_shares([(package, one)])] == [8192]


def test_only_chosen_places_are_changed() -> None:
    copies = [_copy(place, _extent(number)) for number, place in enumerate((_PACKAGE, _ONE, _TWO))]

    (share,) = plan_shares([copies], frozenset({"/envs/two"}))

    assert share.file is copies[2]


def test_the_largest_gain_comes_first_and_paths_break_ties() -> None:
    small = [_copy(place, _extent(number, 4096), name="lib/s") for number, place in enumerate((_PACKAGE, _TWO, _ONE))]
    large = [_copy(place, _extent(10 + number), name="lib/l") for number, place in enumerate((_PACKAGE, _ONE))]

    plan = SharePlan(plan_shares([small, large]), {})

    assert [share.file.path for share in plan.shares] == ["/envs/one/lib/l", "/envs/one/lib/s", "/envs/two/lib/s"]
    assert plan.frees == 8192 + 4096 + 4096


def test_gains_add_up_by_place_and_by_package() -> None:
    source = _copy(_PACKAGE, _extent(0, 4096))
    copies = [
        _copy(_ONE, _extent(10, 4096), name="a"),
        _copy(_ONE, _extent(20, 4096), name="b", package="b-1-0"),
        _copy(_TWO, _extent(30, 40960), name="c"),
    ]
    shares = plan_shares([(source, *copies)])

    assert gains(shares, by_package=False) == (Gain(_TWO, "", 1, 40960), Gain(_ONE, "", 2, 8192))
    assert gains(shares, by_package=True) == (
        Gain(_TWO, "a-1-0", 1, 40960),
        Gain(_ONE, "a-1-0", 1, 4096),
        Gain(_ONE, "b-1-0", 1, 4096),
    )


def test_gains_of_the_same_size_are_in_the_order_of_their_paths() -> None:
    source = _copy(_PACKAGE, _extent(0))
    shares = plan_shares([(source, _copy(_TWO, _extent(1)), _copy(_ONE, _extent(2)))])

    assert [gain.place for gain in gains(shares, by_package=False)] == [_ONE, _TWO]
