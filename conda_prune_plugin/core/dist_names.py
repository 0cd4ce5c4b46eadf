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

#: The suffix that rattler adds to tell origins apart: the SHA-256 of the package's url or path
#: (rattler_cache, ``CacheKey::to_path_segment``).
_ORIGIN = re.compile(r"-[0-9a-f]{64}\Z")

_DIST = re.compile(r".+-[^-]+-[^-]+", re.DOTALL)


#: The name of a note on a run in another directory: with the run's id and a hash of the directory.
_NOTE = re.compile(r"place-(?P<run>[\w-]+)-[0-9a-f]{8}(?:\.new)?")

#: The suffix of a note that is being written.
UNFINISHED_NOTE = ".new"

#: The longest note that is read, in bytes: no system has longer paths.
LONGEST_NOTE = 1 << 15


def note_name(run: str, place: bytes) -> str:
    """Return the name of the note of a run in a directory."""
    return f"place-{run}-{crc32(place):08x}"


def noted_run(name: str) -> str | None:
    """Return the run in the name of a note, None if this is no name of a note."""
    found = _NOTE.fullmatch(name)
    return found and found["run"]


def archive_dist(file_name: str, suffixes: Iterable[str] = ARCHIVE_SUFFIXES, *, any_case: bool = False) -> str | None:
    """Return the name of the entry that an archive belongs to, or None if the name is not an archive's.

    any_case: ignore the case of letters in the suffixes, which are in lower case.
    """
    compared = file_name.lower() if any_case else file_name
    for suffix in suffixes:
        if compared.endswith(suffix) and len(file_name) > len(suffix):
            return file_name[: -len(suffix)]
    return None


def recorded_names(dist: str) -> tuple[str, ...]:
    """Return the names that a record may have for an entry: its own, and that without rattler's hash."""
    plain = plain_dist(dist)
    return (dist,) if plain == dist else (dist, plain)


def plain_dist(dist: str) -> str:
    """Return the ``name-version-build`` of an entry: its name without a hash that rattler added."""
    origin = _ORIGIN.search(dist)
    if origin is None:
        return dist
    plain = dist[: origin.start()]
    return plain if is_dist_name(plain) else dist


def package_name(dist: str) -> str:
    """Return the package name in a dist, or all of it if it is none."""
    return dist.rsplit("-", 2)[0]


def package_version(dist: str) -> str:
    """Return the package version in a dist. Raises `ValueError` if it is none."""
    _, version, _ = dist.rsplit("-", 2)
    return version


def is_file_name(name: str, separator: str = os.sep) -> bool:
    """Return whether a name stays in the directory that it is looked up in.

    With a backslash as separator (Windows), a colon starts another drive or another stream of a file.
    """
    if separator != "/" and ("\\" in name or ":" in name):
        return False
    return "/" not in name and "\0" not in name and name not in ("", ".", "..")


def extended(path: str, separator: str = os.sep) -> str:
    """Return an absolute path in the form that allows more than 260 characters on Windows; elsewhere unchanged.

    ("Maximum Path Length Limitation" of Microsoft's documentation: the prefix wants backslashes only.)
    """
    if separator == "/" or path.startswith("\\\\?\\"):
        return path
    path = path.replace("/", separator)
    return f"\\\\?\\UNC\\{path[2:]}" if path.startswith("\\\\") else f"\\\\?\\{path}"


def is_dist_name(name: str) -> bool:
    """Return whether a name has the form ``name-version-build`` (a version and a build have no hyphen)."""
    return _DIST.fullmatch(name) is not None
