"""Download and extract a package archive with conda's own functions.

conda's higher level (`ProgressiveFetchExtract` and its actions) is not used: it loads all package caches, which
extracts archives and deletes unreadable ones, chooses the cache itself, and copies from ``file://`` channels without
checking hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

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


def download(url: str, path: str, *, md5: str | None, sha256: str | None, size: int | None) -> None:
    """Download a file and check its hashes and its size in bytes, as far as they are known.

    Raises `OSError`, also for conda's own errors.
    """
    from conda.exceptions import CondaError
    from conda.gateways.connection.download import download

    try:
        download(url, path, md5=md5, sha256=sha256, size=size)
    except CondaError as error:
        raise OSError(str(error)) from error


def extract(archive: str, target: str) -> None:
    """Extract an archive into a directory. Errors are those of zipfile, tarfile, bz2, zstd and conda's libraries."""
    from conda.base.context import context

    # conda 26 extracts by plugins and will drop the older function.
    if hasattr(context.plugin_manager, "extract_package"):
        context.plugin_manager.extract_package(archive, target)
        return
    from conda.gateways.disk.create import extract_tarball

    extract_tarball(archive, target)


def write_record(path: str, record: Mapping[str, Any]) -> None:
    """Write the record that conda writes after an extraction. Raises `OSError`."""
    from conda.gateways.disk.create import write_as_json_to_file

    write_as_json_to_file(path, record)
