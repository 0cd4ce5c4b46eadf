"""Find environments near a known one: next to it, inside it, and in its project.

An environment renamed by hand or by a tool lies next to where it was, and the registry still names the old path. Tools
that work in projects look for one in the current directory and those above it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ... import failures
from ..clients.tool_environments import PROJECTS
from ..system.deep_paths import nearest
from .envs_dirs import ANY, EnvsDir

#: How many different paths below a renamed directory are tried; each is looked for in all its neighbours.
_MOST_TAILS = 16

#: Of how many names such a path may be: each is a step in each neighbour, and a line of a registry may have thousands.
_LONGEST_TAIL = 64


def nearby_envs_dirs(prefixes: Iterable[str], current: str | None = None) -> tuple[EnvsDir, ...]:
    """Return where environments may be by known prefixes, missing ones included, and by the current directory."""
    found: dict[EnvsDir, None] = {}
    tails: dict[str, set[tuple[str, ...]]] = {}
    existing: dict[str, bool] = {}
    projects: dict[str, None] = {}
    for prefix in dict.fromkeys(prefixes):
        parent = os.path.dirname(prefix)
        if parent == prefix:
            continue
        if _exists(prefix, existing):
            # A base environment has others in it.
            found[EnvsDir(prefix, ("envs", ANY), mixed=True)] = None
        else:
            top, tail = _renamed(prefix, existing)
            known = tails.setdefault(top, set())
            if tail not in known and len(known) < _MOST_TAILS and len(tail) <= _LONGEST_TAIL:
                known.add(tail)
                found[EnvsDir(top, (ANY, *tail), mixed=True)] = None
        if _exists(parent, existing):
            found[EnvsDir(parent, mixed=True)] = None
            projects |= dict.fromkeys(_above(parent, projects))
    projects |= dict.fromkeys(_above(current, projects)) if current else {}
    for project in projects:
        found |= dict.fromkeys(EnvsDir(project, parts, mixed=True) for parts in PROJECTS)
    return tuple(found)


def _renamed(prefix: str, existing: dict[str, bool]) -> tuple[str, tuple[str, ...]]:
    """Return the nearest directory that is there, and what led from the one that is not to the prefix.

    In a directory of a tool one environment is as good as the other.
    """
    above, names = nearest(os.path.dirname(prefix), lambda path: _exists(path, existing))
    # The first of the names is what was renamed.
    tail = [*names[1:], os.path.basename(prefix)] if names else []
    if len(tail) > 1:
        tail[-1] = ANY
    return above, tuple(tail)


def _above(directory: str, known: Iterable[str]) -> Iterator[str]:
    """Give a directory and those above it, up to one that is known already."""
    while directory not in known:
        yield directory
        if (above := os.path.dirname(directory)) == directory:
            return
        directory = above


def _exists(path: str, existing: dict[str, bool]) -> bool:
    if path not in existing:
        existing[path] = failures.lexists(path)
    return existing[path]
