"""Processes that run from an environment, or have it activated.

A process counts for an environment if its executable, one of its arguments, its working directory, a file that it has
open or a library that it has mapped lies in it, or if ``CONDA_PREFIX`` names it. Of another user's process only the
arguments can be seen.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ... import failures
from ...core.envs.environment_use import Running
from ...core.envs.prefix_mentions import Mentions
from ...failures import suppress
from ..system.processes import processes

if TYPE_CHECKING:
    import psutil

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
        text = "\n".join((*arguments, *_paths(pid)))
        command = " ".join(arguments)
        shown = command if len(command) <= _SHOWN else command[: _SHOWN - 3] + "..."
        for prefix in {real.get(path, path) for path in mentions.paths(text)}:
            found.setdefault(prefix, []).append(Running(pid, shown))
    return {prefix: tuple(sorted(items, key=lambda item: item.pid)) for prefix, items in found.items()}


def _paths(pid: int) -> Iterator[str]:
    """Give the paths that the system tells of a process, as far as this user may see them."""
    import psutil

    hidden = (psutil.Error, OSError)
    with suppress(*hidden):
        process = psutil.Process(pid)
        for ask in (process.exe, process.cwd):
            with suppress(*hidden):
                yield ask()
        with suppress(*hidden):
            yield from (value for name, value in process.environ().items() if name.startswith("CONDA_PREFIX"))
        with suppress(*hidden):
            yield from _used_files(process)


def _used_files(process: psutil.Process) -> Iterator[str]:
    """Give the files that a process has open or mapped.

    On Linux psutil reads mappings from ``smaps``, for which the kernel counts all pages; ``maps`` has the same paths
    (proc(5)). On Windows it may hang at open files, and on macOS it knows no mappings.
    """
    import psutil

    if psutil.WINDOWS:
        yield from (mapped.path for mapped in process.memory_maps())
        return
    yield from (opened.path for opened in process.open_files())
    if psutil.LINUX:
        with open(f"/proc/{process.pid}/maps", "rb") as stream:
            paths = {line.split(None, 5)[5] for line in stream if b" /" in line}
        yield from (os.fsdecode(path.strip()).removesuffix(" (deleted)") for path in paths)
