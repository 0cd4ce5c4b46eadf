"""A directory held open, so that everything done in it stays in it.

Names are single components and are looked up in the open directory itself (``openat(2)`` and its family), so no
symbolic link that is put in the way after a check leads anywhere else. Where the platform has no such calls
(Windows) the same steps use paths.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from ... import failures
from ...core.dist_names import extended, is_file_name
from ...core.file_status import ON_WINDOWS, is_directory
from ...failures import suppress
from .ownership import give, is_root, restore_open

#: Whether this platform can do everything relative to an open directory.
BY_DESCRIPTOR = (
    {os.open, os.stat, os.unlink, os.rmdir, os.rename, os.mkdir, os.link, os.symlink, os.readlink, os.chmod, os.utime}
    <= os.supports_dir_fd
    and {os.scandir, os.chmod, os.utime} <= os.supports_fd
    and {os.stat, os.link, os.utime} <= os.supports_follow_symlinks
    and hasattr(os, "O_NOFOLLOW")
)

#: Error numbers for a symbolic link that is not followed (open(2), O_NOFOLLOW).
_NO_LINK = (errno.ELOOP, errno.EMLINK)


def lacks_space(error: OSError) -> bool:
    """Return True if an operation failed because the disk is full or a quota is used up, of blocks or of inodes."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


