"""Packages that pip, or another installer than conda, installed into an environment, and how to install them again.

Every installer leaves a directory ``name-version.dist-info``: its own name in ``INSTALLER``, all files in ``RECORD``
(PEP 376, PEP 627), ``METADATA``, and ``direct_url.json`` for a package that came from no index (PEP 610). Old
development installs leave an ``*.egg-link``. conda's packages of Python projects have a ``.dist-info`` too.

`importlib.metadata` is not used: it opens what is no regular file, asks for the status of every file in ``RECORD``, and
what it does with broken metadata differs between versions of Python.
"""

from __future__ import annotations

import csv
import functools
import io
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from typing import Any

from ... import failures
from ...core.dist_names import is_dist_name, package_version
from ...core.file_status import allocated
from ...core.model import Root
from ...core.usage.disk_usage import Inodes
from ...core.usage.usage_report import PipPackages
from ...failures import suppress
from ..packages.installed_files import compiled_source
from ..roots.conda_meta import package_files
from ..system.safe_read import read_object, read_regular

_DIST_INFO, _EGG_LINK = ".dist-info", ".egg-link"


@dataclass(frozen=True, slots=True)
class PipPackage:
    """An installed package: its ``name==version``, and the paths of its files below the prefix."""

    name: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PythonPackage:
    """An installed package as an export describes it.

    requirement: what pip installs it from again; None if that isn't possible, for the reason `why`.
    files, size: its files in the environment, and their bytes on disk.
    """

    name: str
    version: str
    requirement: str | None
    why: str | None = None
    url: str | None = None
    files: int = 0
    size: int = 0


def pip_packages(root: Root, inodes: Inodes) -> tuple[PipPackage, ...]:
    """Return the packages that conda didn't install; `inodes` are those of conda's caches.

    Not those of environments: uv links files from its own cache into several environments.
    """
    ours = functools.cache(lambda: frozenset(_normal(dist.rsplit("-", 1)[0]) for dist in root.packages))
    return tuple(
        PipPackage("==".join(_name(path).rsplit("-", 1)), tuple(_files(root.path, path)))
        for path in _in_site_packages(root.path, _DIST_INFO)
        if not (_is_condas(path, ours, inodes) or _is_in_records(root, path))
    )


def recorded_files(prefix: str) -> Iterator[str]:
    """Yield the paths below a prefix of all files that installers recorded (``RECORD``)."""
    for path in _in_site_packages(prefix, _DIST_INFO):
        yield from _files(prefix, path)


def sizes(root: Root, packages: tuple[PipPackage, ...]) -> PipPackages:
    """Return the names of packages, and how many files, bytes and inodes they take."""
    blocks: dict[tuple[int, int], int] = {}
    files = 0
    names = {name for package in packages for name in package.files}
    for name in names | set(_compiled(root.path, names)):
        with suppress(OSError, ValueError):
            status = os.lstat(os.path.join(root.path, name))
            files += 1
            blocks[status.st_dev, status.st_ino] = allocated(status)
    return PipPackages(tuple(sorted(package.name for package in packages)), files, sum(blocks.values()), len(blocks))


def _compiled(prefix: str, names: Collection[str]) -> Iterator[str]:
    """Yield the paths of modules that were compiled after the installation of their sources."""
    for directory in {os.path.dirname(name) for name in names if name.endswith(".py")}:
        place = os.path.join(directory, "__pycache__")
        try:
            found = [os.path.join(place, name) for name in os.listdir(os.path.join(prefix, place))]
        except OSError as error:
            # Nothing has been compiled there.
            failures.note(error)
            continue
        for name in found:
            source = compiled_source(name.replace(os.sep, "/"))
            if source is not None and source.replace("/", os.sep) in names:
                yield name


def python_packages(prefix: str, condas: frozenset[str]) -> tuple[PythonPackage, ...]:
    """Return the packages that conda didn't install; `condas` are the paths of conda's files below the prefix."""
    found = [
        _python_package(prefix, path)
        for path in _in_site_packages(prefix, _DIST_INFO)
        if os.path.relpath(os.path.join(path, "METADATA"), prefix).replace(os.sep, "/") not in condas
    ]
    for path in _in_site_packages(prefix, _EGG_LINK):
        with suppress(OSError):
            source = read_regular(path).decode("utf-8", "replace").split("\n")[0].strip()
            name = os.path.basename(path).removesuffix(_EGG_LINK)
            found.append(PythonPackage(name, "", None, _editable(source), source, 1))
    return tuple(sorted(found, key=lambda package: package.name.lower()))


