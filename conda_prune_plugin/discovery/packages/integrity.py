"""Check a package's integrity: an extracted directory against its list of files, an archive against its record.

The quick check takes names and sizes; the thorough one reads everything and compares hashes. conda takes a directory
with an ``info/index.json`` for a package, however little of it is left, and fails when it links from it
(`CondaVerificationError`).
"""

from __future__ import annotations

import bz2
import errno
import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from typing import IO, Any

from ... import failures
from ...core.layout import FILES, INDEX, PATHS, RECORD
from ...core.model import ReasonKind
from ...core.units import plural
from ..system.measure import Statuses
from ..system.safe_read import dist_of, is_of_content, open_regular, read_ends, read_object, read_regular

#: How the formats begin: a zip file, and bzip2 (whose fourth byte is the size of its blocks).
_BEGINNINGS = {".conda": b"PK\x03\x04", ".tar.bz2": b"BZh", ".whl": b"PK\x03\x04"}

#: What ends a zip file: a mark, the number of entries of the directory, its length and place, the length of a comment
#: (APPNOTE.TXT of PKWARE, 4.3.16).
_ZIP_END, _ZIP_MARK = struct.Struct("<4s6xHIIH"), b"PK\x05\x06"

#: What ends every bzip2 stream, at any bit: 48 bits, a checksum of 32, and up to 7 for padding.
_BZ2_END, _BZ2_TAIL = 0x177245385090, 11

#: What the libraries raise for broken content, besides `OSError`; `RuntimeError` if it is encrypted, or compressed by a
#: method that they don't know.
_BROKEN = (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError)

_CHUNK = 1 << 20

#: Called at each chunk that is read; True stops the reading, as its result isn't needed any more.
Enough = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Damage:
    """The damage in a part of a package."""

    kind: ReasonKind
    detail: str


