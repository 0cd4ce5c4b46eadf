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


@dataclass(frozen=True, slots=True)
class OtherUser:
    """Another user of a cache, and his home."""

    name: str
    home: str
    cache: str


def find_other_users(caches: Iterable[Cache]) -> tuple[OtherUser, ...]:
    """Return the other users who own something in one of the caches; none where there are no users (Windows)."""
    if not hasattr(os, "geteuid"):
        return ()
    from pwd import getpwuid

    ours = os.geteuid()
    found: dict[int, OtherUser] = {}
    for cache in caches:
        if not cache.writable:
            continue
        for owner in _owners(cache.real_path, ours) - found.keys() - {ours}:
            # One who is not known any more has no home.
            with suppress(KeyError):
                user = getpwuid(owner)
                found[owner] = OtherUser(user.pw_name, user.pw_dir, cache.path)
    return tuple(found.values())


def other_homes() -> Iterator[str]:
    """Give for root, as conda does, everybody's home, and that of who called it by sudo; for others none."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    from pwd import getpwall, getpwnam

    homes = {user.pw_dir: None for user in getpwall() if user.pw_dir}
    # A directory service may know users that it does not list.
    with suppress(KeyError):
        homes[getpwnam(os.environ.get("SUDO_USER", "")).pw_dir] = None
    yield from homes


def _owners(directory: str, ours: int) -> set[int]:
    """Return who owns what lies in a directory, as far as others than its owner may put something there."""
    with suppress(OSError):
        status = os.stat(directory)
        if status.st_uid == ours and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return set()
        with os.scandir(directory) as listing:
            return {owner for item in listing for owner in _owner(item)}
    return set()


def _owner(item: os.DirEntry[str]) -> Iterator[int]:
    with suppress(OSError):
        yield item.stat(follow_symlinks=False).st_uid
