"""Options of each operation, as frozen values.

Sizes are in bytes, ages and times to wait in seconds. `cli.parsing.arguments` makes these from the command line and
``.condarc``; a program makes them itself (see `conda_prune_plugin.api`). A field has the name of the option's value.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..core.run import Check, Disposal
from ..discovery.inventory import Request
from ..execution.locks.run_lock import DEFAULT_PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions(Request):
    """Where to look, what to keep, and what to remove of the rest: shared by all commands that plan.

    pkgs_dirs: package caches instead of the configured ones. roots: prefixes of more environments; they must exist.
    configured_roots: those of the setting ``prune_roots``, which may be missing. searches: directories below which to
    look for environments. lockfiles: keep packages that these list. keep: keep packages that match these
    specifications; one that matches nothing is reported. configured_keep: those of the setting ``prune_keep``.
    keep_revisions: keep packages of this many earlier revisions of each environment.

    targets: what to remove. tempfiles: look for temporary files in these environments and those inside of them only.
    search: where to look for leftovers. only: package specifications; without any, everything
    unreferenced. older_than: only packages last used at least this long ago. min_age: never touch anything younger.
    keep_newest: keep this many versions of each package. max_size: remove, least recently used first, until the caches
    hold at most this much. free: remove until this much is freed. max_inodes, free_inodes: the same for inodes.
    include_irreplaceable: also packages that can't be downloaded again. check_remote: ask the channels whether they
    still have each package. paths: only packages and leftovers of which every part has one of these paths, by the
    caches' paths as configured; None for no such choice.
    """

    older_than: float = 0.0
    keep_newest: int = 0
    free: int | None = None
    free_inodes: int | None = None
    include_irreplaceable: bool = False
    paths: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions(PlanOptions):
    """``conda prune``.

    disposal: delete, back up or archive. destination: the absolute path of the directory for archives, with
    `Disposal.ARCHIVE` only. preset: ``image`` or ``cache`` of ``--ci``. check: change nothing, and return whether more
    can be freed. ignore_unreadable: continue even if an environment can't be read. ignore_running: continue while
    another program installs packages. lock_timeout: how long to wait for another program. purge_after: delete backups
    of earlier runs that are older; None: never.
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

    environment: show only the environment with this name or prefix. by_package: list packages. inodes: sort by inodes
    instead of bytes. html: the file for a report to open in a browser. export: the format in which to list every file,
    ``ncdu``. other_caches: measure the caches of other tools completely (True), not at all (False), or for some seconds
    (None).
    """

    environment: str | None = None
    by_package: bool = False
    inodes: bool = False
    html: str | None = None
    export: str | None = None
    other_caches: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WhyOptions(PlanOptions):
    """``conda prune why``.

    specs: explain packages that match these. every: explain everything. find: the directory to search for hard links of
    unknown environments.
    """

    specs: tuple[str, ...] = ()
    every: bool = False
    find: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvsOptions(PlanOptions):
    """``conda prune envs``.

    environments: only those with these names or prefixes. unused_for: only those for which all evidence of use is at
    least this old; unused_for_text: as it was typed. remove: remove them. fix_registry: remove lines of missing
    environments from environments.txt. force: also protected ones. prune: prune the caches afterwards without a
    question. disposal: delete or back up. ignore_running, lock_timeout: as in `PruneOptions`.
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
class DedupeOptions(Request):
    """``conda prune dedupe``.

    environments: change files only in those with these names or prefixes; without any, everywhere.
    """

    environments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """``conda prune restore``.

    run: the id of the run to undo, or ``last`` for the caller's newest; None to list the runs. only: restore packages
    that match this specification. pkgs_dirs: package caches instead of the configured ones. lock_timeout: how long to
    wait for another program.
    """

    run: str | None = None
    only: str | None = None
    pkgs_dirs: tuple[str, ...] = ()
    lock_timeout: float = DEFAULT_PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeOptions:
    """``conda prune purge``.

    runs: ids of runs; without any, those that are at least `older_than` old, or all. pkgs_dirs, lock_timeout: as in
    `RestoreOptions`.
    """

    runs: tuple[str, ...] = ()
    older_than: float | None = None
    pkgs_dirs: tuple[str, ...] = ()
    lock_timeout: float = DEFAULT_PATIENCE
