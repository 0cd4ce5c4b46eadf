"""Conda's command line in a process that lacks what another system lacks: ``python other_systems.py SYSTEM``.

Reads a JSON list of command lines from standard input and prints ``[code, stdout, stderr]`` for each of them as JSON.
What is missing is taken away before anything of conda or of this program is imported. It is as good as the list of
what is taken away; paths stay those of this system.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import json
import os
import select
import shutil
import stat
import sys
import types
from typing import Any

#: What no Python on Windows has, or only a newer one (the availability notes of the `os` documentation).
NOT_ON_WINDOWS = (
    *("getuid", "geteuid", "getgid", "getegid", "getgroups", "setuid", "setgid", "setresuid", "setgroups", "getresuid"),
    *("chown", "lchown", "fchown", "fchmod", "fork", "forkpty", "statvfs", "fstatvfs", "sync", "pread", "pwrite"),
    *("preadv", "pwritev", "posix_fadvise", "posix_fallocate", "mkfifo", "mknod", "sched_getaffinity", "getxattr"),
    *("listxattr", "setxattr", "removexattr", "sendfile", "copy_file_range", "killpg", "getpgid", "setsid", "nice"),
    *("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_SYNC", "O_DSYNC", "ST_RDONLY", "chroot"),
    *("openpty", "ttyname", "tcgetpgrp", "getloadavg", "sysconf", "uname", "major", "minor", "lockf", "wait3", "wait4"),
)
MODULES_NOT_ON_WINDOWS = ("fcntl", "pwd", "grp", "resource", "termios", "pty", "tty", "syslog", "spwd")

#: What Python on macOS lacks.
NOT_ON_MACOS = (
    *("posix_fadvise", "posix_fallocate", "sched_getaffinity", "getxattr", "listxattr", "setxattr", "removexattr"),
    *("copy_file_range", "memfd_create", "getresuid", "setresuid", "pidfd_open", "splice", "eventfd", "unshare"),
)

_FIELDS = ("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size", "st_atime", "st_mtime", "st_ctime")
_NANOSECONDS = ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")


class _Status(tuple[Any, ...]):  # noqa: SLOT001  # A tuple with slots can have no attributes.
    """A status with the attributes that the other system's has, and no others."""

    st_file_attributes: int
    st_blocks: int
    st_flags: int

    def __new__(cls, real: Any, **changes: int) -> _Status:
        status = super().__new__(cls, tuple(real)[:10])
        for name in (*_FIELDS, *_NANOSECONDS):
            setattr(status, name, changes.get(name, getattr(real, name)))
        return status


class _WindowsStatus(_Status):
    """Owners are zero, modes know only whether the owner may write, and st_ctime is the time of creation."""

    st_file_attributes = st_reparse_tag = 0

    def __new__(cls, real: Any, **changes: int) -> _WindowsStatus:
        mode = stat.S_IFMT(real.st_mode) | (0o777 if real.st_mode & stat.S_IWUSR else 0o555)
        status = super().__new__(cls, real, **{"st_mode": mode, "st_uid": 0, "st_gid": 0, **changes})
        status.st_file_attributes = stat.FILE_ATTRIBUTE_REPARSE_POINT if real.st_ino in _odd else 0
        return status  # type: ignore[return-value]


class _MacStatus(_Status):
    """There are blocks and flags."""

    st_blocks = st_flags = 0

    def __new__(cls, real: Any, **changes: int) -> _MacStatus:
        status = super().__new__(cls, real, **changes)
        status.st_blocks = real.st_blocks
        status.st_flags = stat.UF_IMMUTABLE if real.st_ino in _odd else 0
        return status  # type: ignore[return-value]


#: Inodes that are junctions, or locked by a flag.
_odd: set[int] = set()


