"""Evidence of an environment's use, from its own files, the registries and running processes. Reads only."""

from __future__ import annotations

import os
import re
import sys
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone

from ... import failures
from ...core.dist_names import package_name, package_version
from ...core.envs.environment_use import Environment, Problem, alike
from ...core.layout import META, TRASH
from ...core.model import Inventory, Root, RootKind, RootState
from ...core.usage.usage_report import EnvironmentUsage
from ...failures import suppress
from ..clients.conda import Settings
from ..clients.installations import is_root_prefix, root_prefixes
from ..roots.conda_meta import has_history, is_environment, is_without_meta
from ..roots.environments_txt import registered_prefixes
from ..system.deep_paths import real_path
from ..system.safe_read import read_object, read_regular
from .external_references import pointers
from .running import running

#: The head of a revision in ``conda-meta/history`` (`conda.history.write_head`), with the local time.
_REVISION = re.compile(rb"^==> (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) <==", re.MULTILINE)

#: Where the interpreter is, on Unix and on Windows.
_INTERPRETERS = ("bin/python", "python.exe")


def gather(
    usages: Sequence[EnvironmentUsage], inventory: Inventory, settings: Settings, foreign: Mapping[str, str]
) -> tuple[Environment, ...]:
    """Return the environments with all evidence, in the given order.

    foreign: those that only another user's registry leads to, each with that.
    """
    roots = [usage.root for usage in usages]
    prefixes = [root.path for root in roots]
    names = {root.name: root.path for root in roots if root.name is not None}
    processes, pointing, same = running(prefixes), pointers(prefixes, names), alike(roots)
    registered = _registered(settings)
    active = {failures.realpath(path) for path in _active()}
    inner, bases = _Inner(_not_its_own(inventory, settings)), _bases(settings)
    found = []
    for usage in usages:
        root = usage.root
        real = failures.realpath(root.path)
        history = _history(root)
        base = real in bases or is_root_prefix(real)
        found.append(
            Environment(
                usage,
                python=_python(root),
                created=_created(root, history),
                running=processes.get(root.path, ()),
                pointers=pointing.get(root.path, ()),
                registered=real in registered,
                frozen=failures.lexists(os.path.join(root.path, META, "frozen")),
                active=real in active,
                base=base,
                is_link=failures.islink(root.path),
                holds=inner.below(real),
                problems=tuple(_problems(root, base=base)),
                alike=same.get(root.path, ()),
                listed_by=foreign.get(root.path),
            )
        )
    return tuple(found)


def _registered(settings: Settings) -> frozenset[str]:
    found: set[str] = set()
    for registry in (*settings.registries, *settings.other_registries):
        with suppress(OSError):
            found.update(map(real_path, registered_prefixes(registry)))
    return frozenset(found)


def _active() -> Iterable[str]:
    """Give the active environment and those below it on the stack (``CONDA_PREFIX_1`` and so on)."""
    for name, value in os.environ.items():
        if value and re.fullmatch(r"CONDA_PREFIX(_\d+)?", name):
            yield value


class _Inner:
    """Paths of which those below a directory are found without looking at the others."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._order = {path: number for number, path in enumerate(paths)}
        # Paths below one directory stand together.
        self._sorted = sorted(self._order)

    def below(self, directory: str) -> tuple[str, ...]:
        """Return the paths below a directory, in the order in which they were given."""
        top = os.path.join(directory, "")
        found = []
        for place in range(bisect_left(self._sorted, top), len(self._sorted)):
            if not self._sorted[place].startswith(top):
                break
            found.append(self._sorted[place])
        return tuple(sorted(found, key=self._order.__getitem__))


def _not_its_own(inventory: Inventory, settings: Settings) -> tuple[str, ...]:
    """Return the real paths that no removal of what is around them may take along."""
    environments = (
        root.path
        for root in inventory.roots
        if root.kind is RootKind.ENVIRONMENT and root.state is not RootState.MISSING
    )
    places = (*(cache.real_path for cache in inventory.caches), *environments, sys.prefix)
    # Where this program itself runs from: the environment is one of those, and would not lie inside of itself.
    program = (os.path.abspath(sys.executable), os.path.abspath(__file__))
    # Who creates an environment right in the home directory does not want to lose that: the registry lies in it.
    homes = (os.path.expanduser("~"), *settings.registries, *settings.other_registries)
    return tuple(dict.fromkeys(map(failures.realpath, (*places, *program, *homes))))


def _bases(settings: Settings) -> frozenset[str]:
    return frozenset(map(failures.realpath, (settings.root_prefix, *root_prefixes(os.environ))))


def _python(root: Root) -> str | None:
    for dist in root.packages:
        if package_name(dist) == "python":
            with suppress(ValueError):
                return package_version(dist)
    return None


def _history(root: Root) -> bytes | None:
    """Return the history, None if there is none or it can't be read."""
    try:
        return read_regular(os.path.join(root.path, META, "history"))
    except OSError as error:
        failures.note(error)
        return None


