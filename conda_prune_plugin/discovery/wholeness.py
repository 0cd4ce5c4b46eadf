"""Whether a package is whole: an extracted directory against its own list of files, an archive against its record.

The quick check takes names and sizes; the thorough one reads everything and compares hashes. conda takes a directory
with an ``info/index.json`` for a package, however little of it is left, and fails when it links from it
(`CondaVerificationError`).
"""

from __future__ import annotations

import bz2
import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.model import ReasonKind
from .caches import INDEX
from .reading import dist_of, read_object, read_regular

#: Name, type, size and SHA-256 of every file (conda.models.records.PathDataV1); packages of old have only the names.
PATHS = os.path.join("info", "paths.json")
FILES = os.path.join("info", "files")

#: See `candidates.RECORD`, which needs conda.
RECORD = os.path.join("info", "repodata_record.json")

#: How the two formats begin: a zip file, and bzip2 (whose fourth byte is the size of its blocks).
_BEGINNINGS = {".conda": b"PK\x03\x04", ".tar.bz2": b"BZh"}

#: What ends every bzip2 stream, at any bit: 48 bits, a checksum of 32, and up to 7 for padding.
_BZ2_END, _BZ2_TAIL = 0x177245385090, 11

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a part of a package."""

    kind: ReasonKind
    detail: str


def directory_damage(
    path: str, *, statuses: Mapping[str, os.stat_result] | None = None, hashes: bool = False
) -> Damage | None:
    """Return what is wrong with an extracted directory; None if nothing is, or it can't be told.

    statuses: what is in it, by path, where that is known already. hashes: read every file.

    Raises `OSError` for what can't be read though it is there.
    """
    # conda writes the record last.
    extracted = os.path.lexists(os.path.join(path, RECORD))
    kind = ReasonKind.CORRUPT if extracted else ReasonKind.INCOMPLETE_EXTRACTION
    try:
        dist_of(read_object(os.path.join(path, INDEX)))
        files = _listed(path)
    except FileNotFoundError as error:
        lacking = os.path.relpath(error.filename, path)
        return Damage(ReasonKind.INCOMPLETE_EXTRACTION, f"it has no {lacking}: an extraction or removal was cut off")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Damage(kind, f"its metadata in info/ can't be understood ({error})")
    missing, wrong = [], []
    for file in files:
        try:
            # No join: what a package lists lies below it, also if it begins with a slash.
            right = _is_right(f"{path}{os.sep}{file.name}", file, statuses, hashes)
        except (FileNotFoundError, NotADirectoryError):
            missing.append(file.name)
        except ValueError:
            wrong.append(file.name)
        else:
            if not right:
                wrong.append(file.name)
    if not missing and not wrong:
        return None
    counts = [f"{len(names):,} {what}" for names, what in ((missing, "missing"), (wrong, "changed")) if names]
    return Damage(kind, f"of its {len(files):,} files {' and '.join(counts)}, the first: {(missing or wrong)[0]}")


@dataclass(frozen=True, slots=True)
class _File:
    """A file that a package lists; without a size only its name is known, or it is a symbolic link."""

    name: str
    size: int | None = None
    sha256: str | None = None


def _listed(path: str) -> list[_File]:
    if not os.path.lexists(os.path.join(path, PATHS)):
        names = read_regular(os.path.join(path, FILES)).decode("utf-8", "surrogateescape").splitlines()
        return [_File(name) for name in names if name.strip()]
    return list(map(_file, read_object(os.path.join(path, PATHS))["paths"]))


def _file(listed: Mapping[str, Any]) -> _File:
    name, size, sha256 = listed["_path"], listed.get("size_in_bytes"), listed.get("sha256")
    if not isinstance(name, str):
        raise TypeError(f"{PATHS} has a name that is none")
    # Of a symbolic link it gives the size and the hash of what that leads to.
    if listed.get("path_type") != "hardlink" or not isinstance(size, int):
        return _File(name)
    return _File(name, size, sha256 if isinstance(sha256, str) else None)


def _is_right(full: str, file: _File, statuses: Mapping[str, os.stat_result] | None, hashes: bool) -> bool:
    status = os.lstat(full) if statuses is None or full not in statuses else statuses[full]
    if file.size is None:
        return True
    if not stat.S_ISREG(status.st_mode):
        return stat.S_ISLNK(status.st_mode)
    if status.st_size != file.size:
        return False
    return not hashes or file.sha256 is None or file_sha256(full) == file.sha256


def file_sha256(path: str) -> str:
    """Return the SHA-256 of a regular file in hexadecimal digits; a link is not followed. Raises `OSError`."""
    digest = hashlib.sha256()
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: str) -> Iterator[bytes]:
    never = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | never)) as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def archive_damage(path: str, record: Mapping[str, Any], *, known: bool, hashes: bool = False) -> Damage | None:
    """Return what is wrong with an archive, None if nothing is.

    record: what conda has recorded of it, if anything. known: conda has fetched it, so whatever is in there now should
    be a package; a file that is not known may be anybody's, and counts only if it is empty. Raises `OSError`.
    """
    size = os.lstat(path).st_size
    if isinstance(record.get("size"), int) and record["size"] != size:
        return Damage(ReasonKind.CORRUPT, f"it has {size:,} bytes, its record says {record['size']:,}")
    if not known and size > 0:
        return None
    suffix = next(suffix for suffix in _BEGINNINGS if path.endswith(suffix))
    with open(path, "rb") as stream:
        beginning = stream.read(4)
    if not beginning.startswith(_BEGINNINGS[suffix]) or not _ENDS[suffix](path, size):
        return Damage(ReasonKind.CORRUPT, "it can't be opened: it is cut off or no package at all")
    return _content_damage(path, record, suffix) if hashes else None


def _content_damage(path: str, record: Mapping[str, Any], suffix: str) -> Damage | None:
    expected = record.get("sha256")
    if isinstance(expected, str):
        if file_sha256(path) != expected:
            return Damage(ReasonKind.CORRUPT, "its hash is not that of its record")
        return None
    if not _READS[suffix](path):
        return Damage(ReasonKind.CORRUPT, "its content can't be read")
    return None


def _zip_ends(path: str, size: int) -> bool:
    try:
        # Reads the directory, which is at the end.
        with zipfile.ZipFile(path) as archive:
            return bool(archive.namelist())
    except (zipfile.BadZipFile, ValueError, RuntimeError):
        return False


def _bz2_ends(path: str, size: int) -> bool:
    with open(path, "rb") as stream:
        stream.seek(max(size - _BZ2_TAIL, 0))
        tail = int.from_bytes(stream.read(), "big")
    return any((tail >> shift + 32) & (1 << 48) - 1 == _BZ2_END for shift in range(8))


def _zip_reads(path: str) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError):
        # RuntimeError: encrypted, or compressed in a way that is not implemented.
        return False


def _bz2_reads(path: str) -> bool:
    try:
        with bz2.open(path) as stream:
            while stream.read(_CHUNK):
                pass
    except OSError as error:
        if error.errno is not None:
            raise  # The disk can't be read; of the content that says nothing.
        return False
    except (EOFError, ValueError):
        return False
    return True


_ENDS: Mapping[str, Callable[[str, int], bool]] = {".conda": _zip_ends, ".tar.bz2": _bz2_ends}
_READS: Mapping[str, Callable[[str], bool]] = {".conda": _zip_reads, ".tar.bz2": _bz2_reads}


def archive_record(directory: str, archive: str) -> Mapping[str, Any]:
    """Return what the record in an extracted directory says of an archive; empty if it is of another one, or broken."""
    try:
        record = read_object(os.path.join(directory, RECORD))
    except (OSError, ValueError):
        return {}
    url = record.get("url")
    name = url.rsplit("/", 1)[-1] if isinstance(url, str) else record.get("fn")
    return record if name == archive else {}
