"""Search environments for the user's own work. Records are opened only where there may be some."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from ... import failures
from ...core.envs.own_files import GIT, OwnFiles, is_programs_place, may_hold_work, own_files
from ...core.model import Root
from ...core.usage.package_usage import OwnerKind
from ...failures import suppress
from ..usage.file_owners import owner_of, owners
from ..usage.pip_packages import PipPackage


@dataclass(slots=True)
class _Candidates:
    """Files outside the programs' places and in repositories, by their paths below the prefix."""

    files: list[str] = field(default_factory=list)
    repositories: list[str] = field(default_factory=list)


class Boundaries:
    """Directories that belong to other environments or to caches, by device and inode; made once for all of these."""

    def __init__(self, directories: frozenset[tuple[int, int]]) -> None:
        self._directories = directories
        self._inodes = frozenset(inode for _, inode in directories)

    def has(self, item: os.DirEntry[str]) -> bool:
        """Return whether what a directory lists is one; nearly always its number alone tells. Raises `OSError`."""
        if item.inode() not in self._inodes:
            return False
        status = os.lstat(item.path)
        return (status.st_dev, status.st_ino) in self._directories


def find_own_files(
    root: Root, pip: Iterable[PipPackage], created: float | None, boundaries: Boundaries
) -> OwnFiles | None:
    """Return the user's own work in an environment; `pip`: what pip has installed there."""
    top = failures.realpath(root.path)
    found = _candidates(top, boundaries)
    if not found.repositories and all(map(is_programs_place, found.files)):
        return None
    of_packages = owners(root, pip)
    unowned: list[tuple[str, float]] = []
    owned: list[str] = []
    for path in found.files:
        with suppress(OSError):
            status = os.lstat(os.path.join(top, path))
            if owner_of(path, status, of_packages).kind is OwnerKind.OTHER:
                unowned.append((path, status.st_mtime))
            else:
                owned.append(path)
    return own_files(unowned, owned, found.repositories, created)


def _candidates(top: str, boundaries: Boundaries) -> _Candidates:
    found = _Candidates()
    # A directory, and whether it lies in a repository.
    pending = [("", False)]
    while pending:
        directory, inside = pending.pop()
        with suppress(OSError):
            with os.scandir(os.path.join(top, directory)) as listing:
                items = [
                    (item.name, item.is_dir(follow_symlinks=False)) for item in listing if not boundaries.has(item)
                ]
            if any(name == GIT for name, _ in items) and may_hold_work(directory):
                found.repositories.append(directory)
                # Around one in the prefix itself are the programs' places.
                inside |= directory != ""
            for name, is_directory in items:
                below = f"{directory}/{name}" if directory else name
                if is_directory:
                    pending.append((below, inside))
                elif inside or not _is_left_out(below):
                    found.files.append(below)
    return found


def _is_left_out(path: str) -> bool:
    """Return whether a file says nothing: it lies where only programs write, from the top on."""
    return is_programs_place(path.split("/", 1)[0])
