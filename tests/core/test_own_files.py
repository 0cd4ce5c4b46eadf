"""What tells that the user's own work lies in an environment, and which paths hold all of it."""

from __future__ import annotations

import pytest

from conda_prune_plugin.core.envs.own_files import CREATION, FEW, OwnFiles, is_programs_place, may_hold_work, own_files

NEW = 2e9
CREATED = 1e9


def _found(
    *unowned: str,
    owned: tuple[str, ...] = (),
    repositories: tuple[str, ...] = (),
    old: tuple[str, ...] = (),
    created: float | None = CREATED,
) -> OwnFiles | None:
    times = [(path, NEW) for path in unowned] + [(path, CREATED - CREATION - 1) for path in old]
    return own_files(times, owned, repositories, created)


@pytest.mark.parametrize(
    ("path", "is_theirs"),
    [
        ("bin/tool", True),
        ("share/x/y", True),
        ("lib/python3.11/site-packages/x.py", True),
        ("work/__pycache__/x.pyc", True),
        ("node_modules/x", True),
        ("work/x.py", False),
        ("docs/x.md", False),
        ("tmp/x.csv", False),
        ("shared/x", False),
        ("x", False),
    ],
)
def test_programs_write_in_their_places(path: str, is_theirs: bool) -> None:
    assert is_programs_place(path) is is_theirs


def test_repositories_of_tools_are_not_the_user_s() -> None:
    assert may_hold_work("src/project")
    assert may_hold_work("")
    assert may_hold_work(".cache/project")
    assert may_hold_work("node_modules/project")
    assert not may_hold_work(".cargo/git/checkouts/x")
    assert not may_hold_work("work/.cache/pre-commit/x")


def test_of_a_repository_among_packages_no_more_is_kept_than_is_the_user_s() -> None:
    alone = _found("share/mine/.git/HEAD", "share/mine/code", repositories=("share/mine",))
    assert alone is not None
    assert alone.kept == ("share/mine",)
    mixed = _found("lib/mine/.git/HEAD", "lib/mine/src/a", owned=("lib/mine/b",), repositories=("lib/mine",))
    assert mixed is not None
    assert mixed.kept == ("lib/mine/.git", "lib/mine/src")


def test_a_few_files_are_no_work_and_one_more_is() -> None:
    few = [f"note{number}" for number in range(FEW)]
    assert _found(*few) is None
    more = _found(*few, "a.ipynb")
    assert more is not None
    assert more.many
    assert more.kept == more.files == ("a.ipynb", *few)
    assert (more.repositories, more.older) == ((), ())


def test_files_where_programs_write_do_not_count_however_old_they_are() -> None:
    assert _found("note", *(f"share/{number}" for number in range(99)), old=("lib/node_modules/x",)) is None


def test_one_file_older_than_the_environment_is_work() -> None:
    found = _found("new", old=("data/old",))
    assert found is not None
    assert (found.older, found.files, found.kept) == (("data/old",), ("data/old", "new"), ("data", "new"))
    assert not found.many
    assert _found("new", old=("data/old",), created=None) is None
    # What the creation itself has made is older than the note of it.
    assert own_files([("x", CREATED - CREATION)], (), (), CREATED) is None


@pytest.mark.parametrize("git", [".git/HEAD", ".git"])
def test_a_repository_is_work_wherever_it_lies(git: str) -> None:
    path = "lib/python3.11/site-packages/mine"
    found = _found(
        f"{path}/{git}", f"{path}/one.py", repositories=(path,), owned=("lib/python3.11/site-packages/x.py",)
    )
    assert found is not None
    assert (found.repositories, found.kept) == ((path,), (path,))
    assert len(found.files) == 2


def test_a_repository_in_the_prefix_itself_is_kept_without_what_packages_have() -> None:
    found = _found(".git/HEAD", "src/a.py", "bin/x", repositories=("",), owned=("bin/y",))
    assert found is not None
    assert (found.repositories, found.kept) == ((".",), (".git", "src"))


def test_a_repository_that_a_package_brought_is_none() -> None:
    assert _found("template/x", repositories=("template",), owned=("template/.git/HEAD",)) is None
    assert _found("template/x.git/HEAD", repositories=("template/x",)) is None


def test_a_directory_with_a_package_s_file_is_not_kept_whole() -> None:
    found = _found("d/e/1", "d/e/2", "d/3", "4", owned=("d/package",))
    assert found is not None
    assert found.kept == ("4", "d/3", "d/e")
