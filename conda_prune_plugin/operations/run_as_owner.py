"""Change another user's directories as that user (`execution.owner_process`), for all commands.

Archives in a directory of root's own (``--backup-to``) are written and read by root, since their owner can't: see
`_needs_other_user`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from typing import Any, TypeVar

from .. import failures
from ..core.envs.environment_use import RemovedEnvironment
from ..core.evidence import SharedExtents
from ..core.model import Result, Root
from ..core.plan import Other, OtherOutcome, Outcome, Plan, Remove, Repair
from ..core.run import Disposal, Run
from ..core.usage.sharing import Share, ShareOutcome, ShareResult
from ..discovery.envs.export import Export, export
from ..discovery.usage.pip_packages import PythonPackage
from ..errors import PruneError
from ..execution.environment_preflight import EnvironmentPorts, EnvironmentRemoval
from ..execution.locks.run_lock import Patience
from ..execution.owner_process import Ask, in_place_of, owner_to_become
from ..execution.ports import Fetch, Ports
from ..execution.quarantine.archive import is_own_folder
from ..execution.remove_environments import RemovalResult, remove_environments
from ..execution.share_extents import share
from ..execution.state.state_dir import LockedCache, locked
from ..execution.state.stored_runs import StoredRun
from ..execution.sweep import Execution, carry_out, execute, merged
from .conda_fetch import preload
from .conda_hooks import run_removal_hooks

T = TypeVar("T")
_Item = TypeVar("_Item")
_Part = TypeVar("_Part", Execution, RemovalResult, ShareResult)


@dataclass(frozen=True, slots=True)
class Voices:
    """The ports of work that needs nothing else from outside: progress, and how long to wait for locks."""

    progress: Callable[[int], None]
    patience: Patience


_Ports = TypeVar("_Ports", Ports, EnvironmentPorts, Voices)

#: What `Export` says of an environment.
_Exported = tuple[Mapping[str, bytes], tuple[PythonPackage, ...], tuple[str, ...], tuple[str, ...]]

_Decision = Remove | Repair | Other

#: The callables of ports that only the parent can answer: it sees all environments, and the screen.
_ASKED = {
    Ports: ("references", "soft_links", "progress"),
    EnvironmentPorts: ("objection", "unregister", "note", "progress"),
    Voices: ("progress",),
}


def carry_out_as_owners(plan: Plan, run: Run, repairing: Run, fetch: Fetch, ports: Ports) -> Execution:
    """Carry out all decisions of a plan, as `carry_out`. Raises what that raises, before anything is changed."""
    parts: list[Execution] = []
    left = plan
    if run.disposal is Disposal.ARCHIVE and plan.remove:
        parts.append(execute(plan, run, ports))
        if parts[0].interrupted:
            return parts[0]
        gone = {outcome.other for outcome in parts[0].others}
        left = replace(plan, remove=(), other=tuple(other for other in plan.other if other not in gone))
    if plan.repair:
        preload()

    def carry_out_part(path: str, mine: Sequence[_Decision]) -> Execution:
        kinds = {"remove": Remove, "repair": Repair, "other": Other}
        decisions: dict[str, Any] = {
            name: tuple(item for item in mine if isinstance(item, kind)) for name, kind in kinds.items()
        }
        part = replace(plan, **decisions)
        return as_owner(path, Execution, ports, lambda remote: carry_out(part, run, repairing, fetch, remote))

    def undone(mine: Sequence[_Decision], result: Result, why: str) -> Execution:
        entries = (item.entry for item in mine if not isinstance(item, Other))
        others = (item for item in mine if isinstance(item, Other))
        return Execution(
            tuple(Outcome(entry, result, error=why) for entry in entries),
            others=tuple(OtherOutcome(other, result, error=why) for other in others),
        )

    items: tuple[_Decision, ...] = (*left.remove, *left.repair, *left.other)
    _each_owner(parts, items, _place, carry_out_part, undone)
    return merged(plan, parts)


def _place(decision: _Decision) -> str:
    return decision.top if isinstance(decision, Other) else decision.entry.cache


def remove_environments_as_owners(
    removals: Sequence[EnvironmentRemoval], run: Run, ports: EnvironmentPorts, sharing: Sequence[SharedExtents]
) -> RemovalResult:
    """Remove environments, as `remove_environments`. Raises what that raises, before anything is changed."""
    preload()

    def carry_out_part(path: str, mine: Sequence[EnvironmentRemoval]) -> RemovalResult:
        return as_owner(path, RemovalResult, ports, lambda remote: remove_environments(mine, run, remote, sharing))

    def undone(mine: Sequence[EnvironmentRemoval], result: Result, why: str) -> RemovalResult:
        return RemovalResult(tuple(RemovedEnvironment(removal.path, result, error=why) for removal in mine))

    parts: list[RemovalResult] = []
    _each_owner(parts, removals, lambda removal: removal.place.real_path, carry_out_part, undone)
    order = {removal.path: number for number, removal in enumerate(removals)}
    outcomes = chain.from_iterable(part.outcomes for part in parts)
    interrupted = any(part.interrupted for part in parts)
    return RemovalResult(tuple(sorted(outcomes, key=lambda outcome: order.get(outcome.path, len(order)))), interrupted)


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


def share_as_owners(shares: Sequence[Share], voices: Voices) -> ShareResult:
    """Let files share the storage of others, as `share`; both of each pair are of one owner."""

    def carry_out_part(path: str, mine: Sequence[Share]) -> ShareResult:
        return as_owner(path, ShareResult, voices, lambda remote: share(mine, remote.progress))

    def undone(mine: Sequence[Share], result: Result, why: str) -> ShareResult:
        return ShareResult(tuple(ShareOutcome(item.file.path, result, error=why) for item in mine))

    parts: list[ShareResult] = []
    _each_owner(parts, shares, lambda item: item.file.place.path, carry_out_part, undone)
    outcomes = chain.from_iterable(part.outcomes for part in parts)
    return ShareResult(tuple(outcomes), any(part.interrupted for part in parts))


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
    parts: list[_Part],
    items: Iterable[_Item],
    place: Callable[[_Item], str],
    carry_out_part: Callable[[str, Sequence[_Item]], _Part],
    undone: Callable[[Sequence[_Item], Result, str], _Part],
) -> None:
    """Carry out decisions for one owner of their places after the other, and append the results to `parts`.

    `undone` makes the results of what was left after the user has interrupted that. An error that keeps an owner's part
    from beginning is raised while nothing was changed, and an outcome of its decisions later.
    """
    by_owner: dict[int | None, list[_Item]] = {}
    owner = cache(_owner)
    for item in items:
        by_owner.setdefault(owner(place(item)), []).append(item)
    for mine in by_owner.values():
        if any(part.interrupted for part in parts):
            parts.append(undone(mine, Result.SKIPPED, "interrupted before it"))
            continue
        try:
            parts.append(carry_out_part(place(mine[0]), mine))
        except PruneError as error:
            if not parts:
                raise
            parts.append(undone(mine, Result.FAILED, error.message))


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
