"""List package caches and their entries, with one listing of each directory.

`PackageCacheData` isn't used: to load a writable cache it extracts archives, deletes what it can't read and writes
``info/repodata_record.json``. A differential test holds this listing against its answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ... import failures
from ...core.dist_names import is_dist_name
from ...core.file_status import ON_WINDOWS, irremovable
from ...core.layout import INDEX, LOCK_SUFFIX, MAGIC, META, RATTLER_LOCK
from ...core.model import Cache, Client, Entry, Part, PartKind
from ...core.notices import UNREADABLE, Notice
from ...errors import NoSuchDirectoryError, NotACacheError
from ...failures import suppress
from ..clients.archive_names import archive_dist
from ..clients.mamba_nested import nested_directories
from ..leftovers.leftover_names import is_leftover_name

_NONE: Mapping[str, Client] = {}


def find_caches(
    configured: Iterable[str], named: Iterable[str], others: Mapping[str, Client] = _NONE
) -> tuple[tuple[Cache, ...], tuple[Notice, ...]]:
    """Return the caches, each with the directories nested in it, and notices on those that can't be read.

    `named` are the user's choice and replace the configured ones; they must exist. Configured ones that don't exist are
    skipped: conda names more than it creates. `others` are configured for other clients.

    Raises `NoSuchDirectoryError` or `NotACacheError` for a named one.
    """
    named = tuple(os.path.expanduser(path) for path in named)
    for path in named:
        _require_cache(path)
    caches: dict[tuple[int, int], Cache] = {}
    notices: list[Notice] = []
    for name in named or (*configured, *others):
        path = os.path.abspath(os.path.expanduser(name))
        if not failures.lexists(path):
            continue
        try:
            # By inode: links and bind mounts give one directory several paths.
            status = os.stat(path)
            if (status.st_dev, status.st_ino) not in caches:
                cache = list_cache(path, others.get(path))
                caches[status.st_dev, status.st_ino] = cache
                for nested in _nested(cache):
                    status = os.stat(nested.real_path)
                    caches.setdefault((status.st_dev, status.st_ino), nested)
        except OSError as error:
            failures.note(error)
            message = f"The package cache {path} can't be read and was left alone: {error.strerror}."
            notices.append(Notice(UNREADABLE, message, path))
    return tuple(caches.values()), tuple(notices)


def list_cache(path: str, client: Client | None = None, top: str | None = None) -> Cache:
    """Return the cache at an absolute path. Raises `OSError` if it can't be listed.

    client: whose it is; None to tell that from its files. top: the real path of the cache that it is nested in.
    """
    real_path = failures.realpath(path)
    parts: dict[str, list[Part]] = {}
    locks: list[Part] = []
    has_magic = False
    with os.scandir(real_path) as listing:
        for item in listing:
            if item.name.endswith(LOCK_SUFFIX):
                locks.append(Part(PartKind.LOCK, item.name, item.is_symlink()))
            has_magic = has_magic or item.name == MAGIC
            for dist, part in _part(item):
                parts.setdefault(dist, []).append(part)
    for lock in locks:
        # The lock of an entry's directory, not that of an archive.
        if any(part.name == _locked(lock) for part in parts.get(_locked(lock), ())):
            parts[_locked(lock)].append(lock)
    entries = tuple(
        # The extracted directory first: it holds the metadata.
        Entry(path, dist, tuple(sorted(parts[dist], key=lambda part: (part.kind is not PartKind.EXTRACTED, part.name))))
        for dist in sorted(parts)
    )
    if client is None:
        by_rattler = not has_magic and any(
            lock.name == RATTLER_LOCK or lock in parts.get(_locked(lock), ()) for lock in locks
        )
        client = Client.RATTLER if by_rattler else Client.CONDA
    writable = failures.may_write(real_path)
    return Cache(path, real_path, client, writable, entries, top, None if writable else _owner(real_path))


def _owner(real_path: str) -> str | None:
    """Return the name of a cache's owner, None for the caller's own cache."""
    try:
        import pwd

        user = os.stat(real_path).st_uid
        return None if user == os.geteuid() else pwd.getpwuid(user).pw_name
    # Windows has no such module, and not every user has a name.
    except (ImportError, KeyError):
        return None
    except OSError as error:
        failures.note(error, real_path)
        return None


def _locked(lock: Part) -> str:
    return lock.name.removesuffix(LOCK_SUFFIX)


def _nested(cache: Cache) -> Iterator[Cache]:
    # mamba makes this file first; without it this may be any directory, and large.
    if cache.client == Client.RATTLER or not failures.lexists(os.path.join(cache.real_path, MAGIC)):
        return
    for real_path in sorted(nested_directories(cache.real_path)):
        with suppress(OSError):
            path = os.path.join(cache.path, os.path.relpath(real_path, cache.real_path))
            found = list_cache(path, None, cache.real_path)
            # A directory that is conda's cache and rattler's home too has rattler's packages below it.
            yield found if found.client == Client.RATTLER else replace(found, client=Client.MAMBA)


def _part(item: os.DirEntry[str]) -> Iterator[tuple[str, Part]]:
    name = item.name
    if name.startswith(".") or is_leftover_name(item):
        return
    # A junction (Windows) calls itself a directory and is a link.
    is_link = item.is_symlink() or (ON_WINDOWS and irremovable(item.stat(follow_symlinks=False)) is not None)
    if is_link or not item.is_dir(follow_symlinks=False):
        dist = archive_dist(name)
        if dist is not None:
            yield dist, Part(PartKind.ARCHIVE, name, is_link)
        elif is_link and is_dist_name(name):
            yield name, Part(PartKind.EXTRACTED, name, is_link=True)
    # Only a renamed archive makes a directory whose name isn't a dist, so few need this stat.
    elif is_dist_name(name) or failures.isfile(os.path.join(item.path, INDEX)):
        yield name, Part(PartKind.EXTRACTED, name)


def _require_cache(path: str) -> None:
    if not path or not failures.isdir(path):
        raise NoSuchDirectoryError(
            f"There is no package cache at {path}: it is not a directory.",
            hint="`conda config --show pkgs_dirs` lists the caches that conda uses.",
            path=os.path.abspath(path),
        )
    # In a channel the archives are the originals.
    for name in ("repodata.json", "channeldata.json"):
        if failures.isfile(os.path.join(path, name)):
            raise NotACacheError(
                f"{path} is not a package cache but a channel: it has a {name}.",
                hint="Name a package cache; `conda config --show pkgs_dirs` lists them.",
                path=os.path.abspath(path),
            )
    try:
        with os.scandir(path) as items:
            children = [item.path for item in items]
    except OSError as error:
        raise NoSuchDirectoryError(
            f"The package cache {path} can't be read: {error.strerror}.",
            hint="Run as a user who can read it, or leave it out.",
            path=os.path.abspath(path),
        ) from error
    if not failures.isfile(os.path.join(path, "urls.txt")) and _holds_environments_only(children):
        raise NotACacheError(
            f"{path} isn't a package cache: it holds environments.",
            hint="Name a package cache; `conda config --show pkgs_dirs` lists them.",
            path=os.path.abspath(path),
        )


def _holds_environments_only(children: Sequence[str]) -> bool:
    """Return whether some of the paths in a directory are environments, and none is a package."""
    packages = (
        archive_dist(os.path.basename(child)) or failures.isdir(os.path.join(child, "info")) for child in children
    )
    return any(failures.isdir(os.path.join(child, META)) for child in children) and not any(packages)
