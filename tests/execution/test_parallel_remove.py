"""Deleting in several threads is as safe as in one: whatever stops it, nobody goes on while a thread still deletes."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tiny import Tiny

from conda_prune_plugin.core.model import Result
from conda_prune_plugin.demo.demo_packages import File
from conda_prune_plugin.execution.files.dir_fd import Directory
from conda_prune_plugin.execution.files.parallel_remove import FEW, delete_all
from conda_prune_plugin.execution.files.remove_tree import DEEPEST, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Ctrl-C means what it means to a program in a terminal, also where the tests run in the background of a shell."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


@pytest.mark.usefixtures("_interruptible")
def test_a_second_interruption_does_not_go_on_before_the_threads_have_stopped() -> None:
    at_work: set[int] = set()

    def job(tell: Callable[[int], None]) -> None:
        at_work.add(threading.get_ident())
        try:
            os.kill(os.getpid(), signal.SIGINT)
            # A directory with many files: until it is done, nothing stops its deletion.
            time.sleep(0.2)
            tell(1)
        finally:
            at_work.discard(threading.get_ident())

    with pytest.raises(KeyboardInterrupt):
        delete_all([job] * 100, FEW, lambda removed: None)

    assert at_work == set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.fixture
def _no_threads() -> Iterator[None]:
    """A system on which no thread can be started: there is no memory for its stack."""
    usual = threading.stack_size(1 << 46)
    yield
    threading.stack_size(usual)


@pytest.fixture
def _few_files() -> Iterator[None]:
    """A process that may open few files."""
    resource = pytest.importorskip("resource")
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + DEEPEST + 10, usual[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, usual)


@pytest.mark.usefixtures("_no_threads")
def test_where_no_thread_can_be_started_all_is_deleted_by_the_one_that_there_is() -> None:
    deleted: list[int] = []

    def job(number: int, tell: Callable[[int], None]) -> None:
        deleted.append(number)
        tell(1)

    delete_all([functools.partial(job, number) for number in range(20)], FEW, lambda removed: None)

    assert deleted == list(range(20))


@pytest.mark.usefixtures("_few_files")
def test_deep_packages_are_deleted_where_few_files_may_be_open(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path / "it")
    down = "/".join(["d"] * (DEEPEST + 20))
    for number in range(4):
        tiny.add(f"deep{number}-1-0", {f"lib/{down}/{name}": File(b"x") for name in range(FEW // 4)})

    execution = tiny.execute(tiny.plan())

    assert [outcome.result for outcome in execution.outcomes] == [Result.REMOVED] * 4
    assert tiny.names() == {"urls.txt"}


def test_the_deletion_of_a_deep_tree_that_was_cut_off_can_be_finished(tmp_path: Path) -> None:
    bottom = tmp_path / "tree" / "/".join(["d"] * 3 * DEEPEST)
    bottom.mkdir(parents=True)
    for directory in (bottom, *bottom.parents):
        if directory == tmp_path:
            break
        (directory / "file").touch()
    emptied = iter(range(2 * DEEPEST))

    def cut_off(removed: int) -> None:
        if next(emptied, None) is None:
            raise KeyboardInterrupt

    with Directory.open(str(tmp_path)) as place:
        with pytest.raises(KeyboardInterrupt):
            remove(place, "tree", cut_off)
        assert (tmp_path / "tree").exists()

        remove(place, "tree")

    assert not (tmp_path / "tree").exists()
