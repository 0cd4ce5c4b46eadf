"""Find the runs that ``conda prune restore`` and ``conda prune purge`` work on."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from ... import failures
from ...core.model import Cache, PartKind
from ...core.notices import Notice
from ...core.run import RunSummary
from ...core.units import NO_SPACE, plural
from ...discovery.clients.conda import conda_settings
from ...discovery.envs.export import EXPLICIT
from ...discovery.packages.cache_listing import find_caches
from ...errors import NoSuchRunError, PruneError, reason
from ...execution.state.receipt import ReceiptEntry
from ...execution.state.saved_own_files import count_own_files
from ...execution.state.state_dir import EXPORTS
from ...execution.state.stored_runs import StoredRun, stored_runs
from ..interaction import Interaction
from ..options import PurgeOptions, RestoreOptions
from .state_dirs import cut_off_notice, finish_runs, places

#: How many runs are named at most that an ambiguous id may mean.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Stock:
    """The caches, what runs have left in them, and what there is to say of that; the oldest run first.

    Directories of environments with runs in them stand among the caches.
    """

    caches: tuple[Cache, ...]
    runs: tuple[tuple[StoredRun, ...], ...]
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class RunList:
    """The runs that have left something; the oldest first."""

    runs: tuple[RunSummary, ...]
    notices: tuple[Notice, ...]


def list_runs(options: RestoreOptions) -> RunList:
    """List the runs in the caches. Nothing is written. Raises `PruneError` for a wrong directory."""
    stock = take_stock(options.pkgs_dirs)
    return RunList(tuple(map(summary, stock.runs)), stock.notices)


def take_stock(pkgs_dirs: Iterable[str]) -> Stock:
    """Find what runs have left in the caches. Nothing is written. Raises `PruneError` for a wrong directory."""
    settings, pkgs_dirs = conda_settings(), tuple(pkgs_dirs)
    caches, notices = find_caches(settings.pkgs_dirs, pkgs_dirs, settings.other_caches)
    if not pkgs_dirs:
        caches += places(settings, caches)
    runs: dict[str, list[StoredRun]] = {}
    for cache in caches:
        for stored in stored_runs(cache):
            if not stored.exhausted:
                runs.setdefault(stored.id, []).append(stored)
    every = list(chain.from_iterable(runs.values()))
    unfinished = [cut_off_notice(stored) for stored in every if not stored.complete or stored.rebuilding]
    unlisted = [
        Notice(
            "unlisted",
            f"{stored.path} holds {plural(len(stored.unlisted), 'item')} not listed in its receipt, which neither "
            "restore nor purge touches. Delete them if you don't need them.",
            stored.path,
        )
        for stored in every
        if stored.unlisted
    ]
    return Stock(caches, tuple(tuple(runs[name]) for name in sorted(runs)), (*notices, *unfinished, *unlisted))


def finished_stock(
    options: RestoreOptions | PurgeOptions, interaction: Interaction, *, finish: bool
) -> tuple[Stock, bool]:
    """Take stock; with `finish` complete interrupted runs before. Also return whether all of them could be."""
    stock = take_stock(options.pkgs_dirs)
    if not finish:
        return stock, True
    progress = interaction.reporter.counter("Finishing an earlier run")
    finished = finish_runs(conda_settings(), stock.caches, interaction.patience(options.lock_timeout), progress)
    interaction.reporter.clear()
    if not finished.notices:
        return stock, True
    stock = take_stock(options.pkgs_dirs)
    left_alone = {notice.path for notice in finished.notices}
    notices = tuple(notice for notice in stock.notices if notice.path not in left_alone)
    return Stock(stock.caches, stock.runs, (*finished.notices, *notices)), finished.complete


def summary(runs: Sequence[StoredRun]) -> RunSummary:
    """Return what one run has left in all caches together."""
    entries = [entry for stored in runs for entry in stored.entries]
    # An environment that was half removed can't be made again.
    held = sum((stored.stored for stored in runs), NO_SPACE)
    exports = (os.path.join(stored.path, EXPORTS, entry.dist, EXPLICIT) for stored in runs for entry in stored.entries)
    return RunSummary(
        id=runs[0].id,
        run=next((stored.run for stored in runs if stored.run), None),
        caches=tuple(stored.cache.path for stored in runs),
        dists=tuple(entry.dist for entry in entries),
        files=sum(entry.files for entry in entries),
        stored=held.bytes,
        stored_inodes=held.inodes,
        complete=all(stored.complete for stored in runs),
        environments=all(stored.environments for stored in runs),
        unexplained=any(stored.unexplained for stored in runs),
        own_files=sum(map(count_own_files, runs)),
        size=sum(entry.reclaimable for entry in entries),
        in_place=bool(entries) and all(stored.in_place for stored in runs if stored.entries),
        rebuildable=any(map(failures.isfile, exports)),
    )


def new_run_id(now: float) -> str:
    """Return a new run's id for a time in seconds since the epoch; ids sort by time, within a second too."""
    moment = f"{int(now % 1 * 0x10000):04x}"
    # The random end keeps two runs of one moment apart.
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{moment}{secrets.token_hex(2)}"


