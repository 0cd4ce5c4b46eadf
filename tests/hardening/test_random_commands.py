"""Whatever is done in whatever order: no environment loses a byte, nothing is half there, what went can come back.

A rule-based machine (Hypothesis) installs, removes, prunes in every way, is killed, recovers, restores and purges, on
real trees, and checks the promises after every single step.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from machine import space
from places import IN_MEMORY
from tiny import Tiny

from conda_prune_plugin.core.model import PartKind, Result
from conda_prune_plugin.core.plan import Plan
from conda_prune_plugin.core.rules.policy import Policy
from conda_prune_plugin.core.run import Disposal, Run
from conda_prune_plugin.core.units import NO_SPACE, Space
from conda_prune_plugin.demo.demo_packages import File, HardLink, Item, SymLink
from conda_prune_plugin.discovery.packages.cache_listing import list_cache
from conda_prune_plugin.discovery.system.measure import measure
from conda_prune_plugin.execution.locks.run_lock import Patience
from conda_prune_plugin.execution.ports import Fetch
from conda_prune_plugin.execution.purge_backups import purge
from conda_prune_plugin.execution.recover import recover
from conda_prune_plugin.execution.restore_backups import restore
from conda_prune_plugin.execution.state.receipt import ReceiptEntry
from conda_prune_plugin.execution.state.state_dir import locked
from conda_prune_plugin.execution.state.stored_runs import StoredRun, stored_runs

from .test_recovery import CHANGES, die_at

DISTS = ("a-1-0", "a-2-0", "b-1-0", "meta-1-0")
ENVS = ("e", "f")

dists = st.sampled_from(DISTS)
envs = st.sampled_from(ENVS)


def _files(dist: str) -> dict[str, Item]:
    if dist.startswith("meta"):
        return {}
    return {
        "lib/one": File(f"one of {dist}".encode() * 300),
        "lib/again": HardLink("lib/one"),
        "lib/link": SymLink("one"),
        "bin/tool": File(f"tool of {dist}".encode() * 100, executable=True),
    }


def _look(top: Path) -> dict[str, tuple[int, object]]:
    """Return names, modes, and contents or targets below a directory, or of a file."""
    found = {}
    for path in [top, *top.rglob("*")]:
        content: object = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(top))] = (path.lstat().st_mode, content)
    return found


def _revealed(found: dict[str, tuple[int, object]]) -> dict[str, tuple[int, object]]:
    """Return what was found in a backup under the names that it comes back with (see `state_dir.disguise`)."""
    return {name.replace("info/index.json.conda-prune", "info/index.json"): what for name, what in found.items()}


class PruneMachine(RuleBasedStateMachine):
    """A cache, two environments, and everything that may happen to them."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = Path(tempfile.mkdtemp(dir=IN_MEMORY))
        self._tiny = Tiny(self._directory / "it")
        self._elsewhere = self._directory / "elsewhere"
        self._victim = self._directory / "victim"
        self._victim.mkdir()
        (self._victim / "file").write_bytes(b"precious")
        self._whole: dict[str, object] = {}
        self._installed: dict[tuple[str, str], dict[Path, bytes]] = {}
        self._runs = 0

    def teardown(self) -> None:
        shutil.rmtree(self._directory)

    @initialize()
    def know_what_is_whole(self) -> None:
        for dist in DISTS:
            self._fetch(dist)
            for name in (dist, f"{dist}.conda"):
                self._whole[name] = _look(self._tiny.cache / name)

    def _fetch(self, dist: str) -> None:
        """Do what conda does before it installs: fetch and extract what is not there."""
        if not (self._tiny.cache / dist).exists():
            self._tiny.add(dist, _files(dist), archive=True)

    @rule(dist=dists)
    def fetch(self, dist: str) -> None:
        self._fetch(dist)

    @rule(dist=dists, env=envs, kind=st.sampled_from(("hard", "soft", "copy")))
    def install(self, dist: str, env: str, kind: str) -> None:
        if (env, dist) in self._installed:
            return
        self._fetch(dist)
        prefix = self._tiny.envs / env
        (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
        (prefix / "conda-meta" / "history").touch()
        installed = {}
        for name in _files(dist):
            source, target = self._tiny.cache / dist / name, prefix / dist / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_symlink() or kind == "copy":
                shutil.copy2(source, target, follow_symlinks=False)
            elif kind == "hard":
                os.link(source, target)
            else:
                target.symlink_to(source)
            installed[target] = source.read_bytes()
        self._tiny.record(prefix, dist)
        self._installed[env, dist] = installed

    @rule(dist=dists, env=envs)
    def uninstall(self, dist: str, env: str) -> None:
        for path in self._installed.pop((env, dist), {}):
            path.unlink()
        (self._tiny.envs / env / "conda-meta" / f"{dist}.json").unlink(missing_ok=True)

    @rule(env=envs)
    def delete_an_environment_by_hand(self, env: str) -> None:
        shutil.rmtree(self._tiny.envs / env, ignore_errors=True)
        for key in [key for key in self._installed if key[0] == env]:
            del self._installed[key]

    @rule()
    def a_link_out_of_the_cache_appears(self) -> None:
        (self._tiny.cache / "c-1-0").unlink(missing_ok=True)
        (self._tiny.cache / "c-1-0").symlink_to(self._victim)

    @rule(disposal=st.sampled_from(Disposal), kinds=st.sampled_from([set(PartKind), *({kind} for kind in PartKind)]))
    def prune(self, disposal: Disposal, kinds: set[PartKind]) -> None:
        referenced = {dist for _, dist in self._installed}
        before = {name for name in self._tiny.names() if name.removesuffix(".conda") in referenced}
        before_it = space(self._tiny.cache)
        plan = self._plan(kinds)

        execution = self._tiny.execute(plan, run=self._run(disposal))

        assert not execution.failed
        assert {outcome.result for outcome in execution.outcomes} <= {Result.REMOVED, Result.BACKED_UP}
        assert before <= self._tiny.names()
        if disposal is not Disposal.BACKUP:
            freed = sum((Space(one.freed, one.freed_inodes) for one in execution.outcomes), NO_SPACE)
            assert freed == plan.frees == before_it - space(self._tiny.cache)

    @rule(disposal=st.sampled_from(Disposal), step=st.integers(1, 40))
    def prune_and_be_killed(self, disposal: Disposal, step: int) -> None:
        plan, run = self._plan(set(PartKind)), self._run(disposal)
        pid = os.fork()
        if pid == 0:
            die_at(step, CHANGES)
            self._tiny.execute(plan, run=run)
            os._exit(0)
        os.waitpid(pid, 0)
        self.nothing_is_half_there()
        self._recover()

    def _plan(self, kinds: set[PartKind]) -> Plan:
        return self._tiny.plan(policy=Policy(kinds=frozenset(kinds), min_age=0))

    def _run(self, disposal: Disposal) -> Run:
        self._runs += 1
        destination = str(self._elsewhere) if disposal is Disposal.ARCHIVE else None
        return Run(f"run-{self._runs:04}", float(self._runs), disposal, destination)

    def _recover(self) -> None:
        _, complete = recover(list_cache(str(self._tiny.cache)), Patience(), lambda files: None)
        assert complete

    def _stored(self) -> tuple[StoredRun, ...]:
        return stored_runs(list_cache(str(self._tiny.cache)))

    @precondition(lambda self: self._stored())
    @rule(data=st.data(), dist=st.sampled_from((None, *DISTS)))
    def restore(self, data: st.DataObject, dist: str | None) -> None:
        stored = data.draw(st.sampled_from(self._stored()))
        fetch = Fetch(self._archive_again, self._extract_again)
        before = {name: _look(self._tiny.cache / name) for name in self._tiny.names() & self._whole.keys()}
        wanted = [entry for entry in stored.entries if dist in (None, entry.dist)]

        with locked(stored.cache, Patience()) as cache:
            restored = restore(cache, stored, wanted.__contains__, fetch, lambda done: None)

        assert restored.unsettled is None
        assert not restored.interrupted
        assert {outcome.result for outcome in restored.outcomes} <= {Result.RESTORED, Result.SKIPPED}
        for entry in wanted:
            assert {part.name for part in entry.parts} <= self._tiny.names()
        for name, tree in before.items():
            assert _look(self._tiny.cache / name) == tree

    def _archive_again(self, entry: ReceiptEntry, directory: str, name: str) -> None:
        other = Tiny(Path(directory) / "made")
        other.add(entry.dist, {}, archive=True)
        os.rename(other.cache / name, Path(directory) / name)
        shutil.rmtree(Path(directory) / "made")

    def _extract_again(self, entry: ReceiptEntry, archive: str, target: str) -> None:
        other = Tiny(Path(target).parent / "made")
        os.rename(other.add(entry.dist, _files(entry.dist)), target)
        shutil.rmtree(Path(target).parent / "made")

    @precondition(lambda self: self._stored())
    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        stored = data.draw(st.sampled_from(self._stored()))
        with locked(stored.cache, Patience()) as cache:
            outcome = purge(cache, stored, lambda path, fd: measure(path, dir_fd=fd), lambda files: None)
        assert outcome.error is None
        assert stored.id not in {run.id for run in self._stored()}

    @invariant()
    def every_environment_has_what_it_had(self) -> None:
        for installed in self._installed.values():
            for path, content in installed.items():
                assert path.read_bytes() == content

    @invariant()
    def nothing_is_half_there(self) -> None:
        for name, whole in self._whole.items():
            place = self._tiny.cache / name
            assert not place.exists() or _look(place) == whole
        for run in self._stored():
            for entry in run.receipt.entries if run.receipt else ():
                for part in run.held(entry):
                    assert _revealed(_look(Path(run.path) / part.number)) == self._whole[part.name]

    @invariant()
    def the_victim_is_untouched(self) -> None:
        assert [path.name for path in self._victim.iterdir()] == ["file"]
        assert (self._victim / "file").read_bytes() == b"precious"


@pytest.mark.posix
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_no_sequence_of_steps_breaks_a_promise() -> None:
    run_state_machine_as_test(
        PruneMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
