"""Packages in use that may go: duplicates in a cache, and those that environments don't share files with."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from ... import failures
from ...core.accounting import without
from ...core.evidence import Evidence, Remainder
from ...core.file_status import allocated, is_directory
from ...core.layout import RECORD
from ...core.model import Cache, Client, Entry, Inventory, PartKind, ReasonKind, Root, RootKind
from ...core.rules.reachability import SoftLinks
from ..packages.integrity import archive_record, file_hash
from ..system.extents import FileSystems
from ..system.measure import measure
from ..system.safe_read import read_object


def held_elsewhere(evidence: Iterable[Evidence], entries: Collection[Entry]) -> tuple[Evidence, ...]:
    """Return the evidence without the links of those entries that environments have.

    They are the environments' own names for the files, which stay with them whatever becomes of the cache's.
    """
    return tuple(replace(item, outside=0) if item.entry in entries else item for item in evidence)


def redundant(
    caches: Iterable[Cache],
    evidence: Iterable[Evidence],
    progress: Callable[[int], None],
    systems: FileSystems,
    *,
    records: bool,
) -> tuple[Evidence, ...]:
    """Return the evidence on the extracted directories of those entries whose archive is here and sound.

    Sound is an archive with the hash that conda has recorded. Nothing is lost with a directory that can be extracted
    again, so it can't be irreplaceable. What calls itself otherwise than its channel stays whole. `progress` is called
    with the number of entries that were looked at.

    records: conda's records go too. Otherwise each stays in its directory: archives don't hold the hashes that
    lockfiles ask for. mamba needs no record, as it compares an archive itself with the hash that it is asked for.
    """
    of_path = {cache.path: cache for cache in caches}
    found = []
    for done, item in enumerate(evidence):
        progress(done)
        if item.doubt is None and item.unreadable is None and not item.aliases:
            part = _redundant_part(of_path[item.entry.cache], item, systems, records)
            found += [part] if part is not None else []
    return tuple(found)


def _redundant_part(cache: Cache, item: Evidence, systems: FileSystems, records: bool) -> Evidence | None:
    """Return the evidence on the extracted directory alone, None if it has to stay as it is."""
    extracted = next((part for part in item.entry.parts if part.kind is PartKind.EXTRACTED), None)
    archives = {part.name for part in item.entry.parts if part.kind is PartKind.ARCHIVE and not part.is_link}
    if extracted is None or not archives:
        return None
    directory = os.path.join(cache.real_path, extracted.name)
    try:
        remainder = _remainder(directory, systems)
        # Of two archives conda extracts the .conda, whichever the hashes are of.
        archive = min(archives, key=lambda name: (not name.endswith(".conda"), name))
        record = archive_record(directory, archive, read_object(os.path.join(directory, RECORD)))
        path = os.path.join(cache.real_path, archive)
        algorithm = "sha256" if record.get("sha256") else "md5"
        expected = str(record.get(algorithm) or "").lower()
        sound = "url" in record and expected and file_hash(path, algorithm) == expected
    except (OSError, ValueError) as error:
        failures.note(error)
        return None
    measured = dict(item.measurements)
    whole = records or cache.client != Client.CONDA
    if not sound or (not whole and measured[extracted].files == 1):  # The record is all that is in there.
        return None
    beside = tuple((part, one.identity) for part, one in item.measurements if part.kind is PartKind.ARCHIVE)
    item = replace(item, outside=0, irreplaceable=None, beside=beside, excuse=ReasonKind.EXTRACTED)
    if whole:
        return item
    measured[extracted] = without(measured[extracted], remainder)
    return replace(item, measurements=tuple(measured.items()), remainder=remainder)


def _remainder(directory: str, systems: FileSystems) -> Remainder:
    """Return the part of an extracted directory that stays. Raises `OSError`, or `ValueError` if that isn't a file."""
    info, record = (os.lstat(os.path.join(directory, name)) for name in (os.path.dirname(RECORD), RECORD))
    if not is_directory(info) or not stat.S_ISREG(record.st_mode):
        raise ValueError(f"{RECORD} is not a regular file")
    kept = measure(os.path.join(directory, RECORD), systems=systems, top=record)
    single = allocated(os.lstat(directory)) + allocated(info) + kept.single
    return Remainder(tuple(RECORD.split(os.sep)), record.st_dev, record.st_ino, record.st_size, single)


def may_be_unlinked(
    inventory: Inventory, referenced: Mapping[str, Sequence[Root]], softly: SoftLinks
) -> tuple[Entry, ...]:
    """Return the entries that environments and no other roots reference, and that no environment soft-links."""

    def fits(entry: Entry) -> bool:
        roots = referenced.get(entry.dist, ())
        return bool(roots) and all(root.kind is RootKind.ENVIRONMENT for root in roots) and softly.spare(entry, roots)

    entries = (entry for cache in inventory.caches for entry in cache.entries if entry not in inventory.unsearched)
    return tuple(filter(fits, entries))


def unlinked(evidence: Iterable[Evidence], entries: frozenset[Entry]) -> tuple[Evidence, ...]:
    """Return those of the entries that were measured and have no hard link from anywhere but a cache."""
    return tuple(
        replace(item, excuse=ReasonKind.UNLINKED)
        for item in evidence
        if item.entry in entries and not item.outside and item.doubt is None and item.unreadable is None
    )
