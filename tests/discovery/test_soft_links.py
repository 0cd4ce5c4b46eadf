"""Soft links of known environments keep what they lead into, whatever records say: in the plan, and to the end."""

from __future__ import annotations

import errno
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from machine import contents
from paused import BEFORE_MOVING, paused
from tiny import Tiny, tiny_on

from conda_prune_plugin.core.model import Inventory, Root, RootState
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.demo.demo_packages import File, Package, build_channel
from conda_prune_plugin.discovery.links.soft_link_signs import SoftLinkSearch, with_signs, with_unseen
from conda_prune_plugin.discovery.links.soft_links import Seen, soft_links
from conda_prune_plugin.discovery.packages.cache_listing import find_caches
from conda_prune_plugin.discovery.roots.environments import Sources
from conda_prune_plugin.discovery.roots.watch import RootWatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from machine import Machine


@pytest.fixture
def tiny(empty: Machine) -> Tiny:
    """A cache on a machine that runs conda, with two packages and an environment that has no record of them."""
    tiny = tiny_on(empty)
    for dist in ("linked-1-0", "lone-1-0"):
        tiny.add(dist, {"bin/one": File(b"1" * 5000), "share/deep/er/two": File(b"2" * 5000)}, archive=True)
    (tiny.envs / "e" / "conda-meta").mkdir(parents=True)
    (tiny.envs / "e" / "conda-meta" / "history").touch()
    (tiny.envs / "e" / "bin").mkdir()
    return tiny


def _dangling(*prefixes: Path) -> list[str]:
    paths = (path for prefix in prefixes for path in prefix.rglob("*"))
    return [str(path) for path in paths if path.is_symlink() and not path.exists()]


def _absolute(tiny: Tiny, prefix: Path) -> None:
    (prefix / "bin" / "one").symlink_to(tiny.cache / "linked-1-0" / "bin" / "one")


def _relative(tiny: Tiny, prefix: Path) -> None:
    target = os.path.relpath(tiny.cache / "linked-1-0" / "bin" / "one", prefix / "bin")
    (prefix / "bin" / "another name").symlink_to(target)


def _directory(tiny: Tiny, prefix: Path) -> None:
    (prefix / "whole package").symlink_to(tiny.cache / "linked-1-0")


def _chain(tiny: Tiny, prefix: Path) -> None:
    (prefix / "libexec").mkdir()
    (prefix / "libexec" / "one").symlink_to(tiny.cache / "linked-1-0" / "bin" / "one")
    (prefix / "bin" / "one").symlink_to("../libexec/one")


def _other_spelling(tiny: Tiny, prefix: Path) -> None:
    (tiny.cache.parent / "spelled").symlink_to(tiny.cache)
    (prefix / "bin" / "one").symlink_to(tiny.cache.parent / "spelled" / "linked-1-0" / "bin" / "one")


def _sample(tiny: Tiny, prefix: Path) -> None:
    """Deep inside, but where a file of the package is."""
    (prefix / "share" / "deep" / "er").mkdir(parents=True)
    (prefix / "share" / "deep" / "er" / "two").symlink_to(tiny.cache / "linked-1-0" / "share" / "deep" / "er" / "two")


def _elsewhere(tiny: Tiny, prefix: Path) -> None:
    """In a directory that was moved to a larger disk."""
    moved = tiny.cache.parent / "larger disk"
    (moved / "a").mkdir(parents=True)
    (moved / "a" / "one").symlink_to(tiny.cache / "linked-1-0" / "bin" / "one")
    (prefix / "share").symlink_to(moved)


def _archive(tiny: Tiny, prefix: Path) -> None:
    (prefix / "share").mkdir()
    (prefix / "share" / "it.conda").symlink_to(tiny.cache / "linked-1-0.conda")


def _hidden(tiny: Tiny, prefix: Path) -> None:
    """Where no sign tells of it."""
    (prefix / "opt" / "some" / "where").mkdir(parents=True)
    (prefix / "opt" / "some" / "where" / "one").symlink_to(tiny.cache / "linked-1-0" / "bin" / "one")


_SEEN = (_absolute, _relative, _directory, _chain, _other_spelling, _sample, _elsewhere, _archive)


