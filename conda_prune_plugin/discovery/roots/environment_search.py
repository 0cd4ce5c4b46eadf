"""Search for environments everywhere below a directory."""

from __future__ import annotations

import os
from collections.abc import Callable

from ... import failures
from ...core.layout import META
from ...core.notices import Notice
from ...core.units import plural
from ...errors import NoSuchDirectoryError
from ..system.mounts import KERNEL
from ..system.tree_walk import walk


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
