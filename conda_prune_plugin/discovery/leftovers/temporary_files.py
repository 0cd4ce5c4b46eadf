"""Find temporary files of clients in environments and index caches by name; each pattern names its source.

conda's own finder (`conda.cli.main_clean.find_tempfiles`) knows two endings, and calls itself for each directory; this
walks in the same way and knows what the other clients make too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from ... import failures
from ...core.layout import META
from ...failures import suppress
from ..clients.conda_context import temporary_endings
from ..clients.lock_files import holder, is_lock, is_lock_name
from ..system.safe_read import read_object, read_regular
from ..usage.pip_packages import recorded_files

#: conda's own endings (``.c~``, ``.trash``), and what could not be deleted: by conda (``unlink_or_rename_to_trash`` in
#: ``conda/gateways/disk/delete.py``), by mamba (``remove_or_rename`` in ``libmamba/src/core/util.cpp``).
_TRASH = re.compile(rf"(?:{'|'.join(map(re.escape, temporary_endings()))}|\.conda_trash(?:_\d+)?|\.mamba_trash)\Z")

#: A link that conda makes to try what a file system can (``conda/gateways/disk/test.py``; ``try_hard_link`` in
#: ``conda/install.py`` until 4.2). It lies at the top of an environment.
_PROBE = re.compile(r"\.tmp\.index\.json(?:\.[0-9a-f]{8})?|\.tmp-.+-[^-]+-[^-]+")

#: Where mamba lists its trash, one path below the prefix a line.
_LIST = os.path.join(META, "mamba_trash.txt")

#: mamba's locks in ``conda-meta`` (`lock_files`).
_META_LOCKS = ("conda-meta.lock", "mamba.lock")

#: Indexes being written: conda's (``conda/gateways/repodata/__init__.py`` and ``zstd.py``), mamba's
#: (``TemporaryFile`` in ``subdir_index.cpp`` and ``shard_index_loader.cpp``).
_INDEX = re.compile(r".+\.tmp|mamba(?:f|shard)[0-9A-Za-z]{10}")

_INDEX_CACHE = "cache"


@dataclass(frozen=True, slots=True)
class Temporary:
    """The paths of temporary files below a directory, and of locks, which no living process may hold."""

    files: frozenset[str]
    locks: frozenset[str] = frozenset()


def in_environment(prefix: str) -> Temporary:
    """Return what is temporary by its name in an environment. Raises `RecursionError` until Python 3.12."""
    files: set[str] = set()
    locks: set[str] = set()
    meta = os.path.join(prefix, META)
    for directory, directories, names in os.walk(prefix):
        if directory != prefix and ".git" in (*directories, *names):
            # The user's. An editor's backup of a C source is called as what conda has replaced.
            directories.clear()
            continue
        files.update(os.path.join(directory, name) for name in names if _TRASH.search(name))
        if directory == prefix:
            files.update(os.path.join(prefix, name) for name in names if _PROBE.fullmatch(name))
            candidates = [name for name in (*directories, *names) if is_lock_name(name)]
        else:
            candidates = [name for name in _META_LOCKS if name in names] if directory == meta else []
        locks.update(path for name in candidates if is_lock(path := os.path.join(directory, name)))
    return Temporary(frozenset(files), frozenset(locks))


def finished_list(prefix: str, going: Collection[str]) -> Iterator[str]:
    """Give the path of mamba's list of its trash, if all that it names is going, or gone."""
    with suppress(OSError):
        path = os.path.join(prefix, _LIST)
        lines = os.fsdecode(read_regular(path)).splitlines()
        listed = [os.path.normpath(os.path.join(prefix, line)) for line in lines if line]
        if all(item in going or not failures.lexists(item) for item in listed):
            yield path


def in_index_cache(cache: str) -> Temporary:
    """Return what is temporary by its name where a cache keeps channels' indexes."""
    files: set[str] = set()
    locks: set[str] = set()
    with suppress(OSError), os.scandir(os.path.join(cache, _INDEX_CACHE)) as listing:
        for item in listing:
            if item.is_file(follow_symlinks=False) and (_INDEX.fullmatch(item.name) or _TRASH.search(item.name)):
                files.add(item.path)
            elif (item.name.endswith(".lock") or is_lock_name(item.name)) and is_lock(item.path):
                locks.add(item.path)
    return Temporary(frozenset(files), frozenset(locks))


def free_locks(locks: Collection[str], told: Callable[[str, str], None]) -> Iterator[str]:
    """Give the locks that no living process holds; `told` is given the others, and who holds each."""
    for path in sorted(locks):
        try:
            held = holder(path)
        except OSError as error:
            failures.note(error)
            held = f"can't be told: {error.strerror}"
        if held is None:
            yield path
        else:
            told(path, held)


def owned(prefix: str) -> frozenset[str] | None:
    """Return the paths below a prefix that packages have brought, None where a record can't be read."""
    found: set[str] = set(recorded_files(prefix))
    try:
        names = os.listdir(os.path.join(prefix, META))
        for name in names:
            if name.endswith(".json") and not name.startswith("."):
                files = read_object(os.path.join(prefix, META, name)).get("files")
                found.update(name for name in (files if isinstance(files, list) else ()) if isinstance(name, str))
    except (OSError, ValueError) as error:
        failures.note(error)
        return None
    return frozenset(name.replace("/", os.sep) for name in found)
