"""What an environment's own files, the registries and the running machine say about its use. Reads only."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone

from ..core.environments import Environment, Problem, duplicates
from ..core.model import Inventory, Root, RootKind, RootState
from ..core.names import TRASH, package_name, package_version
from ..core.report import EnvironmentUsage
from .environments import registered_prefixes
from .installations import root_prefixes
from .pointers import pointers
from .reading import read_regular
from .records import META
from .running import running
from .settings import Settings

#: The head of a revision in ``conda-meta/history`` (`conda.history.write_head`), with the local time.
_REVISION = re.compile(rb"^==> (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) <==", re.MULTILINE)

#: The directories of an installation, of which its base has at least one.
_OF_BASE = ("pkgs", "envs")

#: Where the interpreter is, on Unix and on Windows.
_INTERPRETERS = ("bin/python", "python.exe")


def gather(usages: Sequence[EnvironmentUsage], inventory: Inventory, settings: Settings) -> tuple[Environment, ...]:
    """Return the environments with all evidence, in the given order."""
    roots = [usage.root for usage in usages]
    prefixes = [root.path for root in roots]
    names = {root.name: root.path for root in roots if root.name is not None}
    processes, pointing, same = running(prefixes), pointers(prefixes, names), duplicates(roots)
    registered = _registered(settings)
    active = {os.path.realpath(path) for path in _active()}
    inner, bases = _inner(inventory, settings), _bases(settings)
    found = []
    for usage in usages:
        root = usage.root
        real = os.path.realpath(root.path)
        history = _history(root)
        found.append(
            Environment(
                usage,
                python=_python(root),
                created=_created(root, history),
                running=processes.get(root.path, ()),
                pointers=pointing.get(root.path, ()),
                registered=real in registered,
                frozen=os.path.lexists(os.path.join(root.path, META, "frozen")),
                active=real in active,
                base=real in bases or _looks_like_base(real),
                is_link=os.path.islink(root.path),
                holds=tuple(path for path in inner if path.startswith(os.path.join(real, ""))),
                problems=tuple(_problems(root, history)),
                duplicates=same.get(root.path, ()),
            )
        )
    return tuple(found)


def _registered(settings: Settings) -> frozenset[str]:
    found: set[str] = set()
    for registry in (*settings.registries, *settings.other_registries):
        with suppress(OSError):
            found.update(map(os.path.realpath, registered_prefixes(registry)))
    return frozenset(found)


def _active() -> Iterable[str]:
    """Give the active environment and those below it on the stack (``CONDA_PREFIX_1`` and so on)."""
    for name, value in os.environ.items():
        if value and re.fullmatch(r"CONDA_PREFIX(_\d+)?", name):
            yield value


def _inner(inventory: Inventory, settings: Settings) -> tuple[str, ...]:
    """Return the real paths that no removal of what is around them may take along."""
    environments = (root.path for root in inventory.roots if root.kind is RootKind.ENVIRONMENT)
    places = (*(cache.real_path for cache in inventory.caches), *environments, sys.prefix)
    # Where this program itself runs from: the environment is one of those, and would not lie inside of itself.
    program = (os.path.abspath(sys.executable), os.path.abspath(__file__))
    # Who creates an environment right in the home directory does not want to lose that: the registry lies in it.
    homes = (os.path.expanduser("~"), *settings.registries, *settings.other_registries)
    return tuple(dict.fromkeys(map(os.path.realpath, (*places, *program, *homes))))


def _bases(settings: Settings) -> frozenset[str]:
    return frozenset(map(os.path.realpath, (settings.root_prefix, *root_prefixes(os.environ))))


def _looks_like_base(real: str) -> bool:
    """Return whether it is the base of an installation, wherever that is: ``condabin`` is in others too."""
    return os.path.isdir(os.path.join(real, "condabin")) and any(
        os.path.isdir(os.path.join(real, name)) for name in _OF_BASE
    )


def _python(root: Root) -> str | None:
    for dist in root.dists:
        if package_name(dist) == "python":
            with suppress(ValueError):
                return package_version(dist)
    return None


def _history(root: Root) -> bytes | None:
    """Return the history, None if there is none or it can't be read."""
    try:
        return read_regular(os.path.join(root.path, META, "history"))
    except OSError:
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
    # Raises for a number that is no time, such as inf.
    return datetime.fromtimestamp(seconds, timezone.utc).timestamp()


def _problems(root: Root, history: bytes | None) -> Iterable[Problem]:
    if root.state is RootState.UNREADABLE:
        yield Problem("unreadable", "its records can't be read")
        return
    if root.state is RootState.CORRUPT:
        yield Problem("corrupt", "some of its records can't be read")
    if not os.path.lexists(os.path.join(root.path, META, "history")):
        yield Problem("no-history", f"it has no {META}/history, so conda takes it for no environment")
    if os.path.basename(root.path).endswith(TRASH):
        yield Problem("interrupted", "its removal was interrupted; part of it is gone")
        return
    if not root.dists and not _REVISION.search(history or b"") and not _is_empty(root.path):
        yield Problem("interrupted", "it has files but no record of a package: its creation was interrupted")
    has_python = _python(root) is not None
    if has_python and not any(os.path.exists(os.path.join(root.path, name)) for name in _INTERPRETERS):
        yield Problem("missing-interpreter", "python is recorded, but its interpreter is not there")


def _is_empty(prefix: str) -> bool:
    with suppress(OSError):
        return set(os.listdir(prefix)) <= {META}
    return True


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
        os.lstat(os.path.join(prefix, META))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        return None
    else:
        return None
    if os.path.isdir(prefix):
        return NO_ENVIRONMENT
    if os.path.islink(prefix) or not os.path.isdir(os.path.dirname(prefix)):
        return AWAY
    return GONE
