"""Fetch deleted packages again with conda's own functions, and make sure that they are those in the receipt.

conda's higher level (`ProgressiveFetchExtract` and its actions) is not used: it loads all package caches, which
extracts archives and deletes unreadable ones, chooses the cache itself, and copies from ``file://`` channels without
checking hashes.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from importlib import import_module

from .. import failures
from ..core.layout import INDEX, RECORD
from ..discovery.clients.archive_names import archive_dist, archive_suffixes, is_wheel
from ..discovery.clients.conda_context import is_offline, with_credentials
from ..discovery.packages.archive_metadata import dist_in_archive, require_contained
from ..discovery.packages.integrity import directory_damage, never
from ..discovery.system.safe_read import dist_of, read_object
from ..errors import CondaError
from ..execution.ports import Fetch, UnfetchableError
from ..execution.state.receipt import ReceiptEntry

#: The modules that work on packages and environments, and are imported only when needed.
_NEEDED = (
    "conda.core.envs_manager",
    "conda.core.link",
    "conda.core.prefix_data",
    "conda.gateways.connection.download",
    "conda.gateways.disk.create",
    "conda.models.prefix_graph",
    "conda_package_handling.api",
    "conda_package_streaming.package_streaming",
    # Of the names in zip files and URLs.
    "encodings.ascii",
    "encodings.cp437",
    "encodings.idna",
)


def preload() -> None:
    """Import what works on packages: a process that has become another user may be unable to read it."""
    for name in _NEEDED:
        import_module(name)


def fetch() -> Fetch:
    """Return how conda fetches and extracts packages."""
    return Fetch(_archive, _extracted, _damage, archive_suffixes())


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
    from conda.common.path import url_to_path
    from conda.gateways.connection.download import download

    url = with_credentials(source)
    if url.startswith("file:///") and not failures.lexists(path := url_to_path(url)):
        raise UnfetchableError(f"its source {path} no longer exists")
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
    except (CondaError, OSError) as error:
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
    from conda.base.context import context
    from conda.gateways.disk.create import write_as_json_to_file

    try:
        if archive_dist(archive) is not None:
            require_contained(archive)
        # conda 26 extracts by plugins and will drop the older function.
        if hasattr(context.plugin_manager, "extract_package"):
            context.plugin_manager.extract_package(archive, target)
        else:
            from conda.gateways.disk.create import extract_tarball

            extract_tarball(archive, target)
        found = dist_of(read_object(os.path.join(target, INDEX)))
    except Exception as error:
        # zipfile, tarfile, bz2, zstd and conda-package-handling each have errors of their own for broken content.
        raise UnfetchableError(f"{archive} can't be extracted: {_one_line(error)}") from error
    # What a wheel holds has no name like it, and only what has its name can be extracted from it.
    if found != entry.dist and entry.sha256 is None and not is_wheel(archive):
        raise UnfetchableError(f"{archive} holds {found}")
    if entry.record is not None:
        write_as_json_to_file(os.path.join(target, RECORD), entry.record)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
