"""Small file systems of their own, and ways to fill them to the last inode or the last block. For root, on Linux."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: A project of XFS, whose quota counts what lies in one directory.
_PROJECT = "42"


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


def _ext4(*options: str) -> Callable[[Path], None]:
    def mount(place: Path) -> None:
        image = place.with_suffix(".img")
        with image.open("wb") as stream:
            stream.truncate(16 << 20)
        _run("mkfs.ext4", "-q", "-m", "0", *options, image)
        _run("mount", "-o", "loop", image, place)

    return mount


def _xfs(limit: str) -> Callable[[Path], None]:
    def mount(place: Path) -> None:
        image = place.with_suffix(".img")
        with image.open("wb") as stream:
            stream.truncate(320 << 20)
        _run("mkfs.xfs", "-q", image)
        _run("mount", "-o", "loop,prjquota", image, place)
        (place / "it").mkdir()
        for command in (f"project -s -p {place / 'it'} {_PROJECT}", f"limit -p {limit} {_PROJECT}"):
            _run("xfs_quota", "-x", "-D", "/dev/null", "-P", "/dev/null", "-c", command, place)

    return mount


KINDS = (
    Kind("tmpfs without inodes", "inodes", _tmpfs("size=40m,nr_inodes=600")),
    Kind("tmpfs without blocks", "blocks", _tmpfs("size=6m,nr_inodes=9000")),
    Kind("ext4 without inodes", "inodes", _ext4("-N", "512")),
    Kind("ext4 without blocks", "blocks", _ext4("-N", "4096")),
    Kind("XFS project quota of inodes", "inodes", _xfs("ihard=600")),
    Kind("XFS project quota of blocks", "blocks", _xfs("bhard=8m")),
)


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
    """Return how many inodes or bytes are left; a quota counts as the file system there."""
    os.sync()
    status = os.statvfs(directory)
    return status.f_favail if kind.lacks == "inodes" else status.f_bavail * status.f_frsize
