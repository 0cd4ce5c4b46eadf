"""Check a package's integrity: an extracted directory against its list of files, an archive against its record.

The quick check takes names and sizes; the thorough one reads everything and compares hashes. conda takes a directory
with an ``info/index.json`` for a package, however little of it is left, and fails when it links from it
(`CondaVerificationError`).

What reads archives is imported where it is needed, which is seldom: the second process of a `workers` begins here.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from typing import IO, Any

from ... import failures
from ...core.layout import FILES, INDEX, PATHS, RECORD
from ...core.model import ReasonKind
from ..system.measure import Statuses
from ..system.safe_read import dist_of, is_of_content, open_regular, read_ends, read_object, read_regular

#: What ends a zip file: a mark, the number of entries of the directory, its length and place, the length of a comment
#: (APPNOTE.TXT of PKWARE, 4.3.16).
_ZIP_END, _ZIP_MARK = struct.Struct("<4s6xHIIH"), b"PK\x05\x06"

#: What ends every bzip2 stream, at any bit: 48 bits, a checksum of 32, and up to 7 for padding.
_BZ2_END, _BZ2_TAIL = 0x177245385090, 11

_CHUNK = 1 << 20

#: Asked at each chunk of what is read, whether nobody waits for it any more.
Enough = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with a part of a package."""

    kind: ReasonKind
    detail: str


def directory_damage(
    path: str, *, statuses: Statuses | None = None, indexed: bool = False, contents: Enough | None = None
) -> Damage | None:
    """Return what is wrong with an extracted directory; None if nothing is, or it can't be told.

    statuses: what is in it, where that is known already. indexed: its index was read and is right. contents: read
    every file, as long as that is not enough; without it names and sizes have to do.

    Raises `OSError` for what can't be read though it is there, `InterruptedError` if that was enough.
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
        return Damage(ReasonKind.INCOMPLETE_EXTRACTION, f"it has no {lacking}: an extraction or removal was cut off")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Damage(kind, f"its metadata in info/ can't be understood ({error})")
    if not missing and not wrong:
        return None
    counts = [f"{len(names):,} {what}" for names, what in ((missing, "missing"), (wrong, "changed")) if names]
    return Damage(kind, f"of its {len(files):,} files {' and '.join(counts)}, the first: {(missing or wrong)[0]}")


def is_record_only(statuses: Statuses) -> bool:
    """Return whether a directory holds conda's record of a package and no other file.

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
    """Return which of the files that a package lists are missing, and which are not what it lists.

    Raises `KeyError`, `TypeError` or `AttributeError` if that is no list of files, and `OSError`.
    """
    missing, wrong = [], []
    for listed in files:
        name, size = listed["_path"], listed.get("size_in_bytes")
        if not isinstance(name, str):
            raise TypeError(f"{PATHS} has a name that is none")
        try:
            # Nearly always. Whatever it should be: of a file that has the right size nothing more is asked.
            status = statuses.get(name)
            if status is not None and status.st_size == size and stat.S_ISREG(status.st_mode) and contents is None:
                continue
            # No join: what a package lists lies below it, also if it begins with a slash.
            status = status or os.lstat(f"{path}{os.sep}{name}")
            # Of a symbolic link it gives the size and the hash of what that leads to.
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
    """Be never enough."""
    return False


def file_hash(path: str, algorithm: str = "sha256", enough: Enough = never) -> str:
    """Return the hash of a regular file in hexadecimal digits; a link is not followed.

    Raises `OSError`; `InterruptedError` if that was enough.
    """
    import hashlib

    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open_regular(path, getattr(os, "O_NOFOLLOW", 0)) as stream:
        for chunk in _chunks(stream, path, enough):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(stream: IO[bytes], path: str, enough: Enough) -> Iterator[bytes]:
    """Give what a stream holds. Raises `InterruptedError`, naming the path, if that was enough."""
    while chunk := stream.read(_CHUNK):
        if enough():
            raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR), path)
        yield chunk


