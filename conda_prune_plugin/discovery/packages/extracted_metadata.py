"""Metadata of an extracted directory: the identity that conda reads from it.

`PackageCacheData._make_single_record` takes ``info/repodata_record.json`` first, which has what the channel said, and
``info/index.json``, which the package brought, only without it. It is not called here: it makes a record in 0.2 ms,
where reading both files takes a third of that, needs both formats of a name to be asked for apart, and deletes archives
that it can't open. A differential test holds this reading against its answer.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ... import failures
from ...core.layout import INDEX, RECORD
from ...failures import suppress
from ..system.measure import Statuses
from ..system.safe_read import dist_of, read_object


@dataclass(frozen=True, slots=True)
class Description:
    """What an extracted directory says of itself.

    dist: the ``name-version-build`` that conda knows it by. aliases: another one, that its own index gives.
    record: what conda has recorded; empty if it has not, or if that can't be understood.
    recorded: when that was, in seconds since the epoch.
    doubt: what of its metadata can't be read, None if all can. indexed: its index could be.
    """

    dist: str
    record: Mapping[str, Any]
    recorded: float | None
    aliases: tuple[str, ...] = ()
    doubt: str | None = None
    indexed: bool = True


def describe(path: str, statuses: Statuses | None = None) -> Description:
    """Return what an extracted directory says of itself; `statuses`: what is in it, where that is known.

    Raises `OSError` or `ValueError` if no part of it tells what it is.
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
        doubt = odd_record or (None if holds_record_only(path) else _doubt(path, error))
        return Description(channel, record, recorded, (), doubt, indexed=False)
    aliases = (inside,) if channel is not None and channel != inside else ()
    return Description(channel or inside, record, recorded, aliases, odd_record)


def holds_record_only(path: str) -> bool:
    """Return whether a directory looks as ``--ci cache`` has left it (`integrity.is_record_only`)."""
    info, record = os.path.split(RECORD)
    try:
        return os.listdir(path) == [info] and os.listdir(os.path.join(path, info)) == [record]
    except OSError as error:
        failures.note(error)
        return False


def _record(path: str, statuses: Statuses | None) -> tuple[Mapping[str, Any], float | None, str | None]:
    """Return what conda has recorded, when that was, and why it can't be understood, where it can't."""
    if statuses is not None and RECORD not in statuses:
        return {}, None, None
    record = os.path.join(path, RECORD)
    try:
        content = read_object(record)
        known = statuses[RECORD] if statuses is not None else None
        status = known if known is not None and stat.S_ISREG(known.st_mode) else os.stat(record)
    except FileNotFoundError as error:
        # A link to nowhere is there, and tells nothing.
        return {}, None, _doubt(path, error) if failures.islink(record) else None
    except (OSError, ValueError) as error:
        failures.note(error)
        return {}, None, _doubt(path, error)
    return content, status.st_mtime, None


def _doubt(path: str, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        lacking = os.path.relpath(error.filename, path)
        return f"it has no {lacking}: probably an interrupted extraction or removal"
    return f"its metadata in info/ can't be read ({error})"
