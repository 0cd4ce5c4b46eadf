"""Fetch deleted packages again, and make sure that they are those in the receipt."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from ...core.layout import INDEX, RECORD
from ...discovery.clients.archive_names import archive_dist, archive_suffixes, is_wheel
from ...discovery.clients.conda_channels import with_credentials
from ...discovery.clients.conda_context import is_offline
from ...discovery.packages.archive_metadata import dist_in_archive, require_contained
from ...discovery.packages.integrity import directory_damage, file_hash, never
from ...discovery.system.safe_read import dist_of, read_object
from ...execution.ports import Extraction, Fetch, UnfetchableError
from ...execution.state.receipt import ReceiptEntry
from ..conda_fetch import download, extract, write_record


def fetch() -> Fetch:
    """Return how conda fetches and extracts packages."""
    return Fetch(_archive, _extracted, archive_suffixes())


def extraction() -> Extraction:
    """Return how damaged packages are extracted anew."""
    return Extraction(_sound, _damage)


def _sound(entry: ReceiptEntry, archive: str, target: str) -> None:
    """Extract an archive whose hash is that of its record. Raises `UnfetchableError`."""
    if entry.sha256 is not None and file_hash(archive) != entry.sha256:
        raise UnfetchableError(f"{archive} has another hash than its record says")
    _extracted(entry, archive, target)


def _damage(path: str) -> str | None:
    damage = directory_damage(path, contents=never)
    return damage.detail if damage is not None else None


def _archive(entry: ReceiptEntry, directory: str, name: str) -> None:
    """Download the archive of an entry; conda compares it with its hash. Raises `UnfetchableError`."""
    other = next((other for other in entry.other_sources if other.name == name), None)
    source, sha256 = (entry.source, entry.sha256) if other is None else (other.url, other.sha256)
    # The record is that of the archive that the package was extracted from.
    record = (entry.record or {}) if other is None else {}
    if source is None:
        raise UnfetchableError("its origin is unknown")
    if source.rsplit("/", 1)[-1] != name:
        raise UnfetchableError(f"the origin of {name} is unknown")
    url = with_credentials(source)
    if is_offline() and not url.startswith("file:"):
        raise UnfetchableError(f"conda is offline, and it came from {source}")
    try:
        size = record.get("size")
        download(
            url,
            os.path.join(directory, name),
            md5=record["md5"] if isinstance(record.get("md5"), str) else None,
            sha256=sha256,
            size=size if isinstance(size, int) else None,
        )
        if url.startswith("file:") or (other is not None and sha256 is None):
            _require_package(replace(entry, source=source, sha256=sha256), os.path.join(directory, name))
    except OSError as error:
        raise UnfetchableError(f"{source} can't be fetched: {_one_line(error)}") from error


def _require_package(entry: ReceiptEntry, path: str) -> None:
    """Refuse a copied file that is not the package of an entry: any file may be named. Raises `UnfetchableError`.

    One that has the hash of the receipt may call itself as it likes; conda has compared it.
    """
    known = {entry.dist, *entry.names, archive_dist(os.path.basename(path))}
    with suppress(ValueError):
        known.add(dist_of(entry.record or {}))
    try:
        found = dist_in_archive(path)
    except ValueError as error:
        found, why = None, str(error)
    else:
        why = f"it holds {found}"
    if found is None or (entry.sha256 is None and found not in known):
        os.unlink(path)
        raise UnfetchableError(f"{entry.source} is not the package {entry.dist}: {why}")


def _extracted(entry: ReceiptEntry, archive: str, target: str) -> None:
    """Extract an archive, and write the record that conda writes after an extraction. Raises `UnfetchableError`."""
    try:
        if archive_dist(archive) is not None:
            require_contained(archive)
        extract(archive, target)
        found = dist_of(read_object(os.path.join(target, INDEX)))
    except Exception as error:
        # zipfile, tarfile, bz2, zstd and conda-package-handling each have errors of their own for broken content.
        raise UnfetchableError(f"{archive} can't be extracted: {_one_line(error)}") from error
    # What a wheel holds has no name like it, and only what has its name can be extracted from it.
    if found != entry.dist and entry.sha256 is None and not is_wheel(archive):
        raise UnfetchableError(f"{archive} holds {found}")
    if entry.record is not None:
        write_record(os.path.join(target, RECORD), entry.record)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
