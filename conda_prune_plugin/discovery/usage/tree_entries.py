"""List everything in a tree with its status."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ... import failures
from ...core.file_status import EntryState, is_directory, listed_status


def entries(
    top: str, boundaries: frozenset[tuple[int, int]], without: frozenset[str] = frozenset()
) -> Iterator[tuple[str, os.stat_result | None, EntryState]]:
    """Give everything in a tree by name, as `Walker.walk` counts it: each directory, its files, then its directories.

    The names are paths below the top, with slashes; that of the top is empty. No status: it could not be asked for.
    without: names that are left out.
    """
    met: set[tuple[int, int]] = set()
    pending = [""]
    while pending:
        directory = pending.pop()
        path = os.path.join(top, directory) if directory else top
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            failures.note(error)
            yield directory, None, EntryState.UNREADABLE
            continue
        if not is_directory(status):
            # A junction, which is listed as a directory.
            yield directory, status, EntryState.COMPLETE
            continue
        key = (status.st_dev, status.st_ino)
        if directory and (key in boundaries or key in met):
            yield directory, status, EntryState.ELSEWHERE
            continue
        met.add(key)
        listed, state = _listed(path)
        yield directory, status, state
        for item in listed:
            name = f"{directory}/{item.name}" if directory else item.name
            if name in without:
                continue
            if item.is_dir(follow_symlinks=False):
                pending.append(name)
            else:
                yield from _with_status(name, item)


def _with_status(name: str, item: os.DirEntry[str]) -> Iterator[tuple[str, os.stat_result | None, EntryState]]:
    """Give an entry with its status, unless it is gone since it was listed."""
    try:
        status = listed_status(item)
    except FileNotFoundError:
        return
    except OSError as error:
        failures.note(error)
        yield name, None, EntryState.UNREADABLE
    else:
        yield name, status, EntryState.COMPLETE


def _listed(path: str) -> tuple[list[os.DirEntry[str]], EntryState]:
    """Return what a directory lists, as far as it can be read."""
    listed: list[os.DirEntry[str]] = []
    try:
        with os.scandir(path) as listing:
            listed.extend(listing)
    except OSError as error:
        failures.note(error)
        return listed, EntryState.UNREADABLE
    return listed, EntryState.COMPLETE
