"""Walking trees for their bytes: an inode that is known already is recognised in the listing and takes no stat.

``d_ino`` of a directory listing is the inode number, and the device is that of the directory, except where something
is mounted and on stacked file systems: `trusted` says whether it may be believed.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Callable
from contextlib import suppress

from ..core.usage import Inodes, Tree
from .measure import allocated

#: Whose files conda, pip and this program read themselves: an access to them says nothing of use.
_METADATA = ("conda-meta", "info")
_METADATA_SUFFIX = ".dist-info"

#: How many directory entries there are between two calls of `progress`.
_STEP = 4096


class Walker:
    """Walks one tree after the other; what it meets with several links goes into the table of inodes.

    boundaries: device and inode of directories that are trees of their own: no walk enters them from outside.
    thorough: something is mounted in a tree, so that a file or a directory may be met twice by different ways. Every
        inode goes into the table then.
    """

    def __init__(
        self,
        inodes: Inodes,
        boundaries: frozenset[tuple[int, int]],
        *,
        thorough: bool = False,
        progress: Callable[[int], None] = lambda entries: None,
    ) -> None:
        self.unreadable: list[tuple[str, str]] = []
        self.inodes = inodes
        self.boundaries = boundaries
        self.thorough = thorough
        self._progress = progress
        self._boundary_inodes = frozenset(inode for _, inode in boundaries)
        self._met: set[tuple[int, int]] = set()
        self._told = 0

    def walk(self, top: str, *, trusted: bool) -> Tree:
        """Return what a tree holds; no symbolic link is followed. Unreadable places are noted in `unreadable`."""
        tally = _Tally(self.inodes, self.thorough)
        metadata = tuple(os.path.join(top, name, "") for name in _METADATA)
        pending = [top]
        while pending:
            directory = pending.pop()
            try:
                status = os.lstat(directory)
                if not stat.S_ISDIR(status.st_mode):
                    tally.add(status, evident=False)
                elif directory is top or not self._is_elsewhere(status):
                    tally.directories += 1
                    tally.single += allocated(status)
                    evident = not directory.endswith(_METADATA_SUFFIX) and not (directory + os.sep).startswith(metadata)
                    pending += self._list(directory, status.st_dev if trusted else None, tally, evident=evident)
            except OSError as error:
                self._note(directory, error)
            self._told = tally.tell(self._progress, self._told)
        self._told = 0
        return tally.tree()

    def walk_each(self, top: str) -> dict[str, Tree]:
        """Return what each of the names in a directory holds, and the directory itself under the empty name."""
        try:
            status = os.lstat(top)
            found = {"": Tree(directories=1, single=allocated(status))}
            names = sorted(os.listdir(top))
        except OSError as error:
            self._note(top, error)
            return {}
        for name in names:
            path = os.path.join(top, name)
            with suppress(OSError):
                status = os.lstat(path)
                if not (stat.S_ISDIR(status.st_mode) and self._is_elsewhere(status)):
                    found[name] = self.walk(path, trusted=False)
        return found

    def _list(self, directory: str, device: int | None, tally: _Tally, *, evident: bool) -> list[str]:
        """Count what a directory lists, and return the directories in it.

        The loop runs for every file there is, so it does as little as it can.
        """
        row_of = _no_row if device is None else self.inodes.rows_of(device).get
        add_row, add = tally.rows.append, tally.add
        directories = []
        with os.scandir(directory) as listing:
            for item in listing:
                if item.is_dir(follow_symlinks=False):
                    directories.append(item.path)
                elif (row := row_of(item.inode())) is not None:
                    add_row(row)
                else:
                    try:
                        status = item.stat(follow_symlinks=False)
                    except OSError as error:
                        self._note(item.path, error)
                    else:
                        add(status, evident=evident)
        return directories

    def _is_elsewhere(self, status: os.stat_result) -> bool:
        """Return whether a directory belongs to another tree, or was met already by another way."""
        if self.thorough:
            key = (status.st_dev, status.st_ino)
            if key in self._met:
                return True
            self._met.add(key)
        # Tuples for all directories would take their time.
        return status.st_ino in self._boundary_inodes and (status.st_dev, status.st_ino) in self.boundaries

    def _note(self, path: str, error: OSError) -> None:
        # What is gone since it was listed is not there any more.
        if error.errno != errno.ENOENT:
            self.unreadable.append((path, error.strerror or str(error)))


class _Tally:
    """The running sums of one walk."""

    __slots__ = ("_inodes", "_thorough", "accessed", "changed", "directories", "lengths", "rows", "single", "singles")

    def __init__(self, inodes: Inodes, thorough: bool) -> None:  # noqa: FBT001
        self._inodes = inodes
        self._thorough = thorough
        self.rows = array("I")
        self.singles = self.directories = self.lengths = self.single = 0
        self.accessed = self.changed = 0.0

    def add(self, status: os.stat_result, *, evident: bool) -> None:
        """Count what is no directory."""
        size, links, blocks = status.st_size, status.st_nlink, allocated(status)
        if links == 1 and not self._thorough:
            self.singles += 1
            self.lengths += size
            self.single += blocks
        else:
            # Windows may say zero.
            self.rows.append(self._inodes.row(status.st_dev, status.st_ino, size, blocks, max(links, 1)))
        if evident and stat.S_ISREG(status.st_mode):
            if status.st_ctime > self.changed:
                self.changed = status.st_ctime
            if links == 1 and status.st_atime > self.accessed:
                self.accessed = status.st_atime

    def tell(self, progress: Callable[[int], None], told: int) -> int:
        """Report the progress if there was enough of it; return how many directory entries it was told of by now."""
        count = self.singles + len(self.rows)
        if count - told < _STEP:
            return told
        progress(count - told)
        return count

    def tree(self) -> Tree:
        """Return the sums."""
        return Tree(
            files=self.singles + len(self.rows),
            directories=self.directories,
            lengths=self.lengths,
            single=self.single,
            rows=self.rows,
            accessed=self.accessed or None,
            changed=self.changed or None,
        )


def _no_row(inode: int) -> None:  # noqa: ARG001
    """Know no inode, so that all are asked for."""
