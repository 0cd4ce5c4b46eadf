"""Evidence of an environment's use, from its own files, the registries and running processes. Reads only."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import PurePath

from ... import failures
from ...core.dist_names import package_name, package_version
from ...core.envs.environment_use import Environment, Problem, alike
from ...core.layout import META, TRASH
from ...core.model import Inventory, Root, RootKind, RootState
from ...core.usage.usage_report import EnvironmentUsage
from ...failures import suppress
from ..clients.conda import Settings
from ..clients.installations import is_root_prefix, root_prefixes
from ..roots.conda_meta import has_history, is_environment, is_without_meta, missing_directory, package_files
from ..roots.environments_txt import registered_prefixes
from ..system.deep_paths import real_path
from ..system.safe_read import read_regular
from .external_references import pointers, running

#: The head of a revision in ``conda-meta/history`` (`conda.history.write_head`), with the local time.
_REVISION = re.compile(rb"^==> (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) <==", re.MULTILINE)

#: Where the interpreter is, on Unix and on Windows.
_INTERPRETERS = ("bin/python", "python.exe")


def gather(
    usages: Sequence[EnvironmentUsage], inventory: Inventory, settings: Settings, foreign: Mapping[str, str]
) -> tuple[Environment, ...]:
    """Return the environments with all evidence, in the given order.

    foreign: those that only another user's registry leads to, each with that registry.
    """
    roots = [usage.root for usage in usages]
    prefixes = [root.path for root in roots]
    names = {root.name: root.path for root in roots if root.name is not None}
    processes, pointing, same = running(prefixes), pointers(prefixes, names), alike(roots)
    registered: set[str] = set()
    for registry in (*settings.registries, *settings.other_registries):
        with suppress(OSError):
            registered.update(map(real_path, registered_prefixes(registry)))
    # The active environment, and those below it on the stack.
    stack = (value for name, value in os.environ.items() if value and re.fullmatch(r"CONDA_PREFIX(_\d+)?", name))
    active = frozenset(map(failures.realpath, stack))
    bases = frozenset(map(failures.realpath, (settings.root_prefix, *root_prefixes(os.environ))))
    reals = {prefix: failures.realpath(prefix) for prefix in prefixes}
    holds = _by_directory(frozenset(reals.values()), map(failures.realpath, _protected(inventory, settings)))
    found = []
    for usage in usages:
        root = usage.root
        real = reals[root.path]
        base = real in bases or is_root_prefix(real)
        python = next((dist for dist in root.packages if dist.count("-") >= 2 and package_name(dist) == "python"), None)
        found.append(
            Environment(
                usage,
                python=package_version(python) if python else None,
                created=created(root),
                running=processes.get(root.path, ()),
                pointers=pointing.get(root.path, ()),
                registered=real in registered,
                frozen=failures.lexists(os.path.join(root.path, META, "frozen")),
                active=real in active,
                base=base,
                is_link=failures.islink(root.path),
                holds=tuple(holds.get(real, ())),
                problems=tuple(_problems(root, python, base=base)),
                alike=same.get(root.path, ()),
                listed_by=foreign.get(root.path),
            )
        )
    return tuple(found)


def _protected(inventory: Inventory, settings: Settings) -> Iterable[str]:
    """Return the paths that no removal of a directory around them may take along."""
    environments = (
        root.path
        for root in inventory.roots
        if root.kind is RootKind.ENVIRONMENT and root.state is not RootState.MISSING
    )
    # This program: its environment is one of those, and doesn't lie inside of itself.
    program = (sys.prefix, os.path.abspath(sys.executable), os.path.abspath(__file__))
    # An environment may be created right in the home directory, where the registry lies.
    homes = (os.path.expanduser("~"), *settings.registries, *settings.other_registries)
    return (*(cache.real_path for cache in inventory.caches), *environments, *program, *homes)


def _by_directory(directories: Collection[str], paths: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Return the paths below each directory, in their order. A path has no more directories above it than names."""
    found: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        for above in map(str, PurePath(path).parents):
            if above in directories:
                found.setdefault(above, []).append(path)
    return found


def created(root: Root) -> float | None:
    """Return when an environment was created: by conda's own note (from 25.11 on), else by its first revision."""
    with suppress(OSError, ValueError, OverflowError):
        return _timestamp(read_regular(os.path.join(root.path, META, "created_at")).decode().strip())
    with suppress(OSError, ValueError, OverflowError):
        if first := _REVISION.search(read_regular(os.path.join(root.path, META, "history"))):
            return time.mktime(time.strptime(first[1].decode(), "%Y-%m-%d %H:%M:%S"))
    return None


def _timestamp(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    # Raises for a number that is no time, such as inf; its result would be rounded to microseconds.
    datetime.fromtimestamp(seconds, timezone.utc)
    return seconds


def _problems(root: Root, python: str | None, *, base: bool) -> Iterable[Problem]:
    """Yield the problems of an environment; `python` is the dist of its interpreter."""
    if root.state is RootState.UNREADABLE:
        yield Problem("unreadable", "its records can't be read")
    elif root.state is RootState.HALF_REMOVED and root.signature is None:
        yield Problem("half-removed", f"it is half removed: files of packages remain, but {META} is missing")
    elif root.state is RootState.HALF_REMOVED:
        detail = f"its creation or removal was interrupted: {META} has no records and no history"
        yield Problem("interrupted", detail)
    elif root.path.endswith(TRASH):
        yield Problem("interrupted", "its removal was interrupted; part of it is gone")
    else:
        if root.state is RootState.CORRUPT:
            yield Problem("corrupt", "some of its records can't be read")
        # micromamba makes its base without one.
        if not base and not has_history(root.path):
            yield Problem("no-history", f"it has no {META}/history, so conda takes it for no environment")
        if python is not None and _lacks_interpreter(root, python):
            yield Problem("missing-interpreter", "python is recorded, but its interpreter is not there")


def _lacks_interpreter(root: Root, python: str) -> bool:
    """Return whether the interpreters that a dist of python lists are all missing; it may leave them to another."""
    with suppress(OSError, ValueError):
        listed = [name for name in package_files(root.path, python) if name in _INTERPRETERS]
        return bool(listed) and not any(failures.exists(os.path.join(root.path, name)) for name in listed)
    return False


#: Why a line of a registry is stale, as the JSON document gives it.
GONE, AWAY, NO_ENVIRONMENT = "gone", "away", "no-environment"


def stale_lines(settings: Settings) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Return for each of this user's registries the prefixes that are no environments, and why."""
    found = {}
    for registry in settings.registries:
        with suppress(OSError):
            lines = ((prefix, _stale(prefix)) for prefix in registered_prefixes(registry))
            found[registry] = tuple((prefix, why) for prefix, why in lines if why is not None)
    return found


def _stale(prefix: str) -> str | None:
    try:
        return None if is_environment(prefix) else NO_ENVIRONMENT
    except OSError as error:
        failures.note(error)
        if not is_without_meta(prefix, error):
            return None
    if failures.isdir(prefix) or failures.isfile(prefix):
        return NO_ENVIRONMENT
    return GONE if missing_directory(prefix) is None else AWAY
