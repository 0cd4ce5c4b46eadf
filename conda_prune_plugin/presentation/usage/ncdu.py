"""Export every file in ncdu's format, for ncdu, gdu and others (`ncdu -f`).

The format is version 1.2 of https://dev.yorhel.nl/ncdu/jsonfmt: a directory is an array of its info block and what is
in it; ``asize`` is the length and ``dsize`` the blocks on disk, in bytes; ``dev`` is left out where it is the parent's;
only what is no directory and has several links carries ``hlnkc`` and ``nlink``, and counts once by ``dev`` and ``ino``.
"""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from ...core.file_status import EntryState, allocated, is_directory
from ...core.notices import Notice

#: A directory entry: its path below the top of its tree with slashes, and what is known of it.
Listed = tuple[str, "os.stat_result | None", EntryState]

#: Marks a directory that counts elsewhere. The format has no reason for that; this is an exclusion by the user.
_EXCLUDED = "pattern"

_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def write_ncdu(stream: TextIO, trees: Iterable[tuple[str, Iterable[Listed]]], *, now: float) -> list[Notice]:
    """Write the export of trees, none inside of another, and return warnings on what could not be read.

    Names are written as the bytes on disk, as ncdu does it. Nothing is kept in memory.
    """
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    pending = list(trees)
    paths = [path for path, _ in pending]
    writer = _Writer(stream.write, _common(paths))
    header = {"progname": "conda-prune", "timestamp": int(now)}
    stream.write(f"[1,2,{_encode(header)},\n")
    notices = []
    for path, listed in pending:
        below = writer.below_top(path)
        for name, status, state in listed:
            components = (*below, *name.split("/")) if name else below
            writer.add(components, status, state)
            if state is EntryState.UNREADABLE:
                unread = os.path.join(path, name) if name else path
                notices.append(Notice("unreadable-directory", f"{unread} can't be read and is not counted.", unread))
    writer.close()
    stream.write("]\n")
    return notices


def _common(paths: Sequence[str]) -> str:
    """Return the directory that all paths are in; empty if there is none, on several drives of Windows."""
    try:
        return os.path.commonpath(paths)
    except ValueError:
        return ""


class _Writer:
    """Writes entries in the order of the tree, and the directories above them."""

    def __init__(self, write: Callable[[str], object], top: str) -> None:
        self._write = write
        self._top = top
        #: The open directories, and their devices.
        self._open: list[str] = []
        self._devices: list[int | None] = []

    def below_top(self, path: str) -> tuple[str, ...]:
        """Return the components of a path below the top, which has an empty name."""
        relative = os.path.relpath(path, self._top) if self._top else path
        return ("", *(part for part in relative.split(os.sep) if part not in ("", os.curdir)))

    def add(self, components: Sequence[str], status: os.stat_result | None, state: EntryState) -> None:
        """Write one entry; a directory stays open for its entries."""
        self._enter(components[:-1])
        enters = status is not None and is_directory(status) and state is not EntryState.ELSEWHERE
        device = None if status is None else status.st_dev
        self._begin(components[-1], self._info(status, state), device, enters=enters)

    def close(self) -> None:
        """Close all open directories."""
        if not self._open:
            self._begin("", {}, None, enters=True)
        self._leave(0)

    def _enter(self, parents: Sequence[str]) -> None:
        """Open exactly these directories; those above a tree have only a name."""
        same = 0
        while same < min(len(parents), len(self._open)) and parents[same] == self._open[same]:
            same += 1
        self._leave(same)
        for name in parents[same:]:
            self._begin(name, {}, None, enters=True)

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            self._open.pop()
            self._devices.pop()
            self._write("]")

    def _begin(self, name: str, info: dict[str, Any], device: int | None, *, enters: bool) -> None:
        above = self._devices[-1] if self._devices else None
        block: dict[str, Any] = {"name": name if self._open else self._top or "conda", **info}
        if device is not None and device != above:
            block["dev"] = device
        comma = ",\n" if self._open else ""
        self._write(f"{comma}{'[' if enters else ''}{_encode(block)}")
        if enters:
            self._open.append(name)
            self._devices.append(above if device is None else device)

    @staticmethod
    def _info(status: os.stat_result | None, state: EntryState) -> dict[str, Any]:
        """Return the fields of an info block, without name and device."""
        if state is EntryState.ELSEWHERE:
            return {"excluded": _EXCLUDED}
        info: dict[str, Any] = {"read_error": True} if state is EntryState.UNREADABLE else {}
        if status is None:
            return info
        info |= {"asize": status.st_size, "dsize": allocated(status), "ino": status.st_ino}
        if not is_directory(status):
            if status.st_nlink > 1:
                info |= {"hlnkc": True, "nlink": status.st_nlink}
            if not stat.S_ISREG(status.st_mode):
                info["notreg"] = True
        return info
