"""How an environment holds the files of an entry, measured on the files.

``link.type`` of a record is what was asked for per package, not what happened per file, and mamba always writes 1.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from ..core.model import Cache, Entry, Keep, LinkKind, Part, PartKind, ReasonKind
from ..core.planner import Links
from .reading import read_object
from .records import META


def measure_links(caches: Iterable[Cache], kept: Iterable[Keep]) -> Links:
    """Return the link kind for every kept entry and environment that names it."""
    by_path = {cache.path: cache for cache in caches}
    return {
        (keep.entry, reason.root): link_kind(by_path[keep.entry.cache], keep.entry, reason.root)
        for keep in kept
        for reason in keep.reasons
        if reason.kind is ReasonKind.ENVIRONMENT and reason.root is not None
    }


def link_kind(cache: Cache, entry: Entry, prefix: str) -> LinkKind:
    """Return how an environment holds an entry: by a hard link if any file is one, by a soft link if any is one.

    `RECORDED` if there are no files to tell it from: the package has none, or entry or record can't be read.
    """
    extracted = [os.path.join(cache.real_path, part.name) for part in entry.parts if _extracted(part)]
    installed = [os.path.join(prefix, name) for name in _recorded_files(prefix, entry.dist)]
    if not extracted or not installed:
        return LinkKind.RECORDED
    inodes = _payload_inodes(extracted[0])
    found = LinkKind.RECORDED
    for path in installed:
        try:
            status = os.lstat(path)
        except (OSError, ValueError):
            continue  # ValueError: a record can name what no file can be named.
        if (status.st_dev, status.st_ino) in inodes:
            return LinkKind.HARD
        if stat.S_ISLNK(status.st_mode) and _is_below(os.path.realpath(path), extracted[0]):
            return LinkKind.SOFT
        found = LinkKind.COPY
    return found


def _extracted(part: Part) -> bool:
    return part.kind is PartKind.EXTRACTED and not part.is_link


def _recorded_files(prefix: str, dist: str) -> list[str]:
    try:
        files = read_object(os.path.join(prefix, META, f"{dist}.json")).get("files")
    except (OSError, ValueError):
        return []
    return [name for name in files if isinstance(name, str)] if isinstance(files, list) else []


def _payload_inodes(directory: str) -> frozenset[tuple[int, int]]:
    return frozenset(_inodes_below(directory))


def _inodes_below(directory: str) -> Iterator[tuple[int, int]]:
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                status = os.lstat(os.path.join(path, name))
            except OSError:
                continue
            yield status.st_dev, status.st_ino


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(os.path.join(directory, ""))
