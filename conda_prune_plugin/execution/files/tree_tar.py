"""Pack a tree into a tar file and unpack it, with the status of every member.

What makes two trees the same here: names, kinds, modes, owners, times of modification to the nanosecond, lengths,
contents, targets of symbolic links, and which names are hard links of one file. Extended attributes are not kept.

Also a staging directory for code that knows only paths, such as conda's download and extraction. Any user who may
change a directory on a path can redirect the path at any moment, so that root writes elsewhere. A path through
``/proc/self/fd`` does not help: conda's extraction resolves it. So root stages in a temporary directory of its own, and
copies the result to its place by descriptors, unless only root can change the directories on the path.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ... import failures
from ...core.file_status import is_directory
from .dir_fd import Directory
from .ownership import is_root

_CHUNK = 1 << 20

#: Each level keeps a directory open; a process may have only so many.
_DEEPEST = 500

#: A time of modification with all its digits (pax(1), extended header keywords); tarfile's own attribute is a float.
_MTIME = "mtime"


#: All that a tree's copy has to agree in, of one name: name, kind, mode, owner, time of modification, size, target of a
#: link (or first name of a further hard link), and SHA-256.
Member = tuple[str, bytes, int, tuple[int, int], int, int, str, str]

#: What changes when another process changes a file: path, inode, mode, size, time of modification.
MemberStatus = tuple[str, int, int, int, int]


def walk(parent: Directory, name: str, shown: str) -> Iterator[tuple[Directory, str, str, os.stat_result]]:
    """Give directory, name, path to show, and status of a name and of everything below it. Raises `OSError`."""
    status = parent.status(name)
    yield parent, name, shown, status
    if is_directory(status):
        if shown.count("/") > _DEEPEST:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), shown)
        with parent.child(name) as directory:
            for item in sorted(item for item, _ in directory.names()):
                yield from walk(directory, item, f"{shown}/{item}")


def member_statuses(parent: Directory, name: str, shown: str) -> list[MemberStatus]:
    """Return the statuses of a tree, without the time of its top, which a rename may change."""
    return [
        (path, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns if path != shown else 0)
        for _, _, path, status in walk(parent, name, shown)
    ]


def pack(parent: Directory, name: str, tar: tarfile.TarFile) -> list[Member]:
    """Add a tree to a tar file and return its members. Raises `OSError`."""
    seen: dict[tuple[int, int], str] = {}
    members = []
    for directory, item, path, status in walk(parent, name, name):
        info = _header(directory, item, path, status)
        first = seen.setdefault((status.st_dev, status.st_ino), path)
        if info.isreg() and first != path:
            info.type, info.linkname, info.size = tarfile.LNKTYPE, first, 0
        digest = ""
        if info.isreg():
            with os.fdopen(directory.open_regular(item), "rb") as stream:
                reader = _Hashing(stream)
                tar.addfile(info, reader)
            digest = reader.digest.hexdigest()
        else:
            tar.addfile(info)
        members.append(_member(info, digest))
    return members


def read_members(tar: tarfile.TarFile) -> list[Member]:
    """Return the members of a tar file, every content read. Raises `OSError` or `tarfile.TarError`."""
    members = []
    for info in tar:
        content = tar.extractfile(info) if info.isreg() else None
        members.append(_member(info, file_digest(content) if content else ""))
    return members


def unpack(tar: tarfile.TarFile, target: Directory, tops: Collection[str]) -> None:
    """Extract the trees of a tar file whose top names are in `tops` into a directory.

    Every name is looked up in the directory above it, which is held open, so nothing in the tar file leads elsewhere.

    Raises `OSError`, `tarfile.TarError`, or `ValueError` for a name that leads elsewhere.
    """
    directories = []
    for info in tar:
        *above, name = info.name.split("/")
        if (above or [name])[0] not in tops:
            continue
        with descend(target, above) as parent:
            if info.isdir():
                parent.mkdir(name)
                # At once: `Directory.restore_status` gives what is made in it to the owner of this directory.
                parent.hand_over(name)
                directories.append((above, name, info))
            elif info.islnk():
                *source, linked = info.linkname.split("/")
                with descend(target, source) as there:
                    there.link(linked, parent, name)
            elif info.issym():
                path, dir_fd = parent.at(name)
                os.symlink(info.linkname, path, dir_fd=dir_fd)
                _restore_status(parent, name, info)
            elif info.isreg():
                content = tar.extractfile(info)
                fd = parent.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(fd, "wb") as stream:
                    if content is not None:
                        shutil.copyfileobj(content, stream, _CHUNK)
                _restore_status(parent, name, info)
            else:
                raise ValueError(f"{info.name!r} is no file, directory or link")
    for above, name, info in reversed(directories):
        with descend(target, above) as parent:
            _restore_status(parent, name, info)


def _restore_status(parent: Directory, name: str, info: tarfile.TarInfo) -> None:
    parent.restore_status(name, info.mode, (info.uid, info.gid), _mtime_ns(info))


def descend(top: Directory, names: list[str]) -> Directory:
    """Open a directory by the names that lead to it from an open one. Raises `OSError` or `ValueError`."""
    directory = top.again()
    for name in names:
        with directory:
            directory = directory.child(name)
    return directory


def _header(directory: Directory, name: str, path: str, status: os.stat_result) -> tarfile.TarInfo:
    info = tarfile.TarInfo(path)
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    info.mtime = status.st_mtime_ns // 10**9
    info.pax_headers = {_MTIME: f"{status.st_mtime_ns // 10**9}.{status.st_mtime_ns % 10**9:09d}"}
    if is_directory(status):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        link, dir_fd = directory.at(name)
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(link, dir_fd=dir_fd)
    elif stat.S_ISREG(status.st_mode):
        info.size = status.st_size
    else:
        raise OSError(f"{os.path.join(directory.path, name)} is no file, directory or link")
    return info


def _member(info: tarfile.TarInfo, sha256: str) -> Member:
    owner = info.uid, info.gid
    return info.name, info.type, info.mode, owner, _mtime_ns(info), info.size, info.linkname, sha256


def _mtime_ns(info: tarfile.TarInfo) -> int:
    # Before 1970 the seconds are negative and the digits behind them still count upwards.
    seconds, _, digits = info.pax_headers.get(_MTIME, str(int(info.mtime))).partition(".")
    return int(seconds) * 10**9 + int(digits.ljust(9, "0")[:9])


def file_digest(stream: IO[bytes]) -> str:
    """Return the SHA-256 of the rest of a stream, in hexadecimal digits."""
    reader = _Hashing(stream)
    while reader.read(_CHUNK):
        pass
    return reader.digest.hexdigest()


class _Hashing:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        return data


@contextmanager
def staging_directory(place: Directory, name: str) -> Iterator[str]:
    """Give the path of a directory in which the block makes `name`, which is in `place`, and its owner's, afterwards.

    Raises `OSError`.
    """
    if not is_root() or _only_root_leads_to(place.path):
        yield place.path
        for directory, item, _, _ in walk(place, name, name):
            directory.hand_over(item)
        return
    with tempfile.TemporaryDirectory(prefix="conda-prune-") as path:
        yield path
        with (
            Directory.open(failures.realpath(path)) as made,
            tempfile.TemporaryFile() as stream,
        ):
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
                pack(made, name, tar)
            stream.seek(0)
            with tarfile.open(fileobj=stream, mode="r") as tar:
                unpack(tar, place, {name})


def _only_root_leads_to(path: str) -> bool:
    """Return True if no other user can replace a directory, or one above it."""
    for directory in (Path(path), *Path(path).parents):
        status = directory.lstat()
        others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX
        if status.st_uid != 0 or others or not stat.S_ISDIR(status.st_mode):
            return False
    return True
