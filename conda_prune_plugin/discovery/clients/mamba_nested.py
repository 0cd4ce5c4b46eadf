"""The directories of a nested cache, as mamba and micromamba lay them out since 2.6.

A package lies in a directory named after the url that it came from, below the cache that is configured
(``package_cache_folder_relative_path`` in ``libmamba/src/core/package_cache.cpp``):
``https/conda.anaconda.org/conda-forge/linux-64/name-version-build``, with ``://`` turned into a slash and any other
colon or backslash into an underscore; without a url it is ``<channel>/<subdir>``. Each such directory has a
``urls.txt`` of its own. What lies in the cache itself, put there by an older mamba or by conda, is used too.

Each such directory is a cache with entries here, locked with the one that it lies in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from ... import failures
from ...core.dist_names import is_dist_name
from ...core.layout import INDEX, STATE
from ...failures import suppress
from ..leftovers.leftover_names import is_leftover_name

#: As deep as the path of a channel on this machine may be.
_DEEPEST = 32

#: Names that make a directory something else: a channel, where the archives are the originals, or an environment.
_FOREIGN = frozenset({"repodata.json", "repodata.json.zst", "channeldata.json", "conda-meta"})

#: mamba's and conda's index cache: no packages are there.
_INDEX_CACHE = "cache"

#: Names that mark a cache without extracted packages: mamba's list of urls, and our quarantine.
_TRACES = frozenset({"urls.txt", STATE})


def nested_directories(top: str) -> Iterator[str]:
    """Give the real paths of the directories below a cache's real path that hold packages; no link is followed.

    Directories that can't be listed are not given.
    """
    # Nearly all that lies in a cache has the name of a dist itself.
    pending = [
        (item.path, 1)
        for item in _listed(top)
        if not is_dist_name(item.name) and item.name != _INDEX_CACHE and _is_plain(item) and not is_leftover_name(item)
    ]
    while pending:
        path, depth = pending.pop()
        items = [] if _is_package(path) else _listed(path)
        names = {item.name for item in items}
        if names & _FOREIGN:
            continue
        directories = [item for item in items if _is_plain(item)]
        others = [item for item in directories if not _is_package(item.path)]
        if len(others) < len(directories) or names & _TRACES:
            yield path
            # Beside packages, a directory with the name of a package is one, perhaps incomplete.
            others = [item for item in others if not is_dist_name(item.name)]
        if depth < _DEEPEST:
            pending += [(item.path, depth + 1) for item in others]


def nested_url(top: str, path: str) -> str | None:
    """Return the url that the packages in a nested directory of a cache came from, None if its path doesn't tell."""
    scheme, _, rest = os.path.relpath(path, top).replace(os.sep, "/").partition("/")
    # An underscore may have been a colon.
    return f"{scheme}://{rest}" if scheme in ("http", "https") and "_" not in rest else None


def _listed(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as listing:
            return list(listing)
    except OSError as error:
        failures.note(error)
        return []


def _is_plain(item: os.DirEntry[str]) -> bool:
    """Return whether it is a directory that may hold packages."""
    with suppress(OSError):
        return not item.name.startswith(".") and item.is_dir(follow_symlinks=False)
    return False


def _is_package(path: str) -> bool:
    return failures.lexists(os.path.join(path, INDEX))
