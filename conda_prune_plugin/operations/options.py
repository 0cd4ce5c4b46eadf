"""Options of each operation, as frozen values.

Sizes are in bytes, ages and times to wait in seconds. `cli.parsing.arguments` makes these from the command line and
from ``.condarc``; a program makes them itself (see `conda_prune_plugin.api`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core.rules.policy import DEFAULT_MIN_AGE
from ..core.rules.targets import DEFAULT, Target
from ..core.run import Check, Disposal
from ..discovery.inventory import Request
from ..discovery.leftovers.leftover_search import DEFAULT_SEARCH, Search
from ..execution.locks.run_lock import DEFAULT_PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """Where to look, what stays, and what of the rest may go: shared by all that plan.

    pkgs_dirs: package caches instead of the configured ones. roots: prefixes of further environments; they must exist.
    configured_roots: those of the setting ``prune_roots``, which may be missing at the moment. searches: directories
    below which to look for environments. lockfiles: what these name stays. keep: package specifications of what stays;
    one that matches nothing is reported. configured_keep: those of the setting ``prune_keep``. keep_revisions: how many
    earlier revisions of each environment stay.

    targets: what may go. search: where leftovers are looked for. only: package specifications; without any, everything
    that is unreferenced. older_than: last used at least so long ago. min_age: what is younger is never touched.
    keep_newest: how many versions of each package name stay. max_size: remove, least recently used first, until the
    caches hold so much. free: remove until so much is reclaimed. include_irreplaceable: also what can't be fetched
    again. check_remote: ask the channels whether they still have each package.
    """

    pkgs_dirs: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    configured_roots: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    lockfiles: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    configured_keep: tuple[str, ...] = ()
    keep_revisions: int = 0
    targets: Target = DEFAULT
    search: Search = DEFAULT_SEARCH
    only: tuple[str, ...] = ()
    older_than: float = 0.0
    min_age: float = DEFAULT_MIN_AGE
    keep_newest: int = 0
    max_size: int | None = None
    free: int | None = None
    include_irreplaceable: bool = False
    check_remote: bool = False

    @property
    def request(self) -> Request:
        """What discovery has to look for."""
        return Request(
            pkgs_dirs=self.pkgs_dirs,
            roots=self.roots,
            configured=self.configured_roots,
            searches=self.searches,
            lockfiles=self.lockfiles,
            keep=(*self.configured_keep, *self.keep),
            keep_revisions=self.keep_revisions,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions(PlanOptions):
    """``conda prune``.

    disposal: what becomes of what is removed. destination: the absolute path of the directory for archives, with
    `Disposal.ARCHIVE` only. preset: ``image`` or ``cache`` of ``--ci``. check: change nothing, and answer whether more
    could go. ignore_unreadable: go on though an environment can't be read. ignore_running: go on though another program
    installs packages. lock_timeout: how long to wait for another program. purge_after: delete backups of earlier runs
    that are older; None: never.
    """

    disposal: Disposal = Disposal.DELETE
    destination: str | None = None
    preset: str | None = None
    check: Check | None = None
    ignore_unreadable: bool = False
    ignore_running: bool = False
    lock_timeout: float = DEFAULT_PATIENCE
    purge_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageOptions(PlanOptions):
    """``conda prune usage``.

    environment: the name or prefix of the only one to show. by_package: package by package. html: the file for a report
    to open in a browser. export: the format in which to write every file, ``ncdu``. other_caches: measure the caches of
    other tools to their end (True), not at all (False), or for some seconds (None).
    """

    environment: str | None = None
    by_package: bool = False
    html: str | None = None
    export: str | None = None
    other_caches: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyOptions(PlanOptions):
    """``conda prune why``.

    specs: what to explain. every: explain everything. find: the directory in which to look for hard links that nothing
    explains.
    """

    specs: tuple[str, ...] = ()
    every: bool = False
    find: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvsOptions(PlanOptions):
    """``conda prune envs``.

    environments: names or prefixes of the only ones. unused_for: only those of which all evidence of use is so old;
    unused_for_text: as it was typed. remove: remove them. fix_registry: take lines whose environment is gone out of
    environments.txt. force: also what is protected. prune: prune the caches afterwards without a question. disposal:
    what becomes of the environments. ignore_running, lock_timeout: as in `PruneOptions`.
    """

    environments: tuple[str, ...] = ()
    unused_for: float | None = None
    unused_for_text: str | None = None
    remove: bool = False
    fix_registry: bool = False
    force: bool = False
    prune: bool = False
    disposal: Disposal = Disposal.DELETE
    ignore_running: bool = False
    lock_timeout: float = DEFAULT_PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """``conda prune restore``.

    run: the id of the run to undo, or ``last`` for the caller's newest; None to list the runs. only: a package
    specification of what to put back. pkgs_dirs: package caches instead of the configured ones. lock_timeout: how long
    to wait for another program.
    """

    run: str | None = None
    only: str | None = None
    pkgs_dirs: tuple[str, ...] = ()
    lock_timeout: float = DEFAULT_PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeOptions:
    """``conda prune purge``.

    runs: ids of runs; without any, those that are at least `older_than` old, or else all. pkgs_dirs,
    lock_timeout: as in `RestoreOptions`.
    """

    runs: tuple[str, ...] = ()
    older_than: float | None = None
    pkgs_dirs: tuple[str, ...] = ()
    lock_timeout: float = DEFAULT_PATIENCE
