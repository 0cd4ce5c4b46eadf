"""Measure a part of an entry on disk in one pass, with one stat a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ... import failures
from ...core.dist_names import extended
from ...core.evidence import Identity, Measurement, SharedExtents, SharedInode
from ...core.file_status import (
    TELLS_CHANGES,
    TELLS_OBSTACLES,
    allocated,
    irremovable,
    is_directory,
    listed_status,
)
from ...core.usage.shared_content import Extents
from .extents import FileSystems, SharingFileSystem
from .mounts import mounted_in
from .privileges import is_root_to, own_user

#: What is in there is no payload: no environment links it.
_IN_INFO = "info" + os.sep

#: Files in directories of this depth are no part of what most packages have files in, such as bin and lib.
_DEEP = 2

_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)

#: Measures what is at a path, raising `OSError` if anything of it can't be read.
Measure = Callable[[str], Measurement]

#: The status of everything below a directory, by its path from there.
Statuses = dict[str, os.stat_result]

_BY_DESCRIPTOR = os.scandir in os.supports_fd and os.open in os.supports_dir_fd


def measure(
    path: str,
    *,
    dir_fd: int | None = None,
    systems: FileSystems | None = None,
    top: os.stat_result | None = None,
    statuses: Statuses | None = None,
) -> Measurement:
    """Measure a file or a directory tree; no symbolic link is followed.

    `path` is absolute, or relative to `dir_fd` if that is given. `systems` are the mounted file systems, and
    `top` is the status of what is at the path, if they are known already. `statuses` is filled with what is below.
    Raises `OSError` if anything in it can't be read.
    """
    if dir_fd is None:
        path = extended(path)
    top = top or os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    systems = systems or FileSystems()
    mounted = mounted_in(path, dir_fd, systems.points)
    obstacle = f"another file system is mounted on {mounted}" if mounted else None
    tally = _Tally(top.st_dev, obstacle, path, statuses, systems.on(top.st_dev, path, dir_fd))
    if not is_directory(top):
        tally.add_file(path, top, dir_fd)
        return tally.result(identity(top))
    tally.add_directory("", top)
    with _opened(path, dir_fd) as fd:
        pending = [""]
        while pending:
            pending += _listed(path, pending.pop(), fd, tally.add_listing)
    return tally.result(identity(top))


def identity(status: os.stat_result) -> Identity:
    """Return what tells this directory entry from another one put in its place."""
    return Identity(status.st_dev, status.st_ino, status.st_mtime_ns)


@contextmanager
def _opened(path: str, dir_fd: int | None) -> Iterator[int | None]:
    """Open a directory; None where listings can't be had by descriptor."""
    if dir_fd is None and not _BY_DESCRIPTOR:
        yield None
        return
    fd = os.open(path, _DIRECTORY, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def _listed(
    top: str, directory: str, fd: int | None, count: Callable[[Iterator[os.DirEntry[str]], str, int | None], list[str]]
) -> list[str]:
    """Count what a directory lists that is below the top, and return the directories in it.

    By descriptor, so that the kernel looks up one name for each status, and not a path.
    """
    if fd is None:
        with os.scandir(os.path.join(top, directory)) as listing:
            return count(listing, directory, None)
    below = fd
    try:
        if directory:
            below = os.open(directory, _DIRECTORY, dir_fd=fd)
        with os.scandir(below) as listing:
            return count(listing, directory, below)
    except OSError as error:
        # By descriptor the system knows a file by its name alone, and a listing has none.
        name = error.filename if below != fd or not directory else ""
        error.filename = os.path.join(top, directory, name if isinstance(name, str) else "").rstrip(os.sep)
        raise
    finally:
        if below != fd:
            failures.close(below, top)


class _Tally:
    """The running sums of one measurement. Only inodes with several links are remembered one by one."""

    def __init__(
        self,
        device: int,
        obstacle: str | None,
        top: str,
        statuses: Statuses | None,
        sharing: SharingFileSystem | None,
    ) -> None:
        self._device = device
        self._obstacle = obstacle
        self._top = top
        self._statuses = statuses
        self._sharing = sharing
        self._user = own_user()
        self._files = self._directories = self._apparent = self._single = 0
        self._shared: dict[tuple[int, int], SharedInode] = {}
        self._extents: dict[tuple[int, int], Extents] = {}
        self._at_most = False
        self._payload_ctime = 0.0
        self._sample: str | None = None

    def add_listing(self, listing: Iterator[os.DirEntry[str]], directory: str, fd: int | None) -> list[str]:
        """Count what a directory lists, and return the directories in it, all by their paths from the top.

        fd: its descriptor; None where listings have paths.
        """
        below = []
        prefix = directory + os.sep if directory else ""
        payload = TELLS_CHANGES and not prefix.startswith(_IN_INFO)
        file = None
        # This runs for every file of every candidate, so it does as little as it can.
        for item in listing:
            status = listed_status(item)
            if self._statuses is not None:
                self._statuses[prefix + item.name] = status
            if TELLS_OBSTACLES:
                self._find_obstacle(os.path.join(self._top, prefix, item.name), status)
            if is_directory(status):
                below.append(prefix + item.name)
                self.add_directory(below[-1], status)
                continue
            self._count(status, item.path, fd)
            if payload and stat.S_ISREG(status.st_mode):
                file = prefix + item.name
                self._payload_ctime = max(self._payload_ctime, status.st_ctime)
        if file and (self._sample is None or self._sample.count(os.sep) < _DEEP):
            self._sample = file
        return below

    def add_file(self, path: str, status: os.stat_result, dir_fd: int | None) -> None:
        """Count a file that is a part by itself."""
        self._find_obstacle(path, status)
        self._count(status, path, dir_fd)

    def add_directory(self, path: str, status: os.stat_result) -> None:
        """Count a directory, and look whether it can't be emptied."""
        self._directories += 1
        self._single += allocated(status)
        if self._obstacle is None and (status.st_dev != self._device or status.st_uid != self._user):
            whole = os.path.join(self._top, path) if path else self._top
            if status.st_dev != self._device:
                # Seen in this way where there is no table of mounts, or it is too late to look into that.
                self._obstacle = f"another file system is mounted on {whole}"
            elif not may_empty(status):
                self._obstacle = f"the directory {whole} belongs to another user"

    def _count(self, status: os.stat_result, path: str, fd: int | None) -> None:
        self._files += 1
        self._apparent += status.st_size
        if status.st_nlink == 1:
            self._single += allocated(status) if self._sharing is None else self._own(status, path, fd)
        else:
            key = (status.st_dev, status.st_ino)
            if known := self._shared.get(key):
                inside, own = known.inside + 1, known.allocated
            else:
                inside, own = 1, allocated(status) if self._sharing is None else self._own(status, path, fd)
            self._shared[key] = SharedInode(*key, status.st_nlink, inside, own)

    def _own(self, status: os.stat_result, path: str, fd: int | None) -> int:
        """Return the bytes of a file that no other file shares, and remember the others."""
        if self._sharing is None or status.st_dev != self._device:
            return allocated(status)
        content = self._sharing.content(path, status, fd)
        self._at_most |= not content.exact
        if content.extents is not None:
            self._extents[status.st_dev, status.st_ino] = content.extents
        return content.own

    def _find_obstacle(self, path: str, status: os.stat_result) -> None:
        if self._obstacle is None and (obstacle := irremovable(status)):
            self._obstacle = f"{path} {obstacle}"

    def result(self, what: Identity) -> Measurement:
        """Return the sums."""
        return Measurement(
            identity=what,
            files=self._files,
            apparent=self._apparent,
            single=self._single,
            shared=tuple(self._shared.values()),
            payload_ctime=self._payload_ctime or None,
            obstacle=self._obstacle,
            sample=self._sample,
            directories=self._directories,
            extents=tuple(self._shared_extents()),
            at_most=self._at_most,
        )

    def _shared_extents(self) -> Iterator[SharedExtents]:
        for key, extents in self._extents.items():
            links = self._shared.get(key)
            yield SharedExtents(*key, links.links if links else 1, links.inside if links else 1, extents)


def may_empty(status: os.stat_result) -> bool:
    """Return whether this user may remove what is in a directory: its owner can always make that so."""
    if own_user() in (None, status.st_uid) or is_root_to(status):
        return True
    groups = {os.getegid(), *os.getgroups()}
    bits = stat.S_IWGRP | stat.S_IXGRP if status.st_gid in groups else stat.S_IWOTH | stat.S_IXOTH
    return status.st_mode & bits == bits and not status.st_mode & stat.S_ISVTX
