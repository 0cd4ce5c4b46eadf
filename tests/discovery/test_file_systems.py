"""Installations on file systems of all kinds, mounted for real where that is allowed, else skipped."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from machine import Answer, contents
from tiny import Tiny

from conda_prune_plugin.core.model import RootState
from conda_prune_plugin.demo.sandbox import Sandbox
from conda_prune_plugin.discovery.roots.environments import Sources, read_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Mount = Callable[..., Path]

_PRUNE = ("prune", "--min-age", "0", "--json")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """A function that mounts something at a new place and returns that; unmounted at the end."""
    with ExitStack() as stack:

        def mounted(name: str, *options: str, source: str = "none") -> Path:
            place = tmp_path / name
            place.mkdir(exist_ok=True)
            command = ["mount", *options, source, str(place)]
            if subprocess.run(command, check=False, capture_output=True).returncode:
                pytest.skip("mounting is not allowed here")
            stack.callback(subprocess.run, ["umount", "--lazy", str(place)], check=True)
            return place

        yield mounted


@pytest.fixture
def disk(tmp_path: Path) -> Callable[..., str]:
    """A function that returns the path of an image with a file system."""

    def made(kind: str, *options: str) -> str:
        image = tmp_path / "image"
        with image.open("wb") as stream:
            stream.truncate(16 << 20)
        try:
            done = subprocess.run([f"mkfs.{kind}", "-q", *options, str(image)], check=False, capture_output=True)
        except FileNotFoundError:
            pytest.skip(f"there is no mkfs.{kind} here")
        assert done.returncode == 0, done.stderr
        return str(image)

    return made


def _tiny(directory: Path, *dists: str) -> Tiny:
    tiny = Tiny(directory)
    Sandbox(directory).create()
    for dist in dists:
        tiny.add(dist, archive=True)
    return tiny


def _run(directory: Path, *command: str, **environ: str) -> Answer:
    done = Sandbox(directory).conda(*command, environ=environ)
    return Answer(done.returncode, done.stdout, done.stderr)


def _done(answer: Answer) -> dict[tuple[str, str], str]:
    """Return what became of each entry, by cache and dist: the result, or the first reason to keep it."""
    document: Any = answer.json
    assert document["success"], document
    found = {(item["cache"], item["dist"]): item["reasons"][0]["kind"] for item in document["keep"]}
    return found | {(item["cache"], item["dist"]): item["result"] for item in document["outcomes"]}


def test_of_several_caches_the_read_only_one_in_front_stays_and_so_does_what_a_read_only_environment_has(
    tmp_path: Path, mount: Mount
) -> None:
    site = _tiny(mount("site", "-t", "tmpfs"), "a-1-0", "b-1-0")
    site.use("central", "a-1-0", link=False)
    mine = _tiny(tmp_path / "mine", "a-1-0", "b-1-0", "c-1-0")
    mine.use("e", "c-1-0")
    subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "site")], check=True)  # noqa: S607
    before = contents(tmp_path / "site")
    caches = f"{site.cache},{mine.cache}"

    answer = _run(
        tmp_path / "mine", *_PRUNE, "--yes", CONDA_PKGS_DIRS=caches, CONDA_ENVS_DIRS=f"{site.envs}:{mine.envs}"
    )

    first, second = str(site.cache), str(mine.cache)
    assert _done(answer) == {
        (first, "a-1-0"): "environment",
        (first, "b-1-0"): "read-only",
        (second, "a-1-0"): "environment",
        (second, "b-1-0"): "removed",
        (second, "c-1-0"): "environment",
    }
    assert [cache["writable"] for cache in answer.json["caches"]] == [False, True]
    assert contents(tmp_path / "site") == before
    for command in (("restore",), ("purge", "--all", "--yes"), ("usage",), ("why", "--all")):
        answer = _run(tmp_path / "mine", "prune", *command, "--json", CONDA_PKGS_DIRS=caches)
        assert answer.code == 0, answer.out


def test_on_another_file_system_copies_keep_their_packages_and_unlinked_takes_them(
    tmp_path: Path, mount: Mount
) -> None:
    directory = mount("other", "-t", "tmpfs")
    tiny = _tiny(directory / "it", "a-1-0", "b-1-0", "c-1-0")
    tiny.envs = tmp_path / "envs"
    for dist in ("a-1-0", "b-1-0"):
        prefix = tiny.use(dist[0], dist, link=False)
        (prefix / "lib").mkdir()
    (tiny.envs / "a" / "lib" / "one").write_bytes((tiny.cache / "a-1-0" / "lib" / "one").read_bytes())
    (tiny.envs / "b" / "lib" / "one").symlink_to(tiny.cache / "b-1-0" / "lib" / "one")
    environ = {"CONDA_ENVS_DIRS": str(tiny.envs)}

    assert {key[1]: what for key, what in _done(_run(directory / "it", *_PRUNE, "--yes", **environ)).items()} == {
        "a-1-0": "environment",
        "b-1-0": "environment",
        "c-1-0": "removed",
    }
    answer = _run(directory / "it", *_PRUNE, "--yes", "--unlinked", **environ)
    assert {key[1]: what for key, what in _done(answer).items()} == {"a-1-0": "removed", "b-1-0": "environment"}
    assert (tiny.envs / "b" / "lib" / "one").read_bytes() == b"1" * 5000


def test_a_listing_that_tells_no_kinds_is_no_obstacle(disk: Callable[..., str], mount: Mount) -> None:
    directory = mount("disk", "-o", "loop", source=disk("ext2", "-O", "^filetype")) / "it"
    tiny = _tiny(directory, "a-1-0", "b-1-0", "c-1-0")
    tiny.use("e", "a-1-0")
    tiny.use("e2", "c-1-0", record=False)

    assert {key[1]: what for key, what in _done(_run(directory, *_PRUNE, "--yes")).items()} == {
        "a-1-0": "environment",
        "b-1-0": "removed",
        "c-1-0": "linked",
    }


def test_a_soft_link_by_another_mount_of_the_cache_counts(tmp_path: Path, mount: Mount) -> None:
    tiny = _tiny(tmp_path / "it", "a-1-0", "b-1-0")
    other = mount("other", "--bind", source=str(tiny.cache))
    prefix = tiny.use("e", "a-1-0", link=False)
    (prefix / "one").symlink_to(other / "a-1-0" / "lib" / "one")
    tiny.use("e", "b-1-0", link=False)

    plan, _ = tiny.plan_unlinked()

    assert {decision.entry.dist for decision in plan.remove} == {"b-1-0"}


def test_an_archive_s_destination_is_recognised_in_the_cache_by_another_mount(tmp_path: Path, mount: Mount) -> None:
    tiny = _tiny(tmp_path / "it", "a-1-0")
    other = mount("other", "--bind", source=str(tiny.cache))

    answer = _run(tmp_path / "it", *_PRUNE, "--yes", "--backup-to", str(other / "archives"))

    assert answer.json["exception_name"] == "UsageError"
    assert "lies in the package cache" in answer.json["message"]


def test_on_layers_sizes_are_at_most_and_links_of_lower_layers_are_seen(tmp_path: Path, mount: Mount) -> None:
    # Two file systems below: there a listing gives other inode numbers than stat.
    lower = mount("lower", "-t", "tmpfs")
    tiny = _tiny(lower / "it", "a-1-0", "b-1-0", "c-1-0", "d-1-0")
    tiny.use("e", "a-1-0")
    tiny.use("e2", "b-1-0", record=False)
    os.link(tiny.cache / "c-1-0" / "lib" / "one", tiny.cache / "d-1-0" / "lib" / "three")
    layers = mount("layers", "-t", "tmpfs")
    for name in ("upper", "work"):
        (layers / name).mkdir()
    merged = mount("merged", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={layers}/upper,workdir={layers}/work")
    tiny.cache, tiny.envs = merged / "it" / "pkgs", merged / "it" / "envs"
    tiny.add("e-1-0", archive=True)
    tiny.record(tiny.envs / "e", "d-1-0")
    used = contents(tiny.envs)

    shown = _run(merged / "it", "prune", "--min-age", "0", "--dry-run")
    answer = _run(merged / "it", *_PRUNE, "--yes")

    assert "at most" in shown.out
    assert str(merged) in shown.err
    assert answer.json["totals"]["precision"] == "at-most"
    assert "layered-file-system" in {item["kind"] for item in answer.json["warnings"]}
    done = {key[1]: what for key, what in _done(answer).items()}
    assert done.pop("c-1-0") in ("skipped", "removed", "linked")  # As the kernel renames across layers, or not.
    assert done == {"a-1-0": "environment", "b-1-0": "linked", "d-1-0": "environment", "e-1-0": "removed"}
    assert contents(tiny.envs) == used


@pytest.mark.parametrize("length", [251, 255])
def test_the_longest_names_go_like_any_other(tmp_path: Path, length: int) -> None:
    tiny = _tiny(tmp_path / "it")
    dist = "n" * (length - 4) + "-1-0"
    tiny.add(dist)

    (outcome,) = tiny.execute(tiny.plan()).outcomes

    assert (outcome.result.value, outcome.error) == ("removed", None)
    assert tiny.names() == {"urls.txt"}


def test_what_lies_deeper_than_any_path_can_say_is_kept_and_said(tmp_path: Path) -> None:
    tiny = _tiny(tmp_path / "it", "a-1-0", "b-1-0")
    above = os.open(tiny.cache / "a-1-0", os.O_RDONLY)
    for _ in range(30):
        os.mkdir("x" * 200, dir_fd=above)
        below = os.open("x" * 200, os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(above)

    plan = tiny.plan()

    assert {decision.entry.dist for decision in plan.remove} == {"b-1-0"}
    (kept,) = plan.keep
    assert "File name too long" in kept.reasons[0].detail


def test_what_is_open_on_a_network_file_system_is_named_and_finished_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There an open file that is unlinked gets another name in its directory, until it is closed (``nfs(5)``)."""
    tiny = _tiny(tmp_path / "it", "a-1-0", "b-1-0")
    unlink, opened = os.unlink, (tiny.cache / "a-1-0" / "lib" / "one").stat().st_ino

    def silly(path: str, *, dir_fd: int | None = None) -> None:
        if os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_ino != opened:
            unlink(path, dir_fd=dir_fd)
        elif path.startswith(".nfs"):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
        else:
            os.rename(path, ".nfs0001", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", silly)
    outcomes = {outcome.entry.dist: outcome for outcome in tiny.execute(tiny.plan()).outcomes}

    assert {dist: outcome.result.value for dist, outcome in outcomes.items()} == {
        "a-1-0": "failed",
        "b-1-0": "removed",
    }
    assert "out of the cache but could not be deleted" in str(outcomes["a-1-0"].error)
    assert "a-1-0" not in os.listdir(tiny.cache)

    monkeypatch.undo()
    answer = _run(tmp_path / "it", *_PRUNE, "--yes")
    assert "the deletion of" in str(answer.json["warnings"])
    assert not list(tiny.cache.rglob(".nfs*"))
    assert tiny.names() == {"urls.txt"}


def test_a_stale_handle_is_unreadable_and_never_empty_or_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = _tiny(tmp_path / "it", "a-1-0", "b-1-0")
    tiny.use("e", "a-1-0")
    scandir, listdir = os.scandir, os.listdir

    def stale(real: Any) -> Any:
        def listed(path: Any = ".") -> Any:
            name = os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else str(path)
            if name.endswith(("conda-meta", "b-1-0/lib")):
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), path)
            return real(path)

        return listed

    monkeypatch.setattr(os, "scandir", stale(scandir))
    monkeypatch.setattr(os, "listdir", stale(listdir))

    ((root,), notices) = read_roots(Sources(envs_dirs=(str(tiny.envs),)))
    plan = tiny.plan()

    assert root.state is RootState.UNREADABLE
    assert notices[0].hides_roots
    assert {decision.entry.dist: decision.reasons[0].kind.value for decision in plan.keep} == {
        "a-1-0": "linked",
        "b-1-0": "unreadable",
    }


def test_soft_links_of_an_environment_that_is_being_made_are_seen_before_its_records(tmp_path: Path) -> None:
    tiny = _tiny(tmp_path / "it", "a-1-0", "b-1-0")
    watch = tiny.watch()
    plan = tiny.plan(watch)
    (tiny.envs / "new" / "lib").mkdir(parents=True)
    (tiny.envs / "new" / "lib" / "one").symlink_to(tiny.cache / "a-1-0" / "lib" / "one")

    outcomes = {outcome.entry.dist: outcome for outcome in tiny.execute(plan, watch).outcomes}

    assert {dist: outcome.result.value for dist, outcome in outcomes.items()} == {
        "a-1-0": "skipped",
        "b-1-0": "removed",
    }
    assert (tiny.envs / "new" / "lib" / "one").read_bytes() == b"1" * 5000