def site_packages(prefix: str) -> Iterator[str]:
    """Yield the directories that installers put packages into, on Unix and on Windows; some may not exist.

    `glob` is not used: it hides errors of the disk.
    """
    libraries = os.path.join(prefix, "lib")
    with suppress(OSError):
        for name in os.listdir(libraries):
            if name.startswith("python"):
                yield os.path.join(libraries, name, "site-packages")
    yield os.path.join(prefix, "Lib", "site-packages")


def _in_site_packages(prefix: str, suffix: str) -> list[str]:
    found = []
    for directory in site_packages(prefix):
        with suppress(OSError):
            found += [os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(suffix)]
    return sorted(found)


def _name(path: str) -> str:
    return os.path.basename(path).removesuffix(_DIST_INFO)


def _is_condas(path: str, ours: Callable[[], frozenset[str]], inodes: Inodes) -> bool:
    """Return whether conda installed a package, by the cheapest sign that says so."""
    try:
        status = os.lstat(os.path.join(path, "METADATA"))
        if status.st_nlink > 1 and status.st_ino in inodes.rows_of(status.st_dev):
            return True
        installer = read_regular(os.path.join(path, "INSTALLER")).strip()
    except OSError as error:
        failures.note(error)
        # Without these it is incomplete, or not from pip.
        return True
    # conda-pypi says how conda has installed it.
    return installer.startswith(b"conda") or _normal(_name(path)) in ours()


def _is_in_records(root: Root, path: str) -> bool:
    """Return whether a record of conda lists a package, under whatever name: graphviz is conda's python-graphviz.

    Only records of the same version are opened.
    """
    version = _name(path).rpartition("-")[2]
    metadata = os.path.relpath(os.path.join(path, "METADATA"), root.path).replace(os.sep, "/")
    for dist in root.packages:
        if is_dist_name(dist) and package_version(dist) == version:
            with suppress(OSError, ValueError):
                if metadata in package_files(root.path, dist):
                    return True
    return False


def _normal(name: str) -> str:
    """Return a name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _files(prefix: str, path: str) -> Iterator[str]:
    """Yield the paths below the prefix of a package's files; a broken ``RECORD`` lists none."""
    site_packages, top = os.path.dirname(path), os.path.join(prefix, "")
    try:
        text = read_regular(os.path.join(path, "RECORD")).decode("utf-8", "replace")
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except (OSError, csv.Error) as error:
        failures.note(error)
        return
    for row in rows:
        name = os.path.normpath(os.path.join(site_packages, row[0]))
        # Files outside of the prefix, as of an editable install, are not the environment's.
        if name.startswith(top):
            yield name[len(top) :]


def _python_package(prefix: str, path: str) -> PythonPackage:
    name, _, version = _name(path).rpartition("-")
    with suppress(OSError, ValueError):
        headers = HeaderParser().parsestr(read_regular(os.path.join(path, "METADATA")).decode())
        name, version = str(headers.get("Name", name)), str(headers.get("Version", version))
    files = size = 0
    for file in _files(prefix, path):
        with suppress(OSError, ValueError):
            size += allocated(os.lstat(os.path.join(prefix, file)))
            files += 1
    direct: Mapping[str, Any] = {}
    with suppress(OSError, ValueError):
        direct = read_object(os.path.join(path, "direct_url.json"))
    requirement, why = _source(name, version, direct)
    url = direct.get("url")
    return PythonPackage(name, version, requirement, why, url if isinstance(url, str) else None, files, size)


def _source(name: str, version: str, direct: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the requirement to install a package again, or else why that isn't possible."""
    url = direct.get("url")
    if not isinstance(url, str):
        return f"{name}=={version}", None
    directory, vcs, archive = (direct.get(f"{kind}_info") for kind in ("dir", "vcs", "archive"))
    if isinstance(directory, dict) and directory.get("editable"):
        return None, _editable(url)
    if isinstance(vcs, dict):
        return f"{name} @ {vcs.get('vcs')}+{url}@{vcs.get('commit_id')}", None
    hashes = archive.get("hashes") if isinstance(archive, dict) else None
    sha256 = hashes.get("sha256") if isinstance(hashes, dict) else None
    return f"{name} @ {url}" + (f"#sha256={sha256}" if sha256 else ""), None


def _editable(source: str) -> str:
    return f"it is editable, its files are in {source}"
