"""Walk trees and count bytes: an inode that is already known is recognised in the listing, without a stat."""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Callable

from ... import failures
from ...core.file_status import ON_WINDOWS, allocated, is_directory, listed_status
from ...core.usage.disk_usage import Inodes, Tree
from ..system.extents import UNASKED, FileSystems, SharingFileSystem
from ..system.measure import may_empty

#: Files that conda, pip and this program read themselves: an access to them says nothing about use.
_METADATA = (b"conda-meta", b"info")
_METADATA_SUFFIX = b".dist-info"
_SEPARATOR = os.fsencode(os.sep)

#: Knows no inode, so that all are asked for.
_NO_ROWS: dict[int, int] = {}

#: How many files there are between two calls of `progress`.
_STEP = 4096


class Walker:
    """Walks one tree after the other; inodes with several links go into the table of inodes.

    boundaries: device and inode of directories that are trees of their own: no walk enters them from outside.
    thorough: something is mounted in a tree, so a file or a directory may be met twice by different ways. Every inode
        goes into the table then.
    enough: asked at each directory whether to leave it, which counts as unreadable then.
    systems: asked for the content that files share; by default nothing is.
    """

    def __init__(
        self,
        inodes: Inodes,
        boundaries: frozenset[tuple[int, int]],
        *,
        thorough: bool = False,
        progress: Callable[[int], None] = lambda files: None,
        enough: Callable[[], bool] = lambda: False,
        systems: FileSystems = UNASKED,
    ) -> None:
        self.inodes = inodes
        self.boundaries = boundaries
        self.thorough = thorough
        self._progress = progress
        self._enough = enough
        self._systems = systems
        self._boundary_inodes = frozenset(inode for _, inode in boundaries)
        self._met: set[tuple[int, int]] = set()
        self._user = os.geteuid() if hasattr(os, "geteuid") else None

    def walk(self, top: str, *, part: bool = False, trusted: bool = False) -> Tree:
        """Return a tree. No symbolic link is followed.

        part: it is a part of a cache, which this program may remove; it may also be a tree of its own. trusted: the
        inode numbers that its listings give are those that stat would give.
        """
        tally = TreeTally(self.inodes, thorough=self.thorough, progress=self._progress)
        # Bytes: names that are never shown need no decoding.
        first = os.fsencode(top)
        metadata = tuple(os.path.join(first, name, b"") for name in _METADATA)
        pending = [first]
        while pending:
            directory = pending.pop()
            if self._enough():
                tally.note(directory, OSError("there was no time for it"))
                break
            try:
                status = os.lstat(directory)
                if not is_directory(status):
                    sharing = self._systems.on(status.st_dev, directory)
                    tally.add(status, sharing=sharing, path=directory)
                elif (directory is first and not part) or not self._is_elsewhere(status):
                    tally.add_directory(status)
                    if part and tally.foreign is None and status.st_uid != self._user and not may_empty(status):
                        tally.foreign = os.fsdecode(directory)
                    evident = not (
                        directory.endswith(_METADATA_SUFFIX) or (directory + _SEPARATOR).startswith(metadata)
                    )
                    row_of = self.inodes.rows_of(status.st_dev).get if trusted else _NO_ROWS.get
                    sharing = self._systems.on(status.st_dev, directory)
                    self._list(directory, row_of, tally, evident, pending, sharing)
            except OSError as error:
                tally.note(directory, error)
        return tally.tree()

    @staticmethod
    def _list(
        directory: bytes,
        row_of: Callable[[int], int | None],
        tally: TreeTally,
        evident: bool,
        pending: list[bytes],
        sharing: SharingFileSystem | None,
    ) -> None:
        """Count what a directory lists; the directories in it are pending then.

        The loop runs for every file there is, so it does as little as it can.
        """
        add_row, add = tally.rows.append, tally.add
        with os.scandir(directory) as listing:
            for item in listing:
                if (row := row_of(item.inode())) is not None:
                    add_row(row)
                elif item.is_dir(follow_symlinks=False):
                    pending.append(item.path)
                else:
                    try:
                        status = listed_status(item)
                    except OSError as error:
                        tally.note(item.path, error)
                    else:
                        add(status, evident, sharing, item.path)

    def _is_elsewhere(self, status: os.stat_result) -> bool:
        """Return whether a directory belongs to another tree, or was met already by another way."""
        if self.thorough:
            key = (status.st_dev, status.st_ino)
            if key in self._met:
                return True
            self._met.add(key)
        # Tuples for all directories would take their time.
        return status.st_ino in self._boundary_inodes and (status.st_dev, status.st_ino) in self.boundaries


