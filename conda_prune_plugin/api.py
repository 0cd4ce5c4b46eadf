"""Plan and prune from Python: what ``conda prune`` does, without a process, a parser, a print or a question.

    from conda_prune_plugin import api

    prepared = api.plan(api.PruneOptions(older_than=30 * 86_400))
    result = api.execute(prepared)

Importing this module makes ``import conda`` work: it takes the installed conda, else the one of the extra ``embedded``,
and raises `ModuleNotFoundError` if there is neither. conda's configuration is read once in a process.

Sizes are in bytes, ages and times to wait in seconds, points in time in seconds since the epoch, paths are `str`.
Options and results are frozen values. A refusal or a failure is a `PruneError`: its `message` names the thing, its
`hint` says what to do. Everything less, also an error of the disk, is a `Notice` in the result. Nothing is printed or
asked, and no progress is shown. Make one call at a time, because errors of the disk are collected for the process.

``docs/reference/python-api.md`` says what may change.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any, TypeVar, cast

from .embedded import activate_for_commands

activate_for_commands()

from . import failures
from .core.model import Cache, Entry, Inventory, Part, PartKind, ReasonKind, Result, Root, RootKind, RootState, Verdict
from .core.notices import Notice
from .core.plan import Keep, Other, OtherOutcome, Outcome, Plan, Reason, Remove, Repair
from .core.rules.targets import ALL, DEFAULT, Target
from .core.run import Check, Disposal, Run, RunSummary
from .core.units import Space, Unit
from .core.usage.usage_report import CacheUsage, EnvironmentUsage, FileSystem, Quota, Usage
from .discovery.clients.conda_context import load_configuration
from .discovery.clients.conda_specs import require_specs
from .discovery.leftovers.leftover_search import Search
from .errors import (
    CondaRefusedError,
    LockTimeoutError,
    NoSuchDirectoryError,
    NoSuchEnvironmentError,
    NoSuchRunError,
    PruneError,
    RunningError,
    SettingError,
    StateError,
    SystemRefusedError,
    UnreadableEnvironmentError,
    UsageError,
    conda_refusals,
    refused_by_system,
)
from .operations.interaction import Interaction, Output, interacting
from .operations.options import PlanOptions, PruneOptions, RestoreOptions, UsageOptions
from .operations.prune.measure_usage import UsageResult
from .operations.prune.prepare_prune import PreparedPrune, PruneResult
from .operations.runs.restore_runs import RestoreResult
from .operations.runs.run_store import RunList
from .presentation.terminal.notice_groups import mark_as_shown, unreported_failures

__all__ = [
    "ALL",
    "DEFAULT",
    "Cache",
    "CacheUsage",
    "Check",
    "CondaRefusedError",
    "Disposal",
    "Entry",
    "EnvironmentUsage",
    "FileSystem",
    "Inventory",
    "Keep",
    "LockTimeoutError",
    "NoSuchDirectoryError",
    "NoSuchEnvironmentError",
    "NoSuchRunError",
    "Notice",
    "Other",
    "OtherOutcome",
    "Outcome",
    "Part",
    "PartKind",
    "Plan",
    "PlanOptions",
    "PreparedPrune",
    "PruneError",
    "PruneOptions",
    "PruneResult",
    "Quota",
    "Reason",
    "ReasonKind",
    "Remove",
    "Repair",
    "RestoreOptions",
    "RestoreResult",
    "Result",
    "Root",
    "RootKind",
    "RootState",
    "Run",
    "RunList",
    "RunSummary",
    "RunningError",
    "Search",
    "SettingError",
    "Space",
    "StateError",
    "SystemRefusedError",
    "Target",
    "Unit",
    "UnreadableEnvironmentError",
    "Usage",
    "UsageError",
    "UsageOptions",
    "UsageResult",
    "Verdict",
    "configured_options",
    "discover",
    "execute",
    "list_runs",
    "plan",
    "restore",
    "usage",
]


def configured_options(**values: Any) -> PruneOptions:
    """Return options with these values, and for all others the settings in ``.condarc`` and the environment.

    Raises `SettingError` for an invalid setting, `TypeError` for an unknown option.
    """
    from .cli.parsing.arguments import configured_options as from_settings

    with _silent():
        return from_settings(**values)


def discover(options: PlanOptions | None = None) -> Inventory:
    """Find caches, their entries, and the roots that keep them. Nothing is written.

    Returns an `Inventory`: `caches`, each with its `entries`; `roots`, each with the `dists` that it names; `notices`.
    Only options that say where to look and what to keep matter.

    Raises `UsageError`, `NoSuchDirectoryError`, or another `PruneError` for something that the options name and that is
    missing.
    """
    from .discovery.inventory import discover as find

    options = _checked(options or PlanOptions())
    with _silent() as interaction:
        return _complete(find(options, interaction.reporter.phase("")).inventory)


def plan(options: PruneOptions | None = None) -> PreparedPrune:
    """Discover, and decide on every entry and leftover. Nothing is written.

    Without options everything unused is to be removed, as with ``conda prune --no-backup`` and no settings;
    `configured_options` applies the settings.

    Returns a `PreparedPrune`. Its `plan` has `remove` and `keep`, each decision with its `reasons`, and `reclaimable`,
    the bytes that removing would free (`frees` has the inodes too); its `notices` are what to know before `execute`.

    Raises as `discover` does.
    """
    from .operations.prune.prepare_prune import prepare

    options = _checked(options or PruneOptions())
    with _silent() as interaction:
        return _complete(prepare(options, interaction))


def execute(prepared: PreparedPrune) -> PruneResult:
    """Carry out a plan: complete earlier runs, remove, and purge backups that are old enough.

    Each decision is checked again right before it is carried out; what is in use by then is kept. `Disposal.BACKUP`
    frees nothing until the run is purged.

    Returns a `PruneResult`: `outcomes`, one for each decision to remove, with `freed` bytes measured; `left`, the run
    by whose `id` `restore` undoes it, if it can be undone; `failed` and `interrupted`. `exit_code` is the command's.

    Raises `UnreadableEnvironmentError`, `RunningError`, `LockTimeoutError` or `StateError` before anything is removed.
    """
    from .operations.prune.prepare_prune import check_may_run, output_of
    from .operations.prune.run_prune import carry_out

    options = prepared.options
    with _silent(yes=True) as interaction:
        if options.ignore_unreadable:
            failures.accept(notice.path for notice in prepared.notices if notice.hides_roots)
        output = output_of(options, interaction.output)
        prepared = replace(prepared, interaction=replace(interaction, output=output))
        if prepared.changes:
            check_may_run(prepared)
            prepared = _with_earlier_finished(prepared)
        return _complete(prepared.unchanged if prepared.output.dry_run else carry_out(prepared))


def usage(options: UsageOptions | None = None) -> UsageResult:
    """Measure environments and caches. Nothing is written; every file is looked at.

    Returns a `UsageResult`: its `usage` has `environments`, `caches` and `allocated`, the bytes that ``du`` counts for
    all of them together; `packages` with `by_package` only, `zoomed` with `environment` only.

    Raises as `discover` does, and `NoSuchEnvironmentError`.
    """
    from .operations.prune.measure_usage import measure_usage

    options = _checked(options or UsageOptions())
    with _silent() as interaction:
        return _complete(measure_usage(options, interaction.reporter))


def list_runs(options: RestoreOptions | None = None) -> RunList:
    """List the runs that can be restored, the oldest first. Nothing is written.

    Returns a `RunList`: its `runs` have an `id`, the `dists` to restore and the bytes `stored`.

    Raises `NoSuchDirectoryError`, or another `PruneError` for something that the options name and that is missing.
    """
    from .operations.runs.run_store import list_runs as find

    options = _checked(options or RestoreOptions())
    with _silent():
        return _complete(find(options))


def restore(options: RestoreOptions, *, dry_run: bool = False) -> RestoreResult:
    """Restore what a run removed, or with `dry_run` only return what would be restored. Nothing is overwritten.

    Deleted packages are downloaded again, unless conda is offline.

    Returns a `RestoreResult`: `entries`, what was to be restored; `outcomes`, what became of each; `failed`.

    Raises `UsageError`, `NoSuchRunError`, `LockTimeoutError` or `StateError`.
    """
    from .operations.runs.restore_runs import restore_run

    options = _checked(options)
    if options.run is None:
        raise UsageError("run is required.", hint="Give the id of a run, or `last`; `list_runs` lists them.")
    with _silent(yes=True, dry_run=dry_run) as interaction:
        return _complete(restore_run(options, interaction))


@contextmanager
def _silent(*, yes: bool = False, dry_run: bool = False) -> Iterator[Interaction]:
    """Begin a call that shows and asks nothing; errors of conda or the system become a `PruneError`."""
    failures.begin()
    try:
        with conda_refusals():
            load_configuration()
            with interacting(Output(json=True, dry_run=dry_run, yes=yes, quiet=True, verbosity=0)) as interaction:
                yield interaction
    except OSError as error:
        raise refused_by_system(error) from error


def _with_earlier_finished(prepared: PreparedPrune) -> PreparedPrune:
    """Complete earlier runs in caches and beside environments, which planning must not."""
    from .discovery.clients.conda import conda_settings
    from .operations.prune.prepare_prune import places_with_state
    from .operations.runs.state_dirs import finish_runs

    interaction, settings = prepared.interaction, conda_settings()
    patience = interaction.patience(prepared.options.lock_timeout)
    state = places_with_state(prepared.options, settings, prepared.plan.inventory)
    finished = finish_runs(settings, state, patience, lambda files: None)
    if not finished.changed:
        return prepared
    others = (notice for notice in prepared.notices if notice.kind != "cut-off-run")
    failed = prepared.failed or not finished.complete
    return replace(prepared, notices=(*others, *finished.notices), failed=failed)


_Result = TypeVar("_Result", Inventory, PreparedPrune, PruneResult, UsageResult, RunList, RestoreResult)


def _complete(result: _Result) -> _Result:
    """Return a result with notices on disk errors that none of its own names; they are failures too."""
    mark_as_shown(result.notices)
    notices = (*result.notices, *unreported_failures())
    if isinstance(result, (PreparedPrune, PruneResult, RestoreResult)):
        return replace(result, notices=notices, failed=result.failed or bool(failures.noted()))
    return replace(result, notices=notices)


_Options = TypeVar("_Options", PlanOptions, PruneOptions, UsageOptions, RestoreOptions)

#: Options for the command line only.
_FOREIGN = ("preset", "html", "export")

#: Options that are package specifications.
_SPECS = ("keep", "only", "configured_keep")


def _checked(options: _Options) -> _Options:
    """Return options that make sense. Raises `UsageError`, naming the field."""
    for field in fields(options):
        name, value = field.name, getattr(options, field.name)
        if problem := _problem(name, value, several=str(field.type).startswith("tuple")):
            raise UsageError(f"{name}={value!r} makes no sense: {problem}.", hint="See its description in the options.")
    if isinstance(options, PruneOptions):
        to_directory = options.destination is not None
        if to_directory != (options.disposal is Disposal.ARCHIVE) or not os.path.isabs(options.destination or os.sep):
            raise UsageError(
                f"destination={options.destination!r} does not fit disposal={str(options.disposal)!r}.",
                hint="Disposal.ARCHIVE needs the absolute path of a directory; other disposals need no destination.",
            )
    if isinstance(options, PlanOptions) and Target.ALL_TARBALLS in options.targets:
        # An archive is removed only if its extracted directory is complete, which has to be checked.
        return replace(options, search=replace(options.search, everything=True))
    return options


def _problem(name: str, value: object, *, several: bool) -> str | None:
    """Return what is wrong with the value of an option, None if it makes sense; `several`: it is a tuple of texts."""
    if name in _FOREIGN and value is not None:
        return "it is for the command line only"
    if isinstance(value, (int, float)) and not isinstance(value, (bool, Target)) and not 0 <= value < math.inf:
        return "it has to be a number from 0"
    if several and (not isinstance(value, tuple) or not all(isinstance(text, str) for text in value)):
        return "it has to be a tuple of texts"
    if name in _SPECS and value is not None:
        try:
            require_specs(cast("tuple[str, ...]", value if several else (value,)))
        except ValueError as error:
            return str(error.args[0])
    return None
