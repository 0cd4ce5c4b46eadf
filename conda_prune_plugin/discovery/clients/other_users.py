"""Other users of a package cache, whose environments only their own registries list.

Hard links are counted wherever they are, and copies need nothing; but only the environments themselves show what
another user soft-links from a cache. So in a cache that other users may change, the registries of all users who own
something in it are read: they have installed from it. A user who has only read from it leaves no trace.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ...core.model import Cache
from ...failures import suppress
from ..system.privileges import own_user


@dataclass(frozen=True, slots=True)
class OtherUser:
    """Another user of a cache, and the home of that user."""

    name: str
    home: str
    cache: str


def find_other_users(caches: Iterable[Cache]) -> tuple[OtherUser, ...]:
    """Return the other users who own something in one of the caches; none where there are no users (Windows)."""
    ours = own_user()
    if ours is None:
        return ()
    from pwd import getpwuid

    found: dict[int, OtherUser] = {}
    for cache in caches:
        if not cache.writable:
            continue
        for owner in _owners(cache.real_path, ours) - found.keys() - {ours}:
            # A deleted user has no home.
            with suppress(KeyError):
                known = getpwuid(owner)
                found[owner] = OtherUser(known.pw_name, known.pw_dir, cache.path)
    return tuple(found.values())


def other_homes() -> Iterator[str]:
    """Give for root, as conda does, the homes of all users, and that of the caller of sudo; for others none."""
    if own_user() != 0:
        return
    from pwd import getpwall, getpwnam

    homes = {entry.pw_dir: None for entry in getpwall() if entry.pw_dir}
    # A directory service may know users that it does not list.
    with suppress(KeyError):
        homes[getpwnam(os.environ.get("SUDO_USER", "")).pw_dir] = None
    yield from homes


def _owners(directory: str, ours: int) -> set[int]:
    """Return the owners of the files in a directory, if users other than its owner may create some there."""
    owners: set[int] = set()
    with suppress(OSError):
        status = os.stat(directory)
        if status.st_uid == ours and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return owners
        with os.scandir(directory) as listing:
            for item in listing:
                with suppress(OSError):
                    owners.add(item.stat(follow_symlinks=False).st_uid)
    return owners
