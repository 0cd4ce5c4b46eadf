"""Plan and prune from Python: what ``conda prune`` does, without a process, a parser, a print or a question.

    from conda_prune_plugin import api

    prepared = api.plan(api.PruneOptions(older_than=30 * 86_400))
    result = api.execute(prepared)

Importing this module makes ``import conda`` work: it takes the installed conda, else the one of the extra ``embedded``,
and raises `ModuleNotFoundError` if there is neither. conda's configuration is read once in a process.

Sizes are in bytes, ages and times to wait in seconds, points in time in seconds since the epoch, paths are `str`.
Options and results are frozen values. Whatever is refused or fails is a `PruneError`: its `message` names the thing,
its `hint` says what to do. What is survived, an error of the disk too, is a `Notice` in the result. Nothing is printed,
and nobody is asked; progress is not shown. One call at a time: notices of the disk belong to the process.

``docs/python-api.md`` says which of this stays as it is.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
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
from .core.usage.usage_report import CacheUsage, EnvironmentUsage, Usage
from .discovery.clients.conda_context import load_configuration
from .discovery.clients.conda_specs import require_specs
from .discovery.leftovers.leftover_search import Search
from .errors import (
    CondaError,
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
    is_of_configuration,
    refused_by_conda,
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
    "StateError",
    "SystemRefusedError",
    "Target",
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
    """Return options in which what is left out is what the settings in ``.condarc`` and the environment say.

    Raises `SettingError` for a wrong setting, `TypeError` for an option that there is not.
    """
    from .cli.parsing.arguments import configured_options as from_settings

    with _silent():
        return from_settings(**values)


def discover(options: PlanOptions | None = None) -> Inventory:
    """Find caches, their entries, and the roots that keep them. Nothing is written.

    Returns an `Inventory`: `caches`, each with its `entries`; `roots`, each with the `dists` that it names; `notices`.
    Of the options those count that say where to look and what stays.

    Raises `UsageError`, `NoSuchDirectoryError`, or another `PruneError` for what the options name and is not there.
    """
    from .discovery.inventory import discover as find

    options = _checked(options or PlanOptions())
    with _silent() as interaction:
        inventory = find(options.request, interaction.reporter.phase("")).inventory
        return replace(inventory, notices=_with_failures(inventory.notices))


def plan(options: PruneOptions | None = None) -> PreparedPrune:
    """Discover, and decide on every entry and leftover. Nothing is written.

    Without options everything unused goes, as with ``conda prune --no-backup`` and no settings; `configured_options`
    gives what the settings say.

    Returns a `PreparedPrune`. Its `plan` has `remove` and `keep`, each decision with its `reasons`, and `reclaimable`,
    the bytes that the file system gives back; its `notices` are what to know before `execute`.

    Raises as `discover` does.
    """
    from .operations.prune.prepare_prune import prepare

    options = _checked(options or PruneOptions())
    with _silent() as interaction:
        prepared = prepare(options, interaction)
        notices = _with_failures(prepared.notices)
        return replace(prepared, notices=notices, failed=prepared.failed or bool(failures.noted()))


def execute(prepared: PreparedPrune) -> PruneResult:
    """Carry out a plan: finish what earlier runs left, remove, and purge backups that are old enough.

    Each decision is checked again right before it is carried out; what is in use by then stays. With `Disposal.BACKUP`
    nothing is freed until the run is purged.

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
        result = prepared.unchanged if prepared.output.dry_run else carry_out(prepared)
        return replace(result, notices=_with_failures(result.notices), failed=result.failed or bool(failures.noted()))


def usage(options: UsageOptions | None = None) -> UsageResult:
    """Measure environments and caches. Nothing is written; every file is looked at.

    Returns a `UsageResult`: its `usage` has `environments`, `caches` and `allocated`, the bytes that ``du`` counts for
    all of them together; `packages` with `by_package` only, `zoomed` with `environment` only.

    Raises as `discover` does, and `NoSuchEnvironmentError`.
    """
    from .operations.prune.measure_usage import measure_usage

    options = _checked(options or UsageOptions())
    with _silent() as interaction:
        result = measure_usage(options, interaction.reporter)
        return replace(result, notices=_with_failures(result.notices))


def list_runs(options: RestoreOptions | None = None) -> RunList:
    """List what can be restored, the oldest run first. Nothing is written.

    Returns a `RunList`: its `runs` have an `id`, the `dists` to restore and the bytes `stored`.

    Raises `NoSuchDirectoryError`, or another `PruneError` for what the options name and is not there.
    """
    from .operations.runs.run_store import list_runs as find

    options = _checked(options or RestoreOptions())
    with _silent():
        found = find(options)
        return replace(found, notices=_with_failures(found.notices))