class TreeTally:
    """The running sums of one tree, or of a part of it."""

    def __init__(self, inodes: Inodes, *, thorough: bool, progress: Callable[[int], None] = lambda files: None) -> None:
        self.rows = array("I")
        self.foreign: str | None = None
        self._inodes = inodes
        self._thorough = thorough
        self._progress = progress
        self._singles = self._directories = self._lengths = self._single = self._reported = 0
        self._accessed = self._changed = 0.0
        self._at_most = False
        self._unreadable: list[tuple[str, str]] = []

    def add(
        self,
        status: os.stat_result,
        evident: bool = False,
        sharing: SharingFileSystem | None = None,
        path: bytes = b"",
    ) -> None:
        """Count anything but a directory; `evident` says whether its times tell of use.

        sharing: the file system to ask for the content that it shares, and path: of the file.
        """
        size, links, blocks = status.st_size, status.st_nlink, allocated(status)
        row = self._asked_row(status, sharing, path) if sharing is not None or self._inodes.asked else None
        if row is not None:
            self.rows.append(row)
        elif links == 1 and not self._thorough:
            self._singles += 1
            self._lengths += size
            self._single += blocks
        else:
            # Windows may say zero.
            self.rows.append(self._inodes.row(status.st_dev, status.st_ino, size, blocks, max(links, 1)))
        if evident and stat.S_ISREG(status.st_mode):
            # Quicker than max(), and this is done for every file that takes a stat.
            if not ON_WINDOWS and status.st_ctime > self._changed:
                self._changed = status.st_ctime
            if links == 1 and status.st_atime > self._accessed:
                self._accessed = status.st_atime

    def _asked_row(self, status: os.stat_result, sharing: SharingFileSystem | None, path: bytes) -> int | None:
        """Return the row of an inode that is known, or takes less by itself than its blocks; None for any other."""
        row = self._inodes.find(status.st_dev, status.st_ino)
        if row is not None or sharing is None:
            return row
        self._inodes.asked = True
        content = sharing.content(path, status)
        self._at_most |= not content.exact
        if content.own == allocated(status) and content.extents is None:
            return None
        row = self._inodes.row(status.st_dev, status.st_ino, status.st_size, content.own, max(status.st_nlink, 1))
        if content.extents is not None:
            self._inodes.extents[row] = content.extents
        return row

    def add_directory(self, status: os.stat_result) -> None:
        """Count a directory, and report the progress if there was enough of it."""
        self._directories += 1
        self._single += allocated(status)
        if len(self.rows) - self._reported >= _STEP:
            self._progress(_STEP)
            self._reported += _STEP

    def note(self, path: bytes, error: OSError) -> None:
        """Note a path that can't be read, unless it was removed since it was listed."""
        if error.errno != errno.ENOENT:
            failures.note(error, os.fsdecode(path))
            self._unreadable.append((os.fsdecode(path), error.strerror or str(error)))

    def tree(self) -> Tree:
        """Return the sums."""
        files = self._singles + len(self.rows)
        self._progress(max(files - self._reported, 0))
        tree = Tree(
            files=files,
            directories=self._directories,
            lengths=self._lengths,
            single=self._single,
            rows=self.rows,
            accessed=self._accessed or None,
            changed=self._changed or None,
            foreign=self.foreign,
            at_most=self._at_most,
            unreadable=tuple(self._unreadable),
        )
        return self._inodes.with_common(tree)
