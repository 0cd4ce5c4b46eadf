"""What a part of an entry holds on disk, in one pass with one stat a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..core.model import Identity, Measurement, SharedInode
from ..core.names import extended
from ..core.status import ON_WINDOWS, TELLS_OBSTACLES, allocated, irremovable, is_directory, listed_status
from .mounts import mount_points, mounted_in

Seen = Callable[[str, os.stat_result], object]


def measure(
    path: str, *, dir_fd: int | None = None, mounts: frozenset[str] | None = None, seen: Seen | None = None
) -> Measurement:
    """Measure a file or a directory tree; no symbolic link is followed.

    `path` is absolute, or relative to `dir_fd` if that is given. `mounts` are the mount points, if they are known
    already. `seen` is told path and status of everything below the top. Raises `OSError` if anything in it can't be
    read.
    """
    if dir_fd is None:
        path = extended(path)
    top = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
    mounted = mounted_in(path, dir_fd, mount_points() if mounts is None else mounts)
    info = os.path.join(path, "info")
    tally = _Tally(top.st_dev, f"another file system is mounted on {mounted}" if mounted else None)
    if is_directory(top):
        tally.add_directory(path, top)
        pending = [(path, False)]
        while pending:
            directory, inside_info = pending.pop()
            with _listing(directory, dir_fd) as listing:
                items = listing if seen is None else _told(listing, directory, seen)
                below = tally.add_listing(items, directory, payload=not inside_info)
            pending += [(found, inside_info or found == info) for found in below]
    else:
        tally.add_file(path, top)
    return tally.result(identity(top))


def _told(listing: Iterator[os.DirEntry[str]], directory: str, seen: Seen) -> Iterator[os.DirEntry[str]]:
    for item in listing:
        # An item remembers its status, so nobody asks the system twice.
        seen(f"{directory}{os.sep}{item.name}", item.stat(follow_symlinks=False))
        yield item


class Memory:
    """Measures what lies at a path once, whoever asks."""

    def __init__(self) -> None:
        self._mounts = mount_points()
        self._known: dict[str, Measurement] = {}

    def look(self, path: str, seen: Seen) -> None:
        """Measure something and remember it; `seen` is told of everything in it. Raises `OSError`."""
        self._known[path] = measure(path, mounts=self._mounts, seen=seen)

    def measured(self, path: str) -> Measurement:
        """Return the measurement of something. Raises `OSError`."""
        return self._known.get(path) or measure(path, mounts=self._mounts)


def identity(status: os.stat_result) -> Identity:
    """Return what tells this directory entry from another one put in its place."""
    return Identity(status.st_dev, status.st_ino, status.st_mtime_ns)


@contextmanager
def _listing(directory: str, dir_fd: int | None) -> Iterator[Iterator[os.DirEntry[str]]]:
    if dir_fd is None:
        with os.scandir(directory) as listing:
            yield listing
        return
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        with os.scandir(fd) as listing:
            yield listing
    finally:
        os.close(fd)


class _Tally:
    """The running sums of one measurement. Only inodes with several links are remembered one by one."""

    def __init__(self, device: int, obstacle: str | None) -> None:
        self._device = device
        self._obstacle = obstacle
        self._user = os.geteuid() if hasattr(os, "geteuid") else None
        self._files = self._apparent = self._single = 0
        self._shared: dict[tuple[int, int], SharedInode] = {}
        self._payload_ctime: float | None = None

    def add_listing(self, listing: Iterator[os.DirEntry[str]], directory: str, *, payload: bool) -> list[str]:
        """Count what a directory lists, and return the paths of the directories in it.

        The loop runs for every file of every candidate, so it does as little as it can.
        """
        below = []
        files = apparent = single = 0
        newest = self._payload_ctime or 0.0
        for item in listing:
            status = listed_status(item) if ON_WINDOWS else item.stat(follow_symlinks=False)
            mode = status.st_mode
            if TELLS_OBSTACLES:
                self._look_for_obstacle(os.path.join(directory, item.name), status)
            if is_directory(status) if ON_WINDOWS else stat.S_ISDIR(mode):
                path = os.path.join(directory, item.name)
                self.add_directory(path, status)
                below.append(path)
                continue
            files += 1
            apparent += status.st_size
            if payload and not ON_WINDOWS and stat.S_ISREG(mode) and status.st_ctime > newest:
                newest = status.st_ctime
            if status.st_nlink == 1:
                single += allocated(status)
            else:
                self._add_link(status)
        self._files += files
        self._apparent += apparent
        self._single += single
        self._payload_ctime = newest or None
        return below

    def add_file(self, path: str, status: os.stat_result) -> None:
        """Count a file that is a part by itself."""
        self._look_for_obstacle(path, status)
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

    def add_directory(self, path: str, status: os.stat_result) -> None:
        self._single += allocated(status)
        if status.st_dev != self._device:
            # Seen in this way where there is no table of mounts, or it is too late to look into that.
            self._note(f"another file system is mounted on {path}")
        if self._obstacle is None and status.st_uid != self._user and not may_empty(status):
            self._note(f"the directory {path} belongs to somebody else")

    def _look_for_obstacle(self, path: str, status: os.stat_result) -> None:
        if obstacle := irremovable(status):
            self._note(f"{path} {obstacle}")

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
        )


def may_empty(status: os.stat_result) -> bool:
    """Return whether this user may remove what is in a directory: its owner can always make that so."""
    if not hasattr(os, "geteuid") or os.geteuid() in (0, status.st_uid):
        return True
    groups = {os.getegid(), *os.getgroups()}
    bits = stat.S_IWGRP | stat.S_IXGRP if status.st_gid in groups else stat.S_IWOTH | stat.S_IXOTH
    return status.st_mode & bits == bits and not status.st_mode & stat.S_ISVTX