class Directory:
    """An open directory; a context manager that closes it."""

    def __init__(self, path: str, fd: int | None) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    def open(cls, path: str) -> Directory:
        """Open a directory by its absolute path. Raises `OSError`, also if it is a symbolic link."""
        path = extended(path)
        return cls(path, _open(path, None))

    def child(self, name: str) -> Directory:
        """Open a directory in this one. Raises `OSError`, also if it is a symbolic link."""
        path, dir_fd = self.at(name)
        return Directory(os.path.join(self.path, name), _open(path, dir_fd))

    def directory(self, name: str) -> Directory | None:
        """Open a directory in this one; return None if the name is missing, a link or something else."""
        try:
            return self.child(name)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno in _NO_LINK:
                return None
            raise

    def again(self) -> Directory:
        """Open the same directory once more, to be closed by itself."""
        return Directory(self.path, self.duplicate())

    def duplicate(self) -> int | None:
        """Return a descriptor of the directory for the caller to close, None where the platform has none."""
        return None if self._fd is None else os.dup(self._fd)

    def at(self, name: str) -> tuple[str, int | None]:
        """Return path and ``dir_fd`` for a call of `os` on a name. Raises `ValueError` if it is not a single name."""
        if not is_file_name(name):
            raise ValueError(f"{name!r} is not the name of a file in {self.path}")
        return (os.path.join(self.path, name), None) if self._fd is None else (name, self._fd)

    def status(self, name: str) -> os.stat_result:
        """Return the status of a name; a symbolic link is not followed."""
        path, dir_fd = self.at(name)
        return os.stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def own_status(self) -> os.stat_result:
        """Return the status of the directory itself."""
        return os.stat(self.path if self._fd is None else self._fd)

    def exists(self, name: str) -> bool:
        """Return True if a name exists, be it a dangling link."""
        try:
            self.status(name)
        except FileNotFoundError:
            return False
        except OSError as error:
            # A name that is too long can't exist.
            if error.errno == errno.ENAMETOOLONG:
                return False
            raise
        return True

    def names(self) -> list[tuple[str, bool]]:
        """Return each name in here, and True for a directory (not for a link to one).

        The directory is opened anew: on btrfs (Linux 6.18) the first listing of a descriptor misses what was created
        since it was opened.
        """
        fd = None if self._fd is None else _open(".", self._fd)
        try:
            with os.scandir(self.path if fd is None else fd) as listing:
                return [
                    (
                        item.name,
                        is_directory(item.stat(follow_symlinks=False))
                        if ON_WINDOWS
                        else item.is_dir(follow_symlinks=False),
                    )
                    for item in listing
                ]
        finally:
            if fd is not None:
                failures.close(fd, self.path)

    def open_file(self, name: str, flags: int, mode: int = 0o666) -> int:
        """Open a file in this directory and return its descriptor, as `os.open`; never a link, never waiting."""
        path, dir_fd = self.at(name)
        never = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        return os.open(path, flags | never, mode, dir_fd=dir_fd)

    def open_regular(self, name: str) -> int:
        """Open a regular file in this directory for reading and return its descriptor.

        Raises `OSError` for anything else: a device, say, has no end.
        """
        fd = self.open_file(name, os.O_RDONLY)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "Not a regular file", os.path.join(self.path, name))
        return fd

    def read_file(self, name: str, limit: int) -> bytes:
        """Return the content of a regular file of at most `limit` bytes. Raises `OSError`, also if it is larger."""
        with os.fdopen(self.open_regular(name), "rb") as stream:
            content = stream.read(limit + 1)
        if len(content) > limit:
            raise OSError(errno.EFBIG, f"Larger than {limit >> 20} MiB", os.path.join(self.path, name))
        return content

    def mkdir(self, name: str) -> None:
        """Make a directory in this one."""
        path, dir_fd = self.at(name)
        os.mkdir(path, dir_fd=dir_fd)

    def make_own(self, name: str) -> Directory:
        """Open a directory of our own in this one; create it if needed.

        It gets the permissions and the owner of this directory: root, working in another user's cache, must not lock
        that user out.
        """
        if not self.exists(name):
            with suppress(FileExistsError):  # Another process may create it at this moment.
                self.mkdir(name)
                with self.child(name) as made:
                    # With the sticky and the set-group-ID bit, which matter in a shared cache.
                    made.chmod(stat.S_IMODE(self.own_status().st_mode) | stat.S_IRWXU)
                self.hand_over(name)
        return self.child(name)

    def hand_over(self, name: str) -> None:
        """As root, give a file or directory to the owner of this directory.

        A file with another hard link keeps its owner, since that link may be in a cache of root's. So does a symbolic
        link.
        """
        if not is_root():
            return
        here = self.own_status()
        owner = (here.st_uid, here.st_gid)
        try:
            fd = self.open_file(name, os.O_RDONLY)
        except OSError as error:
            if error.errno in _NO_LINK:
                return
            raise
        try:
            status = os.fstat(fd)
            # Only if needed: a change of the inode looks like a use of the package (`core.evidence`).
            if (status.st_uid, status.st_gid) != owner and (stat.S_ISDIR(status.st_mode) or status.st_nlink == 1):
                give(fd, owner)
        finally:
            os.close(fd)

    def share(self, fd: int) -> None:
        """Make a new file readable for every user who may read this directory, and give it this directory's owner.

        It takes a descriptor, because any user who may change this directory can replace the file by a link at any
        moment.
        """
        here = self.own_status()
        if not ON_WINDOWS:
            readers = stat.S_IMODE(here.st_mode) & (stat.S_IRGRP | stat.S_IROTH)
            os.fchmod(fd, stat.S_IMODE(os.fstat(fd).st_mode) | readers)
        give(fd, (here.st_uid, here.st_gid))

    def replace(self, name: str, new_name: str) -> None:
        """Rename a file in this directory over another one, in one step."""
        source, source_fd = self.at(name)
        target, target_fd = self.at(new_name)
        os.replace(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)

    def unlink(self, name: str) -> None:
        """Remove a file or link."""
        path, dir_fd = self.at(name)
        try:
            os.unlink(path, dir_fd=dir_fd)
        except PermissionError:
            if BY_DESCRIPTOR or self.status(name).st_mode & stat.S_IWUSR:
                raise
            # Windows refuses to remove a read-only file.
            os.chmod(path, stat.S_IWUSR | stat.S_IRUSR)
            os.unlink(path)

    def link(self, name: str, target: Directory, new_name: str) -> None:
        """Hard-link a file into another open directory."""
        source, source_fd = self.at(name)
        place, place_fd = target.at(new_name)
        if BY_DESCRIPTOR:
            os.link(source, place, src_dir_fd=source_fd, dst_dir_fd=place_fd, follow_symlinks=False)
        else:
            os.link(source, place)

    def restore_status(self, name: str, mode: int, owner: tuple[int, int], mtime_ns: int) -> None:
        """Set mode, time of modification and, as root, owner of a name; a link is not followed.

        In another user's directory root gives everything to that user, without set-user-ID: they may have written the
        archive that mode and owner come from.
        """
        here = self.own_status()
        if is_root() and here.st_uid != 0:
            owner, mode = (here.st_uid, here.st_gid), mode & 0o777
        path, dir_fd = self.at(name)
        link = stat.S_ISLNK(self.status(name).st_mode)
        if link and BY_DESCRIPTOR:
            give(path, owner, dir_fd)
            os.utime(path, ns=(mtime_ns, mtime_ns), dir_fd=dir_fd, follow_symlinks=False)
        elif BY_DESCRIPTOR:
            # Through a descriptor, which is never that of a link: one may have been put there since.
            fd = self.open_file(name, os.O_RDONLY)
            try:
                restore_open(fd, mode, owner, mtime_ns)
            finally:
                os.close(fd)
        elif not link:
            os.chmod(path, mode)
            os.utime(path, ns=(mtime_ns, mtime_ns))

    def restore_times(self, status: os.stat_result) -> None:
        """Set the times of the directory itself to those that it had."""
        os.utime(self.path if self._fd is None else self._fd, ns=(status.st_atime_ns, status.st_mtime_ns))

    def touch(self, name: str) -> None:
        """Set the time of modification of a file to now."""
        fd = self.open_file(name, os.O_WRONLY)
        try:
            os.utime(fd if BY_DESCRIPTOR else os.path.join(self.path, name))
        finally:
            os.close(fd)

    def rmdir(self, name: str) -> None:
        """Remove an empty directory."""
        path, dir_fd = self.at(name)
        os.rmdir(path, dir_fd=dir_fd)

    def move(self, name: str, target: Directory, new_name: str) -> None:
        """Rename to a free name in another open directory.

        Raises `FileExistsError` if it is not.
        """
        if target.exists(new_name):
            raise FileExistsError(f"{os.path.join(target.path, new_name)} exists")
        source, source_fd = self.at(name)
        place, place_fd = target.at(new_name)
        try:
            os.rename(source, place, src_dir_fd=source_fd, dst_dir_fd=place_fd)
        except PermissionError:
            if not stat.S_ISDIR(self.status(name).st_mode):
                raise
            # Moving a directory changes its "..", so the kernel wants it writable (rename(2), EACCES).
            with self.child(name) as moved, moved.writable():
                os.rename(source, place, src_dir_fd=source_fd, dst_dir_fd=place_fd)

    @contextmanager
    def writable(self) -> Iterator[None]:
        """Make the directory writable during the block. Raises `OSError` unless the caller owns it."""
        mode = stat.S_IMODE(self.own_status().st_mode)
        self.chmod(mode | stat.S_IRWXU)
        try:
            yield
        finally:
            self.chmod(mode)

    def chmod(self, mode: int) -> None:
        """Set the permissions of the directory itself."""
        if self._fd is not None:
            os.chmod(self._fd, mode)
        elif failures.isdir(self.path):
            os.chmod(self.path, mode)

    def sync(self) -> None:
        """Make the names in this directory survive a crash (``fsync(2)``), where the file system can."""
        with suppress(OSError):
            if self._fd is not None:
                os.fsync(self._fd)

    def close(self) -> None:
        """Close it; closing twice does nothing."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            failures.close(fd, self.path)

    def __enter__(self) -> Directory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: str, dir_fd: int | None) -> int | None:
    if BY_DESCRIPTOR:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=dir_fd)
    if not is_directory(os.lstat(path)):
        raise NotADirectoryError(f"{path} is not a directory")
    return None
