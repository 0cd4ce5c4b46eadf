"""Remove lines from this user's registries, and add lines for environments that only those lines lead to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from .. import failures
from ..core.model import Cache
from ..discovery.clients.conda import Settings, conda_settings
from ..discovery.roots.conda_meta import is_environment
from ..discovery.roots.environments import known_prefixes
from ..discovery.roots.environments_txt import registered_prefixes
from ..discovery.roots.envs_dirs import has_records
from ..discovery.system.deep_paths import real_path
from ..execution.files.environments_txt_lines import take_out
from ..execution.state.stored_runs import stored_runs
from .conda_hooks import register


def is_registered(registries: Iterable[str], prefix: str) -> bool:
    """Return True if a readable registry has an environment by this very path."""
    for registry in registries:
        with suppress(OSError):
            if prefix in registered_prefixes(registry):
                return True
    return False


def register_found(settings: Settings, lines: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """Register the environments that only some lines of the registry lead to, before these lines are removed.

    Such an environment lies beside one that a line names. Returns the environments that were registered, and what
    failed: then the lines have to stay.
    """
    if not lines:
        return (), None
    rest = known_prefixes(replace(settings, forgotten=frozenset(lines)))
    found = sorted(filter(has_records, known_prefixes(settings) - rest - frozenset(lines)))
    found = [prefix for prefix in found if _may_be_environment(prefix)]
    for prefix in found:
        try:
            register(prefix)
        except OSError as error:
            return (), f"{prefix} could not be registered: {error.strerror or error}"
        if not is_registered(settings.registries, prefix):
            return (), f"{prefix} could not be registered"
    return tuple(found), None


def _may_be_environment(prefix: str) -> bool:
    try:
        return is_environment(prefix)
    except OSError as error:
        failures.note(error)
        return True


def unregister(registries: Iterable[str], prefix: str) -> str | None:
    """Remove an environment from registries, however they spell its path; return what failed."""
    real = failures.realpath(prefix)
    troubles = []
    for registry in registries:
        try:
            lines = (line for line in registered_prefixes(registry) if real_path(line) == real)
            named = tuple(dict.fromkeys((prefix, *lines)))
            _, trouble = register_found(conda_settings(), named)
            if trouble is None:
                take_out(registry, named)
            else:
                troubles.append(f"it stays in {registry}: {trouble}")
        except FileNotFoundError:
            continue
        except OSError as error:
            troubles.append(f"it could not be removed from {registry}: {error.strerror or error}")
    return "; ".join(troubles) or None


def unregister_removed(registries: Sequence[str], places: Iterable[Cache]) -> None:
    """Unregister environments that earlier runs removed; one that was killed in between has left its line."""
    for place in places:
        for run in stored_runs(place):
            for entry in run.receipt.entries if run.receipt and run.complete else ():
                prefix = os.path.join(place.path, entry.dist)
                if not failures.lexists(prefix):
                    unregister(registries, prefix)
