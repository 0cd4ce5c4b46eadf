"""Names of distributions, and of the files that belong to them.

conda accepts a record only from a file named ``name-version-build.json`` (``PrefixData._load_single_record``), and
an extracted directory and its archives bear the same ``name-version-build``, called `dist` here. Comparing these
names decides almost everything without opening a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from zlib import crc32

from .layout import ARCHIVE_SUFFIXES

#: What rattler adds to a dist where it tells caches of different origin apart: the SHA-256 of the url or the path that
#: the package came from (rattler_cache, ``CacheKey::to_path_segment``).
_ORIGIN = re.compile(r"-[0-9a-f]{64}\Z")

_DIST = re.compile(r".+-[^-]+-[^-]+", re.DOTALL)


#: What a note of a run in another directory is called, in our state: with the run's id and a hash of the directory.
_NOTE = re.compile(r"place-(?P<run>[\w-]+)-[0-9a-f]{8}(?:\.new)?")

#: At the end of the name of a note that is being written.
UNFINISHED_NOTE = ".new"

#: The longest note that is read, in bytes: no system takes longer paths.
LONGEST_NOTE = 1 << 15


def note_name(run: str, place: bytes) -> str:
    """Return the name of the note of a run in a directory."""
    return f"place-{run}-{crc32(place):08x}"


def noted_run(name: str) -> str | None:
    """Return the run that a note of this name tells of, None if it is no note's."""
    found = _NOTE.fullmatch(name)
    return found and found["run"]


def archive_dist(file_name: str, suffixes: Iterable[str] = ARCHIVE_SUFFIXES, *, any_case: bool = False) -> str | None:
    """Return the name of the entry that an archive belongs to, or None if the name is not an archive's.

    any_case: the suffixes, in lower case, count in letters of any case.
    """
    compared = file_name.lower() if any_case else file_name
    for suffix in suffixes:
        if compared.endswith(suffix) and len(file_name) > len(suffix):
            return file_name[: -len(suffix)]
    return None


def recorded_names(dist: str) -> tuple[str, ...]:
    """Return the names by which a record may mean an entry: the entry's own, and that without rattler's hash."""
    plain = plain_dist(dist)
    return (dist,) if plain == dist else (dist, plain)


def plain_dist(dist: str) -> str:
    """Return the ``name-version-build`` in the name of an entry: all of it, but for a hash that rattler added."""
    origin = _ORIGIN.search(dist)
    if origin is None:
        return dist
    plain = dist[: origin.start()]
    return plain if is_dist_name(plain) else dist


def package_name(dist: str) -> str:
    """Return the package's name out of a dist; all of it where it is none."""
    return dist.rsplit("-", 2)[0]


def package_version(dist: str) -> str:
    """Return the package's version out of a dist. Raises `ValueError` where it is none."""
    _, version, _ = dist.rsplit("-", 2)
    return version


def is_file_name(name: str, separator: str = os.sep) -> bool:
    """Return whether a name leads nowhere else when it is looked up in a directory.

    Where a backslash separates (Windows), a colon would begin another drive or another stream of a file.
    """
    if separator != "/" and ("\\" in name or ":" in name):
        return False
    return "/" not in name and "\0" not in name and name not in ("", ".", "..")


def extended(path: str, separator: str = os.sep) -> str:
    """Return an absolute path in the form in which Windows takes more than 260 characters; elsewhere as it is.

    ("Maximum Path Length Limitation" of Microsoft's documentation: the prefix wants backslashes only.)
    """
    if separator == "/" or path.startswith("\\\\?\\"):
        return path
    path = path.replace("/", separator)
    return f"\\\\?\\UNC\\{path[2:]}" if path.startswith("\\\\") else f"\\\\?\\{path}"


def is_dist_name(name: str) -> bool:
    """Return whether a name has the form ``name-version-build`` (a version and a build have no hyphen)."""
    return _DIST.fullmatch(name) is not None
