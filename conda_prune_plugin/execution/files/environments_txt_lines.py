"""Remove lines from a registry of environments (``~/.conda/environments.txt``).

conda's own `unregister_env` is not called: it also drops every line whose environment is not there at this moment,
such as those on a disk that is not mounted. Like conda's, this can lose a line that a `conda create` appends between
the reading and the renaming.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from ... import failures
from .dir_fd import Directory

#: The registry while it is written.
_UNFINISHED = ".conda-prune-new"

#: The largest registry that is changed, in bytes: a hundred thousand long paths.
LARGEST = 64 << 20


def take_out(registry: str, prefixes: Iterable[str], copy: str | None = None) -> bool:
    """Remove the lines that name prefixes (absolute paths); return True if there were any.

    copy: the name of a file beside the registry that keeps what the registry said before.

    Raises `OSError`; the registry is unchanged then.
    """
    # A link stays one: its target is replaced.
    real = failures.realpath(registry)
    with Directory.open(os.path.dirname(real)) as directory:
        name = os.path.basename(real)
        try:
            before = directory.read_file(name, LARGEST)
        except FileNotFoundError:
            return False
        after = _without(before.removesuffix(b"\n") + b"\n", list(map(os.fsencode, prefixes)))
        if after.rstrip(b"\n") == before.rstrip(b"\n"):
            return False
        if copy is not None:
            _write(directory, copy, before, name)
        _write(directory, name + _UNFINISHED, after, name)
        directory.replace(name + _UNFINISHED, name)
        directory.sync()
    return True


def _without(content: bytes, prefixes: Iterable[bytes]) -> bytes:
    """Return the lines that don't name a prefix: exactly or, if that is not a path, without blanks at the end."""
    single = set()
    for prefix in prefixes:
        if b"\n" in prefix:
            # conda writes a path with newlines as it is, in several lines.
            content = (b"\n" + content).replace(b"\n" + prefix + b"\n", b"\n").removeprefix(b"\n")
        else:
            single.add(prefix)

    def names_one(line: bytes) -> bool:
        return os.path.abspath(line) in single or (
            os.path.abspath(line.rstrip()) in single and not failures.lexists(line)
        )

    lines = content.split(b"\n")
    return b"\n".join(line for line in lines if not line.strip() or not names_one(line.lstrip()))


def _write(directory: Directory, name: str, content: bytes, like: str) -> None:
    """Write a file with the mode of another one, and make it survive a crash."""
    if directory.exists(name):
        directory.unlink(name)
    fd = directory.open_file(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as stream:
        stream.write(content)
        # Windows has it since Python 3.13, and no mode but read-only, which a file that can be replaced doesn't have.
        if hasattr(os, "fchmod"):
            os.fchmod(stream.fileno(), directory.status(like).st_mode & 0o777)
        stream.flush()
        os.fsync(stream.fileno())
    directory.hand_over(name)
