"""Compare a package's file with the installed one: its path, and the changes that conda and Python make.

Written after ``conda/core/path_actions.py`` and ``conda/core/portability.py`` (noarch paths, prefixes), and PEP 552
(compiled modules).
"""

from __future__ import annotations

import filecmp
import functools
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ... import failures
from ...failures import suppress
from ..system.safe_read import read_object, read_regular

#: A compiled module lies beside its source (PEP 3147).
_COMPILED = re.compile(r"(?:(?P<directory>.*)/)?__pycache__/(?P<module>[^/]+?)\.[\w-]+(?:\.opt-\d)?\.pyc")

#: The directories in which noarch packages of Python keep files that are installed elsewhere.
_NOARCH = (
    (re.compile(r"(?:lib/python3?\.\d+|Lib)/site-packages/(?=.)"), "site-packages/"),
    (re.compile(r"(?:bin|Scripts)/(?=.)"), "python-scripts/"),
)

_PATHS = os.path.join("info", "paths.json")

#: Files that differ are only read where conda may have put the prefix into them; up to this size, in bytes.
_LARGEST_TEXT = 1 << 20


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A file of a prefix: the real path of that, its name there with slashes, and its status."""

    prefix: str
    name: str
    status: os.stat_result

    @property
    def path(self) -> str:
        """Its absolute path."""
        return os.path.join(self.prefix, self.name)

    def is_linked_to(self, path: str) -> bool:
        """Return True if a path is another hard link to it."""
        try:
            return os.path.samestat(self.status, os.lstat(path))
        except OSError as error:
            failures.note(error)
            return False


def names_in_package(name: str) -> tuple[str, ...]:
    """Return the names that an installed file may have in its package."""
    moved = (pattern.sub(place, name, count=1) for pattern, place in _NOARCH if pattern.match(name))
    return (name, *moved)


def compiled_source(name: str) -> str | None:
    """Return the name of the source of a compiled module, None for other names."""
    compiled = _COMPILED.fullmatch(name)
    if compiled is None:
        return None
    source = f"{compiled['module']}.py"
    return f"{compiled['directory']}/{source}" if compiled["directory"] else source


def is_same(file: InstalledFile, package: str, name: str) -> bool:
    """Return True if an installed file is a copy of a package's, or made from it; read only if lengths fit."""
    source = os.path.join(package, name)
    try:
        status = os.lstat(source)
        if not (stat.S_ISREG(status.st_mode) and stat.S_ISREG(file.status.st_mode)):
            return False
        if file.name.endswith(".pyc") and not name.endswith(".pyc"):
            return _is_compiled_from(file.path, status)
        if status.st_size == file.status.st_size and filecmp.cmp(source, file.path, shallow=False):
            return True
        return _has_prefix_of(file, status, source, _placeholders(package).get(name, {}))
    except OSError as error:
        failures.note(error)
        return False


def _is_compiled_from(path: str, source: os.stat_result) -> bool:
    """Return True if the header of a compiled module has its source's time and length (PEP 552)."""
    header = read_regular(path)[:16]
    return header[4:] == b"".join(
        (value & 0xFFFFFFFF).to_bytes(4, "little") for value in (0, int(source.st_mtime), source.st_size)
    )


@functools.lru_cache(64)
def _placeholders(package: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the records of a package's files that the prefix is put into, by name."""
    with suppress(OSError, ValueError):
        paths = read_object(os.path.join(package, _PATHS)).get("paths")
        items = (item for item in paths if isinstance(item, dict)) if isinstance(paths, list) else ()
        return {str(item.get("_path")): item for item in items if isinstance(item.get("prefix_placeholder"), str)}
    return {}


def _has_prefix_of(file: InstalledFile, status: os.stat_result, source: str, item: Mapping[str, Any]) -> bool:
    """Return True if conda makes a file from a package's by putting the prefix into it."""
    if not item or status.st_size > _LARGEST_TEXT:
        return False
    if item.get("file_mode") == "binary":
        # Padded to the same length.
        return status.st_size == file.status.st_size
    expected = read_regular(source).replace(os.fsencode(item["prefix_placeholder"]), os.fsencode(file.prefix))
    return read_regular(file.path) == expected
