"""The identity of a package: what its extracted directory says, and the names that an entry is known by.

`PackageCacheData._make_single_record` takes ``info/repodata_record.json`` first, which has what the channel said, and
``info/index.json``, which the package brought, only without it. It is not called here: it makes a record in 0.2 ms,
where reading both files takes a third of that, needs both formats of a name to be asked for apart, and deletes archives
that it can't open. A differential test holds this reading against its answer.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ... import failures
from ...core.dist_names import plain_dist
from ...core.layout import ARCHIVE_SUFFIXES, INDEX, RECORD
from ...core.model import Cache, Entry, PartKind, Root, RootKind
from ...failures import suppress
from ..system.measure import Statuses
from ..system.safe_read import dist_of, read_object
from .archive_metadata import dist_in_archive


@dataclass(frozen=True, slots=True)
class Description:
    """What an extracted directory says of itself.

    dist: the ``name-version-build`` that conda knows it by. aliases: another one, from its own index. record: conda's
    record; empty if it is missing or invalid. recorded: the time of that, in seconds since the epoch. doubt: which of
    its metadata can't be read, None if all can. indexed: its index can be read.
    """

    dist: str
    record: Mapping[str, Any]
    recorded: float | None
    aliases: tuple[str, ...] = ()
    doubt: str | None = None
    indexed: bool = True


def describe(path: str, statuses: Statuses | None = None) -> Description:
    """Return what an extracted directory says of itself; `statuses`: what is in it, if that is known.

    Raises `OSError` or `ValueError` if neither its record nor its index can be read.
    """
    record, recorded, odd_record = _record(path, statuses)
    channel = None
    with suppress(ValueError):
        channel = dist_of(record)
    try:
        inside = dist_of(read_object(os.path.join(path, INDEX)))
    except (OSError, ValueError) as error:
        failures.note(error)
        if channel is None:
            raise
        doubt = odd_record or (None if holds_record_only(path) else doubt_about(path, error))
        return Description(channel, record, recorded, (), doubt, indexed=False)
    aliases = (inside,) if channel is not None and channel != inside else ()
    return Description(channel or inside, record, recorded, aliases, odd_record)


def holds_record_only(path: str) -> bool:
    """Return True if nothing but conda's record is left, as ``--ci cache`` leaves it (`integrity.is_record_only`)."""
    info, record = os.path.split(RECORD)
    try:
        return os.listdir(path) == [info] and os.listdir(os.path.join(path, info)) == [record]
    except OSError as error:
        failures.note(error)
        return False


def _record(path: str, statuses: Statuses | None) -> tuple[Mapping[str, Any], float | None, str | None]:
    """Return conda's record, its time of change, and why it can't be read, or None."""
    if statuses is not None and RECORD not in statuses:
        return {}, None, None
    record = os.path.join(path, RECORD)
    try:
        content = read_object(record)
        known = statuses[RECORD] if statuses is not None else None
        status = known if known is not None and stat.S_ISREG(known.st_mode) else os.stat(record)
    except FileNotFoundError as error:
        # A dangling link exists, but says nothing.
        return {}, None, doubt_about(path, error) if failures.islink(record) else None
    except (OSError, ValueError) as error:
        failures.note(error)
        return {}, None, doubt_about(path, error)
    return content, status.st_mtime, None


def doubt_about(path: str, error: OSError | ValueError) -> str:
    """Return why an extracted directory with unreadable metadata is kept."""
    if isinstance(error, FileNotFoundError):
        lacking = os.path.relpath(error.filename, path)
        return f"it has no {lacking}: probably an interrupted extraction or removal"
    return f"its metadata in info/ can't be read ({error})"


class Names:
    """The names that entries are known by; the metadata of each is opened once at most."""

    def __init__(self, roots: Iterable[Root] = ()) -> None:
        environments = [root for root in roots if root.kind is RootKind.ENVIRONMENT]
        self._aliases: dict[str, list[str]] = {}
        for root in environments:
            for alias, dist in root.aliases.items():
                self._aliases.setdefault(alias, []).append(dist)
        self._named = frozenset[str]().union(*(root.packages for root in environments))
        self._known: dict[tuple[str, str], tuple[str, ...]] = {}

    def of(self, cache: Cache, entry: Entry) -> tuple[str, ...]:
        """Return the dists that an entry is known by: first that of an environment's record, or else conda's."""
        key = (cache.real_path, entry.dist)
        if key not in self._known:
            own, aliases = plain_dist(entry.dist), self._aliases.get(entry.dist, ())
            first = tuple(name for name in (own, entry.dist) if name in self._named)[:1]
            self._known[key] = tuple(dict.fromkeys((*first, *_described(cache, entry), *aliases, own)))
        return self._known[key]


def _described(cache: Cache, entry: Entry) -> tuple[str, ...]:
    path = os.path.join(cache.real_path, entry.dist)
    with suppress(OSError, ValueError):
        if not failures.islink(path):
            described = describe(path)
            return (described.dist, *described.aliases)
    for part in entry.parts:
        # Archives of other formats needn't be called like their content; conda's own are, and take long to open.
        foreign = part.kind is PartKind.ARCHIVE and not part.is_link and not part.name.endswith(ARCHIVE_SUFFIXES)
        with suppress(OSError, ValueError):
            if foreign:
                return (dist_in_archive(os.path.join(cache.real_path, part.name)),)
    return ()
