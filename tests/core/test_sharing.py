"""Which copy the others share, in what order, and what that frees."""

from __future__ import annotations

from conda_prune_plugin.core.notices import Notice
from conda_prune_plugin.core.usage.shared_content import Extents
from conda_prune_plugin.core.usage.sharing import (
    FileCopy,
    Gain,
    Place,
    PlaceKind,
    SharePlan,
    WhyNot,
    gains,
    plan_shares,
)

_PACKAGE = Place(PlaceKind.PACKAGE, "/pkgs/a-1-0", "a-1-0", 1, 1000)
_ONE = Place(PlaceKind.ENVIRONMENT, "/envs/one", "one", 1, 1000)
_TWO = Place(PlaceKind.ENVIRONMENT, "/envs/two", "two", 1, 1000)
_numbers = iter(range(1, 1000))


def _copy(
    place: Place,
    own: int = 8192,
    *shared: tuple[int, int],
    name: str = "lib/x",
    package: str = "a-1-0",
    size: int = 8000,
    exact: bool = True,
) -> FileCopy:
    extents = Extents(7, shared) if shared else None
    return FileCopy(place, name, package, next(_numbers), size, own, extents, exact)


def _plan(*groups: list[FileCopy], chosen: frozenset[str] | None = None) -> SharePlan:
    return plan_shares(groups, {}, chosen)


def test_a_path_is_below_its_place() -> None:
    assert _copy(_ONE).path == "/envs/one/lib/x"


def test_the_package_keeps_its_storage_and_the_rest_is_freed() -> None:
    package, one, two = _copy(_PACKAGE), _copy(_ONE), _copy(_TWO)

    plan = _plan([one, package, two])

    assert [(share.file, share.source, share.frees) for share in plan.shares] == [
        (one, package, 8192),
        (two, package, 8192),
    ]
    assert (plan.frees, plan.exact) == (2 * 8192, True)


def test_the_first_path_keeps_its_storage_where_no_package_has_it() -> None:
    one, two = _copy(_ONE), _copy(_TWO)

    assert [share.source for share in _plan([two, one]).shares] == [one]


def test_the_storage_of_most_stays() -> None:
    clones = [_copy(place, 0, (0, 8192)) for place in (_ONE, _TWO)]
    package = _copy(_PACKAGE)

    (share,) = _plan([package, *clones]).shares

    assert (share.file, share.source, share.frees) == (package, clones[0], 8192)


def test_many_copies_that_share_nothing_are_no_majority() -> None:
    clone = _copy(_TWO, 0, (0, 8192))

    plan = _plan([_copy(_ONE), _copy(_PACKAGE), clone])

    assert {share.source for share in plan.shares} == {clone}


def test_what_shares_already_is_not_changed_however_its_extents_are_cut() -> None:
    whole, cut = _copy(_PACKAGE, 0, (0, 8192)), _copy(_ONE, 0, (0, 4096), (4096, 4096))

    assert cut.runs == whole.runs == ((0, 8192),)
    assert _plan([whole, cut]).shares == ()


def test_what_shares_a_part_is_changed() -> None:
    source, partly = _copy(_PACKAGE, 0, (0, 4096), (50_000, 4096)), _copy(_ONE, 4096, (0, 4096))

    assert partly.runs is None
    assert [share.frees for share in _plan([source, partly]).shares] == [4096]


def test_a_tail_that_is_not_a_whole_block_counts_as_shared() -> None:
    exactly, longer = (_copy(_ONE, 0, (0, 8192), size=size) for size in (8192, 8193))

    assert exactly.runs == ((0, 8192),)
    assert longer.runs is None


def test_runs_apart_stay_apart() -> None:
    assert _copy(_ONE, 0, (0, 4096), (8192, 4096)).runs == ((0, 4096), (8192, 4096))


def test_a_run_that_two_hold_is_freed_with_the_second() -> None:
    source = [_copy(_PACKAGE, 0, (0, 8192), name=name) for name in "xyz"]
    clones = [_copy(place, 0, (20_000, 8192)) for place in (_ONE, _TWO)]

    plan = _plan([*source, *clones])

    assert sorted(share.frees for share in plan.shares) == [0, 8192]
    # Files that nobody knows may hold it too.
    assert not plan.exact


def test_a_run_that_an_unknown_file_holds_is_not_freed() -> None:
    plan = _plan([_copy(_PACKAGE), _copy(_TWO), _copy(_ONE, 4096, (20_000, 4096))])

    assert {share.file.place: share.frees for share in plan.shares} == {_ONE: 4096, _TWO: 8192}
    assert plan.exact


def test_a_run_that_a_file_in_another_group_keeps_is_not_freed() -> None:
    elsewhere = [_copy(_PACKAGE, 4096, (20_000, 4096), name="other"), _copy(_TWO, 8192, name="other")]

    plan = _plan([_copy(_PACKAGE), _copy(_ONE, 4096, (20_000, 4096))], elsewhere)

    assert [share.frees for share in plan.shares if share.file.place is _ONE] == [4096]


def test_an_upper_bound_of_what_is_changed_makes_the_plan_one() -> None:
    assert not _plan([_copy(_PACKAGE), _copy(_ONE, exact=False)]).exact
    assert not _plan([_copy(_PACKAGE), _copy(_ONE, exact=False), _copy(_TWO)]).exact
    assert _plan([_copy(_PACKAGE, exact=False), _copy(_ONE)]).exact


def test_only_chosen_places_are_changed() -> None:
    copies = [_copy(place) for place in (_PACKAGE, _ONE, _TWO)]

    (share,) = _plan(copies, chosen=frozenset({"/envs/two"})).shares

    assert share.file is copies[2]


def test_what_is_left_alone_and_notices_are_the_plan_s() -> None:
    left = {WhyNot.FILE_SYSTEM: (3, 5000)}
    notices = (Notice("odd", "something", "/pkgs"),)

    plan = plan_shares([], left, notices=notices)

    assert (plan.shares, plan.left, plan.exact, plan.notices) == ((), left, True, notices)


def test_the_largest_gain_comes_first_and_paths_break_ties() -> None:
    small = [_copy(place, 4096, name="lib/s") for place in (_PACKAGE, _TWO, _ONE)]
    large = [_copy(place, name="lib/l") for place in (_PACKAGE, _ONE)]

    plan = _plan(small, large)

    assert [share.file.path for share in plan.shares] == ["/envs/one/lib/l", "/envs/one/lib/s", "/envs/two/lib/s"]
    assert plan.frees == 8192 + 4096 + 4096


def test_gains_add_up_by_place_and_by_package() -> None:
    copies = [
        _copy(_ONE, 4096, name="a"),
        _copy(_ONE, 4096, name="b", package="b-1-0"),
        _copy(_TWO, 40960, name="c"),
    ]
    shares = _plan([_copy(_PACKAGE, 4096), *copies]).shares

    assert gains(shares, by_package=False) == (Gain(_TWO, "", 1, 40960), Gain(_ONE, "", 2, 8192))
    assert gains(shares, by_package=True) == (
        Gain(_TWO, "a-1-0", 1, 40960),
        Gain(_ONE, "a-1-0", 1, 4096),
        Gain(_ONE, "b-1-0", 1, 4096),
    )


def test_gains_of_the_same_size_are_in_the_order_of_their_paths() -> None:
    shares = _plan([_copy(_PACKAGE), _copy(_TWO), _copy(_ONE)]).shares

    assert [gain.place for gain in gains(shares, by_package=False)] == [_ONE, _TWO]
