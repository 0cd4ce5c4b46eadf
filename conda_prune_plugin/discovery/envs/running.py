"""Processes that run from an environment, or have it activated.

Where there is a ``/proc``, a process counts for an environment if its executable, one of its arguments, its working
directory or a library that it has mapped lies in it, or if ``CONDA_PREFIX`` names it; of another user's process only
the arguments can be seen. Elsewhere the arguments are what ``ps`` prints.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from ... import failures
from ...core.envs.environment_use import Running
from ...core.envs.prefix_mentions import Mentions
from ...failures import suppress
from ..system.processes import processes

_PROC = "/proc"

#: A command line is shown to so many characters.
_SHOWN = 80


def running(prefixes: Iterable[str]) -> Mapping[str, tuple[Running, ...]]:
    """Return for each prefix the processes that run from it, this one left out."""
    real = {failures.realpath(prefix): prefix for prefix in prefixes}
    mentions = Mentions(tuple(dict.fromkeys((*real, *real.values()))), {}, os.path.expanduser("~"))
    found: dict[str, list[Running]] = {}
    for pid, _, arguments in processes():
        if pid == os.getpid():
            continue
        # A line each, so that no two of them run into each other.
        text = "\n".join((*arguments, *_traces(pid)))
        command = " ".join(arguments)
        shown = command if len(command) <= _SHOWN else command[: _SHOWN - 3] + "..."
        for prefix in {real.get(path, path) for path in mentions.paths(text)}:
            found.setdefault(prefix, []).append(Running(pid, shown))
    return {prefix: tuple(sorted(items, key=lambda item: item.pid)) for prefix, items in found.items()}


def _traces(pid: int) -> Iterable[str]:
    """Return what ``/proc`` tells of the files of a process (proc(5)); what may not be read is left out."""
    directory = os.path.join(_PROC, str(pid))
    for name in ("exe", "cwd"):
        with suppress(OSError):
            yield os.readlink(os.path.join(directory, name)).removesuffix(" (deleted)")
    with suppress(OSError), open(os.path.join(directory, "environ"), "rb") as stream:
        for variable in stream.read().split(b"\0"):
            if variable.startswith(b"CONDA_PREFIX"):
                yield os.fsdecode(variable.partition(b"=")[2])
    with suppress(OSError), open(os.path.join(directory, "maps"), "rb") as stream:
        paths = (line.split(None, 5)[5] for line in stream if b" /" in line)
        yield from {os.fsdecode(path.strip()).removesuffix(" (deleted)") for path in paths}