def _created(root: Root, history: bytes | None) -> float | None:
    """Return when an environment was created: by conda's own note (from 25.11 on), else by its first revision."""
    with suppress(OSError, ValueError, OverflowError):
        text = read_regular(os.path.join(root.path, META, "created_at")).decode().strip()
        return _timestamp(text)
    first = _REVISION.search(history or b"")
    if first is None:
        return None
    with suppress(ValueError, OverflowError):
        return time.mktime(time.strptime(first[1].decode(), "%Y-%m-%d %H:%M:%S"))
    return None


def _timestamp(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    # Raises for a number that is no time, such as inf; itself it would be rounded to microseconds.
    datetime.fromtimestamp(seconds, timezone.utc)
    return seconds


def _problems(root: Root, *, base: bool) -> Iterable[Problem]:
    if root.state is RootState.UNREADABLE:
        yield Problem("unreadable", "its records can't be read")
    elif root.state is RootState.HALF_REMOVED:
        if root.signature is None:
            yield Problem("half-removed", f"it is half removed: files of packages remain, but {META} is missing")
        else:
            what = f"its creation or removal was interrupted: {META} has no records and no history"
            yield Problem("interrupted", what)
    elif os.path.basename(root.path).endswith(TRASH):
        yield Problem("interrupted", "its removal was interrupted; part of it is gone")
    else:
        if root.state is RootState.CORRUPT:
            yield Problem("corrupt", "some of its records can't be read")
        # micromamba makes its base without one.
        if not base and not has_history(root.path):
            yield Problem("no-history", f"it has no {META}/history, so conda takes it for no environment")
        if _lacks_interpreter(root):
            yield Problem("missing-interpreter", "python is recorded, but its interpreter is not there")


def _lacks_interpreter(root: Root) -> bool:
    """Return whether a python is recorded whose own interpreter is missing; other packages may bring one for it."""
    for dist in root.packages:
        if package_name(dist) == "python":
            with suppress(OSError, ValueError):
                files = read_object(os.path.join(root.path, META, f"{dist}.json")).get("files")
                listed = [name for name in _INTERPRETERS if isinstance(files, list) and name in files]
                return bool(listed) and not any(failures.exists(os.path.join(root.path, name)) for name in listed)
    return False


def stale_lines(settings: Settings) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Return for each of this user's registries the prefixes that are no environments, and what is there instead.

    Whether a directory is gone for good nobody can say where the one above is gone too: a disk may not be mounted.
    """
    found = {}
    for registry in settings.registries:
        with suppress(OSError):
            lines = ((prefix, _stale(prefix)) for prefix in registered_prefixes(registry))
            found[registry] = tuple((prefix, why) for prefix, why in lines if why is not None)
    return found


#: Why a line is stale, as the JSON document gives it.
GONE, AWAY, NO_ENVIRONMENT = "gone", "away", "no-environment"


def _stale(prefix: str) -> str | None:
    try:
        return None if is_environment(prefix) else NO_ENVIRONMENT
    except OSError as error:
        failures.note(error)
        if not is_without_meta(prefix, error):
            return None
    if failures.isdir(prefix) or failures.isfile(prefix):
        return NO_ENVIRONMENT
    if failures.islink(prefix) or not failures.isdir(os.path.dirname(prefix)):
        return AWAY
    return GONE
