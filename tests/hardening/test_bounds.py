"""Work that grows with what is there, and not by its square; input of other users that has a limit."""

from __future__ import annotations

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from conda_prune_plugin.core.envs.environment_use import Environment, EnvsResult, alike
from conda_prune_plugin.core.envs.prefix_mentions import Mentions
from conda_prune_plugin.core.model import Inventory, Root, RootState
from conda_prune_plugin.core.usage.disk_usage import Account
from conda_prune_plugin.core.usage.usage_report import EnvironmentUsage, PipPackages
from conda_prune_plugin.discovery.clients.conda import conda_settings
from conda_prune_plugin.discovery.envs.own_file_search import find_own_files
from conda_prune_plugin.discovery.envs.use_evidence import gather
from conda_prune_plugin.discovery.packages.integrity import file_hash
from conda_prune_plugin.discovery.roots.environment_search import nearby_envs_dirs
from conda_prune_plugin.discovery.roots.environments import Sources, read_roots
from conda_prune_plugin.discovery.roots.environments_txt import LARGEST_REGISTRY, MOST_LINES, registered_prefixes
from conda_prune_plugin.discovery.system.deep_paths import nearest, real_path
from conda_prune_plugin.discovery.system.safe_read import LONGEST_PATH, open_regular, read_ends
from conda_prune_plugin.execution.files.environments_txt_lines import take_out
from conda_prune_plugin.presentation.environment_documents import envs_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Of twice as many things the work may be so many times that of once as many.
_LINEAR = 2.2


