"""Two processes at work: whatever the second one answers, or has done to it, the first one gets through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from tasks import Repeating, Stopping

from conda_prune_plugin.discovery.system import worker as worker_module
from conda_prune_plugin.discovery.system.worker import WorkerPool, worthwhile

if TYPE_CHECKING:
    from collections.abc import Iterator

#: More than any pipe holds by itself, so that neither process can hand it over without the other one's help.
_LARGE = 2 << 20


@pytest.fixture(autouse=True)
def _two_processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let there be a second process that finds the work of these tests, and end a test that hangs."""
    beside = f"import sys; sys.path.append({str(Path(__file__).parents[1] / 'support')!r}); "
    monkeypatch.setattr(worker_module, "_SCRIPT", beside + worker_module._SCRIPT)
    monkeypatch.setattr(worker_module, "_processors", lambda: 2)

    def give_up(*_: object) -> NoReturn:
        raise AssertionError("the processes wait for each other")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_neither_process_waits_for_the_other_when_tasks_and_answers_fill_their_pipes() -> None:
    tasks = [bytes([number]) * _LARGE for number in range(8)]

    with WorkerPool() as workers:
        work = Repeating()
        workers.begin(work, tasks)
        found = workers.finish()

    assert found == [task * 10 for task in tasks]
    assert work.taken


@pytest.mark.parametrize("task", [b"whole", b"half", b"x" * _LARGE])
def test_a_second_process_that_is_stopped_is_not_waited_for(task: bytes) -> None:
    with WorkerPool() as workers:
        workers.begin(Stopping(), [task] * 8)
        assert workers.finish() == [task * 10] * 8


def test_the_second_process_takes_the_standard_library_and_not_what_is_installed_by_its_names(tmp_path: Path) -> None:
    package = Path(worker_module.__file__).parents[2]
    (tmp_path / package.name).symlink_to(package)
    # As old backports of these modules are.
    for name in ("pickle", "enum", "dataclasses", "typing"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('for Python 2.7 only')")

    script = [sys.executable, "-I", "-S", "-c", worker_module._SCRIPT, str(tmp_path)]
    assert subprocess.run(script, stdin=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.parametrize("utf8", ["0", "1"])
def test_paths_mean_the_same_to_both_processes(utf8: str) -> None:
    code = (
        "from tasks import Encoding; from conda_prune_plugin.discovery.system import worker\n"
        f"worker._SCRIPT = {worker_module._SCRIPT!r}; worker._processors = lambda: 2\n"
        "with worker.WorkerPool() as both:\n"
        "    both.begin(Encoding(), [b'here', b'there'])\n"
        "    print(set(both.finish()), both.helped)"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "support"), "PYTHONUTF8": utf8}

    done = subprocess.run([sys.executable, "-c", code], env=environ, check=True, capture_output=True, text=True)

    assert done.stdout == f"{{{utf8}}} True\n"


def test_a_second_process_is_worth_its_start_from_some_hundred_names_on_in_all_caches_together(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for directory in (one, other):
        directory.mkdir()
        for number in range(200):
            (directory / str(number)).touch()

    assert not worthwhile([str(one), str(tmp_path / "none")])
    assert worthwhile([str(one), str(other)])
