"""Carrying out: what was shown goes, what changed stays, nothing else is touched."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import subprocess
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock
from machine import contents, listing, space
from tiny import Tiny

from conda_prune_plugin.core.layout import TRASH
from conda_prune_plugin.core.model import Result
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.core.units import NO_SPACE, Space
from conda_prune_plugin.demo.demo_packages import File, HardLink, SymLink
from conda_prune_plugin.errors import LockTimeoutError, NoRoomError, StateError, UnreadableEnvironmentError
from conda_prune_plugin.execution.files import dir_fd as directory_module
from conda_prune_plugin.execution.files.dir_fd import Directory
from conda_prune_plugin.execution.files.remove_tree import remove
from conda_prune_plugin.execution.quarantine import archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    return Tiny(tmp_path / "it")


@pytest.fixture(params=[True, False], ids=["by descriptor", "by path"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test twice: as here, and as where the platform can't work relative to an open directory."""
    monkeypatch.setattr(directory_module, "BY_DESCRIPTOR", request.param)


def _results(tiny: Tiny) -> dict[str, tuple[Result, str | None]]:
    execution = tiny.execute(tiny.plan())
    return {outcome.entry.dist: (outcome.result, outcome.error) for outcome in execution.outcomes}


@pytest.mark.usefixtures("_both_ways")
def test_the_plan_goes_and_nothing_is_left_behind(tiny: Tiny) -> None:
    tiny.add("a-1-0", archive=True)
    tiny.add("b-1-0")
    prefix = tiny.use("e", "b-1-0")
    before = contents(prefix)

    assert _results(tiny) == {"a-1-0": (Result.REMOVED, None)}
    assert tiny.names() == {"b-1-0", "urls.txt"}
    assert contents(prefix) == before


