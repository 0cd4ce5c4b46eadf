"""What ``conda clean`` finds besides packages: index caches, temporary files, log files.

Its own finders are called, with two things changed. They ask a function of their module for the caches, which opens
every ``urls.txt`` for appending to see whether it may, and misses caches without one: they are given our caches. And
they find a file by its ending alone: what a package has brought, or lies in a cache, is no temporary file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import FunctionType
from typing import cast

from conda.cli import main_clean

from ..core.decision import Other
from ..core.model import Cache, Client, Notice, OtherKind, Root, RootKind, RootState
from ..core.targets import Target
from ..core.units import plural
from .measure import Measure
from .reading import read_object
from .records import META
from .root import is_root_to


def find_other(
    targets: Target,
    caches: Sequence[Cache],
    roots: Iterable[Root],
    measure: Measure,
    oldest: float,
    progress: Callable[[int], None],
) -> tuple[tuple[Other, ...], tuple[Notice, ...]]:
    """Return what goes for the targets, and what stays though its name is that of a temporary file.

    oldest: what was changed after that, in seconds since the epoch, may be in use. `progress` is called with the
    number of environments done. Nothing is written.
    """
    writable = {cache.real_path: cache for cache in caches if cache.writable and cache.client == Client.CONDA}
    notices: list[Notice] = []
    places: list[tuple[OtherKind, str, str]] = []
    if Target.INDEX_CACHE in targets:
        places += ((OtherKind.INDEX_CACHE, *place) for place in _in_caches(main_clean.find_index_cache, writable))
    if Target.LOGFILES in targets:
        places += ((OtherKind.LOGFILES, *place) for place in _in_caches(main_clean.find_logfiles, writable))
    if Target.TEMPFILES in targets:
        files, remarks = _tempfiles(caches, roots, oldest, progress)
        places += ((OtherKind.TEMPFILES, *place) for place in files)
        notices += remarks
    found, staying = _told_apart(places, measure)
    if staying:
        what = plural(len(staying), "temporary or log file or index cache", "temporary or log files or index caches")
        message = f"{what} can't be read, or not removed by you, and will stay; the first: {staying[0]}."
        notices.append(Notice("read-only", message, staying[0]))
    return tuple(found), tuple(notices)


def _in_caches(finder: Callable[[], list[str]], caches: Mapping[str, Cache]) -> Iterator[tuple[str, str]]:
    """Give cache and path of what a finder of conda's finds in these caches."""
    plain = cast(FunctionType, finder)
    ours = {**plain.__globals__, "find_pkgs_dirs": lambda: list(caches)}
    for path in FunctionType(plain.__code__, ours)():
        top = next((top for top in caches if path.startswith(os.path.join(top, ""))), None)
        if top is not None:
            yield top, path


def _tempfiles(
    caches: Iterable[Cache], roots: Iterable[Root], oldest: float, progress: Callable[[int], None]
) -> tuple[list[tuple[str, str]], list[Notice]]:
    """Return environment and path of temporary files, and what is to be said of others."""
    environments = {
        os.path.realpath(root.path): root
        for root in roots
        if root.kind is RootKind.ENVIRONMENT and root.state in (RootState.OK, RootState.CORRUPT)
    }
    inside = tuple(os.path.join(cache.real_path, "") for cache in caches)
    found: dict[str, str] = {}
    notices: list[Notice] = []
    young = 0
    # Those that lie inside of others come first: what is in both belongs to the inner one.
    for done, prefix in enumerate(sorted(environments, key=len, reverse=True)):
        progress(done)
        try:
            paths = [path for path in main_clean.find_tempfiles([prefix]) if not path.startswith(inside)]
        except RecursionError:
            # os.walk, by which it looks, calls itself for each directory until Python 3.12.
            message = (
                f"In {prefix} directories lie too deep for conda's search for temporary files: what is there stays."
            )
            notices.append(Notice("unreadable-directory", message, prefix))
            continue
        owned = _owned(environments[prefix]) if paths else frozenset()
        for path in paths:
            if path in found or os.path.relpath(path, prefix) in owned:
                continue
            with suppress(OSError):
                status = os.lstat(path)
                if max(status.st_mtime, status.st_ctime) > oldest:
                    young += 1
                else:
                    found[path] = prefix
    if young:
        message = f"{plural(young, 'temporary file')} changed too recently to be removed (--min-age)."
        notices.append(Notice("recent-tempfiles", message, ""))
    return [(prefix, path) for path, prefix in sorted(found.items())], notices


def _owned(root: Root) -> frozenset[str]:
    """Return the files that the packages of an environment have brought."""
    found: set[str] = set()
    for dist in root.packages:
        with suppress(OSError, ValueError):
            files = read_object(os.path.join(root.path, META, f"{dist}.json")).get("files")
            found.update(name for name in (files if isinstance(files, list) else ()) if isinstance(name, str))
    return frozenset(name.replace("/", os.sep) for name in found)


def _told_apart(places: Iterable[tuple[OtherKind, str, str]], measure: Measure) -> tuple[list[Other], list[str]]:
    """Return the decisions to remove these kinds, tops and paths, and the paths of what this user can't remove."""
    found: list[Other] = []
    staying: list[str] = []
    for kind, top, path in places:
        # What is gone since it was listed is neither.
        with suppress(FileNotFoundError):
            other = _measured(kind, top, path, measure)
            if other is None:
                staying.append(path)
            else:
                found.append(other)
    return found, staying


def _measured(kind: OtherKind, top: str, path: str, measure: Measure) -> Other | None:
    """Return the decision to remove something, None if this user can't. Raises `FileNotFoundError`."""
    try:
        held = measure(path)
        if held.obstacle is not None or not _may_remove(path):
            return None
    except FileNotFoundError:
        raise
    except OSError:
        return None
    freed = held.single + sum(inode.allocated for inode in held.shared if inode.inside >= inode.links)
    return Other(kind, top, path, held.identity, held.files, held.apparent, freed)


def _may_remove(path: str) -> bool:
    """Return whether this user may take something out of the directory that it is in."""
    above = os.path.dirname(path)
    if not os.access(above, os.W_OK | os.X_OK):
        return False
    directory, status = os.stat(above), os.lstat(path)
    if not directory.st_mode & stat.S_ISVTX or not hasattr(os, "geteuid"):
        return True
    return os.geteuid() in (directory.st_uid, status.st_uid) or is_root_to(status)
