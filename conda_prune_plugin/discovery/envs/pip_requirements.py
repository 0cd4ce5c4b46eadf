"""Requirements for pip to reinstall what it installed into an environment.

Read from what every installer leaves: ``name-version.dist-info`` with ``METADATA``, ``RECORD`` and, where it did not
come from an index, ``direct_url.json`` (PEP 610); and ``*.egg-link`` of old development installs.
"""

from __future__ import annotations

import csv
import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackagePath
from pathlib import Path
from typing import Any

from ...core.file_status import allocated
from ...failures import suppress
from ..system.safe_read import read_regular

#: Below a prefix, on Unix and on Windows.
_SITE_PACKAGES = ("lib/python*/site-packages", "Lib/site-packages")


@dataclass(frozen=True, slots=True)
class PythonPackage:
    """A package that pip has installed.

    requirement: what pip installs it from again; None if that can't be done by what is known.
    why: why it can't be installed again. files, size: what it has in the environment, in bytes on disk.
    """

    name: str
    version: str
    requirement: str | None
    why: str | None = None
    url: str | None = None
    files: int = 0
    size: int = 0


class _Installed(Distribution):
    """What is installed in a ``.dist-info``; what can't be read there, or is no file, does not say anything."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def read_text(self, filename: str) -> str | None:
        with suppress(OSError):
            return read_regular(os.path.join(self._directory, filename)).decode("utf-8")
        return None

    def locate_file(self, path: str | os.PathLike[str]) -> Path:
        return Path(os.path.dirname(self._directory), path)


def python_packages(prefix: str, conda_s: frozenset[str]) -> tuple[PythonPackage, ...]:
    """Return what pip has installed into an environment; `conda_s` are the paths of conda's own files below it."""
    found: list[PythonPackage] = []
    for pattern in _SITE_PACKAGES:
        for site_packages in sorted(glob.glob(os.path.join(glob.escape(prefix), pattern))):
            found += _in_site_packages(prefix, site_packages, conda_s)
    return tuple(sorted(found, key=lambda item: item.name.lower()))


def _in_site_packages(prefix: str, site_packages: str, conda_s: frozenset[str]) -> Iterator[PythonPackage]:
    for path in sorted(glob.glob(os.path.join(glob.escape(site_packages), "*.dist-info"))):
        metadata = os.path.relpath(os.path.join(path, "METADATA"), prefix).replace(os.sep, "/")
        if metadata not in conda_s:
            with suppress(OSError, ValueError, KeyError):
                yield _package(prefix, path)
    for link in sorted(glob.glob(os.path.join(glob.escape(site_packages), "*.egg-link"))):
        with suppress(OSError):
            source = read_regular(link).decode("utf-8", "replace").split("\n")[0].strip()
            name = os.path.basename(link).removesuffix(".egg-link")
            yield PythonPackage(name, "", None, f"it is editable, its files are in {source}", source, 1)


def _package(prefix: str, path: str) -> PythonPackage:
    distribution = _Installed(path)
    metadata = distribution.metadata
    # What lacks them is called as its directory.
    parts = os.path.basename(path).removesuffix(".dist-info").rpartition("-")
    name = str(metadata["Name"]) if "Name" in metadata else parts[0]
    version = str(metadata["Version"]) if "Version" in metadata else parts[2]
    files = size = 0
    for file in _files(distribution):
        place = os.path.normpath(str(file.locate()))
        if place.startswith(os.path.join(prefix, "")):
            with suppress(OSError, ValueError):
                size += allocated(os.lstat(place))
                files += 1
    url, requirement, why = _source(name, version, _direct_url(distribution))
    return PythonPackage(name, version, requirement, why, url, files, size)


def _files(distribution: Distribution) -> Iterable[PackagePath]:
    try:
        return distribution.files or ()
    except (csv.Error, TypeError, ValueError):
        # Its RECORD is broken; what it is called is known all the same.
        return ()


def _direct_url(distribution: Distribution) -> Mapping[str, Any]:
    with suppress(ValueError, RecursionError):
        found = json.loads(distribution.read_text("direct_url.json") or "{}")
        if isinstance(found, dict):
            return found
    return {}


def _source(name: str, version: str, direct: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Return the url of a package, what pip installs it from, and why that is not to be had."""
    url = direct.get("url")
    if not isinstance(url, str):
        return None, f"{name}=={version}", None
    directory, vcs, archive = (direct.get(f"{kind}_info") for kind in ("dir", "vcs", "archive"))
    if isinstance(directory, dict) and directory.get("editable"):
        return url, None, f"it is editable, its files are in {url}"
    if isinstance(vcs, dict):
        return url, f"{name} @ {vcs.get('vcs')}+{url}@{vcs.get('commit_id')}", None
    hashes = archive.get("hashes") if isinstance(archive, dict) else None
    sha256 = hashes.get("sha256") if isinstance(hashes, dict) else None
    return url, f"{name} @ {url}" + (f"#sha256={sha256}" if sha256 else ""), None
