"""Find environments near a known one (next to it, inside it, in its project), and everywhere below a directory.

An environment renamed by hand or by a tool lies next to where it was, and the registry still names the old path. Tools
that work in projects look for one in the current directory and those above it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable

from ... import failures
from ...core.layout import META
from ...core.notices import Notice
from ...core.units import plural
from ...errors import NoSuchDirectoryError
from ..clients.tool_environments import PROJECTS
from ..system.deep_paths import nearest
from ..system.mounts import KERNEL
from ..system.tree_walk import walk
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


def search_environments(
    directory: str, skip: frozenset[str], progress: Callable[[int], None]
) -> tuple[tuple[str, ...], tuple[Notice, ...]]:
    """Return all environments at or below a directory, at any depth; symbolic links are not followed.

    skip: real paths that are not searched, the package caches. `progress` is called with the number of directories
    seen so far.

    Raises `NoSuchDirectoryError` if the directory can't be listed.
    """
    # An empty name would mean the current directory.
    top = os.path.abspath(os.path.expanduser(directory)) if directory else ""
    found: list[str] = []
    unread: list[str] = []

    def unreadable(error: OSError) -> None:
        if error.filename == top:
            raise NoSuchDirectoryError(
                f"{top} can't be searched for environments: {error.strerror}.",
                hint="Give --search a directory that exists and that you may read.",
                path=top,
            ) from error
        # A directory may be gone since its name was listed.
        if not isinstance(error, FileNotFoundError):
            unread.append(str(error.filename))

    for seen, (path, directories, others) in enumerate(walk(top, skip=skip | KERNEL, unreadable=unreadable)):
        progress(seen)
        # A link to nowhere, too: an environment that can't be read, not none.
        if any(entry.name == META for entry in (*directories, *others)):
            found.append(path)
        directories[:] = [entry for entry in directories if entry.name != META]
        if os.path.basename(path) == ".pixi":
            # The environments of a pixi project lie elsewhere if its ``.pixi/envs`` is a link.
            found += _behind_link(os.path.join(path, "envs"))
    notices = []
    if unread:
        message = (
            f"Can't read {plural(len(unread), 'directory', 'directories')} below {top}, such as {unread[0]}. "
            "Environments inside are unknown."
        )
        notices.append(Notice("unreadable-directory", message, unread[0], hides_roots=True))
    return tuple(found), tuple(notices)


def _behind_link(envs: str) -> list[str]:
    if not failures.islink(envs):
        return []
    try:
        return [os.path.join(envs, name) for name in sorted(os.listdir(envs))]
    except OSError as error:
        failures.note(error)
        # Perhaps on a disk that is not mounted.
        return [envs]
