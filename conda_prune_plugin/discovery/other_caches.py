"""What else conda's tools and their neighbours have cached: measured and told, never touched."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping

import platformdirs
from conda.base.context import context

from ..core.report import OtherCache, ToolKind
from ..core.usage import Inodes, occupied
from .clients import pixi_cache_roots
from .walk import Task, Walker


def other_caches(environ: Mapping[str, str], progress: Callable[[int], None]) -> tuple[OtherCache, ...]:
    """Return the caches that exist in the usual places, the largest first; each counted as ``du`` does.

    Every file is looked at, which takes its time. `progress` is called with the number of files since the last call.
    """
    found: dict[str, OtherCache] = {}
    for kind, path, command in _places(environ):
        real_path = os.path.realpath(path)
        if real_path in found or not os.path.isdir(real_path):
            continue
        # Each for itself: a directory may lie in an environment that is counted too.
        inodes = Inodes()
        tree = Walker(inodes, frozenset(), progress=progress).walk(real_path, Task(real_path))
        allocated = occupied([tree], inodes)
        found[real_path] = OtherCache(kind, path, allocated, command, complete=not tree.unreadable)
    return tuple(sorted(found.values(), key=lambda item: (-item.allocated, item.path)))


def _places(environ: Mapping[str, str]) -> Iterator[tuple[ToolKind, str, str]]:
    """Give kind, absolute path and the command that cleans it.

    Sources: `conda.base.context.Context.croot`; ``conda_pypi/convert_tree.py``; ``libmamba/src/api/clean.cpp``;
    ``crates/pixi_cli/src/clean.rs``; the documentation of pip and uv on their caches.
    """
    for path in (context.croot, *context.conda_build_local_paths):
        yield ToolKind.CONDA_BUILD, _absolute(path), "conda build purge"
    channel = platformdirs.user_data_dir("conda-pypi")
    # It has no command for that, and makes the channel anew.
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
