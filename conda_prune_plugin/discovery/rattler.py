"""What rattler and pixi write into a package cache (rattler_cache, ``src/package_cache``).

An entry is an extracted directory ``name-version-build``, with a hash behind it where caches of different origin are
told apart. No archive stays, there is no ``urls.txt``, and ``info`` gets no ``repodata_record.json``: where a package
came from is recorded in environments only. Beside the directory lies ``<entry>.lock``: the revision of the entry as a
64-bit number, and behind it, if it was known, the SHA-256 that the channel or lockfile gave for the archive, which
rattler has checked (``CacheMetadataFile``). A directory being extracted is called ``.<entry>`` and some letters.
"""

from __future__ import annotations

import os

from ..core.model import Cache, Client, Entry, PartKind
from .reading import read_regular

#: The suffix of the file beside an entry.
LOCK_SUFFIX = ".lock"

#: The file that a whole cache is locked by (``PackageCache::acquire_global_lock``).
CACHE_LOCK = ".cache.lock"

_REVISION_LENGTH, _SHA256_LENGTH = 8, 32


def is_rattlers(entry: Entry, cache: Cache) -> bool:
    """Return whether rattler has made or used an entry, be it in a cache of its own or in conda's."""
    return cache.client == Client.RATTLER or any(part.kind is PartKind.LOCK for part in entry.parts)


def recorded_sha256(cache: Cache, entry: Entry) -> str | None:
    """Return the hash of the archive that an entry was extracted from, None where rattler did not know it.

    Raises `OSError`.
    """
    for part in entry.parts:
        if part.kind is PartKind.LOCK:
            content = read_regular(os.path.join(cache.real_path, part.name))
            digest = content[_REVISION_LENGTH : _REVISION_LENGTH + _SHA256_LENGTH]
            return digest.hex() if len(digest) == _SHA256_LENGTH else None
    return None