@pytest.mark.parametrize("make", _SEEN)
def test_the_plan_keeps_and_explains_what_an_environment_soft_links_without_a_record(
    empty: Machine, tiny: Tiny, make: Callable[[Tiny, Path], None]
) -> None:
    make(tiny, tiny.envs / "e")

    plan = empty.prune("--dry-run", "--json").json

    assert [item["dist"] for item in plan["remove"]] == ["lone-1-0"]
    (kept,) = plan["keep"]
    (reason,) = kept["reasons"]
    assert kept["verdict"] == "reachable"
    assert (reason["kind"], reason["link"], reason["root"]) == ("environment", "soft", str(tiny.envs / "e"))
    assert empty.run("prune", "why", "linked", "--json").json["packages"][0]["reasons"][0] == reason
    assert empty.prune("--dry-run", "--json", "-v").json["keep"][0]["reasons"] == kept["reasons"]


@pytest.mark.parametrize("make", [*_SEEN, _hidden])
@pytest.mark.parametrize("options", [(), ("--unlinked",), ("--ci", "image"), ("--all",), ("--backup",)])
def test_no_removal_leaves_a_dangling_link_in_a_known_environment(
    empty: Machine, tiny: Tiny, make: Callable[[Tiny, Path], None], options: tuple[str, ...]
) -> None:
    make(tiny, tiny.envs / "e")

    answer = empty.prune("--yes", "--json", "--include-irreplaceable", *options)

    assert answer.code == 0, answer.out
    assert _dangling(tiny.envs / "e") == []
    assert not (tiny.cache / "lone-1-0").exists()


def test_what_only_the_last_check_sees_is_skipped_and_named(empty: Machine, tiny: Tiny) -> None:
    _hidden(tiny, tiny.envs / "e")
    before = contents(tiny.cache / "linked-1-0")

    document = empty.prune("--yes", "--json").json

    outcomes = {outcome["dist"]: outcome for outcome in document["outcomes"]}
    assert {dist: outcome["result"] for dist, outcome in outcomes.items()} == {
        "linked-1-0": "skipped",
        "lone-1-0": "removed",
    }
    assert str(tiny.envs / "e") in outcomes["linked-1-0"]["error"]
    assert contents(tiny.cache / "linked-1-0") == before


@pytest.mark.parametrize(
    ("make", "dist"),
    [
        (_absolute, "linked-1-0"),
        (_directory, "linked-1-0"),
        (_hidden, "linked-1-0"),
        # Here the link dangles already, so only a sign can tell of it.
        (_absolute, "linked-1-0.c~"),
        (_directory, "linked-1-0.c~"),
    ],
)
def test_leftovers_that_an_environment_soft_links_stay(
    empty: Machine, tiny: Tiny, make: Callable[[Tiny, Path], None], dist: str
) -> None:
    (tiny.cache / "linked-1-0" / "info" / "index.json").unlink()
    (tiny.cache / "linked-1-0.conda").unlink()
    make(tiny, tiny.envs / "e")
    if dist != "linked-1-0":
        # As conda was killed when it had begun to extract it anew: it is all that is left of it.
        os.rename(tiny.cache / "linked-1-0", tiny.cache / dist)

    document = empty.prune("--yes", "--json").json

    assert (tiny.cache / dist).exists()
    assert dist not in [outcome["dist"] for outcome in document["outcomes"] if outcome["result"] == "removed"]
    assert not (tiny.cache / "lone-1-0").exists()


def test_a_directory_with_the_name_of_trash_stays_if_it_is_linked_itself(empty: Machine, tiny: Tiny) -> None:
    os.rename(tiny.cache / "linked-1-0", tiny.cache / "linked-1-0.c~")
    (tiny.envs / "e" / "bin" / "one").symlink_to(tiny.cache / "linked-1-0.c~" / "bin" / "one")

    plan = empty.prune("--dry-run", "--json").json

    reasons = {keep["dist"]: [reason.get("link") for reason in keep["reasons"]] for keep in plan["keep"]}
    assert "soft" in reasons["linked-1-0.c~"]
    assert empty.prune("--yes").code == 0
    assert _dangling(tiny.envs / "e") == []


@pytest.mark.parametrize("lacking", ["records", "conda-meta"])
@pytest.mark.parametrize("how", ["record gone", "corrupt under another name"])
def test_what_conda_itself_has_soft_linked_stays_when_its_record_is_gone(
    empty: Machine, lacking: str, how: str
) -> None:
    files = {"lib/python3.12/site-packages/it/__init__.py": File(b"it"), "lib/it.txt": File(b"it")}
    build_channel(empty.directory / "channel", [Package("it", "1", files=files), Package("at", "1", files=dict(files))])
    empty.install("create", "-n", "e", "it", CONDA_ALWAYS_SOFTLINK="true")
    prefix = empty.envs / "e"
    meta = prefix / "conda-meta"
    record = next(meta.glob("it-*.json"))
    if how != "record gone":
        (meta / "what-1-0.json").write_bytes(record.read_bytes()[:50])
    record.unlink()
    if lacking == "conda-meta":
        shutil.rmtree(meta)
    assert _dangling(prefix) == []

    assert empty.prune("--yes", "--include-irreplaceable", "--ignore-unreadable").code == 0

    assert _dangling(prefix) == []