def _steps(work: Callable[[], object]) -> int:
    """Return how many calls some work takes, those of C functions included: the same number on every machine."""
    count = 0

    def counted(frame: object, event: str, value: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def _environments(number: int, name: Callable[[int], str], packages: Callable[[int], str]) -> list[EnvironmentUsage]:
    roots = [Root(name(one), None, RootState.OK, frozenset({packages(one)})) for one in range(number)]
    return [EnvironmentUsage(root, Account(0, 0, 0, 0, 0, 0, 0), PipPackages(), None, None, True) for root in roots]


@pytest.mark.parametrize("nested", [False, True])
def test_the_evidence_of_twice_as_many_environments_takes_twice_the_steps(nested: bool) -> None:
    def work(number: int) -> Callable[[], object]:
        depth = 10 if nested else 1
        usages = _environments(
            number,
            lambda one: "/nowhere/envs" + "".join(f"/e{one - one % depth + inner}" for inner in range(one % depth + 1)),
            lambda one: f"a-{one}-0",
        )
        inventory, settings = Inventory((), tuple(usage.root for usage in usages)), conda_settings()
        return lambda: gather(usages, inventory, settings, {})

    work(10)()
    once, twice = (_steps(work(number)) for number in (1_000, 2_000))

    assert twice < _LINEAR * once


def test_what_lies_inside_of_an_environment_is_found_in_the_order_of_the_inventory(tmp_path: Path) -> None:
    top = str(tmp_path)
    usages = _environments(3, lambda one: top + ("", "/b", "/a")[one], lambda one: "a-1-0")

    found = gather(usages, Inventory((), tuple(usage.root for usage in usages)), conda_settings(), {})

    assert [item.holds for item in found] == [(f"{top}/b", f"{top}/a"), (), ()]


def test_ten_thousand_twins_share_one_tuple_and_the_document_names_each_twenty_times_at_most() -> None:
    usages = _environments(10_000, lambda one: f"/e{one}", lambda one: "a-1-0")
    groups = alike([usage.root for usage in usages])
    environments = tuple(Environment(usage, alike=groups[usage.root.path]) for usage in usages)

    document = envs_document(EnvsResult(environments, 10_000, {}, 0.0), dry_run=False, pruned=None)

    assert len({id(environment.alike) for environment in environments}) == 1
    (group,) = document["duplicate_groups"]
    assert group == [usage.root.path for usage in usages]
    assert {item["duplicate_count"] for item in document["environments"]} == {9_999}
    assert document["environments"][5]["duplicates"] == [f"/e{one}" for one in range(21) if one != 5]
    assert all(len(item["duplicates"]) == 20 for item in document["environments"])


def test_an_environment_without_a_twin_is_in_no_group() -> None:
    usages = _environments(2, lambda one: f"/e{one}", lambda one: f"a-{one}-0")
    groups = alike([usage.root for usage in usages])
    environments = (*(Environment(usage, alike=groups[usage.root.path]) for usage in usages), Environment(usages[0]))

    document = envs_document(EnvsResult(environments, 2, {}, 0.0), dry_run=False, pruned=None)

    assert document["duplicate_groups"] == []
    assert [(item["duplicates"], item["duplicate_count"]) for item in document["environments"]] == [([], 0)] * 3


def test_a_text_is_searched_in_the_same_steps_however_many_environments_there_are() -> None:
    def work(number: int) -> int:
        mentions = Mentions([f"/envs/e{one}" for one in range(number)], {}, "/home/me")
        # What no pattern of prefixes matches, and has to be compared with each of them.
        text = "/envs/f /envs/e1\n" * 100
        return _steps(lambda: mentions.paths(text))

    assert work(10_000) == work(100)


def test_own_files_are_looked_for_in_the_same_steps_however_many_environments_there_are(tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    root = Root(str(tmp_path), None, RootState.OK, frozenset())

    def work(number: int) -> int:
        others = frozenset(f"/e{one}" for one in range(number))
        return _steps(lambda: find_own_files(root, (), None, others))

    assert work(10_000) == work(10)


@pytest.mark.parametrize(
    "line",
    ["/gone/e{}", "/gone/{}/e", "relative{}", "/" + "a/" * 20 + "{}"],
    ids=["one-directory", "a-directory-each", "no-path", "deep"],
)
def test_twice_as_many_lines_of_a_registry_take_twice_the_steps(tmp_path: Path, line: str) -> None:
    registry = tmp_path / "environments.txt"
    sources = Sources(registries=(str(registry),))

    def work(number: int) -> int:
        registry.write_text("".join(line.format(one) + "\n" for one in range(number)))
        return _steps(lambda: read_roots(sources))

    once, twice = work(1_000), work(2_000)

    assert twice < _LINEAR * once


@pytest.mark.slow
def test_a_registry_of_as_many_lines_as_it_may_have_is_read_in_a_hundred_steps_a_line(tmp_path: Path) -> None:
    registry = tmp_path / "environments.txt"
    registry.write_text("".join(f"/gone/e{one}\n" for one in range(MOST_LINES)))

    assert _steps(lambda: registered_prefixes(str(registry))) < 200 * MOST_LINES
    assert len(registered_prefixes(str(registry))) == MOST_LINES


def test_a_registry_with_a_line_too_many_is_named_with_the_line_before_anything_is_asked_for(tmp_path: Path) -> None:
    registry = tmp_path / "environments.txt"
    registry.write_text("\n# a comment\n" + "/gone\n" * MOST_LINES)
    roots: list[Any] = []

    def read() -> None:
        roots.append(read_roots(Sources(other_registries=(str(registry),))))

    steps = _steps(read)

    ((found, notices),) = roots
    assert found == ()
    assert [(notice.kind, notice.path, notice.hides_roots) for notice in notices] == [
        ("unreadable-registry", str(registry), False)
    ]
    # Of the lines that say something one is the comment.
    assert f"line {MOST_LINES + 2:,} is one more" in notices[0].message
    assert steps < 2_000


def test_a_registry_that_is_larger_than_any_is_named_and_not_read(tmp_path: Path) -> None:
    registry = tmp_path / "environments.txt"
    registry.touch()
    os.truncate(registry, LARGEST_REGISTRY + 1)

    _, notices = read_roots(Sources(registries=(str(registry),)))

    assert [(notice.kind, notice.path, notice.hides_roots) for notice in notices] == [
        ("unreadable-registry", str(registry), True)
    ]


def test_a_line_longer_than_any_path_is_named_and_hides_none_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "e" / "conda-meta").mkdir(parents=True)
    (tmp_path / "e" / "conda-meta" / "history").touch()
    registry = tmp_path / "environments.txt"
    longest = "/a" * (LONGEST_PATH // 2)
    registry.write_text(f"\n{'/a' * 400_000}\n{tmp_path}/e\n{longest}\n{longest}/b\n")
    found: list[Any] = []

    steps = _steps(lambda: found.append(read_roots(Sources(other_registries=(str(registry),)))))

    ((roots, notices),) = found
    assert {root.path for root in roots} == {f"{tmp_path}/e", longest}
    (notice,) = (notice for notice in notices if notice.kind == "overlong-line")
    assert (notice.path, notice.hides_roots) == (str(registry), False)
    assert notice.message.startswith("Line 2 and 1 more lines ")
    assert steps < 10_000


def test_a_path_of_very_many_names_is_resolved_in_few_steps_there_or_not(tmp_path: Path) -> None:
    deep = tmp_path
    link = tmp_path / "link"
    link.symlink_to("d")
    for _ in range(100):
        deep = deep / "d"
    deep.mkdir(parents=True)
    through = str(link / deep.relative_to(tmp_path / "d"))
    missing = f"{through}/{'x/' * 100}x"

    assert real_path(through) == os.path.realpath(through) == str(deep)
    assert real_path(missing) == os.path.realpath(missing)
    assert real_path(f"{tmp_path}/link") == str(tmp_path / "d")
    assert _steps(lambda: real_path(missing)) < 120


def test_the_nearest_directory_above_a_missing_path_is_found_by_halves() -> None:
    asked: Counter[str] = Counter()

    def exists(path: str) -> bool:
        asked[path] += 1
        return "x" not in path

    assert nearest("/a/b/x/c/d", exists) == ("/a/b", ("x", "c", "d"))
    assert nearest("/x", exists) == ("/", ("x",))
    assert nearest("/a", exists) == ("/a", ())
    assert nearest("/", exists) == ("/", ())
    asked.clear()
    nearest("/a" * 500 + "/x" * 500, exists)
    assert asked.total() <= 11


def test_neighbours_of_missing_environments_with_very_many_names_are_looked_for_in_few_steps() -> None:
    prefix = "/gone" + "/a" * 1_500

    assert _steps(lambda: nearby_envs_dirs((prefix,))) < 200


@pytest.mark.posix  # Windows has no named pipes.
@pytest.mark.parametrize("read", [open_regular, lambda path: read_ends(path, 10, 4), file_hash])
def test_no_reader_of_large_files_waits_for_a_pipe_or_reads_a_device(
    tmp_path: Path, read: Callable[[str], Any]
) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (str(tmp_path / "pipe"), "/dev/zero"):
        with pytest.raises(OSError, match="not a regular file"):
            read(path)


def test_twice_as_many_lines_are_taken_out_of_a_registry_in_twice_the_steps(tmp_path: Path) -> None:
    registry = tmp_path / "environments.txt"

    def work(number: int) -> int:
        lines = [f"/gone/e{one}" for one in range(number)]
        registry.write_text("".join(f"{line}\n" for line in lines))
        steps = _steps(lambda: take_out(str(registry), lines[1:]))
        assert registry.read_text() == "/gone/e0\n"
        return steps

    once, twice = work(500), work(1_000)

    assert twice < _LINEAR * once
