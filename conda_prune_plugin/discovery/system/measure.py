"""Measure a part of an entry on disk in one pass, with one stat a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ... import failures
from ...core.dist_names import extended
from ...core.evidence import Identity, Measurement, SharedInode
from ...core.file_status import (
    BLOCK,
    KNOWS_BLOCKS,
    ON_WINDOWS,
    TELLS_OBSTACLES,
    allocated,
    irremovable,
    is_directory,
    listed_status,
)
from .mounts import mount_points, mounted_in
from .privileges import is_root_to

#: What is in there is no payload: no environment links it.
_INFO, _IN_INFO = "info", "info" + os.sep

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
    mounts: frozenset[str] | None = None,
    top: os.stat_result | None = None,
    statuses: Statuses | None = None,
) -> Measurement:
    """Measure a file or a directory tree; no symbolic link is followed.

    `path` is absolute, or relative to `dir_fd` if that is given. `mounts` are the mount points, and `top` is the status
    of what is at the path, if they are known already. `statuses` is filled with what is below. Raises `OSError` if
    anything in it can't be read.
    """
    if dir_fd is None:
        path = extended(path)
    top = top or os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    mounted = mounted_in(path, dir_fd, mount_points() if mounts is None else mounts)
    tally = _Tally(top.st_dev, f"another file system is mounted on {mounted}" if mounted else None, path, statuses)
    if not is_directory(top):
        tally.add_file(path, top)
        return tally.result(identity(top))
    tally.add_top(top)
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
    top: str, directory: str, fd: int | None, count: Callable[[Iterator[os.DirEntry[str]], str], list[str]]
) -> list[str]:
    """Count what a directory lists that is below the top, and return the directories in it.

    By descriptor, so that the kernel looks up one name for each status, and not a path.
    """
    if fd is None:
        with os.scandir(os.path.join(top, directory)) as listing:
            return count(listing, directory)
    below = fd
    try:
        if directory:
            below = os.open(directory, _DIRECTORY, dir_fd=fd)
        with os.scandir(below) as listing:
            return count(listing, directory)
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

    def __init__(self, device: int, obstacle: str | None, top: str, statuses: Statuses | None) -> None:
        self._device = device
        self._obstacle = obstacle
        self._top = top
        self._statuses = statuses
        self._user = os.geteuid() if hasattr(os, "geteuid") else None
        self._files = self._apparent = self._single = 0
        self._shared: dict[tuple[int, int], SharedInode] = {}
        self._payload_ctime: float | None = None
        self._sample: str | None = None

    def add_listing(self, listing: Iterator[os.DirEntry[str]], directory: str) -> list[str]:
        """Count what a directory lists, and return the directories in it.

        All are named by their paths from the top. The loop runs for every file of every candidate, so it does as
        little as it can.
        """
        below = []
        files = apparent = single = 0
        newest = self._payload_ctime or 0.0
        statuses = self._statuses
        prefix = directory + os.sep if directory else ""
        payload = not ON_WINDOWS and directory != _INFO and not prefix.startswith(_IN_INFO)
        for item in listing:
            status = listed_status(item) if ON_WINDOWS else item.stat(follow_symlinks=False)
            if statuses is not None:
                statuses[prefix + item.name] = status
            if TELLS_OBSTACLES:
                self._find_obstacle(os.path.join(self._top, prefix, item.name), status)
            mode = status.st_mode
            if is_directory(status) if ON_WINDOWS else stat.S_ISDIR(mode):
                below.append(prefix + item.name)
                if status.st_dev != self._device or status.st_uid != self._user:
                    self._find_reasons(below[-1], status)
            else:
                files += 1
                apparent += status.st_size
                if payload and status.st_ctime > newest and stat.S_ISREG(mode):
                    newest = status.st_ctime
                if status.st_nlink != 1:
                    self._add_link(status)
                    continue
            single += status.st_blocks if KNOWS_BLOCKS else allocated(status)
        if files and payload and stat.S_ISREG(mode) and (self._sample is None or self._sample.count(os.sep) < _DEEP):
            self._sample = prefix + item.name
        self._files += files
        self._apparent += apparent
        self._single += single * BLOCK if KNOWS_BLOCKS else single
        self._payload_ctime = newest or None
        return below

    def add_file(self, path: str, status: os.stat_result) -> None:
        """Count a file that is a part by itself."""
        self._find_obstacle(path, status)
        self._files += 1
        self._apparent += status.st_size
        if status.st_nlink == 1:
            self._single += allocated(status)
        else:
            self._add_link(status)

    def _add_link(self, status: os.stat_result) -> None:
        key = (status.st_dev, status.st_ino)
        known = self._shared.get(key)
        inside = 1 + (known.inside if known else 0)
        self._shared[key] = SharedInode(*key, status.st_nlink, inside, allocated(status))

    def add_top(self, status: os.stat_result) -> None:
        """Count the directory that the tree begins with."""
        self._single += allocated(status)
        self._find_reasons("", status)

    def _find_reasons(self, path: str, status: os.stat_result) -> None:
        """Look whether a directory can't be emptied."""
        if status.st_dev != self._device:
            # Seen in this way where there is no table of mounts, or it is too late to look into that.
            self._note(f"another file system is mounted on {self._path(path)}")
        if self._obstacle is None and status.st_uid != self._user and not may_empty(status):
            self._note(f"the directory {self._path(path)} belongs to somebody else")

    def _find_obstacle(self, path: str, status: os.stat_result) -> None:
        if obstacle := irremovable(status):
            self._note(f"{path} {obstacle}")

    def _path(self, below: str) -> str:
        return os.path.join(self._top, below) if below else self._top

    def _note(self, obstacle: str) -> None:
        self._obstacle = self._obstacle or obstacle

    def result(self, what: Identity) -> Measurement:
        return Measurement(
            identity=what,
            files=self._files,
            apparent=self._apparent,
            single=self._single,
            shared=tuple(self._shared.values()),
            payload_ctime=self._payload_ctime,
            obstacle=self._obstacle,
            sample=self._sample,
        )


def may_empty(status: os.stat_result) -> bool:
    """Return whether this user may remove what is in a directory: its owner can always make that so."""
    if not hasattr(os, "geteuid") or os.geteuid() == status.st_uid or is_root_to(status):
        return True
    groups = {os.getegid(), *os.getgroups()}
    bits = stat.S_IWGRP | stat.S_IXGRP if status.st_gid in groups else stat.S_IWOTH | stat.S_IXOTH
    return status.st_mode & bits == bits and not status.st_mode & stat.S_ISVTX
