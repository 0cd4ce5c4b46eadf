"""Change another user's directories as that user (`execution.owner_process`), for all commands.

Archives in a directory of root's own (``--backup-to``) are written and read by root, since their owner can't: see
`_needs_other_user`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from .. import failures
from ..core.envs.environment_use import RemovedEnvironment
from ..core.model import Result, Root
from ..core.plan import Other, OtherOutcome, Outcome, Plan, Remove, Repair
from ..core.run import Disposal, Run
from ..core.usage.sharing import Share, ShareOutcome
from ..discovery.envs.export import Export, export
from ..discovery.usage.pip_packages import PythonPackage
from ..errors import PruneError
from ..execution.environment_preflight import EnvironmentPorts, EnvironmentRemoval
from ..execution.locks.run_lock import Patience
from ..execution.owner_process import Ask, in_place_of, owner_to_become
from ..execution.ports import Extraction, Ports
from ..execution.quarantine.archive import is_own_folder
from ..execution.remove_environments import RemovalResult, remove_environments
from ..execution.remove_index_caches import remove_other
from ..execution.repair_packages import repair
from ..execution.share_extents import share
from ..execution.state.state_dir import LockedCache, locked
from ..execution.state.stored_runs import StoredRun
from ..execution.sweep import Execution, execute
from .conda_fetch import preload
from .conda_hooks import run_removal_hooks

T = TypeVar("T")
_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")


@dataclass(frozen=True, slots=True)
class Voices:
    """The ports of work that needs nothing else from outside: progress, and how long to wait for locks."""

    progress: Callable[[int], None]
    patience: Patience


_Ports = TypeVar("_Ports", Ports, EnvironmentPorts, Voices)

#: What `Export` says of an environment.
_Exported = tuple[Mapping[str, bytes], tuple[PythonPackage, ...], tuple[str, ...], tuple[str, ...]]

#: An outcome for each of some decisions, in their order, and whether the user interrupted it.
_Outcomes = tuple[tuple[Outcome, ...], bool]
_OtherOutcomes = tuple[tuple[OtherOutcome, ...], bool]
_ShareOutcomes = tuple[tuple[ShareOutcome, ...], bool]

#: The callables of ports that only the parent can answer: it sees all environments, and the screen.
_ASKED = {
    Ports: ("references", "soft_links", "progress"),
    EnvironmentPorts: ("objection", "unregister", "note", "progress"),
    Voices: ("progress",),
}


def execute_as_owners(plan: Plan, run: Run, ports: Ports) -> Execution:
    """Carry out all decisions to remove, as `execute`. Raises what that raises, before anything is changed."""
    if run.disposal is Disposal.ARCHIVE:
        return execute(plan, run, ports)
    parts: list[Execution] = []

    def carry_out(path: str, mine: Sequence[Remove]) -> _Outcomes:
        others = tuple(other for other in plan.other if _owner(other.top) == _owner(path))
        part = replace(plan, remove=tuple(mine), other=others)
        parts.append(as_owner(path, Execution, ports, lambda remote: execute(part, run, remote)))
        return parts[-1].outcomes, parts[-1].interrupted

    outcomes, interrupted = _each_owner(
        plan.remove,
        lambda decision: decision.entry.cache,
        carry_out,
        lambda decision, result, why: Outcome(decision.entry, result, error=why),
    )
    return Execution(
        outcomes,
        interrupted,
        tuple(chain.from_iterable(part.unsettled for part in parts)),
        tuple(chain.from_iterable(part.others for part in parts)),
        tuple(chain.from_iterable(part.unrecorded for part in parts)),
    )


def repair_as_owners(plan: Plan, run: Run, extraction: Extraction, ports: Ports) -> _Outcomes:
    """Extract damaged packages anew, as `repair`."""
    preload()

    def carry_out(path: str, mine: Sequence[Repair]) -> _Outcomes:
        return as_owner(
            path, _Outcomes, ports, lambda remote: repair(mine, plan.inventory.caches, run, extraction, remote)
        )

    return _each_owner(
        plan.repair,
        lambda item: item.removal.entry.cache,
        carry_out,
        lambda item, result, why: Outcome(item.removal.entry, result, error=why),
    )


def remove_other_as_owners(plan: Plan, ports: Ports, before: Sequence[OtherOutcome]) -> _OtherOutcomes:
    """Remove index caches, temporary and log files, as `remove_other`."""

    def carry_out(path: str, mine: Sequence[Other]) -> _OtherOutcomes:
        return as_owner(
            path, _OtherOutcomes, ports, lambda remote: remove_other(mine, plan.inventory.caches, remote, before)
        )

    return _each_owner(
        plan.other,
        lambda other: other.top,
        carry_out,
        lambda other, result, why: OtherOutcome(other, result, error=why),
    )


def remove_environments_as_owners(
    removals: Sequence[EnvironmentRemoval], run: Run, ports: EnvironmentPorts
) -> RemovalResult:
    """Remove environments, as `remove_environments`. Raises what that raises, before anything is changed."""
    preload()

    def carry_out(path: str, mine: Sequence[EnvironmentRemoval]) -> tuple[tuple[RemovedEnvironment, ...], bool]:
        part = as_owner(path, RemovalResult, ports, lambda remote: remove_environments(mine, run, remote))
        return part.outcomes, part.interrupted

    outcomes = _each_owner(
        removals,
        lambda removal: removal.place.real_path,
        carry_out,
        lambda removal, result, why: RemovedEnvironment(removal.path, result, error=why),
    )
    return RemovalResult(*outcomes)


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


def share_as_owners(shares: Sequence[Share], voices: Voices) -> _ShareOutcomes:
    """Let files share the storage of others, as `share`; both of each pair are of one owner."""

    def carry_out(path: str, mine: Sequence[Share]) -> _ShareOutcomes:
        return as_owner(path, _ShareOutcomes, voices, lambda remote: share(mine, remote.progress))

    return _each_owner(
        shares,
        lambda item: item.file.place.path,
        carry_out,
        lambda item, result, why: ShareOutcome(item.file.path, result, error=why),
    )


@dataclass(frozen=True, slots=True)
class LockedRuns:
    """Caches that are locked by this process, by path, while it works on what runs have left in them.

    A cache of another user is locked by the process that becomes this user, only while that works.
    """

    held: Mapping[str, LockedCache]
    voices: Voices

    def work(self, stored: StoredRun, result: object, work: Callable[[LockedCache, Callable[[int], None]], T]) -> T:
        """Return what `work` returns, given the locked cache of a run and the progress; `result` is its type.

        Raises what it raises, `StateError`, and `LockTimeoutError`.
        """
        # Another user's is locked here too where root has written archives of another run that only root can read.
        held = self.held.get(stored.cache.path)
        if held is not None and not _needs_other_user(stored):
            return work(held, self.voices.progress)

        def as_the_owner(voices: Voices) -> T:
            if held is not None:
                return work(held, voices.progress)
            with locked(stored.cache, voices.patience) as here:
                return work(here, voices.progress)

        preload()
        return as_owner(stored.cache.real_path, result, self.voices, as_the_owner)


@contextmanager
def runs_locked(runs: Iterable[StoredRun], voices: Voices) -> Iterator[LockedRuns]:
    """Lock all caches that runs lie in before anything is changed in one of them.

    Raises `StateError` or `LockTimeoutError`.
    """
    caches = {stored.cache.path: stored.cache for stored in runs if not _needs_other_user(stored)}
    with ExitStack() as stack:
        held = {path: stack.enter_context(locked(cache, voices.patience)) for path, cache in caches.items()}
        yield LockedRuns(held, voices)


def _needs_other_user(stored: StoredRun) -> bool:
    """Return whether root has to become another user to work on what a run has left.

    Not for archives that root has written where only root can read them.
    """
    if _owner(stored.cache.real_path) is None:
        return False
    archives = stored.run is not None and stored.run.disposal is Disposal.ARCHIVE
    return not (archives and stored.receipt is not None and is_own_folder(stored.receipt))


def _each_owner(
    items: Sequence[_Item],
    place: Callable[[_Item], str],
    carry_out: Callable[[str, Sequence[_Item]], tuple[Sequence[_Outcome], bool]],
    undone: Callable[[_Item, Result, str], _Outcome],
) -> tuple[tuple[_Outcome, ...], bool]:
    """Carry out decisions for one owner of their places after the other.

    Returns the outcomes in the order of the decisions, and whether the user interrupted it. `undone` makes the outcomes
    of what was left after that. An error that keeps an owner's part from beginning is raised while nothing was changed,
    and an outcome of its decisions later.
    """
    by_owner: dict[int | None, list[int]] = {}
    owners = {path: _owner(path) for path in dict.fromkeys(map(place, items))}
    for number, item in enumerate(items):
        by_owner.setdefault(owners[place(item)], []).append(number)
    outcomes: dict[int, _Outcome] = {}
    interrupted = False
    for numbers in by_owner.values():
        mine = [items[number] for number in numbers]
        part: Sequence[_Outcome]
        if interrupted:
            part = [undone(item, Result.SKIPPED, "interrupted before it") for item in mine]
        else:
            try:
                part, interrupted = carry_out(place(mine[0]), mine)
            except PruneError as error:
                if not outcomes:
                    raise
                part = [undone(item, Result.FAILED, error.message) for item in mine]
        outcomes.update(zip(numbers, part))
    return tuple(outcomes[number] for number in sorted(outcomes)), interrupted


def as_owner(path: str, result: object, ports: _Ports, work: Callable[[_Ports], T]) -> T:
    """Return what `work` returns as the owner of a directory, given ports that ask this process; `result` is its type.

    Raises what `in_place_of` raises.
    """
    names = _ASKED[type(ports)]
    answers = {name: getattr(ports, name) for name in names}

    def asking(ask: Ask) -> _Ports:
        remote: dict[str, Any] = {name: partial(ask, name) for name in names}
        return replace(ports, **remote, patience=Patience(ports.patience.seconds, partial(ask, "notify")))

    return in_place_of(path, result, lambda ask: work(asking(ask)), {**answers, "notify": ports.patience.notify})


def _owner(path: str) -> int | None:
    """Return the number of the user that root has to become in a directory; None if the caller works as themselves."""
    try:
        user = owner_to_become(failures.realpath(path))
    except OSError as error:
        failures.note(error)
        return None
    return None if user is None else user.uid
