"""Measure the caches of related tools. They are reported and never changed."""

from __future__ import annotations

import math
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping

import platformdirs

from ... import failures
from ...core.units import Unit
from ...core.usage.disk_usage import Inodes, occupied
from ...core.usage.usage_report import OtherCache, ToolKind
from ..clients.conda_context import build_work_dir, local_builds
from ..clients.mamba_pixi import pixi_cache_roots
from .walker import Walker

#: How long to count all these caches unless the user asks for them: uv's alone may have millions of files. In seconds.
PATIENCE = 5.0


def other_caches(
    environ: Mapping[str, str],
    progress: Callable[[int], None],
    patience: float | None = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[OtherCache, ...]:
    """Return the caches that exist in the usual places, the largest first; each counted as ``du`` does.

    Every file takes a stat. After the `patience`, in seconds by the `clock`, the rest is not counted; None is forever.
    `progress` is called with the number of files since its last call.
    """
    places: dict[str, tuple[ToolKind, str, str]] = {}
    for kind, path, command in tool_caches(environ):
        real_path = failures.realpath(path)
        if failures.isdir(real_path):
            places.setdefault(real_path, (kind, path, command))
    end = math.inf if patience is None else clock() + patience
    found = []
    for left, (real_path, (kind, path, command)) in zip(range(len(places), 0, -1), places.items()):
        # The same time for each that is left.
        now = clock()
        until = now + (end - now) / left
        # Each by itself: a directory may lie in an environment that is counted too.
        inodes = Inodes()
        walker = Walker(inodes, frozenset(), progress=progress, enough=lambda until=until: clock() > until)  # type: ignore[misc]
        tree = walker.walk(real_path)
        size, count = (occupied([tree], inodes, unit) for unit in Unit)
        found.append(OtherCache(kind, path, size, command, complete=not tree.unreadable, inodes=count))
    return tuple(sorted(found, key=lambda item: (-item.allocated, item.path)))


def tool_caches(environ: Mapping[str, str]) -> Iterator[tuple[ToolKind, str, str]]:
    """Yield kind, absolute path and the command that cleans it.

    Sources: `conda.base.context.Context.croot`; ``conda_pypi/convert_tree.py``; ``libmamba/src/api/clean.cpp``;
    ``crates/pixi_cli/src/clean.rs``; the documentation of pip and uv on their caches.
    """
    for path in (build_work_dir(), *local_builds()):
        yield ToolKind.CONDA_BUILD, _absolute(path), "conda build purge"
    channel = platformdirs.user_data_dir("conda-pypi")
    # It has no command for that, and makes the channel again.
    yield ToolKind.CONDA_PYPI, _absolute(channel), f"rm -r {shlex.quote(channel)}"
    cache = _absolute(environ.get("XDG_CACHE_HOME") or "~/.cache")
    yield ToolKind.SOLVER, os.path.join(cache, "conda"), "mamba clean --index-cache"
    for root in pixi_cache_roots(environ):
        yield ToolKind.SOLVER, os.path.join(root, "repodata"), "pixi clean cache --repodata"
        yield ToolKind.UV, os.path.join(root, "uv-cache"), "pixi clean cache --pypi"
    pip = environ.get("PIP_CACHE_DIR") or platformdirs.user_cache_dir("pip", appauthor=False)
    yield ToolKind.PIP, _absolute(pip), "pip cache purge"
    uv = environ.get("UV_CACHE_DIR") or os.path.join(cache, "uv")
    yield ToolKind.UV, _absolute(uv), "uv cache clean"


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))
