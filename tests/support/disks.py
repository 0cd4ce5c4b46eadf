"""Small file systems of their own, and ways to fill them to the last inode or the last block. For root, on Linux."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: A project of XFS, whose quota counts what lies in one directory.
_PROJECT = "42"

#: The bytes of an inode of XFS (``mkfs.xfs``), which come and go in chunks of 64.
_INODE = 512


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file system. `lacks`: of what there is none left, inodes or blocks."""

    name: str
    lacks: str
    mount: Callable[[Path], None]


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def _tmpfs(options: str) -> Callable[[Path], None]:
    return lambda place: _run("mount", "-t", "tmpfs", "-o", options, "none", place)


def _image(place: Path, megabytes: int, *make: str) -> Path:
    image = place.with_suffix(".img")
    with image.open("wb") as stream:
        stream.truncate(megabytes << 20)
    _run(*make, image)
    return image


def _ext4(*options: str) -> Callable[[Path], None]:
    def mount(place: Path) -> None:
        _run("mount", "-o", "loop", _image(place, 16, "mkfs.ext4", "-q", "-m", "0", *options), place)

    return mount


def _xfs(*options: str, quota: str | None = None) -> Callable[[Path], None]:
    def mount(place: Path) -> None:
        image = _image(place, 320, "mkfs.xfs", "-q", *options)
        if quota is None:
            _run("mount", "-o", "loop", image, place)
            return
        try:
            _run("mount", "-o", "loop,prjquota", image, place)
        except subprocess.CalledProcessError:
            # A kernel without CONFIG_XFS_QUOTA mounts it without that option only.
            _run("mount", "-o", "loop", image, place)
            _run("umount", place)
            pytest.skip("this kernel is built without XFS quotas")
        (place / "it").mkdir()
        for command in (f"project -s -p {place / 'it'} {_PROJECT}", f"limit -p {quota} {_PROJECT}"):
            _run("xfs_quota", "-x", "-D", "/dev/null", "-P", "/dev/null", "-c", command, place)

    return mount


def _btrfs(limit: str | None = None) -> Callable[[Path], None]:
    def mount(place: Path) -> None:
        _run("mount", "-o", "loop", _image(place, 200, "mkfs.btrfs", "-q"), place)
        if limit is None:
            return
        _run("btrfs", "quota", "enable", place)
        _run("btrfs", "subvolume", "create", place / "it")
        _run("btrfs", "qgroup", "limit", limit, place / "it")

    return mount


KINDS = (
    Kind("tmpfs without inodes", "inodes", _tmpfs("size=40m,nr_inodes=600")),
    Kind("tmpfs without blocks", "blocks", _tmpfs("size=6m,nr_inodes=9000")),
    Kind("ext4 without inodes", "inodes", _ext4("-N", "512")),
    Kind("ext4 without blocks", "blocks", _ext4("-N", "4096")),
    Kind("XFS without inodes", "inodes", _xfs("-i", "maxpct=1")),
    Kind("XFS project quota of inodes", "inodes", _xfs(quota="ihard=600")),
    Kind("XFS project quota of blocks", "blocks", _xfs(quota="bhard=8m")),
)

#: It accounts for what is unlinked, and lets nothing be renamed before that is enough for all that a rename might take.
BTRFS_QUOTA = Kind("btrfs quota of blocks", "blocks", _btrfs("12m"))
BTRFS = Kind("btrfs", "blocks", _btrfs())
XFS = Kind("XFS", "blocks", _xfs())

#: These can't share content between files.
UNSHARING = (
    Kind("tmpfs", "blocks", _tmpfs("size=40m")),
    Kind("ext4", "blocks", _ext4()),
    Kind("XFS without reflinks", "blocks", _xfs("-m", "reflink=0")),
)

#: These can.
SHARING = (Kind("XFS", "blocks", _xfs("-i", f"maxpct=100,size={_INODE}")), BTRFS)


@contextmanager
def mounted(kind: Kind, place: Path) -> Iterator[Path]:
    """Mount a new file system of a kind, and give a directory in it. Raises what failed: nothing is skipped."""
    place.mkdir()
    kind.mount(place)
    try:
        (place / "it").mkdir(exist_ok=True)
        yield place / "it"
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S607


@contextmanager
def ext4_with_quotas(place: Path) -> Iterator[Path]:
    """Mount a new ext4 that counts and limits what each user has; skip where the kernel can't."""
    place.mkdir()
    image = _image(place, 16, "mkfs.ext4", "-q", "-O", "quota")
    try:
        _run("mount", "-o", "loop", image, place)
    except subprocess.CalledProcessError:
        # Without quotas it is mounted.
        _ext4()(place)
        _run("umount", place)
        pytest.skip("this kernel is built without the format of ext4's quotas (CONFIG_QFMT_V2)")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)  # noqa: S607


def fill(kind: Kind, directory: Path) -> None:
    """Use up all inodes or all blocks that there are."""
    heap = directory / "fill"
    heap.mkdir()
    if kind.lacks == "inodes":
        with suppress(OSError):
            for number in count():
                (heap / str(number)).touch()
        return
    # Names first: the directories that the others are made in must not be what has no room.
    for size in (1 << 20, 4096, 1):
        with suppress(OSError):
            for number in count():
                with (heap / f"{size}-{number}").open("wb", buffering=0) as stream:
                    while stream.write(b"x" * size) == size and size > 1:
                        if stream.tell() >= 1 << 20:
                            break
                    os.fsync(stream.fileno())


def free(kind: Kind, directory: Path) -> int:
    """Return how much is not in use, as a number of inodes or of bytes that only grows with what is freed."""
    os.sync()
    if kind.name.startswith("XFS"):
        # It frees inodes in the background, and waits for that before it freezes.
        for what in ("--freeze", "--unfreeze"):
            _run("fsfreeze", what, directory.parent)
    status = os.statvfs(directory)
    # Not what may be used: XFS counts there in chunks of 64.
    return status.f_ffree - status.f_files if kind.lacks == "inodes" else status.f_bfree * status.f_frsize


def used(kind: Kind, directory: Path) -> int:
    """Return the bytes in use but for metadata that no file has alone: the inodes of XFS, all metadata of btrfs."""
    if kind is BTRFS:
        os.sync()
        command = ["btrfs", "filesystem", "df", "--raw", str(directory)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return int(next(line for line in told if line.startswith("Data")).rpartition("=")[2])
    free(kind, directory)
    # Of a file system without a limit of inodes these are all that there are, and all that free blocks have room for.
    return -os.statvfs(directory).f_files * _INODE