def archive_damage(
    path: str, size: int, record: Mapping[str, Any], *, known: bool, contents: Enough | None = None
) -> Damage | None:
    """Return what is wrong with an archive, None if nothing is.

    size: its length in bytes. record: what conda has recorded of it, if anything. known: conda has fetched it, so
    whatever is in there now should be a package; a file that is not known may be anybody's, and counts only if it is
    empty. contents: read all of it, as long as that is not enough.

    Raises `OSError`, `InterruptedError` if that was enough.
    """
    if isinstance(record.get("size"), int) and record["size"] != size:
        return Damage(ReasonKind.CORRUPT, f"it has {size:,} bytes, its record says {record['size']:,}")
    if not known and size > 0:
        return None
    form = next((form for suffix, form in _FORMATS.items() if path.lower().endswith(suffix)), None)
    beginning, end = read_ends(path, size, _ZIP_END.size)
    # Of a format that only some plugin knows the length and the hash can be checked.
    if not size or (form and not (beginning.startswith(form.beginning) and form.is_complete(path, size, end))):
        return Damage(ReasonKind.CORRUPT, "it can't be opened: it is cut off or no package at all")
    if contents is None:
        return None
    if isinstance(sha256 := record.get("sha256"), str):
        is_whole, detail = file_hash(path, enough=contents) == sha256, "its hash is not that of its record"
    else:
        is_whole, detail = form is None or form.reads(path, contents), "its content can't be read"
    return None if is_whole else Damage(ReasonKind.CORRUPT, detail)


def _can(read: Callable[[FileIO], bool], path: str) -> bool:
    """Return what a function says of an open archive, False if the content of that is broken. Raises `OSError`."""
    import zipfile
    import zlib

    try:
        with open_regular(path) as file:
            return read(file)
    except OSError as error:
        failures.note(error)
        if not is_of_content(error):
            raise
    # RuntimeError: encrypted, or compressed in a way that is not implemented.
    except (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError) as error:
        failures.raise_cause(error, path)
    return False


def _zip_is_complete(path: str, size: int, end: bytes) -> bool:
    # The record that ends the directory, which ends the file, where no comment follows: nearly always.
    if len(end) == _ZIP_END.size:
        signature, entries, length, start, comment = _ZIP_END.unpack(end)
        if signature == _ZIP_MARK and entries and not comment and start + length + len(end) == size:
            return True
    import zipfile

    # Reads the whole directory.
    return _can(lambda file: bool(zipfile.ZipFile(file).namelist()), path)


def _bz2_is_complete(path: str, size: int, end: bytes) -> bool:
    tail = int.from_bytes(end[-_BZ2_TAIL:], "big")
    return any((tail >> shift + 32) & (1 << 48) - 1 == _BZ2_END for shift in range(8))


def _zip_reads(path: str, enough: Enough) -> bool:
    import zipfile

    def read(file: FileIO) -> bool:
        with zipfile.ZipFile(file) as archive:
            for item in archive.infolist():
                with archive.open(item) as stream:
                    _read(stream, path, enough)
        return True

    return _can(read, path)


def _bz2_reads(path: str, enough: Enough) -> bool:
    import bz2

    def read(file: FileIO) -> bool:
        with bz2.open(file) as stream:
            _read(stream, path, enough)
        return True

    return _can(read, path)


def _read(stream: IO[bytes], path: str, enough: Enough) -> None:
    for _ in _chunks(stream, path, enough):
        pass  # To read it is to check it.


@dataclass(frozen=True, slots=True)
class _Format:
    """How an archive format begins, whether a file of it seems to be complete, and whether all of it can be read."""

    beginning: bytes
    is_complete: Callable[[str, int, bytes], bool]
    reads: Callable[[str, Enough], bool]


_ZIP = _Format(b"PK\x03\x04", _zip_is_complete, _zip_reads)

#: The fourth byte of bzip2 is the size of its blocks.
_FORMATS = {".conda": _ZIP, ".tar.bz2": _Format(b"BZh", _bz2_is_complete, _bz2_reads), ".whl": _ZIP}


def archive_record(directory: str, archive: str, record: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Return what the record in an extracted directory says of an archive; empty if it is of another one, or broken.

    `record`: its content, where that is known already.
    """
    try:
        record = read_object(os.path.join(directory, RECORD)) if record is None else record
    except (OSError, ValueError) as error:
        failures.note(error)
        return {}
    url = record.get("url")
    name = url.rsplit("/", 1)[-1] if isinstance(url, str) else record.get("fn")
    return record if name == archive else {}
