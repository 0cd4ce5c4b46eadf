"""What a cache has twice, or an environment has too: what may go though it is in use."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from ..core.model import Cache, Entry, Evidence, PartKind
from .reading import read_object
from .wholeness import RECORD

#: Read at a time, in bytes.
_BLOCK = 1 << 20


def held_elsewhere(evidence: Iterable[Evidence], entries: Collection[Entry]) -> tuple[Evidence, ...]:
    """Return the evidence without the links of those entries that environments have.

    They are the environments' own names for the files, which stay with them whatever becomes of the cache's.
    """
    return tuple(replace(item, outside=0) if item.entry in entries else item for item in evidence)


def doubles(
    caches: Iterable[Cache], evidence: Iterable[Evidence], progress: Callable[[int], None]
) -> tuple[Evidence, ...]:
    """Return the evidence on the extracted directories of those entries whose archive is here and sound.

    Sound is an archive with the hash that conda has recorded. Nothing is lost with a directory that can be extracted
    again, so it can't be irreplaceable. Only the record in it says by which name a channel offers what calls itself
    otherwise: from the archive alone conda would not know the package again. `progress` is called with the number of
    entries that were looked at.
    """
    real = {cache.path: cache.real_path for cache in caches}
    found = []
    for done, item in enumerate(evidence):
        progress(done)
        known_again = item.doubt is None and item.unreadable is None and not item.aliases
        if known_again and _is_double(real[item.entry.cache], item.entry):
            beside = tuple((part, one.identity) for part, one in item.measurements if part.kind is PartKind.ARCHIVE)
            found.append(replace(item, outside=0, irreplaceable=None, beside=beside))
    return tuple(found)


def _is_double(cache: str, entry: Entry) -> bool:
    directory = next((part.name for part in entry.parts if part.kind is PartKind.EXTRACTED), None)
    archives = {part.name for part in entry.parts if part.kind is PartKind.ARCHIVE and not part.is_link}
    if directory is None or not archives:
        return False
    try:
        record = read_object(os.path.join(cache, directory, RECORD))
        # The url names the archive that the hashes are of.
        name = str(record.get("url")).rsplit("/", 1)[-1]
        return name in archives and _has_hash(os.path.join(cache, name), record.get("sha256"), record.get("md5"))
    except (OSError, ValueError):
        return False


def _has_hash(path: str, sha256: object, md5: object) -> bool:
    """Return whether a file has the hash that was recorded; the better one, if there are two."""
    if not (sha256 or md5):
        return False
    digest = hashlib.sha256() if sha256 else hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest() == str(sha256 or md5).lower()
