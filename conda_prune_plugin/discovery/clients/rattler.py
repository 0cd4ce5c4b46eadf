"""What rattler and pixi write into a package cache (rattler_cache, ``src/package_cache``).

An entry is an extracted directory ``name-version-build``, with a hash behind it where caches of different origin are
told apart. No archive stays, there is no ``urls.txt``, and ``info`` gets no ``repodata_record.json``: where a package
came from is recorded in environments only. Beside the directory lies ``<entry>.lock``: the revision of the entry as a
64-bit number, and behind it, if it was known, the SHA-256 that the channel or lockfile gave for the archive, which
rattler has checked (``CacheMetadataFile``). A directory being extracted is called ``.<entry>`` and six letters or
digits (``validate_package_common``). One that a killed program leaves is useless.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence

from ...core.dist_names import is_dist_name
from ...core.layout import LOCK_SUFFIX
from ...core.model import Cache, Client, Entry, PartKind, ReasonKind
from ...failures import suppress
from ..system.safe_read import read_regular
from .archive_names import archive_dist

_REVISION_LENGTH, _SHA256_LENGTH = 8, 32

#: How long rattler makes a lock, in bytes.
_LENGTHS = (0, _REVISION_LENGTH, _REVISION_LENGTH + _SHA256_LENGTH)

_CUT_OFF = re.compile(r"\.(.+)[0-9A-Za-z]{6}")


def is_rattlers(entry: Entry, cache: Cache) -> bool:
    """Return whether rattler has made or used an entry, in a cache of its own or in conda's."""
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


def rattler_leftovers(cache: Cache, items: Sequence[os.DirEntry[str]]) -> Iterator[tuple[str, ReasonKind, str, str]]:
    """Give name, kind, detail and dist of rattler's leftovers among all that lies in a cache."""
    names = {item.name for item in items}
    for item in items:
        cut_off = _CUT_OFF.fullmatch(item.name)
        if cut_off and is_dist_name(cut_off[1]) and item.is_dir(follow_symlinks=False):
            if cache.client == Client.RATTLER or cut_off[1] + LOCK_SUFFIX in names:
                detail = "an interrupted extraction by rattler"
                yield item.name, ReasonKind.INCOMPLETE_EXTRACTION, detail, cut_off[1]
        elif item.name.endswith(LOCK_SUFFIX):
            dist = item.name.removesuffix(LOCK_SUFFIX)
            # That of an archive is mamba's (`lock_files`). Others may be called like this, as lockfiles are.
            if archive_dist(dist) is None and is_dist_name(dist) and dist not in names:
                with suppress(OSError):
                    status = item.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and status.st_size in _LENGTHS:
                        yield item.name, ReasonKind.TRASH, "rattler's lock of a package that is gone", dist