def test_what_an_environment_that_was_set_aside_soft_links_stays(empty: Machine, tiny: Tiny) -> None:
    _absolute(tiny, tiny.envs / "e")
    removal = empty.run("prune", "envs", "e", "--remove", "--backup", "--yes", "--ignore-running", "--json")
    assert removal.code == 0, removal.out
    assert not (tiny.envs / "e").exists()

    assert empty.prune("--yes").code == 0

    assert empty.run("prune", "restore", removal.json["run"], "--yes").code == 0
    assert _dangling(tiny.envs / "e") == []


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--packages",), ("--backup",)])
def test_a_link_made_after_the_plan_is_seen_before_anything_is_deleted(
    empty: Machine, tiny: Tiny, options: tuple[str, ...]
) -> None:
    command = ("prune", "--min-age", "0", "--yes", "--json", *options)
    with paused(empty, BEFORE_MOVING, *command) as prune:
        _hidden(tiny, tiny.envs / "e")
        code = prune.go_on()

    assert code == 0, prune.output
    results = {outcome["dist"]: outcome["result"] for outcome in json.loads(prune.output)["outcomes"]}
    assert results["linked-1-0"] == "skipped"
    assert results["lone-1-0"] == "backed-up" if "--backup" in options else "removed"
    assert _dangling(tiny.envs / "e") == []


@pytest.mark.parametrize("disposal", [Disposal.DELETE, Disposal.BACKUP])
def test_a_plan_made_from_records_that_are_gone_by_then_removes_nothing_that_is_linked(
    tmp_path: Path, disposal: Disposal
) -> None:
    """The copied package was planned as one that no environment links; the record is gone when it is carried out."""
    tiny = Tiny(tmp_path / "it")
    tiny.add("linked-1-0")
    prefix = tiny.use("e", "linked-1-0", link=False)
    plan, watch = tiny.plan_unlinked()
    assert len(plan.remove) == 1
    (prefix / "conda-meta" / "linked-1-0.json").unlink()
    (prefix / "lib").mkdir()
    (prefix / "lib" / "one").symlink_to(tiny.cache / "linked-1-0" / "lib" / "one")

    (outcome,) = tiny.execute(plan, watch, Run("run-1", 0.0, disposal)).outcomes

    assert outcome.result.value == "skipped"
    assert (prefix / "lib" / "one").read_bytes() == b"1" * 5000


def test_a_link_that_leads_on_through_a_link_within_another_package_keeps_both(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path / "it")
    tiny.add("end-1-0")
    (tiny.add("way-1-0") / "lib" / "through").symlink_to(tiny.cache / "end-1-0" / "lib" / "one")
    watch = tiny.watch()
    plan = tiny.plan(watch)
    assert len(plan.remove) == 2
    prefix = tiny.envs / "new"
    prefix.mkdir()
    (prefix / "one").symlink_to(tiny.cache / "way-1-0" / "lib" / "through")

    assert {outcome.result.value for outcome in tiny.execute(plan, watch).outcomes} == {"skipped"}
    assert (prefix / "one").read_bytes() == b"1" * 5000