def restore(options: RestoreOptions, *, dry_run: bool = False) -> RestoreResult:
    """Put back what a run removed, or with `dry_run` only say what it would be. Nothing is ever overwritten.

    What was deleted is fetched from where it came, unless conda is offline.

    Returns a `RestoreResult`: `entries`, what was to be restored; `outcomes`, what became of each; `failed`.

    Raises `UsageError`, `NoSuchRunError`, `LockTimeoutError` or `StateError`.
    """
    from .operations.runs.restore_runs import restore_run

    options = _checked(options)
    if options.run is None:
        raise UsageError("run has to be given.", hint="Give the id of a run, or `last`; `list_runs` gives them all.")
    with _silent(yes=True, dry_run=dry_run) as interaction:
        result = restore_run(options, interaction)
        return replace(result, notices=_with_failures(result.notices), failed=result.failed or bool(failures.noted()))


@contextmanager
def _silent(*, yes: bool = False, dry_run: bool = False) -> Iterator[Interaction]:
    """Begin a call that shows and asks nothing; what conda or the system refuses becomes a `PruneError`."""
    failures.begin()
    try:
        load_configuration()
        with interacting(Output(json=True, dry_run=dry_run, yes=yes, quiet=True, verbosity=0)) as interaction:
            yield interaction
    except PruneError:
        raise
    except CondaError as error:
        raise refused_by_conda(error) from error
    except (AttributeError, TypeError) as error:
        if not is_of_configuration(error):
            raise
        raise refused_by_conda(error) from error
    except OSError as error:
        raise refused_by_system(error) from error


def _with_earlier_finished(prepared: PreparedPrune) -> PreparedPrune:
    """Finish what earlier runs left in caches and beside environments, which a plan must not."""
    from .discovery.clients.conda import conda_settings
    from .operations.prune.prepare_prune import places_with_state
    from .operations.runs.unfinished_runs import finish_runs

    interaction, settings = prepared.interaction, conda_settings()
    patience = interaction.patience(prepared.options.lock_timeout)
    state = places_with_state(prepared.options, settings, prepared.plan.inventory)
    finished = finish_runs(settings, state, patience, lambda files: None)
    if not finished.changed:
        return prepared
    others = (notice for notice in prepared.notices if notice.kind != "cut-off-run")
    failed = prepared.failed or not finished.complete
    return replace(prepared, notices=(*others, *finished.notices), failed=failed)


def _with_failures(notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Return notices with those on the places where the disk has failed and that none of them names."""
    notices = tuple(notices)
    mark_as_shown(notices)
    return (*notices, *unreported_failures())


_Options = TypeVar("_Options", PlanOptions, PruneOptions, UsageOptions, RestoreOptions)

#: Options that are about what only the command line does.
_FOREIGN = ("preset", "html", "export")

#: Options that are package specifications.
_SPECS = ("keep", "only", "configured_keep")


def _checked(options: _Options) -> _Options:
    """Return options of which all make sense. Raises `UsageError`, naming the field."""
    for field in fields(options):
        name, value = field.name, getattr(options, field.name)
        if problem := _problem(name, value, several=str(field.type).startswith("tuple")):
            raise UsageError(f"{name}={value!r} makes no sense: {problem}.", hint="See its description in the options.")
    if isinstance(options, PruneOptions):
        to_directory = options.destination is not None
        if to_directory != (options.disposal is Disposal.ARCHIVE) or not os.path.isabs(options.destination or os.sep):
            raise UsageError(
                f"destination={options.destination!r} does not fit disposal={str(options.disposal)!r}.",
                hint="Disposal.ARCHIVE needs the absolute path of a directory, and nothing else has one.",
            )
    if isinstance(options, PlanOptions) and Target.ALL_TARBALLS in options.targets:
        # An archive goes only where what was extracted from it is whole.
        return replace(options, search=replace(options.search, everything=True))
    return options


def _problem(name: str, value: object, *, several: bool) -> str | None:
    """Return what is wrong with the value of an option, None if it makes sense; `several`: it is a tuple of texts."""
    if name in _FOREIGN and value is not None:
        return "it belongs to the command line"
    if isinstance(value, (int, float)) and not isinstance(value, (bool, Target)) and not 0 <= value < math.inf:
        return "it has to be a number from 0"
    texts = value if several else () if value is None else (value,)
    if several and (not isinstance(value, tuple) or not all(isinstance(item, str) for item in value)):
        return "it has to be a tuple of texts"
    try:
        require_specs(cast("tuple[str, ...]", texts) if name in _SPECS else ())
    except ValueError as error:
        return str(error.args[0])
    return None