def named_run(stock: Stock, name: str, *, purging: bool = False) -> tuple[StoredRun, ...]:
    """Return a run by its id or the beginning of it, or by ``last`` the caller's newest with something to restore.

    A run to purge may be restored already: archives elsewhere stay. In a shared cache another user may have written any
    receipt, so the receipts that are the caller's own are preferred.

    Raises `NoSuchRunError`.
    """
    if name == "last":
        for own in (tuple(stored for stored in runs if stored.own) for runs in reversed(stock.runs)):
            if any(stored.entries and (purging or not stored.in_place or count_own_files(stored)) for stored in own):
                return own
        if not stock.runs:
            # A run that is undone or purged leaves no trace.
            raise NoSuchRunError(
                f"No run to {'purge' if purging else 'restore'}.",
                hint="All earlier runs were undone or purged, or nothing was removed yet.",
            )
        left = (
            "No earlier run has left anything."
            if purging
            else "Everything that earlier runs removed was restored or purged."
        )
        raise NoSuchRunError(f"Nothing left to {'purge' if purging else 'restore'}.", hint=left)
    exact = [runs for runs in stock.runs if runs[0].id == name]
    alike = exact or [runs for runs in stock.runs if name and runs[0].id.startswith(name)]
    if len(alike) == 1:
        return tuple(stored for stored in alike[0] if stored.own) or alike[0]
    if alike:
        ids = ", ".join(runs[0].id for runs in alike[:_NAMED]) + (", ..." if len(alike) > _NAMED else "")
        raise NoSuchRunError(
            f"{len(alike):,} runs begin with {name}: {ids}.", hint="Add more characters of the run you mean."
        )
    raise NoSuchRunError(f"There is no run {name}.", hint="`conda prune restore` lists all runs.")


def matching(spec: str | None) -> Callable[[ReceiptEntry], bool]:
    """Return whether an entry matches a package specification; without one, all do. Raises `ValueError`."""
    if spec is None:
        return lambda entry: True
    from ...discovery.clients.conda_specs import entry_matcher

    fits = entry_matcher(spec)

    def matches(entry: ReceiptEntry) -> bool:
        if any(part.kind is PartKind.ENVIRONMENT for part in entry.parts):
            return entry.dist == spec
        for dist in (entry.dist, *entry.names):
            name, version, build, *_ = [*dist.rsplit("-", 2), "", ""]
            record = {"name": name, "version": version, "build": build, "build_number": 0, "url": entry.source or ""}
            if fits(dist, record):
                return True
        return False

    return matches


def interrupted_notice(path: str = "") -> Notice:
    """Return the warning about an interrupted run."""
    return Notice("interrupted", "Interrupted. The next run completes it or rolls it back.", path)


def stopped_notice(kind: str, what: str, error: PruneError | OSError | KeyboardInterrupt) -> Notice:
    """Return the warning, of a kind, about a step that failed after others had changed something."""
    if isinstance(error, KeyboardInterrupt):
        return interrupted_notice()
    if isinstance(error, PruneError):
        return Notice(kind, f"{what}: {error.message}", error.path or "")
    return Notice(kind, f"{what}: {reason(error)}.", "")
