"""Clean the registries of environments, and move leftovers of interrupted creations to quarantine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from os.path import dirname, join, realpath

from ...core.envs.environment_use import Environment, EnvsResult
from ...core.model import RootState
from ...core.notices import Notice
from ...core.run import Disposal
from ...core.units import plural
from ...discovery.envs.use_evidence import AWAY
from ...errors import PruneError
from ...execution.files.environments_txt_lines import take_out
from ..conda_hooks import register_found
from ..interaction import Interaction
from ..runs.run_store import new_run_id, stopped_notice
from .list_envs import Listing
from .remove_envs import PreparedRemoval, carry_out_removal, unprotected, with_details, with_forecast


def prepare_fix(listing: Listing, interaction: Interaction) -> PreparedRemoval:
    """Look for lines of registries whose environment is missing, and for leftovers of interrupted creations.

    The lines are those of `EnvsResult.fix`; the leftovers are to be moved to quarantine.
    """
    force = listing.options.force
    only_listed, notices = _only_listed(listing)
    lines: dict[str, Sequence[str]] = {}
    for registry, stale in listing.result.stale.items():
        prefixes = [path for path, why in stale if (force or why != AWAY) and realpath(path) not in only_listed]
        if prefixes:
            lines[registry] = tuple(prefixes)
    leftovers = filter(_is_leftover, listing.environments)
    broken, protected = unprotected(leftovers, by_age=False, named=False, force=force)
    removals, result = with_details(listing, broken, protected)
    harmless = []
    for planned in removals:
        # Quarantine what holds files of packages only.
        if not planned.losses.files:
            harmless.append(planned)
            continue
        path = planned.environment.path
        message = (
            f"Kept {path}: its creation or removal was interrupted, but it holds "
            f"{plural(planned.losses.files, 'file')} of no package. To remove it: conda prune envs {path} --remove"
        )
        notices.append(Notice("protected", message, path))
    result = replace(result, shown=tuple(broken), fix=lines, notices=(*result.notices, *notices))
    return with_forecast(listing, tuple(harmless), result, Disposal.BACKUP, interaction)


def _only_listed(listing: Listing) -> tuple[frozenset[str], list[Notice]]:
    """Return the half-removed environments that only their line in a registry leads to, with notices on them."""
    found = set()
    notices = []
    for environment in listing.environments:
        path = environment.path
        if environment.root.state is not RootState.HALF_REMOVED or dirname(path) in listing.settings.envs_dirs:
            continue
        if environment.registered and not _is_leftover(environment):
            found.add(realpath(path))
            message = f"Kept the line of {path}: it is half removed. To remove it: conda prune envs {path} --remove"
            notices.append(Notice("registry", message, path))
    return frozenset(found), notices


def _is_leftover(environment: Environment) -> bool:
    return any(problem.kind == "interrupted" for problem in environment.problems)


def carry_out_fix(prepared: PreparedRemoval, interaction: Interaction) -> EnvsResult:
    """Remove lines from registries and move environments to quarantine; return the result with the outcomes of both.

    Raises `StateError` or `LockTimeoutError` if nothing has been changed.
    """
    result = _clean(prepared)
    if not prepared.removals:
        return result
    try:
        return carry_out_removal(replace(prepared, result=result), interaction)
    except (PruneError, KeyboardInterrupt) as error:
        if not result.copies:
            raise
        # The registry was changed, and the place of its copy has to be reported.
        notice = stopped_notice("removal", "No environment was moved aside", error)
        interrupted = isinstance(error, KeyboardInterrupt)
        return replace(result, failed=True, interrupted=interrupted, notices=(*result.notices, notice))


def _clean(prepared: PreparedRemoval) -> EnvsResult:
    """Remove lines from registries, after the environments that only they lead to are registered."""
    result, lines = prepared.result, prepared.result.fix or {}
    found, trouble = register_found(prepared.listing.settings, tuple(chain.from_iterable(lines.values())))
    notices = []
    for prefix in found:
        message = f"Registered {prefix}, which lies beside a missing environment and was not registered."
        notices.append(Notice("registered", message, prefix))
    if trouble is not None:
        message = f"The registry was not changed: {trouble}, and nothing else leads to it."
        notices.append(Notice("registry", message, ""))
    copies, troubles = _take_out(lines) if trouble is None else ((), ())
    failed = result.failed or trouble is not None or bool(troubles)
    return replace(result, copies=copies, failed=failed, notices=(*result.notices, *notices, *troubles))


def _take_out(lines: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], tuple[Notice, ...]]:
    """Remove lines from registries; return the paths of the copies of the old ones, and notices on failures."""
    copies, troubles = [], []
    for registry, prefixes in lines.items():
        copy = f"environments.txt.{new_run_id(time.time())}"
        try:
            if take_out(registry, prefixes, copy):
                copies.append(join(dirname(realpath(registry)), copy))
        except OSError as error:
            message = f"The registry {registry} can't be changed: {error.strerror or error}."
            troubles.append(Notice("registry", message, registry))
    return tuple(copies), tuple(troubles)
