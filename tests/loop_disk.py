"""Real file systems in files, mounted by loop devices: needs root, and the tools of the file system."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MAKE = {
    "btrfs": ("mkfs.btrfs", "--quiet"),
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q"),
}


@contextmanager
def mounted(
    kind: str, directory: Path, megabytes: int, *, make: tuple[str, ...] = (), options: str = "loop"
) -> Iterator[Path]:
    """Mount a new file system of a kind below a directory; give its top. Fails where that can't be done."""
    image, top = directory / f"{kind}.img", directory / kind
    with image.open("wb") as stream:
        stream.truncate(megabytes << 20)
    top.mkdir()
    _run(*_MAKE[kind], *make, str(image))
    _run("mount", "-o", options, str(image), str(top))
    try:
        yield top
    finally:
        _run("umount", "--lazy", str(top))


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
