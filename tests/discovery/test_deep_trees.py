"""Trees deeper than Python's functions may call themselves: nothing in them is missed, and they stop nothing."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tiny import Tiny, tiny_on

from conda_prune_plugin.discovery.roots.environment_search import search_environments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from machine import Machine


@pytest.fixture
def dig() -> Iterator[Callable[[Path], str]]:
    """Make a thousand and more directories, each in the one before, and return the path of the last."""
    made = []

    def digging(top: Path) -> str:
        made.append(top / "d")
        path = str(top)
        for _ in range(1_100):
            path += "/d"
            os.mkdir(path)
        return path

    yield digging
    # Neither shutil's nor pathlib's functions come to the bottom.
    subprocess.run(["rm", "-r", *made], check=True)  # noqa: S607


def test_an_environment_at_the_bottom_is_found(tmp_path: Path, dig: Callable[[Path], str]) -> None:
    bottom = dig(tmp_path)
    os.mkdir(f"{bottom}/conda-meta")

    assert search_environments(str(tmp_path), frozenset(), lambda seen: None) == ((bottom,), ())


@pytest.fixture
def tiny(empty: Machine) -> Tiny:
    """A package that two environments use, on a machine that runs conda."""
    tiny = tiny_on(empty)
    tiny.add("used-1-0")
    for name in "ef":
        tiny.use(name, "used-1-0")
    return tiny


def test_the_link_of_a_file_at_the_bottom_of_a_package_is_measured(
    empty: Machine, tiny: Tiny, dig: Callable[[Path], str]
) -> None:
    with open(f"{dig(tiny.cache / 'used-1-0')}/file", "w") as file:
        os.link(file.name, tiny.envs / "e" / "file")
    record = tiny.envs / "e" / "conda-meta" / "used-1-0.json"
    record.write_text(record.read_text().replace("[]", '["file"]'))

    (package,) = empty.run("prune", "why", "used", "--json").json["packages"]

    links = {reason["root"]: reason["link"] for reason in package["reasons"]}
    assert links[str(tiny.envs / "e")] == "hard"


def test_temporary_files_that_conda_does_not_come_to_are_found(
    empty: Machine, tiny: Tiny, dig: Callable[[Path], str]
) -> None:
    temporary = [dig(tiny.envs / "e") + "/x.c~", str(tiny.envs / "f" / "x.c~")]
    for path in temporary:
        with open(path, "x"):
            pass

    plan = empty.prune("--all", "--dry-run", "--json").json

    assert [item["path"] for item in plan["other"]["tempfiles"]] == temporary
    assert "unreadable-directory" not in [item["kind"] for item in plan["warnings"]]


def test_a_package_with_a_path_longer_than_the_system_takes_is_kept_and_named(empty: Machine, tiny: Tiny) -> None:
    tree = tiny.add("deep-1-0")
    fd = os.open(tree, os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=fd)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)

    plan = empty.prune("--dry-run", "--json").json
    told = empty.prune("--yes").err
    subprocess.run(["rm", "-r", tree], check=True)  # noqa: S607

    assert [item["path"] for item in plan["warnings"] if item["kind"] == "too-deep"] == [str(tree)]
    assert f"{tree} was kept" in " ".join(told.split())
