"""Packages that pip, or another installer than conda, installed into an environment.

Every installer leaves a directory ``name-version.dist-info`` with its own name in ``INSTALLER`` and all files in
``RECORD`` (PEP 376, PEP 627). conda's packages of Python projects have it too: those are told by what costs little.
"""

from __future__ import annotations

import csv
import functools
import glob
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ... import failures
from ...core.file_status import allocated
from ...core.model import Root
from ...core.usage.disk_usage import Inodes
from ...core.usage.usage_report import PipPackages
from ...failures import suppress
from ..system.safe_read import read_regular

#: Below a prefix, on Unix and on Windows.
_SITE_PACKAGES = ("lib/python*/site-packages", "Lib/site-packages")
_SUFFIX = ".dist-info"
_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True, slots=True)
class PipPackage:
    """One of them: its ``name==version``, and the paths of its files below the prefix."""

    name: str
    files: tuple[str, ...]


def pip_packages(root: Root, inodes: Inodes) -> tuple[PipPackage, ...]:
    """Return what was not installed by conda; `inodes` are those of conda's caches.

    Not of environments: uv links files from a cache of its own, and so into several environments.
    """
    ours = functools.cache(lambda: frozenset(_normal(dist.rsplit("-", 1)[0]) for dist in root.packages))
    return tuple(
        PipPackage("==".join(name.rsplit("-", 1)), tuple(_files(root.path, path)))
        for name, path in _dist_infos(root.path)
        if not _is_conda_s(name, path, ours, inodes)
    )


def recorded_files(prefix: str) -> Iterator[str]:
    """Give the paths below a prefix of all files that installers have recorded (``RECORD``)."""
    for _, path in _dist_infos(prefix):
        yield from _files(prefix, path)


def sizes(root: Root, packages: tuple[PipPackage, ...]) -> PipPackages:
    """Return the names of packages, and what their files take."""
    blocks: dict[tuple[int, int], int] = {}
    files = 0
    for name in {name for package in packages for name in package.files}:
        try:
            status = os.lstat(f"{root.path}{os.sep}{name}")
        except (OSError, ValueError) as error:
            failures.note(error)
            continue
        files += 1
        blocks[status.st_dev, status.st_ino] = allocated(status)
    return PipPackages(tuple(sorted(package.name for package in packages)), files, sum(blocks.values()))


def _dist_infos(prefix: str) -> Iterator[tuple[str, str]]:
    """Give the ``name-version`` and the path of every ``.dist-info``."""
    for pattern in _SITE_PACKAGES:
        for site_packages in glob.iglob(pattern, root_dir=prefix):
            with suppress(OSError), os.scandir(os.path.join(prefix, site_packages)) as listing:
                for item in listing:
                    if item.name.endswith(_SUFFIX) and item.is_dir(follow_symlinks=False):
                        yield item.name.removesuffix(_SUFFIX), item.path


def _is_conda_s(name: str, path: str, ours: Callable[[], frozenset[str]], inodes: Inodes) -> bool:
    try:
        status = os.lstat(os.path.join(path, "METADATA"))
        if status.st_nlink > 1 and status.st_ino in inodes.rows_of(status.st_dev):
            return True
        installer = read_regular(os.path.join(path, "INSTALLER")).strip()
    except OSError as error:
        failures.note(error)
        # Without these it is not complete, or not from pip.
        return True
    # conda-pypi says how conda has installed it.
    return installer.startswith(b"conda") or _normal(name) in ours()


def _files(prefix: str, path: str) -> Iterator[str]:
    site_packages = os.path.relpath(os.path.dirname(path), prefix)
    try:
        text = read_regular(os.path.join(path, "RECORD")).decode("utf-8", "replace")
        rows = [row for row in csv.reader(io.StringIO(text)) if row]
    except (OSError, csv.Error) as error:
        failures.note(error)
        return
    for row in rows:
        name = os.path.normpath(os.path.join(site_packages, row[0]))
        # Outside of the prefix, as for an editable install, it is not the environment's.
        if not os.path.isabs(name) and not name.startswith(os.pardir):
            yield name


def _normal(name: str) -> str:
    """Return a name as PEP 503 compares it."""
    return _SEPARATORS.sub("-", name).lower()
