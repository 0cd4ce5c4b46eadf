"""Read which files records name, with the hash of each: of conda, and of installers of Python packages.

A hash costs nothing where a record has it. It is a hint only: files change after they were recorded.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ... import failures
from ...core.layout import META
from ...core.model import Cache, PartKind, Root
from ...failures import suppress
from ..system.safe_read import read_object, read_regular
from ..usage.pip_packages import site_packages

_PATHS = "info/paths.json"
_SHA256 = "sha256="

#: Of a SHA-256, in bytes.
_LENGTH = 32


class Recorded(NamedTuple):
    """A file of a record: its path below the directory that the record is about, with slashes, and its SHA-256.

    package: the dist or the wheel that it belongs to.
    """

    package: str
    name: str
    digest: bytes


def files_of_environment(root: Root) -> Iterator[Recorded]:
    """Yield the files that conda's records and the ``RECORD`` files of an environment name.

    Those in ``conda-meta`` have ``paths_data``, whose ``sha256_in_prefix`` is the hash after conda has put the prefix
    into a file (`conda.models.records.PathDataV1`).
    """
    for dist in sorted(root.packages):
        with suppress(OSError, ValueError):
            record = read_object(os.path.join(root.path, META, f"{dist}.json"))
            yield from _of_paths(dist, record.get("paths_data"), "sha256_in_prefix")
    for directory in site_packages(root.path):
        yield from _of_wheels(root.path, directory)


def files_of_package(directory: str, dist: str) -> Iterator[Recorded]:
    """Yield the files that an extracted package's ``info/paths.json`` names (conda's CEP 34)."""
    with suppress(OSError, ValueError):
        yield from _of_paths(dist, read_object(os.path.join(directory, _PATHS)), "sha256")


def files_of_uv_cache(directory: str) -> Iterator[Recorded]:
    """Yield the files of unpacked wheels in a cache of uv: ``archive-v0/<id>/`` (``crates/uv-cache/src/lib.rs``)."""
    with suppress(OSError):
        for version in os.listdir(directory):
            if version.startswith("archive-v"):
                for name in os.listdir(os.path.join(directory, version)):
                    yield from _of_wheels(directory, os.path.join(directory, version, name))


def extracted(caches: Iterable[Cache]) -> Iterator[tuple[str, str]]:
    """Yield the dist and the real path of each extracted directory in caches."""
    for cache in caches:
        for entry in cache.entries:
            for part in entry.parts:
                if part.kind is PartKind.EXTRACTED and not part.is_link:
                    yield entry.dist, os.path.join(cache.real_path, part.name)


def _of_paths(dist: str, data: object, key: str) -> Iterator[Recorded]:
    paths = data.get("paths") if isinstance(data, dict) else None
    for item in paths if isinstance(paths, list) else ():
        if isinstance(item, dict) and item.get("path_type") in (None, "hardlink"):
            yield from _checked(dist, item.get("_path"), _hash(item, key))


def _hash(item: Mapping[str, Any], key: str) -> bytes | None:
    text = item.get(key) or item.get("sha256")
    try:
        return bytes.fromhex(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _of_wheels(top: str, directory: str) -> Iterator[Recorded]:
    """Yield the files of all wheels that are unpacked in a directory below `top`."""
    with suppress(OSError):
        for name in sorted(os.listdir(directory)):
            if name.endswith(".dist-info"):
                yield from _of_wheel(top, os.path.relpath(os.path.join(directory, name, "RECORD"), top))


def _of_wheel(top: str, record: str) -> Iterator[Recorded]:
    """Yield the files of a ``RECORD``: paths relative to its site-packages, base64 without padding (PEP 376, 427)."""
    info = os.path.dirname(record)
    place, package = os.path.dirname(info), os.path.basename(info).removesuffix(".dist-info")
    try:
        text = read_regular(os.path.join(top, record)).decode("utf-8", "replace")
        rows = [row for row in csv.reader(io.StringIO(text)) if len(row) == 3 and row[1].startswith(_SHA256)]
    except (OSError, csv.Error) as error:
        failures.note(error)
        return
    for name, digest, _ in rows:
        with suppress(binascii.Error):
            path = os.path.join(place, name)
            yield from _checked(package, path, base64.urlsafe_b64decode(digest.removeprefix(_SHA256) + "="))


def _checked(package: str, name: object, digest: bytes | None) -> Iterator[Recorded]:
    """Yield a file, unless a record is odd or names one outside of its directory."""
    if isinstance(name, str) and digest is not None and len(digest) == _LENGTH:
        path = os.path.normpath(name).replace(os.sep, "/")
        if not os.path.isabs(path) and path.split("/", 1)[0] not in ("..", "."):
            yield Recorded(package, path, digest)
