"""Pack a tree into a tar file and unpack it, with the status of every member.

What makes two trees the same here: names, kinds, modes, owners, times of modification to the nanosecond, lengths,
contents, targets of symbolic links, and which names are hard links of one file. Extended attributes are not kept.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from ...core.file_status import is_directory
from .dir_fd import Directory

_CHUNK = 1 << 20

#: A time of modification with all its digits (pax(1), extended header keywords); tarfile's own attribute is a float.
_MTIME = "mtime"


@dataclass(frozen=True, slots=True)
class Member:
    """One name of a tree. `link`: the target of a symbolic link, or the first name of a further hard link."""

    name: str
    kind: bytes
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    size: int
    link: str
    sha256: str


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """What changes when somebody changes a file: enough to know that what was archived is what is there now."""

    name: str
    inode: int
    mode: int
    size: int
    mtime_ns: int


class UnarchivableError(OSError):
    """There is something in a tree that no package holds, such as a pipe or a device."""


def walk(parent: Directory, name: str, shown: str) -> Iterator[tuple[Directory, str, str, os.stat_result]]:
    """Give the directory, the name in it, the path to show and the status of a name and of everything below it."""
    status = parent.status(name)
    yield parent, name, shown, status
    if not is_directory(status):
        return
    with ExitStack() as stack:
        top = stack.enter_context(parent.child(name))
        levels = [(top, shown, sorted(item for item, _ in top.names()))]
        while levels:
            directory, path, items = levels[-1]
            if not items:
                levels.pop()
                directory.close()
                continue
            item = items.pop(0)
            status = directory.status(item)
            yield directory, item, f"{path}/{item}", status
            if is_directory(status):
                below = stack.enter_context(directory.child(item))
                levels.append((below, f"{path}/{item}", sorted(name for name, _ in below.names())))


def member_statuses(parent: Directory, name: str, shown: str) -> list[MemberStatus]:
    """Return the stamps of a tree. The time of its top is left out: a rename may change it."""
    return [
        MemberStatus(path, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns if path != shown else 0)
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
        if not info.isreg():
            tar.addfile(info)
            members.append(_member(info, ""))
            continue
        with os.fdopen(directory.open_regular(item), "rb") as stream:
            reader = _Hashing(stream)
            tar.addfile(info, reader)
        members.append(_member(info, reader.digest.hexdigest()))
    return members


def read_members(tar: tarfile.TarFile) -> list[Member]:
    """Return the members of a tar file, every content read. Raises `OSError` or `tarfile.TarError`."""
    members = []
    for info in tar:
        content = tar.extractfile(info) if info.isreg() else None
        members.append(_member(info, file_digest(content) if content else ""))
    return members


def unpack(tar: tarfile.TarFile, target: Directory, tops: Collection[str]) -> None:
    """Make the trees of a tar file in a directory; those that are not of `tops` are left out.

    Every name is looked up in the directory above it, which is held open, so nothing in the tar file leads elsewhere.

    Raises `OSError`, `ValueError` for a name that is none, `tarfile.TarError`.
    """
    directories = []
    for info in tar:
        *above, name = info.name.split("/")
        if (above or [name])[0] not in tops:
            continue
        with descend(target, above) as parent:
            if info.isdir():
                parent.mkdir(name)
                # At once: what is made in it goes to the owner of this directory, see `Directory.restore_status`.
                parent.hand_over(name)
                directories.append((above, name, info))
            elif info.islnk():
                *source, linked = info.linkname.split("/")
                with descend(target, source) as there:
                    there.link(linked, parent, name)
            elif info.issym():
                path, dir_fd = parent.at(name)
                os.symlink(info.linkname, path, dir_fd=dir_fd)
                parent.restore_status(name, info.mode, (info.uid, info.gid), _mtime_ns(info))
            elif info.isreg():
                _write(tar, info, parent, name)
            else:
                raise ValueError(f"{info.name!r} is no file, directory or link")
    for above, name, info in reversed(directories):
        with descend(target, above) as parent:
            parent.restore_status(name, info.mode, (info.uid, info.gid), _mtime_ns(info))


def hand_over(parent: Directory, name: str, to: Directory) -> None:
    """Give a tree that root has made to the owner of a directory, as `Directory.hand_over`. Raises `OSError`.

    A directory goes after all that is in it: who owns it can put something else there.
    """
    with parent.child(name) as directory:
        for item, is_directory in directory.names():
            if is_directory:
                hand_over(directory, item, to)
            else:
                directory.hand_over(item, to)
    parent.hand_over(name, to)


def descend(top: Directory, names: list[str]) -> Directory:
    """Open the directory that names lead to from another one, which stays open. Raises `OSError`, `ValueError`."""
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
        raise UnarchivableError(f"{os.path.join(directory.path, name)} is no file, directory or link")
    return info


def _member(info: tarfile.TarInfo, sha256: str) -> Member:
    owner = info.uid, info.gid
    return Member(info.name, info.type, info.mode, owner, _mtime_ns(info), info.size, info.linkname, sha256)


def _mtime_ns(info: tarfile.TarInfo) -> int:
    # Before 1970 the seconds are negative and the digits behind them still count upwards.
    seconds, _, digits = info.pax_headers.get(_MTIME, str(int(info.mtime))).partition(".")
    return int(seconds) * 10**9 + int(digits.ljust(9, "0")[:9])


def _write(tar: tarfile.TarFile, info: tarfile.TarInfo, parent: Directory, name: str) -> None:
    content = tar.extractfile(info)
    fd = parent.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as stream:
        while content and (chunk := content.read(_CHUNK)):
            stream.write(chunk)
    parent.restore_status(name, info.mode, (info.uid, info.gid), _mtime_ns(info))


def file_digest(stream: IO[bytes]) -> str:
    """Return the SHA-256 of what is left of a stream, in hexadecimal digits."""
    reader = _Hashing(stream)
    while reader.read(_CHUNK):
        pass
    return reader.digest.hexdigest()


class _Hashing:
    """A stream whose content is hashed as it is read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.digest.update(data)
        return data
