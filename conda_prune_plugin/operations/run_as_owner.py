"""Change another user's directories as that user (`execution.owner_process`), for all commands.

Archives in a directory of root's own (``--backup-to``) are written and read by root, since their owner can't: see
`_needs_root`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import failures
from ..core.envs.environment_use import RemovedEnvironment
from ..core.model import Cache, Result, Root
from ..core.notices import Notice
from ..core.plan import OtherOutcome, Outcome, Plan
from ..core.run import Disposal, Run
from ..discovery.envs.export import Export, export
from ..discovery.envs.own_file_search import changed_after
from ..discovery.system.measure import measure
from ..discovery.usage.pip_packages import PythonPackage
from ..errors import PruneError
from ..execution.environment_preflight import EnvironmentPorts, EnvironmentRemoval
from ..execution.locks.run_lock import Patience
from ..execution.owner_process import Ask, in_place_of, owner_to_become
from ..execution.ports import Extraction, Ports
from ..execution.purge_backups import purge
from ..execution.quarantine.archive import is_own_folder
from ..execution.recover import recover
from ..execution.remove_environments import RemovalResult, remove_environments
from ..execution.remove_index_caches import remove_other
from ..execution.repair_packages import repair
from ..execution.restore_backups import Restored, restore
from ..execution.state.receipt import ReceiptEntry
from ..execution.state.state_dir import locked
from ..execution.state.stored_runs import StoredRun
from ..execution.sweep import Execution, execute
from .conda_fetch import preload
from .conda_hooks import run_removal_hooks
from .runs.refetch import fetch
from .runs.restore_envs import restore_environments

#: What `Export` says of an environment.
_Exported = tuple[Mapping[str, bytes], tuple[PythonPackage, ...], tuple[str, ...], tuple[str, ...]]

#: An outcome for each of some decisions, in their order, and whether the user stopped it.
_Outcomes = tuple[tuple[Outcome, ...], bool]
_OtherOutcomes = tuple[tuple[OtherOutcome, ...], bool]

_INTERRUPTED = "interrupted before it"


def execute_as_owners(plan: Plan, run: Run, ports: Ports) -> Execution:
    """Carry out all decisions to remove, as `execute`. Raises what that raises, before anything is changed."""
    if run.disposal is Disposal.ARCHIVE:
        return execute(plan, run, ports)
    done: dict[int, Outcome] = {}
    whole = Execution(())
    for path, numbers in _by_owner([decision.entry.cache for decision in plan.remove]):
        decisions = tuple(plan.remove[number] for number in numbers)
        mine = replace(plan, remove=decisions, other=tuple(item for item in plan.other if _same_owner(item.top, path)))
        if whole.interrupted:
            part = _stopped(mine, _INTERRUPTED, Result.SKIPPED)
        else:
            part = _executed(path, mine, run, ports, done)
        done.update(zip(numbers, part.outcomes))
        whole = Execution(
            (),
            whole.interrupted or part.interrupted,
            whole.unsettled + part.unsettled,
            whole.others + part.others,
            whole.unrecorded + part.unrecorded,
        )
    return replace(whole, outcomes=tuple(done[number] for number in sorted(done)))


def _executed(path: str, plan: Plan, run: Run, ports: Ports, before: Mapping[int, Outcome]) -> Execution:
    try:
        return in_place_of(path, Execution, lambda ask: execute(plan, run, _ports(ports, ask)), _answers(ports))
    except PruneError as error:
        if not before:
            raise
        # What was done in the caches of others has to be reported.
        return _stopped(plan, error.message, Result.FAILED)


def _stopped(plan: Plan, why: str, result: Result) -> Execution:
    return Execution(tuple(Outcome(decision.entry, result, error=why) for decision in plan.remove))


def repair_as_owners(plan: Plan, run: Run, extraction: Extraction, ports: Ports) -> _Outcomes:
    """Extract damaged packages anew, as `repair`."""
    preload()
    done: dict[int, Outcome] = {}
    interrupted = False
    for path, numbers in _by_owner([item.removal.entry.cache for item in plan.repair]):
        mine = [plan.repair[number] for number in numbers]

        def work(ask: Ask, mine: Sequence[Any] = mine) -> _Outcomes:
            return repair(mine, plan.inventory.caches, run, extraction, _ports(ports, ask))

        outcomes = tuple(Outcome(item.removal.entry, Result.SKIPPED, error=_INTERRUPTED) for item in mine)
        if not interrupted:
            outcomes, interrupted = in_place_of(path, _Outcomes, work, _answers(ports))
        done.update(zip(numbers, outcomes))
    return tuple(done[number] for number in sorted(done)), interrupted


def remove_other_as_owners(plan: Plan, ports: Ports, before: Sequence[OtherOutcome]) -> _OtherOutcomes:
    """Remove index caches, temporary and log files, as `remove_other`."""
    done: dict[int, OtherOutcome] = {}
    interrupted = False
    for path, numbers in _by_owner([other.top for other in plan.other]):
        mine = [plan.other[number] for number in numbers]

        def work(ask: Ask, mine: Sequence[Any] = mine) -> _OtherOutcomes:
            return remove_other(mine, plan.inventory.caches, _ports(ports, ask), before)

        outcomes = tuple(OtherOutcome(other, Result.SKIPPED, error=_INTERRUPTED) for other in mine)
        if not interrupted:
            outcomes, interrupted = in_place_of(path, _OtherOutcomes, work, _answers(ports))
        done.update(zip(numbers, outcomes))
    return tuple(done[number] for number in sorted(done)), interrupted


def remove_environments_as_owners(
    removals: Sequence[EnvironmentRemoval], run: Run, ports: EnvironmentPorts
) -> RemovalResult:
    """Take environments away, as `remove_environments`. Raises what that raises, before anything is changed."""
    preload()
    done: dict[int, RemovedEnvironment] = {}
    interrupted = False
    for path, numbers in _by_owner([removal.place.real_path for removal in removals]):
        mine = [removals[number] for number in numbers]
        if interrupted:
            part = RemovalResult(
                tuple(RemovedEnvironment(item.path, Result.SKIPPED, error=_INTERRUPTED) for item in mine)
            )
        else:
            part = _taken_away(path, mine, run, ports, done)
        done.update(zip(numbers, part.outcomes))
        interrupted |= part.interrupted
    return RemovalResult(tuple(done[number] for number in sorted(done)), interrupted)


def _taken_away(
    path: str,
    removals: Sequence[EnvironmentRemoval],
    run: Run,
    ports: EnvironmentPorts,
    before: Mapping[int, RemovedEnvironment],
) -> RemovalResult:
    answers = {"objection": ports.objection, "unregister": ports.unregister, "note": ports.note}

    def work(ask: Ask) -> RemovalResult:
        asking = replace(
            ports,
            objection=lambda prefix: ask("objection", prefix),
            unregister=lambda prefix: ask("unregister", prefix),
            note=lambda place: ask("note", place),
            progress=lambda files: ask("progress", files),
            patience=_patience(ports.patience, ask),
        )
        return remove_environments(removals, run, asking)

    try:
        return in_place_of(path, RemovalResult, work, {**_voices(ports.patience, ports.progress), **answers})
    except PruneError as error:
        if not before:
            raise
        return RemovalResult(
            tuple(RemovedEnvironment(item.path, Result.FAILED, error=error.message) for item in removals)
        )


def removal_hooks_as_owner(prefix: str) -> str | None:
    """Do what conda does outside of an environment that it removes (`run_removal_hooks`), as its owner."""
    return in_place_of(prefix, str | None, lambda ask: run_removal_hooks(prefix), {})


def export_as_owner(root: Root) -> Export:
    """Return the export of an environment, as `export`: its owner could have made links of its files to any others."""
    preload()

    def work(ask: Ask) -> _Exported:
        exported = export(root)
        return exported.files, exported.python, exported.sourceless, exported.unreadable

    return Export(root, *in_place_of(root.path, _Exported, work, {}))


def recover_as_owner(
    cache: Cache, patience: Patience, progress: Callable[[int], None]
) -> tuple[tuple[Notice, ...], bool]:
    """Complete the interrupted runs of a cache, as `recover`."""

    def work(ask: Ask) -> tuple[tuple[Notice, ...], bool]:
        return recover(cache, _patience(patience, ask), lambda files: ask("progress", files), changed_after)

    result = tuple[tuple[Notice, ...], bool]
    return in_place_of(cache.real_path, result, work, _voices(patience, progress))


def needs_other_user(stored: StoredRun) -> bool:
    """Return whether what a run has left belongs to another user, so that it is worked on as that user."""
    return _owner(stored.cache.real_path) is not None and not _needs_root(stored)


def _needs_root(stored: StoredRun) -> bool:
    """Return whether the archives of a run lie where only root can read them, and root has written them there."""
    run = stored.run
    if run is None or run.disposal is not Disposal.ARCHIVE or stored.receipt is None:
        return False
    return is_own_folder(stored.receipt)


def restore_as_owner(
    stored: StoredRun, wanted: Callable[[ReceiptEntry], bool], patience: Patience, progress: Callable[[int], None]
) -> Restored:
    """Lock a cache, or a directory of environments, and put back the wanted entries of a run as its owner."""
    preload()

    def work(ask: Ask) -> Restored:
        with locked(stored.cache, _patience(patience, ask)) as here:
            if stored.environments:
                return restore_environments(here, stored, wanted, lambda done: ask("progress", done))
            return restore(here, stored, wanted, fetch(), lambda done: ask("progress", done))

    return in_place_of(stored.cache.real_path, Restored, work, _voices(patience, progress))


def purge_as_owner(stored: StoredRun, patience: Patience, progress: Callable[[int], None]) -> tuple[int, str | None]:
    """Lock a cache and delete what a run has left there, as its owner; return the bytes freed and what went wrong."""

    def work(ask: Ask) -> tuple[int, str | None]:
        with locked(stored.cache, _patience(patience, ask)) as here:
            done = purge(here, stored, _measure, lambda files: ask("progress", files))
        return done.freed, done.error

    return in_place_of(stored.cache.real_path, tuple[int, str | None], work, _voices(patience, progress))


def _by_owner(paths: Sequence[str]) -> Iterable[tuple[str, list[int]]]:
    """Give a path of each user to become, and the places in the sequence of all that belong to the same."""
    users = {path: _owner(path) for path in dict.fromkeys(paths)}
    found: dict[int | None, list[int]] = {}
    for number, path in enumerate(paths):
        found.setdefault(users[path], []).append(number)
    return [(paths[numbers[0]], numbers) for numbers in found.values()]


def _same_owner(one: str, other: str) -> bool:
    return _owner(one) == _owner(other)


def _owner(path: str) -> int | None:
    try:
        user = owner_to_become(failures.realpath(path))
    except OSError as error:
        failures.note(error)
        return None
    return None if user is None else user.uid


def _measure(path: str, dir_fd: int | None) -> Any:
    return measure(path, dir_fd=dir_fd)


def _ports(ports: Ports, ask: Ask) -> Ports:
    """Return what an execution needs from outside, had from the parent: it sees all environments."""
    return replace(
        ports,
        references=lambda: ask("references"),
        soft_links=lambda: ask("soft_links"),
        progress=lambda files: ask("progress", files),
        patience=_patience(ports.patience, ask),
    )


def _answers(ports: Ports) -> Mapping[str, Callable[..., Any]]:
    more = {"references": ports.references, "soft_links": ports.soft_links}
    return {**_voices(ports.patience, ports.progress), **more}


def _patience(patience: Patience, ask: Ask) -> Patience:
    return Patience(patience.seconds, lambda message: ask("notify", message))


def _voices(patience: Patience, progress: Callable[[int], None]) -> Mapping[str, Callable[..., Any]]:
    return {"notify": patience.notify, "progress": progress}
