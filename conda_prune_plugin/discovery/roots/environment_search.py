"""Search for environments everywhere below a directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from ... import failures
from ...core.layout import META
from ...core.notices import Notice
from ...core.units import plural
from ...errors import NoSuchDirectoryError
from ..system.mounts import KERNEL


def search_environments(
    directory: str, skip: frozenset[str], progress: Callable[[int], None]
) -> tuple[tuple[str, ...], tuple[Notice, ...]]:
    """Return all environments below a directory, itself included, in any depth; symbolic links are not followed.

    skip: real paths that are not searched, the package caches. `progress` is called with the number of directories
    seen so far.

    Raises `NoSuchDirectoryError` if the directory can't be listed.
    """
    # An empty name would be the current directory: nobody means that.
    top = os.path.abspath(os.path.expanduser(directory)) if directory else ""
    found: list[str] = []
    unreadable: list[str] = []
    for seen, (path, names) in enumerate(_directories(top, skip | KERNEL, unreadable)):
        progress(seen)
        # A link to nowhere too: an environment that can't be read, not none.
        if META in names:
            found.append(path)
        found += _behind_link(path, names)
    notices = []
    if unreadable:
        message = (
            f"Can't read {plural(len(unreadable), 'directory', 'directories')} below {top}, such as {unreadable[0]}. "
            "Environments inside are unknown."
        )
        notices.append(Notice("unreadable-directory", message, unreadable[0], hides_roots=True))
    return tuple(found), tuple(notices)


def _directories(top: str, skip: frozenset[str], unreadable: list[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Give a directory and all that are searched below it, each with the names in it; collect those not to be listed.

    Not by os.walk, which calls itself for each directory until Python 3.12.
    """
    pending = [top]
    while pending:
        path = pending.pop()
        try:
            with os.scandir(path) as listing:
                items = {item.name: item.is_dir(follow_symlinks=False) for item in listing}
        except OSError as error:
            failures.note(error)
            if path == top:
                raise NoSuchDirectoryError(
                    f"{path} can't be searched for environments: {error.strerror}.",
                    hint="Give --search a directory that exists and that you may read.",
                    path=path,
                ) from error
            # If it is not gone since it was listed.
            if not isinstance(error, FileNotFoundError):
                unreadable.append(path)
            continue
        yield path, frozenset(items)
        below = (os.path.join(path, name) for name, is_directory in items.items() if is_directory and name != META)
        pending += (inner for inner in below if inner not in skip)


def _behind_link(path: str, names: Iterable[str]) -> list[str]:
    """Return the environments of a pixi project that lie elsewhere: its ``.pixi/envs`` is a link then."""
    envs = os.path.join(path, "envs")
    if os.path.basename(path) != ".pixi" or "envs" not in names or not failures.islink(envs):
        return []
    try:
        return [os.path.join(envs, name) for name in sorted(os.listdir(envs))]
    except OSError as error:
        failures.note(error)
        # Perhaps on a disk that is not mounted.
        return [envs]