def directory_damage(
    path: str, *, statuses: Statuses | None = None, indexed: bool = False, contents: Enough | None = None
) -> Damage | None:
    """Return the damage in an extracted directory; None if there is none, or it can't be told.

    statuses: of the files in it, if they are known. indexed: its index was read and is valid. contents: read every file
    until this returns True; None to compare names and sizes only.

    Raises `OSError` for existing files that can't be read, `InterruptedError` if `contents` returned True.
    """
    statuses = statuses or {}
    # conda writes the record last.
    extracted = RECORD in statuses or failures.lexists(os.path.join(path, RECORD))
    kind = ReasonKind.CORRUPT if extracted else ReasonKind.INCOMPLETE_EXTRACTION
    try:
        if not indexed:
            dist_of(read_object(os.path.join(path, INDEX)))
        files = _listed(path, statuses)
        missing, wrong = _differences(path, files, statuses, contents)
    except FileNotFoundError as error:
        lacking = os.path.relpath(error.filename, path)
        return Damage(
            ReasonKind.INCOMPLETE_EXTRACTION, f"it has no {lacking}: an extraction or removal was interrupted"
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Damage(kind, f"its metadata in info/ can't be understood ({error})")
    if not missing and not wrong:
        return None
    counts = [f"{len(names):,} {what}" for names, what in ((missing, "missing"), (wrong, "changed")) if names]
    total = counts[0].replace(" ", f" of {plural(len(files), 'file')} ", 1)
    return Damage(kind, f"{' and '.join([total, *counts[1:]])} ({(missing or wrong)[0]})")


def has_changed_files(detail: str) -> bool:
    """Return whether the detail of a `Damage` counts changed files, and not only missing ones."""
    return " changed " in detail.partition("(")[0]


def is_record_only(statuses: Statuses) -> bool:
    """Return True if a directory holds conda's record of a package and no other file.

    ``--ci cache`` leaves such directories beside archives. conda takes the record, which has all hashes, for that of
    the archive, and extracts the package anew, as there is no ``info/index.json``
    (conda.core.package_cache_data.PackageCacheData._make_single_record, conda.models.records.PackageCacheRecord).
    mamba compares a directory with its ``info/paths.json`` and finds none (libmamba's package_handling.cpp, validate),
    unless its ``safety_checks`` are disabled: then it fails to link.
    """
    return RECORD in statuses and [name for name, one in statuses.items() if not stat.S_ISDIR(one.st_mode)] == [RECORD]


def _listed(path: str, statuses: Statuses) -> Sequence[Mapping[str, Any]]:
    if PATHS in statuses or failures.lexists(os.path.join(path, PATHS)):
        return list(read_object(os.path.join(path, PATHS))["paths"])
    names = read_regular(os.path.join(path, FILES)).decode("utf-8", "surrogateescape").splitlines()
    return [{"_path": name} for name in names if name.strip()]


def _differences(
    path: str, files: Iterable[Mapping[str, Any]], statuses: Statuses, contents: Enough | None
) -> tuple[list[str], list[str]]:
    """Return the names of the files in a package's list that are missing, and of those that differ from it.

    Raises `KeyError`, `TypeError` or `AttributeError` if the list is invalid, and `OSError`.
    """
    missing, wrong = [], []
    for listed in files:
        name, size = listed["_path"], listed.get("size_in_bytes")
        if not isinstance(name, str):
            raise TypeError(f"{PATHS} has an invalid file name")
        try:
            # Nearly always: a file of the right size needs no further check.
            status = statuses.get(name)
            if status is not None and status.st_size == size and stat.S_ISREG(status.st_mode) and contents is None:
                continue
            # Not by os.path.join: a name that begins with a slash lies below the directory too.
            status = status or os.lstat(f"{path}{os.sep}{name}")
            # For a symbolic link the list has the size and hash of its target.
            if listed.get("path_type") != "hardlink" or not isinstance(size, int) or stat.S_ISLNK(status.st_mode):
                continue
            right = status.st_size == size and stat.S_ISREG(status.st_mode)
            if right and contents and isinstance(sha256 := listed.get("sha256"), str):
                right = file_hash(f"{path}{os.sep}{name}", enough=contents) == sha256
            if not right:
                wrong.append(name)
        except (FileNotFoundError, NotADirectoryError):
            missing.append(name)
        except ValueError:
            wrong.append(name)
    return missing, wrong


def never() -> bool:
    """Return False: read everything."""
    return False


def file_hash(path: str, algorithm: str = "sha256", enough: Enough = never) -> str:
    """Return the hash of a regular file in hexadecimal digits; a symbolic link is not followed.

    Raises `OSError`; `InterruptedError` if `enough` returned True.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open_regular(path, getattr(os, "O_NOFOLLOW", 0)) as stream:
        for chunk in _chunks(stream, path, enough):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(stream: IO[bytes], path: str, enough: Enough) -> Iterator[bytes]:
    """Give the content of a stream. Raises `InterruptedError`, naming the path, if `enough` returned True."""
    while chunk := stream.read(_CHUNK):
        if enough():
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR), path)
        yield chunk


def archive_damage(
    path: str, size: int, record: Mapping[str, Any], *, known: bool, contents: Enough | None = None
) -> Damage | None:
    """Return the damage in an archive, None if there is none.

    size: its length in bytes. record: conda's record of it, or empty. known: conda has fetched it, so it should be a
    package; any other file may be the user's, and is damaged only if it is empty. contents: read all of it until this
    returns True.

    Raises `OSError`, `InterruptedError` if `contents` returned True.
    """
    if isinstance(record.get("size"), int) and record["size"] != size:
        return Damage(ReasonKind.CORRUPT, f"it has {size:,} bytes, its record says {record['size']:,}")
    if not known and size > 0:
        return None
    suffix = next((suffix for suffix in _BEGINNINGS if path.lower().endswith(suffix)), None)
    # For the format of a plugin only length and hash can be checked.
    if not size or (suffix and not _is_complete(path, suffix, size)):
        return Damage(ReasonKind.CORRUPT, "it can't be opened: it is incomplete, or not a package")
    if contents is None:
        return None
    if isinstance(sha256 := record.get("sha256"), str):
        is_whole, detail = file_hash(path, enough=contents) == sha256, "its hash is not that of its record"
    else:
        is_whole, detail = suffix is None or _reads(path, suffix, contents), "its content can't be read"
    return None if is_whole else Damage(ReasonKind.CORRUPT, detail)


def _is_complete(path: str, suffix: str, size: int) -> bool:
    """Return True if an archive begins and ends as its format requires."""
    beginning, end = read_ends(path, size, _ZIP_END.size)
    if not beginning.startswith(_BEGINNINGS[suffix]):
        return False
    if suffix == ".tar.bz2":
        tail = int.from_bytes(end[-_BZ2_TAIL:], "big")
        return any((tail >> shift + 32) & (1 << 48) - 1 == _BZ2_END for shift in range(8))
    # The record that ends the directory, which ends the file, where no comment follows: nearly always.
    if len(end) == _ZIP_END.size:
        signature, entries, length, start, comment = _ZIP_END.unpack(end)
        if signature == _ZIP_MARK and entries and not comment and start + length + len(end) == size:
            return True
    # Reads the whole directory.
    return _can(path, lambda file: bool(zipfile.ZipFile(file).namelist()))


def _reads(path: str, suffix: str, enough: Enough) -> bool:
    """Return True if all of an archive can be read, which verifies the checksums in it."""

    def read(file: FileIO) -> bool:
        streams: Iterable[IO[bytes]] = [bz2.BZ2File(file)] if suffix == ".tar.bz2" else _zip_members(file)
        for stream in streams:
            with stream:
                for _ in _chunks(stream, path, enough):
                    pass
        return True

    return _can(path, read)


def _zip_members(file: FileIO) -> Iterator[IO[bytes]]:
    archive = zipfile.ZipFile(file)
    return map(archive.open, archive.infolist())


def _can(path: str, read: Callable[[FileIO], bool]) -> bool:
    """Return the result of reading an archive, False if its content is broken. Raises `OSError`."""
    try:
        with open_regular(path) as file:
            return read(file)
    except OSError as error:
        failures.note(error)
        if not is_of_content(error):
            raise
    except _BROKEN as error:
        failures.raise_cause(error, path)
    return False


def archive_record(directory: str, archive: str, record: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Return the record in an extracted directory if it is of an archive; empty if it is of another one, or broken.

    `record`: its content, if that is known.
    """
    try:
        record = read_object(os.path.join(directory, RECORD)) if record is None else record
    except (OSError, ValueError) as error:
        failures.note(error)
        return {}
    url = record.get("url")
    name = url.rsplit("/", 1)[-1] if isinstance(url, str) else record.get("fn")
    return record if name == archive else {}
