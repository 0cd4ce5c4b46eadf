"""Search environments for the user's own files."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

from ... import failures
from ...core.envs.own_files import GIT, OwnFiles, is_programs_place, may_hold_work, own_files
from ...core.model import Root
from ...core.usage.package_usage import OwnerKind
from ...failures import suppress
from ..system.tree_walk import below, walk
from ..usage.file_owners import owner_of, owners
from ..usage.pip_packages import PipPackage

#: Changes up to so many seconds after the last sign of life of a creation still count as its own: it gives one a
#: second, and a busy machine may be late.
_SLACK = 10.0

#: Python writes there whenever it runs.
_COMPILED = "__pycache__"


def find_own_files(
    root: Root, pip: Iterable[PipPackage], created: float | None, skip: Collection[str]
) -> OwnFiles | None:
    """Return the user's own work in an environment. Records are opened only if there may be some.

    pip: the packages that pip has installed there. skip: real paths of other environments and of caches.
    """
    top = failures.realpath(root.path)
    files, repositories = _candidates(top, skip)
    if not repositories and all(map(is_programs_place, files)):
        return None
    of_packages = owners(root, pip)
    unowned: list[tuple[str, float]] = []
    owned: list[str] = []
    for path in files:
        with suppress(OSError):
            status = os.lstat(os.path.join(top, path))
            if owner_of(path, status, of_packages).kind is OwnerKind.OTHER:
                unowned.append((path, status.st_mtime))
            else:
                owned.append(path)
    return own_files(unowned, owned, repositories, created)


def _candidates(top: str, skip: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the files in repositories or outside the programs' places, and the repositories, below a prefix."""
    files: list[str] = []
    repositories: list[str] = []
    inside: set[str] = set()
    for path, directories, others in walk(top, skip=skip):
        directory = below(top, path)
        if any(entry.name == GIT for entry in (*directories, *others)) and may_hold_work(directory):
            repositories.append(directory)
            # Around one in the prefix itself are the programs' places.
            if directory:
                inside.add(path)
        if path in inside:
            inside.update(entry.path for entry in directories)
        # Only programs write in some directories at the top, so files there say nothing.
        if path in inside or not directory or not is_programs_place(directory.split("/", 1)[0]):
            names = (below(top, entry.path) for entry in others)
            files += [name for name in names if directory or not is_programs_place(name)]
    return files, repositories


def changed_after(prefix: str, moment: float) -> tuple[str, ...]:
    """Return the files below a prefix that were changed, or put there, after a moment in seconds since the epoch.

    A renamed directory keeps the times of its content, so every file in a changed one counts. A file with several links
    doesn't: other environments change its status too, and its content stays under its other names.

    Raises `OSError` if anything can't be read.
    """
    changed: list[str] = []
    late: set[str] = set()

    def is_late(path: str, status: os.stat_result) -> bool:
        return path in late or status.st_ctime > moment + _SLACK

    def fail(error: OSError) -> None:
        raise error

    for path, directories, others in walk(prefix, unreadable=fail):
        directories[:] = [entry for entry in directories if entry.name != _COMPILED]
        late.update(entry.path for entry in directories if is_late(path, entry.stat(follow_symlinks=False)))
        for entry in others:
            status = entry.stat(follow_symlinks=False)
            if status.st_nlink <= 1 and is_late(path, status):
                changed.append(os.path.relpath(entry.path, prefix))
    return tuple(sorted(changed))