@pytest.mark.usefixtures("_both_ways")
def test_read_only_directories_and_links_of_all_kinds_go_and_what_they_lead_to_stays(
    tiny: Tiny, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_bytes(b"precious")
    tree = tiny.add(
        "a-1-0",
        {
            "bin/x": File(b"x" * 100),
            "bin/y": HardLink("bin/x"),
            "lib/deep/er/z": SymLink("../../../bin/x"),
        },
    )
    (tree / "lib" / "deep" / "away").symlink_to(victim)
    (tree / "info" / "away").symlink_to(victim / "file")
    (tree / "away").symlink_to(tmp_path)
    for path in (tree / "lib" / "deep" / "er", tree / "lib" / "deep", tree):
        path.chmod(0o555)
    before = listing(victim)

    assert _results(tiny)["a-1-0"] == (Result.REMOVED, None)
    assert tiny.names() == {"urls.txt"}
    assert listing(victim) == before


def test_freed_is_what_was_promised_also_for_inodes_shared_by_entries(tiny: Tiny) -> None:
    one, other, kept = (tiny.add(dist) for dist in ("a-1-0", "b-1-0", "c-1-0"))
    tiny.use("e", "c-1-0", link=False)
    for name in ("lib/one", "lib/two"):
        (other / name).unlink()
        os.link(one / name, other / name)
    (one / "lib" / "shared").unlink(missing_ok=True)
    os.link(kept / "lib" / "one", one / "lib" / "shared")
    before = space(tiny.cache)
    plan = tiny.plan()

    execution = tiny.execute(plan)

    freed = sum((Space(outcome.freed, outcome.freed_inodes) for outcome in execution.outcomes), NO_SPACE)
    assert {outcome.result for outcome in execution.outcomes} == {Result.REMOVED}
    assert freed == plan.frees == before - space(tiny.cache)


def test_an_entry_that_an_environment_references_by_now_is_skipped(tiny: Tiny) -> None:
    tiny.add("a-1-0", archive=True)
    tiny.add("b-1-0")
    watch = tiny.watch()
    plan = tiny.plan(watch)
    tiny.use("new", "a-1-0", link=False)

    outcomes = tiny.execute(plan, watch).outcomes

    assert [outcome.result for outcome in outcomes] == [Result.SKIPPED, Result.REMOVED]
    assert str(tiny.envs / "new") in str(outcomes[0].error)
    assert tiny.names() == {"a-1-0", "a-1-0.conda", "urls.txt"}


def test_an_entry_that_was_replaced_or_is_gone_is_skipped(tiny: Tiny) -> None:
    tiny.add("a-1-0")
    tiny.add("b-1-0")
    plan = tiny.plan()
    shutil.rmtree(tiny.cache / "a-1-0")
    shutil.rmtree(tiny.cache / "b-1-0")
    replaced = tiny.add("b-1-0")

    outcomes = tiny.execute(plan).outcomes

    assert [outcome.result for outcome in outcomes] == [Result.SKIPPED, Result.SKIPPED]
    assert replaced.exists()


def test_an_entry_with_something_new_deep_inside_is_put_back(tiny: Tiny) -> None:
    tree = tiny.add("a-1-0")
    plan = tiny.plan()
    (tree / "lib" / "new").write_bytes(b"new")

    outcome = tiny.execute(plan).outcomes[0]

    assert outcome.result is Result.SKIPPED
    assert "its content has changed" in str(outcome.error)
    assert (tree / "lib" / "new").exists()


def test_an_environment_that_cannot_be_read_any_more_stops_everything(tiny: Tiny) -> None:
    for dist in ("a-1-0", "b-1-0"):
        tiny.add(dist)
    tiny.use("e", "b-1-0")
    watch = tiny.watch()
    plan = tiny.plan(watch)
    shutil.rmtree(tiny.envs / "e" / "conda-meta")
    (tiny.envs / "e" / "conda-meta").symlink_to("/unmounted")

    with pytest.raises(UnreadableEnvironmentError, match="any more"):
        tiny.execute(plan, watch)

    assert tiny.names() == {"a-1-0", "b-1-0", "urls.txt"}


def test_in_a_lower_layer_of_an_overlay_an_entry_is_skipped(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path / "lower")
    tree = tiny.add("a-1-0")
    for name in ("upper", "work", "merged"):
        (tmp_path / name).mkdir()
    layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    place = tmp_path / "merged"
    command = ["mount", "-t", "overlay", "-o", layers, "none", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting an overlay is not allowed here")
    try:
        tiny.cache, tiny.envs = place / "pkgs", place / "envs"
        outcome = tiny.execute(tiny.plan()).outcomes[0]
        names = tiny.names()
    finally:
        subprocess.run(["umount", str(place)], check=True)  # noqa: S607

    # Where directories can be renamed across layers (redirect_dir) it goes; it is never half gone.
    assert (outcome.result, names) in (
        (Result.SKIPPED, {"a-1-0", "urls.txt"}),
        (Result.REMOVED, {"urls.txt"}),
    )
    assert contents(tree)


def test_an_entry_swapped_for_a_symbolic_link_is_skipped_and_its_target_stays(tiny: Tiny, tmp_path: Path) -> None:
    tree = tiny.add("a-1-0")
    plan = tiny.plan()
    shutil.move(tree, tmp_path / "victim")
    tree.symlink_to(tmp_path / "victim")
    before = listing(tmp_path / "victim")

    assert tiny.execute(plan).outcomes[0].result is Result.SKIPPED
    assert listing(tmp_path / "victim") == before
    assert tree.is_symlink()


def test_an_entry_that_is_linked_at_the_last_moment_is_put_back_as_it_was(tiny: Tiny) -> None:
    tree = tiny.add("a-1-0", archive=True)
    plan = tiny.plan()
    before = contents(tree)
    (tiny.envs / "e").mkdir()

    def link(name: str) -> None:
        # What a conda does that had opened the file just before it was moved away.
        if not list((tiny.envs / "e").iterdir()):
            moved = next((tiny.cache / ".conda-prune" / "run-1").glob("0"))
            os.link(moved / "lib" / "one", tiny.envs / "e" / "one")

    tiny.before_measuring = link
    outcome = tiny.execute(plan).outcomes[0]

    assert outcome.result is Result.SKIPPED
    assert "linked" in str(outcome.error)
    assert contents(tree) == before
    assert tiny.names() == {"a-1-0", "a-1-0.conda", "urls.txt"}


def test_what_is_soft_linked_though_the_plan_does_not_know_never_leaves_its_place(tiny: Tiny) -> None:
    tree = tiny.add("a-1-0")
    tiny.add("b-1-0")
    plan = tiny.plan()
    prefix = tiny.use("e", "b-1-0", link=False, record=False)
    (prefix / "share" / "deep").mkdir(parents=True)
    (prefix / "share" / "deep" / "mine").symlink_to(tree / "lib" / "one")
    before = (tree.stat().st_ino, tree.stat().st_ctime_ns)
    moved: list[int] = []
    tiny.before_measuring = lambda name: moved.append(len(os.listdir(tiny.cache)))

    outcomes = {outcome.entry.dist: outcome for outcome in tiny.execute(plan).outcomes}

    assert (outcomes["a-1-0"].result, outcomes["b-1-0"].result) == (Result.SKIPPED, Result.REMOVED)
    assert str(prefix) in str(outcomes["a-1-0"].error)
    # A rename would have changed it.
    assert (tree.stat().st_ino, tree.stat().st_ctime_ns) == before
    assert len(moved) == 1


@pytest.mark.parametrize("place", ["share/deep", "share/new", "bin"])
def test_a_soft_link_that_is_made_while_packages_are_moved_brings_its_package_back(tiny: Tiny, place: str) -> None:
    tree = tiny.add("a-1-0")
    plan = tiny.plan()
    prefix = tiny.use("e", "a-1-0", link=False, record=False)
    (prefix / "share" / "deep").mkdir(parents=True)

    def link(name: str) -> None:
        (prefix / place).mkdir(parents=True, exist_ok=True)
        (prefix / place / "mine").symlink_to(tree / "lib" / "one")

    tiny.before_measuring = link
    outcome = tiny.execute(plan).outcomes[0]

    assert (outcome.result, (prefix / place / "mine").read_bytes()) == (Result.SKIPPED, b"1" * 5000)


def test_what_cannot_be_put_back_is_a_failure_and_not_lost(tiny: Tiny) -> None:
    tiny.add("a-1-0")
    plan = tiny.plan()

    def reappear(name: str) -> None:
        # An install that links it and, as it is gone, extracts it again.
        os.link(tiny.cache / ".conda-prune" / "run-1" / "0" / "lib" / "one", tiny.envs / "one")
        tiny.add("a-1-0")

    tiny.before_measuring = reappear
    outcome = tiny.execute(plan).outcomes[0]

    assert outcome.result is Result.FAILED
    assert "could not be put back" in str(outcome.error)
    assert (tiny.cache / "a-1-0" / "lib" / "one").exists()
    assert (tiny.cache / ".conda-prune" / "run-1" / "0" / "lib" / "one").exists()


def test_ctrl_c_in_the_last_moment_says_that_all_is_gone(tiny: Tiny) -> None:
    tiny.add("a-1-0", archive=True)
    plan = tiny.plan()
    removed = 0

    def interrupt(files: int) -> None:
        nonlocal removed
        removed += files
        # The file of the archive comes last.
        if removed == plan.files:
            raise KeyboardInterrupt

    tiny.on_progress = interrupt
    execution = tiny.execute(plan)

    assert execution.interrupted
    assert execution.outcomes[0].result is Result.REMOVED
    assert execution.outcomes[0].freed == plan.reclaimable
    assert tiny.names() == {"urls.txt"}


def test_an_unexpected_error_puts_back_what_is_whole(tiny: Tiny) -> None:
    for dist in ("a-1-0", "b-1-0"):
        tiny.add(dist)
    plan = tiny.plan()

    def fail(name: str) -> None:
        if name == "1":
            raise LookupError("a mistake of ours")

    tiny.before_measuring = fail
    with pytest.raises(LookupError, match="a mistake of ours"):
        tiny.execute(plan)

    assert tiny.names() == {"a-1-0", "b-1-0", "urls.txt"}


def test_a_state_directory_swapped_for_a_link_costs_nobody_a_file(tiny: Tiny, tmp_path: Path) -> None:
    tiny.add("a-1-0")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "lock").write_text("precious")
    state = tiny.cache / ".conda-prune"

    def swap(name: str) -> None:
        state.rename(tiny.cache / "moved")
        state.symlink_to(victim)

    tiny.before_measuring = swap
    tiny.execute(tiny.plan())

    assert (victim / "lock").read_text() == "precious"


@pytest.mark.parametrize("kind", ["directory", "link"])
def test_a_lock_that_is_no_file_is_refused_before_anything_is_changed(tiny: Tiny, tmp_path: Path, kind: str) -> None:
    tiny.add("a-1-0")
    lock_file = tiny.cache / ".conda-prune" / "lock"
    lock_file.parent.mkdir()
    lock_file.mkdir() if kind == "directory" else lock_file.symlink_to(tmp_path / "victim")

    with pytest.raises(StateError, match="can't be used"):
        tiny.execute(tiny.plan())

    assert "a-1-0" in tiny.names()
    assert not (tmp_path / "victim").exists()


def test_one_entry_that_cannot_be_deleted_stops_none_of_the_others(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.add("a-1-0")
    tiny.add("b-1-0")
    plan = tiny.plan()
    unlink = Directory.unlink

    def refuse(self: Directory, name: str) -> None:
        if name == "one" and "/0.deleting" in self.path:
            raise PermissionError(1, "Operation not permitted")
        unlink(self, name)

    monkeypatch.setattr(Directory, "unlink", refuse)
    execution = tiny.execute(plan)

    assert [outcome.result for outcome in execution.outcomes] == [Result.FAILED, Result.REMOVED]
    assert "Operation not permitted" in str(execution.outcomes[0].error)
    assert execution.failed
    assert tiny.names() == {".conda-prune", "urls.txt"}
    assert (tiny.cache / ".conda-prune" / "run-1" / "0.deleting" / "lib" / "one").exists()


def test_ctrl_c_puts_back_what_is_not_deleted_yet(tiny: Tiny) -> None:
    for dist in ("a-1-0", "b-1-0", "c-1-0"):
        tiny.add(dist, archive=True)
    plan = tiny.plan()
    before = contents(tiny.cache / "c-1-0")
    seen = 0

    def interrupt(files: int) -> None:
        nonlocal seen
        seen += 1
        # In the middle of the second entry.
        if seen == 6:
            raise KeyboardInterrupt

    tiny.on_progress = interrupt
    execution = tiny.execute(plan)

    assert execution.interrupted
    assert [outcome.result for outcome in execution.outcomes] == [Result.REMOVED, Result.FAILED, Result.SKIPPED]
    assert "next run" in str(execution.outcomes[1].error)
    assert contents(tiny.cache / "c-1-0") == before
    assert {"c-1-0", "c-1-0.conda"} <= tiny.names()
    assert "b-1-0" not in tiny.names()


def test_the_lock_of_another_run_is_waited_for_with_a_message_and_a_limit(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.add("a-1-0")
    plan = tiny.plan()
    state = tiny.cache / ".conda-prune"
    state.mkdir()

    with FileLock(state / "lock"), pytest.raises(LockTimeoutError, match="another conda prune"):
        tiny.execute(plan, patience=0.3)

    assert "Waiting for another conda prune" in tiny.notes[0]
    assert "a-1-0" in tiny.names()
    assert tiny.execute(plan).outcomes[0].result is Result.REMOVED


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """A file system below ``tmp_path / "full"`` and the function that fills it to the last inode."""
    place = tmp_path / "full"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=200", "none", str(place)],  # noqa: S607
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")

    def fill() -> None:
        with suppress(OSError):
            for number in count():
                (place / f"fill{number}").touch()

    yield fill
    subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S607


def test_on_a_full_disk_archives_make_room_for_the_rest(tmp_path: Path, full_disk: Callable[[], None]) -> None:
    tiny = Tiny(tmp_path / "full" / "it")
    for dist in ("a-1-0", "b-1-0", "c-1-0", "d-1-0", "e-1-0"):
        tiny.add(dist, archive=True)
    full_disk()
    plan = tiny.plan()

    execution = tiny.execute(plan)

    assert [outcome.error for outcome in execution.outcomes] == [None] * 5
    assert sum(outcome.freed for outcome in execution.outcomes) == plan.reclaimable
    assert sum(outcome.files for outcome in execution.outcomes) == plan.files
    assert tiny.names() == {"urls.txt"}


def test_on_a_full_disk_without_archives_directories_make_room(tmp_path: Path, full_disk: Callable[[], None]) -> None:
    tiny = Tiny(tmp_path / "full" / "it")
    for dist in ("a-1-0", "b-1-0"):
        tiny.add(dist)
    full_disk()
    plan = tiny.plan()

    execution = tiny.execute(plan)

    assert [outcome.result for outcome in execution.outcomes] == [Result.REMOVED] * 2
    assert sum(outcome.freed for outcome in execution.outcomes) == plan.reclaimable
    assert tiny.names() == {"urls.txt"}


def test_on_a_full_disk_nothing_goes_that_is_to_be_kept(tmp_path: Path, full_disk: Callable[[], None]) -> None:
    tiny = Tiny(tmp_path / "full" / "it")
    tiny.add("a-1-0", archive=True)
    full_disk()

    with pytest.raises(NoRoomError, match="No space") as raised:
        tiny.execute(tiny.plan(), run=Run("run-1", 0.0, Disposal.BACKUP))

    assert "deleting one archive" in raised.value.hint
    assert tiny.names() == {"a-1-0", "a-1-0.conda", "urls.txt"}


def _refusing(monkeypatch: pytest.MonkeyPatch, *errors: BaseException) -> None:
    """Let the writing of receipts fail, each time with the next error, and go on with the last one."""
    left = list(errors)

    def refuse(folder: Directory, receipt: object) -> None:
        raise left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr("conda_prune_plugin.execution.quarantine.cache_session.write_receipt", refuse)


_FULL = OSError(errno.ENOSPC, "No space left on device")


def test_where_nothing_has_room_for_a_receipt_all_goes_and_that_is_told(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    for dist in ("a-1-0", "b-1-0"):
        tiny.add(dist, archive=dist == "a-1-0")
    plan = tiny.plan()
    _refusing(monkeypatch, _FULL)

    execution = tiny.execute(plan)

    assert [outcome.result for outcome in execution.outcomes] == [Result.REMOVED] * 2
    assert sum(outcome.freed for outcome in execution.outcomes) == plan.reclaimable
    assert sum(outcome.files for outcome in execution.outcomes) == plan.files
    assert execution.unrecorded == (str(tiny.cache),)
    assert not execution.failed
    assert tiny.names() == {"urls.txt"}


@pytest.mark.parametrize("then", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=repr)
def test_what_had_to_go_is_told_though_nothing_else_can_begin(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, then: BaseException
) -> None:
    for dist in ("a-1-0", "b-1-0"):
        tiny.add(dist, archive=dist == "a-1-0")
    freed = (tiny.cache / "a-1-0.conda").stat().st_blocks * 512
    plan = tiny.plan()
    _refusing(monkeypatch, _FULL, then)

    execution = tiny.execute(plan)

    stays = Result.SKIPPED if isinstance(then, KeyboardInterrupt) else Result.FAILED
    assert [(outcome.result, outcome.freed) for outcome in execution.outcomes] == [(stays, freed), (stays, 0)]
    assert "had to go first" in str(execution.outcomes[0].error)
    assert execution.interrupted == isinstance(then, KeyboardInterrupt)
    assert execution.failed
    assert tiny.names() == {"a-1-0", "b-1-0", "urls.txt"}


def test_what_is_linked_right_after_it_was_renamed_stays(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tiny.add("a-1-0")
    plan = tiny.plan()
    _refusing(monkeypatch, _FULL)
    linked = tiny.cache.parent / "linked"

    def link(name: str) -> None:
        if name == f"a-1-0{TRASH}" and not linked.exists():
            os.link(tiny.cache / name / "lib/one", linked)

    tiny.before_measuring = link
    before = os.listdir(tree)

    with pytest.raises(NoRoomError):
        tiny.execute(plan)

    assert linked.exists()
    assert os.listdir(tree) == before
    assert tiny.names() == {"a-1-0", "urls.txt"}


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_state_directory_that_is_none_is_refused_before_anything_is_changed(
    tiny: Tiny, tmp_path: Path, kind: str
) -> None:
    tiny.add("a-1-0")
    victim = tmp_path / "victim"
    victim.mkdir()
    state = tiny.cache / ".conda-prune"
    if kind == "link":
        state.symlink_to(victim)
    else:
        state.write_text("not a directory")

    with pytest.raises(StateError, match="can't be used"):
        tiny.execute(tiny.plan())

    assert "a-1-0" in tiny.names()
    assert not list(victim.iterdir())


def _with_another_time(content: bytes) -> bytes:
    """Return a compressed tar file in which the first time of modification is no number."""
    zstd, changed = archive._zstd(), io.BytesIO()
    with zstd.open(io.BytesIO(content), "rb") as stream:
        plain = stream.read()
    with zstd.open(changed, "wb") as stream:
        stream.write(re.sub(rb"mtime=.", b"mtime=x", plain, count=1))
    return changed.getvalue()


@pytest.mark.parametrize(
    "damaged",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"x" + content[1:],
        lambda content: content[:-40] + bytes(40),
        _with_another_time,
    ],
    ids=["cut off", "no archive", "zeros at its end", "no time"],
)
def test_what_its_archive_does_not_give_back_stays_and_the_rest_goes(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: Callable[[bytes], bytes]
) -> None:
    for dist in ("a-1-0", "b-1-0", "c-1-0"):
        tiny.add(dist)
    file_sum = archive.file_sum

    def from_a_bad_disk(folder: Directory, name: str) -> tuple[str, int]:
        """The disk gives back something else than was written to it."""
        if name.startswith("b-1-0"):
            path = Path(folder.path, name)
            path.write_bytes(damaged(path.read_bytes()))
        return file_sum(folder, name)

    monkeypatch.setattr(archive, "file_sum", from_a_bad_disk)
    execution = tiny.execute(tiny.plan(), run=Run("run-1", 0.0, Disposal.ARCHIVE, str(tmp_path / "elsewhere")))

    assert [outcome.result for outcome in execution.outcomes] == [Result.BACKED_UP, Result.FAILED, Result.BACKED_UP]
    assert "could not be archived and stays: the archive" in str(execution.outcomes[1].error)
    assert tiny.names() == {"b-1-0", "urls.txt"}
    archives = {path.name for path in tmp_path.rglob("*.tar.zst*")}
    assert archives == {"a-1-0.tar.zst", "c-1-0.tar.zst"}


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "a\0b"])
def test_a_name_that_leads_elsewhere_is_no_name(tmp_path: Path, name: str) -> None:
    with Directory.open(str(tmp_path)) as directory, pytest.raises(ValueError, match="not the name"):
        remove(directory, name)


def test_moving_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for path in (tmp_path / "file", tmp_path / "there" / "file"):
        path.write_text(str(path))

    with Directory.open(str(tmp_path)) as here, here.child("there") as there, pytest.raises(FileExistsError):
        here.move("file", there, "file")

    assert (tmp_path / "there" / "file").read_text() == str(tmp_path / "there" / "file")


@pytest.mark.parametrize("moment", ["before", "amid"])
@pytest.mark.parametrize("disposal", [Disposal.DELETE, Disposal.BACKUP])
def test_a_soft_link_made_since_the_plan_keeps_what_shares_no_file(
    tmp_path: Path, moment: str, disposal: Disposal
) -> None:
    """Before anything is moved, and while it is: conda writes the record last."""
    tiny = Tiny(tmp_path / "it")
    for dist in ("a-1-0", "b-1-0"):
        tiny.add(dist)
        tiny.use(f"with-{dist}", dist, link=False)
    plan, watch = tiny.plan_unlinked()
    link = tiny.envs / "with-a-1-0" / "one"

    def link_it(name: str = "") -> None:
        if not link.is_symlink():
            link.symlink_to(tiny.cache / "a-1-0" / "lib" / "one")

    if moment == "before" or disposal is Disposal.BACKUP:
        link_it()
    else:
        tiny.before_measuring = link_it
    execution = tiny.execute(plan, watch, Run("run-1", 0.0, disposal))

    done = Result.REMOVED if disposal is Disposal.DELETE else Result.BACKED_UP
    assert {outcome.entry.dist: outcome.result for outcome in execution.outcomes} == {
        "a-1-0": Result.SKIPPED,
        "b-1-0": done,
    }
    assert link.read_bytes() == b"1" * 5000


@pytest.mark.parametrize(("mode", "name"), [(0o755, "index.json.conda-prune"), (0o775, "index.json")])
def test_a_backup_is_concealed_but_where_others_may_have_to_bring_it_back(tiny: Tiny, mode: int, name: str) -> None:
    tiny.add("a-1-0")
    tiny.cache.chmod(mode)

    tiny.execute(tiny.plan(), run=Run("run-1", 0.0, Disposal.BACKUP))

    assert [path.name for path in (tiny.cache / ".conda-prune" / "run-1" / "0" / "info").glob("index.json*")] == [name]