class _Listed:
    """An entry of a directory."""

    def __init__(self, real: os.DirEntry[Any]) -> None:
        self._real = real
        self.name, self.path = real.name, real.path

    def __fspath__(self) -> Any:
        return self.path

    def inode(self) -> int:
        return self._real.inode()

    def is_symlink(self) -> bool:
        return self._real.is_symlink()

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return self._real.is_dir(follow_symlinks=follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return self._real.is_file(follow_symlinks=follow_symlinks)


class _WindowsListed(_Listed):
    """An entry as Windows lists it: without device, inode and number of links."""

    def stat(self, *, follow_symlinks: bool = True) -> Any:
        return _WindowsStatus(self._real.stat(follow_symlinks=follow_symlinks), st_ino=0, st_dev=0, st_nlink=0)


class _MacListed(_Listed):
    """An entry as macOS lists it."""

    def stat(self, *, follow_symlinks: bool = True) -> Any:
        return _MacStatus(self._real.stat(follow_symlinks=follow_symlinks))


class _Listing:
    """What `os.scandir` returns."""

    def __init__(self, real: Any, kind: type[_Listed]) -> None:
        self._real = real
        self._kind = kind

    def __iter__(self) -> _Listing:
        return self

    def __next__(self) -> _Listed:
        return self._kind(next(self._real))

    def __enter__(self) -> _Listing:
        return self

    def __exit__(self, *error: object) -> None:
        self._real.close()

    def close(self) -> None:
        self._real.close()


def _keep_disk_usage(statvfs: Any) -> None:
    """Give back what `shutil` has on Windows too, by a call of its own."""

    def disk_usage(path: str) -> Any:
        space = statvfs(path)
        size = space.f_frsize
        return types.SimpleNamespace(total=space.f_blocks * size, free=space.f_bavail * size)

    _set(shutil, "disk_usage", disk_usage)


def _leave_libraries() -> None:
    """Let `filelock` and `psutil` keep the system that they are imported on: they look at the platform, not at `os`.

    What `filelock` takes without `fcntl`, a file that has to be removed again, is not what it takes on Windows, where
    it locks an open file as here.
    """
    import psutil
    from filelock import FileLock

    whole = types.ModuleType("os")
    vars(whole).update(vars(os))
    for name, module in list(sys.modules.items()):
        if name.startswith(("filelock.", "psutil")):
            if vars(module).get("os") is os:
                _set(module, "os", whole)
            # `_hide_proc` replaces that of all others.
            _set(module, "open", builtins.open)
    assert FileLock.__name__ == "UnixFileLock"
    assert psutil.LINUX


def _become_windows() -> None:
    # It looks at the platform too, and not at what there is.
    import platformdirs  # noqa: F401

    # It asked what there is when it was imported.
    _set(shutil, "_use_fd_functions", False)
    statvfs = os.statvfs
    for name in MODULES_NOT_ON_WINDOWS:
        sys.modules[name] = None  # type: ignore[assignment]
    _take_away(NOT_ON_WINDOWS)
    real_stat, real_lstat, real_fstat, real_scandir = os.stat, os.lstat, os.fstat, os.scandir
    _set(os, "stat_result", _WindowsStatus)
    _set(os, "stat", _by_path_only(lambda *args, **options: _WindowsStatus(real_stat(*args, **options))))
    _set(os, "lstat", _by_path_only(lambda *args, **options: _WindowsStatus(real_lstat(*args, **options))))
    _set(os, "fstat", lambda fd: _WindowsStatus(real_fstat(fd)))
    _set(os, "scandir", lambda path=".": _Listing(real_scandir(_no_descriptor(path)), _WindowsListed))
    for name in ("open", "mkdir", "rmdir", "symlink", "readlink", "chmod", "utime", "link"):
        _set(os, name, _by_path_only(getattr(os, name)))
    _remove_as_windows()
    _set(os, "supports_dir_fd", set())
    _set(os, "supports_fd", {os.stat, os.truncate})
    _set(os, "supports_follow_symlinks", {os.stat})
    _keep_disk_usage(statvfs)
    if hasattr(select, "poll"):
        del select.poll
    os.environ["PATH"] = ""


def _remove_as_windows() -> None:
    """What is read-only is not removed, and a rename overwrites nothing."""
    real_unlink, real_rename = os.unlink, os.rename

    def unlink(path: Any, *, dir_fd: None = None) -> None:
        if dir_fd is not None:
            raise NotImplementedError("dir_fd unavailable on this platform")
        if not os.lstat(path).st_mode & stat.S_IWUSR:
            raise PermissionError(errno.EACCES, "Access is denied", path)
        real_unlink(path)

    def rename(source: Any, target: Any, *, src_dir_fd: None = None, dst_dir_fd: None = None) -> None:
        if src_dir_fd is not None or dst_dir_fd is not None:
            raise NotImplementedError("dir_fd unavailable on this platform")
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", target)
        real_rename(source, target)

    _set(os, "unlink", unlink)
    _set(os, "remove", unlink)
    _set(os, "rename", rename)


def _become_macos() -> None:
    _take_away(NOT_ON_MACOS)
    real_stat, real_lstat, real_fstat = os.stat, os.lstat, os.fstat
    real_scandir = os.scandir
    _set(os, "stat_result", _MacStatus)
    _set(os, "stat", lambda *args, **options: _MacStatus(real_stat(*args, **options)))
    _set(os, "lstat", lambda *args, **options: _MacStatus(real_lstat(*args, **options)))
    _set(os, "fstat", lambda fd: _MacStatus(real_fstat(fd)))
    _set(os, "scandir", lambda path=".": _Listing(real_scandir(path), _MacListed))
    for name in ("supports_dir_fd", "supports_fd", "supports_follow_symlinks"):
        _set(os, name, {*getattr(os, name), os.stat, os.scandir})


def _take_away(names: tuple[str, ...]) -> None:
    for name in names:
        if hasattr(os, name):
            delattr(os, name)


def _set(module: Any, name: str, value: Any) -> None:
    # Before Python 3.11 pathlib makes methods of the functions of `os`, as long as those are none of Python's own.
    setattr(module, name, staticmethod(value) if isinstance(value, types.FunctionType) else value)


def _no_descriptor(path: Any) -> Any:
    if isinstance(path, int):
        raise TypeError("path should be string, bytes, os.PathLike or None, not int")
    return path


def _by_path_only(real: Any) -> Any:
    """Return a function of `os` that refuses to work relative to a directory, as those of Windows do."""

    def call(*arguments: Any, **options: Any) -> Any:
        for name in ("dir_fd", "src_dir_fd", "dst_dir_fd"):
            if options.pop(name, None) is not None:
                raise NotImplementedError(f"{name} unavailable on this platform")
        return real(*arguments, **options)

    return call


def _hide_proc() -> None:
    """Let nothing be below ``/proc``."""

    def hidden(path: Any) -> bool:
        return isinstance(path, (str, bytes)) and os.fsdecode(path).startswith("/proc")

    def hiding(real: Any) -> Any:
        def call(path: Any = ".", *arguments: Any, **options: Any) -> Any:
            if hidden(path):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            return real(path, *arguments, **options)

        return call

    supported = {name: {call.__name__ for call in getattr(os, name)} for name in ("supports_dir_fd", "supports_fd")}
    for name in ("open", "stat", "lstat", "listdir", "scandir", "readlink"):
        wrapped = hiding(getattr(os, name))
        wrapped.__name__ = name
        _set(os, name, wrapped)
    for name, calls in supported.items():
        _set(os, name, {getattr(os, call) for call in calls if hasattr(os, call)})
    _set(os, "supports_follow_symlinks", {*os.supports_follow_symlinks, os.stat})
    _set(builtins, "open", hiding(builtins.open))
    _set(io, "open", builtins.open)


SYSTEMS = {"windows": _become_windows, "macos": _become_macos}


def _run(command: list[str]) -> tuple[int, str, str]:
    from conda.base.context import reset_context
    from conda.core.package_cache_data import PackageCacheData
    from conda.core.prefix_data import PrefixData

    from conda_prune_plugin.embedded import main

    reset_context()
    PackageCacheData.clear()
    PrefixData._cache_.clear()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(command)
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, out.getvalue(), err.getvalue()


def _answer() -> None:
    question = json.load(sys.stdin)
    for path in question["odd"]:
        _odd.add(os.lstat(path).st_ino)
    _leave_libraries()
    SYSTEMS[sys.argv[1]]()
    _hide_proc()
    from conda_prune_plugin.embedded import activate

    activate()
    print(json.dumps([_run(command) for command in question["commands"]]))


if __name__ == "__main__":
    _answer()
