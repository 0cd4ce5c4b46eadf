"""Clean the registries of environments, and move leftovers of interrupted creations to quarantine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from os.path import dirname, join, realpath

from ...core.envs.environment_use import Environment
from ...core.envs.envs_result import EnvsResult
from ...core.model import RootState
from ...core.notices import Notice
from ...core.run import Disposal
from ...core.units import plural
from ...discovery.clients.conda import Settings
from ...discovery.envs.use_evidence import AWAY
from ...errors import PruneError
from ...execution.files.environments_txt_lines import take_out
from ..env_registration import register_found
from ..interaction import Interaction
from ..runs.run_store import new_run_id, stopped_notice
from .eligibility import PlannedRemoval, allowed
from .list_envs import Listing
from .remove_envs import PreparedRemoval, carry_out_removal, protection_notices, with_details, with_forecast

#: By registry, the prefixes whose lines are taken out of it.
_Lines = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class PreparedFix:
    """The lines to be removed, and the broken environments to be moved to quarantine; nothing has been changed."""

    lines: _Lines
    removal: PreparedRemoval

    @property
    def result(self) -> EnvsResult:
        """What was found, and what is to be done."""
        return self.removal.result

    @property
    def count(self) -> int:
        """How many lines there are."""
        return sum(map(len, self.lines.values()))


def prepare_fix(listing: Listing, interaction: Interaction) -> PreparedFix:
    """Look for lines of registries whose environment is gone, and for leftovers of interrupted creations."""
    force, result = listing.options.force, listing.result
    only_listed, notices = _only_listed(listing)
    lines = {
        registry: tuple(
            prefix for prefix, why in stale if (force or why != AWAY) and realpath(prefix) not in only_listed
        )
        for registry, stale in result.stale.items()
    }
    lines = {registry: prefixes for registry, prefixes in lines.items() if prefixes}
    broken, protected = allowed(
        [item for item in listing.environments if _is_leftover(item)], by_age=False, named=False, force=force
    )
    notices += protection_notices(protected)
    result = replace(result, shown=broken, fix=lines, notices=(*result.notices, *notices))
    removals, result = with_details(listing, broken, result)
    harmless, notices = _harmless(removals)
    result = replace(result, notices=(*result.notices, *notices))
    return PreparedFix(lines, with_forecast(listing, harmless, Disposal.BACKUP, result, interaction))


def carry_out_fix(prepared: PreparedFix, interaction: Interaction) -> EnvsResult:
    """Remove lines from registries and move environments to quarantine; return the result with what became of both.

    Raises `StateError` or `LockTimeoutError` if nothing has been changed.
    """
    result = _cleaned(prepared)
    if not prepared.removal.removals:
        return result
    try:
        return carry_out_removal(replace(prepared.removal, result=result), interaction)
    except (PruneError, KeyboardInterrupt) as error:
        if not result.copies:
            raise
        # The registry is another one by now, and where the old one is has to be told.
        notice = stopped_notice("removal", "No environment was moved aside", error)
        interrupted = isinstance(error, KeyboardInterrupt)
        return replace(result, failed=True, interrupted=interrupted, notices=(*result.notices, notice))


def _cleaned(prepared: PreparedFix) -> EnvsResult:
    """Take lines out of registries, once what only they lead to is registered."""
    result = prepared.result
    notices, may_go = _register_found(prepared.removal.listing.settings, prepared.lines)
    copies, troubles = _take_out(prepared.lines) if may_go else ((), ())
    return replace(
        result,
        copies=copies,
        failed=result.failed or not may_go or bool(troubles),
        notices=(*result.notices, *notices, *troubles),
    )


def _only_listed(listing: Listing) -> tuple[frozenset[str], list[Notice]]:
    """Return the half-removed environments that only their line in a registry leads to, and what to say of them."""
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


def _harmless(removals: Iterable[PlannedRemoval]) -> tuple[tuple[PlannedRemoval, ...], list[Notice]]:
    """Return the environments that hold nothing but files of packages, and what to say of the others, which stay."""
    found = []
    notices = []
    for item in removals:
        if item.losses.files:
            path = item.environment.path
            message = (
                f"Kept {path}: its creation or removal was interrupted, but it holds "
                f"{plural(item.losses.files, 'file')} of no package. To remove it: conda prune envs {path} --remove"
            )
            notices.append(Notice("protected", message, path))
        else:
            found.append(item)
    return tuple(found), notices


def _register_found(settings: Settings, lines: _Lines) -> tuple[list[Notice], bool]:
    """Register what only these lines lead to, because it was renamed; also return whether they may be taken out."""
    found, trouble = register_found(settings, tuple(chain.from_iterable(lines.values())))
    notices = []
    for prefix in found:
        message = f"Registered {prefix}, which lies beside a missing environment and was not registered."
        notices.append(Notice("registered", message, prefix))
    if trouble is not None:
        message = f"The registry stays as it is: {trouble}, and nothing else leads to it."
        notices.append(Notice("registry", message, ""))
    return notices, trouble is None


def _take_out(lines: _Lines) -> tuple[tuple[str, ...], tuple[Notice, ...]]:
    """Take lines out of registries; return the paths of the copies of what they were, and what went wrong."""
    copies = []
    troubles = []
    for registry, prefixes in lines.items():
        copy = f"environments.txt.{new_run_id(time.time())}"
        try:
            if take_out(registry, prefixes, copy):
                copies.append(join(dirname(realpath(registry)), copy))
        except OSError as error:
            message = f"The registry {registry} can't be changed: {error.strerror or error}."
            troubles.append(Notice("registry", message, registry))
    return tuple(copies), tuple(troubles)
