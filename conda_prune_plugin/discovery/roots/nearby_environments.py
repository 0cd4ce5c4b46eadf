"""Find environments near a known one: next to it, inside it, and in its project.

An environment renamed by hand or by a tool lies next to where it was, and the registry still names the old path. Tools
that work in projects look for one in the current directory and those above it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable

from ... import failures
from ..clients.tool_environments import PROJECTS
from ..system.deep_paths import nearest
from .envs_dirs import ANY, EnvsDir

#: How many different paths below a renamed directory are tried, and of how many names: each name is looked up in each
#: of its neighbours, and a line of a registry may have thousands.
_MOST_TAILS, _LONGEST_TAIL = 16, 64


def nearby_envs_dirs(prefixes: Iterable[str], current: str | None = None) -> tuple[EnvsDir, ...]:
    """Return where environments may be by known prefixes, missing ones included, and by the current directory."""
    found: dict[EnvsDir, None] = {}
    tails: dict[str, set[tuple[str, ...]]] = {}
    # Registries have many lines with the same directories above.
    exists = functools.cache(failures.lexists)
    projects: dict[str, None] = {}
    for prefix in dict.fromkeys(prefixes):
        parent = os.path.dirname(prefix)
        if parent == prefix:
            continue
        if exists(prefix):
            # A base environment has others in it.
            found[EnvsDir(prefix, ("envs", ANY), mixed=True)] = None
        else:
            # The nearest directory that exists; the first of the names below it was renamed.
            top, names = nearest(parent, exists)
            tail = (*names[1:], os.path.basename(prefix)) if names else ()
            if len(tail) > 1:
                # In a directory of a tool one environment is as good as the other.
                tail = (*tail[:-1], ANY)
            known = tails.setdefault(top, set())
            if tail not in known and len(known) < _MOST_TAILS and len(tail) <= _LONGEST_TAIL:
                known.add(tail)
                found[EnvsDir(top, (ANY, *tail), mixed=True)] = None
        if exists(parent):
            found[EnvsDir(parent, mixed=True)] = None
            _add_with_parents(projects, parent)
    if current:
        _add_with_parents(projects, current)
    found |= dict.fromkeys(EnvsDir(project, parts, mixed=True) for project in projects for parts in PROJECTS)
    return tuple(found)


def _add_with_parents(directories: dict[str, None], directory: str) -> None:
    while directory not in directories:
        directories[directory] = None
        directory = os.path.dirname(directory)