def test_what_a_registry_lists_and_is_no_environment_is_not_walked_through(
    empty: Machine, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = empty.directory / "work"
    (work / "a" / "b").mkdir(parents=True)
    empty.registry.parent.mkdir(exist_ok=True)
    empty.registry.write_text(f"{work}\n")
    listed = _listed(monkeypatch)
    caches, _ = find_caches((str(tiny.cache),), ())
    watch = RootWatch(Sources(envs_dirs=(str(tiny.envs),), registries=(str(empty.registry),)), caches)
    watch.soft_links()
    assert str(work / "a") not in listed
    assert str(tiny.envs / "e" / "bin") in listed

    (work / "it").symlink_to(tiny.cache / "linked-1-0")
    assert watch.soft_links().entries == {(str(tiny.cache), "linked-1-0"): frozenset({str(work)})}


def test_signs_take_few_listings_however_large_an_environment_is(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(200):
        (tiny.envs / "e" / "share" / str(number) / "deep").mkdir(parents=True)
    caches, _ = find_caches((str(tiny.cache),), ())
    listed = _listed(monkeypatch)

    assert list(with_signs([str(tiny.envs / "e")], caches, ["share/deep/er/two"])) == []
    assert len(listed) <= 6
    soft_links([str(tiny.envs / "e")], caches, lambda seen: None)
    assert len([path for path in listed if path.endswith("/deep")]) == 200


def _listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every directory that is listed from now on."""
    listed: list[str] = []
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        listed.append(os.fspath(path) if not isinstance(path, int) else str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return listed


def test_a_part_that_can_not_be_listed_stops_a_removal_only_where_the_rest_has_soft_links(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny.envs / "e" / "closed").mkdir()
    real = os.scandir

    def scandir(path: Any = ".") -> Any:
        if str(path).endswith("/closed"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    caches, _ = find_caches((str(tiny.cache),), ())
    root = Root(str(tiny.envs / "e"), None, RootState.OK, frozenset())
    inventory = Inventory(caches, (root,))

    softly = SoftLinkSearch((root,), caches).everywhere(lambda seen: None)
    assert softly.unseen == {root.path}
    assert with_unseen(inventory, softly) == (inventory, ())

    _absolute(tiny, tiny.envs / "e")
    softly = SoftLinkSearch((root,), caches).where_signs_are((), lambda seen: None)
    found, (notice,) = with_unseen(inventory, softly)
    assert (notice.path, notice.hides_roots) == (root.path, True)
    assert found.soft_links is not None


def test_a_search_where_signs_are_finds_what_a_walk_through_everything_does(tiny: Tiny) -> None:
    _sample(tiny, tiny.envs / "e")
    caches, _ = find_caches((str(tiny.cache),), ())
    roots = [Root(str(tiny.envs / name), None, RootState.OK, frozenset()) for name in ("e", "other")]
    search = SoftLinkSearch(roots, caches)
    softly = search.where_signs_are(["share/deep/er/two", "share/new"], lambda seen: None)

    assert softly == soft_links([root.path for root in roots], caches, lambda seen: None)
    assert set(softly.entries) == {(str(tiny.cache), "linked-1-0")}


def test_a_second_look_lists_only_what_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Tiny(tmp_path)
    tree = tiny.add("a-1-0")
    prefix = tiny.use("e", "a-1-0")
    for name in ("one", "two"):
        (prefix / "share" / name).mkdir(parents=True)
    watch, memory = tiny.watch(), {}  # type: ignore[var-annotated]
    caches = tiny.inventory(watch).caches
    listed: list[str] = []
    listing = os.scandir

    def scandir(path: str) -> Any:
        listed.append(os.path.relpath(path, prefix))
        return listing(path)

    # Otherwise what was made just now is not trusted.
    monkeypatch.setattr("conda_prune_plugin.discovery.links.soft_links._TICK", -(10**18))
    monkeypatch.setattr(os, "scandir", scandir)
    first = soft_links([str(prefix)], caches, lambda seen: None, memory=memory)
    everything = sorted(listed)
    listed.clear()
    soft_links([str(prefix)], caches, lambda seen: None, memory=memory)
    unchanged = list(listed)
    (prefix / "share" / "two" / "mine").symlink_to(tree / "lib")
    (prefix / "share" / "three").mkdir()
    second = soft_links([str(prefix)], caches, lambda seen: None, memory=memory)

    assert {"share/one", "share/two", "lib"} <= set(everything)
    assert (first.entries, unchanged, sorted(listed)) == ({}, [], ["share", "share/three", "share/two"])
    assert {name for _, name in second.entries} == {"a-1-0"}


def test_what_was_changed_just_now_is_listed_again(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path)
    tree = tiny.add("a-1-0")
    prefix = tiny.use("e", "a-1-0")
    memory: dict[str, Seen] = {}
    caches = tiny.inventory(tiny.watch()).caches

    soft_links([str(prefix)], caches, lambda seen: None, memory=memory)
    before = prefix.joinpath("lib").stat()
    prefix.joinpath("lib", "mine").symlink_to(tree / "lib")
    os.utime(prefix / "lib", ns=(before.st_atime_ns, before.st_mtime_ns))

    assert set(memory[os.path.realpath(prefix)].directories.values()) == {None}
    assert soft_links([str(prefix)], caches, lambda seen: None, memory=memory).entries
