"""The lines of this user's registries that name what `conda prune envs` has taken away."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

from ..core.model import Cache
from ..discovery.environments import registered_prefixes
from ..execution.registry import take_out
from ..execution.runs import stored_runs


def is_registered(registries: Iterable[str], prefix: str) -> bool:
    """Return whether one of the registries that can be read names an environment by this very path."""
    for registry in registries:
        with suppress(OSError):
            if prefix in registered_prefixes(registry):
                return True
    return False


def unregister(registries: Iterable[str], prefix: str) -> str | None:
    """Take an environment that is gone out of registries, however they spell its path; return what went wrong."""
    real = os.path.realpath(prefix)
    troubles = []
    for registry in registries:
        try:
            lines = (line for line in registered_prefixes(registry) if os.path.realpath(line) == real)
            take_out(registry, dict.fromkeys((prefix, *lines)))
        except FileNotFoundError:
            continue
        except OSError as error:
            troubles.append(f"it could not be taken out of {registry}: {error.strerror or error}")
    return "; ".join(troubles) or None


def unregister_departed(registries: Sequence[str], places: Iterable[Cache]) -> None:
    """Take out what earlier runs have taken away; one that was killed in between has left its line."""
    for place in places:
        for run in stored_runs(place):
            for entry in run.receipt.entries if run.receipt and run.complete else ():
                prefix = os.path.join(place.path, entry.dist)
                if not os.path.lexists(prefix):
                    unregister(registries, prefix)
