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
from ..leftovers.leftover_names import is_leftover_name

#: As deep as the path of a channel on this machine may be.
_DEEPEST = 32

#: What makes a directory something else: a channel, where the archives are the originals, or an environment.
_FOREIGN = frozenset({"repodata.json", "repodata.json.zst", "channeldata.json", "conda-meta"})

#: Directories of clients in a cache where no packages are: mamba's and conda's index cache.
_NO_PACKAGES = frozenset({"cache"})

#: What tells of packages where none is extracted: the list that mamba keeps, and what is in quarantine.
_TRACES = frozenset({"urls.txt", STATE})


def nested_directories(top: str) -> Iterator[str]:
    """Give the real paths of the directories below a cache's real path that hold packages; no link is followed.

    Of the cache itself only directories are looked into whose name is no dist's. What can't be listed is not given.
    """
    pending = [(path, 1) for path in _directories(top)]
    while pending:
        path, depth = pending.pop()
        listed = _listed(path)
        if listed is None:
            continue
        directories, holds_packages = listed
        if holds_packages:
            yield path
        if depth < _DEEPEST:
            pending += [(directory, depth + 1) for directory in directories]


def _listed(path: str) -> tuple[list[str], bool] | None:
    """Return the directories in a directory that are no packages, and whether there are packages in it.

    None if it is a package itself, or something else than a part of a cache.
    """
    if failures.lexists(os.path.join(path, INDEX)):
        return None
    try:
        with os.scandir(path) as listing:
            items = list(listing)
            names = {item.name for item in items}
            found = [item for item in items if not item.name.startswith(".") and item.is_dir(follow_symlinks=False)]
    except OSError as error:
        failures.note(error)
        return None
    if names & _FOREIGN:
        return None
    others = [item.path for item in found if not failures.lexists(os.path.join(item.path, INDEX))]
    if len(others) == len(found) and not names & _TRACES:
        return others, False
    # Where there are packages, what is named like one is one, if only half of it.
    return [other for other in others if not is_dist_name(os.path.basename(other))], True


def _directories(top: str) -> Iterator[str]:
    """Give the directories in a cache that may hold packages; nearly all there is bears the name of one itself."""
    try:
        with os.scandir(top) as listing:
            for item in listing:
                name = item.name
                if is_dist_name(name) or name.startswith(".") or name in _NO_PACKAGES:
                    continue
                if item.is_dir(follow_symlinks=False) and not is_leftover_name(item):
                    yield item.path
    except OSError as error:
        failures.note(error)
        return
