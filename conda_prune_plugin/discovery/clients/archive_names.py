"""Recognise package archives by file name, and the entries that they belong to."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from urllib.parse import unquote

from ...core import dist_names
from ...core.layout import ARCHIVE_SUFFIXES
from .conda_context import archive_extractors

#: A wheel, which conda-pypi installs as it is. Records may name one where this conda knows nothing of wheels.
WHEEL = ".whl"


@functools.cache
def archive_suffixes() -> tuple[str, ...]:
    """Return the suffixes of what conda takes for archives, in lower case, its own first.

    Plugins that extract packages decide that (the hook ``conda_package_extractors``), where conda has the hook.
    """
    known = archive_extractors()
    if known is None:
        return ARCHIVE_SUFFIXES
    return (*filter(known.__contains__, ARCHIVE_SUFFIXES), *sorted(known - set(ARCHIVE_SUFFIXES)))


@functools.cache
def _has_hook() -> bool:
    return archive_extractors() is not None


def archive_dist(file_name: str) -> str | None:
    """Return the name of the entry that an archive belongs to, or None if conda takes the file for none."""
    # With the hook conda doesn't mind the case (`CondaPluginManager.has_package_extension`); without it does.
    return dist_names.archive_dist(file_name, archive_suffixes(), any_case=_has_hook())


def entry_names(place: str) -> Iterator[str]:
    """Give the names that an entry may have in a cache, by a url, a path or a file name that a record has for it."""
    last = place.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    for name in dict.fromkeys((last, unquote(last.split("#", 1)[0].split("?", 1)[0]))):
        entry = archive_dist(name) or dist_names.archive_dist(name, (*ARCHIVE_SUFFIXES, WHEEL)) or name
        if dist_names.is_file_name(entry):
            yield entry


def is_wheel(path: str) -> bool:
    """Return whether a path is that of a wheel, by its name."""
    return os.path.basename(path).lower().endswith(WHEEL)
