"""The targets of ``conda clean`` besides packages: index caches, temporary files, log files.

Its own finders of the first and the last are called, for our caches (`clients.conda_files`). Its finder of temporary
files knows conda's alone, and takes what a package has brought: they are found by
`temporary_files`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence

from ... import failures
from ...core.model import Cache, Client, OtherKind, Root, RootKind, RootState
from ...core.notices import Notice
from ...core.plan import Other
from ...core.rules.targets import Target
from ...core.units import plural
from ...failures import suppress
from ..clients.conda_files import index_caches, log_files
from ..system.measure import Measure
from ..system.privileges import is_root_to
from .temporary_files import finished_list, free_locks, in_environment, in_index_cache, owned


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
        places += ((OtherKind.INDEX_CACHE, *place) for place in index_caches(writable))
    if Target.LOGFILES in targets:
        places += ((OtherKind.LOGFILES, *place) for place in log_files(writable))
    if Target.TEMPFILES in targets:
        indexed = {} if Target.INDEX_CACHE in targets else writable
        files, remarks = _tempfiles(caches, indexed, roots, oldest, progress)
        places += ((OtherKind.TEMPFILES, *place) for place in files)
        notices += remarks
    found, staying = _removable_and_not(places, measure)
    if staying:
        what = plural(len(staying), "temporary or log file or index cache", "temporary or log files or index caches")
        message = f"Kept {what}: no permission. The first is {staying[0]}."
        notices.append(Notice("read-only", message, staying[0]))
    return tuple(found), tuple(notices)


def _tempfiles(
    caches: Iterable[Cache],
    indexed: Iterable[str],
    roots: Iterable[Root],
    oldest: float,
    progress: Callable[[int], None],
) -> tuple[list[tuple[str, str]], list[Notice]]:
    """Return the environment or cache, and the path, of temporary files, and what is to be said of others.

    indexed: the real paths of the caches in whose index caches to look.
    """
    search = _TemporaryFileSearch(caches, oldest)
    for cache in indexed:
        search.look_in_index_cache(cache)
    environments = {
        failures.realpath(root.path)
        for root in roots
        if root.kind is RootKind.ENVIRONMENT and root.state in (RootState.OK, RootState.CORRUPT)
    }
    # Those that lie inside of others come first: what is in both belongs to the inner one.
    for done, prefix in enumerate(sorted(environments, key=len, reverse=True)):
        progress(done)
        search.look_in_environment(prefix)
    return [(top, path) for path, top in sorted(search.found.items())], [*search.notices, *search.kept()]


class _TemporaryFileSearch:
    """Collects temporary files; `found` has the environment or cache of each path."""

    def __init__(self, caches: Iterable[Cache], oldest: float) -> None:
        self.found: dict[str, str] = {}
        self.notices: list[Notice] = []
        self._oldest = oldest
        self._inside_caches = tuple(os.path.join(cache.real_path, "") for cache in caches)
        self._seen: set[str] = set()
        self._recent = 0
        self._held: dict[str, str] = {}

    def look_in_index_cache(self, cache: str) -> None:
        """Collect what is temporary in a cache's index cache."""
        temporary = in_index_cache(cache)
        self._take(cache, (*temporary.files, *free_locks(temporary.locks, self._held.__setitem__)))

    def look_in_environment(self, prefix: str) -> None:
        """Collect what is temporary in an environment and belongs to no package."""
        try:
            temporary = in_environment(prefix)
        except RecursionError:
            # os.walk calls itself for each directory until Python 3.12.
            self._leave(
                prefix, f"Kept the temporary files in {prefix}: its directories are nested too deeply to search."
            )
            return
        files = {path for path in temporary.files - self._seen if not path.startswith(self._inside_caches)}
        brought = owned(prefix) if files or temporary.locks else frozenset()
        if brought is None:
            self._leave(
                prefix,
                f"Kept the temporary files in {prefix}: a record there can't be read, so packages may own them.",
            )
            return
        locks = {path for path in temporary.locks - self._seen if os.path.relpath(path, prefix) not in brought}
        self._seen |= temporary.files | temporary.locks
        self._take(prefix, (path for path in files if os.path.relpath(path, prefix) not in brought))
        self._take(prefix, free_locks(locks, self._held.__setitem__))
        self._take(prefix, finished_list(prefix, self.found))

    def kept(self) -> Iterator[Notice]:
        """Give notices on what is too recent or in use."""
        if self._recent:
            message = (
                f"Kept {plural(self._recent, 'temporary file')}: changed too recently (include them with --min-age 0)."
            )
            yield Notice("recent-tempfiles", message, "")
        if self._held:
            (path, process), count = next(iter(self._held.items())), plural(len(self._held), "lock")
            message = f"Kept {count} in use by running processes. The first is {path}: {process}."
            yield Notice("locked", message, path)

    def _take(self, top: str, paths: Iterable[str]) -> None:
        for path in paths:
            with suppress(OSError):
                status = os.lstat(path)
                if max(status.st_mtime, status.st_ctime) > self._oldest:
                    self._recent += 1
                else:
                    self.found[path] = top

    def _leave(self, prefix: str, message: str) -> None:
        self.notices.append(Notice("unreadable-directory", message, prefix))


def _removable_and_not(places: Iterable[tuple[OtherKind, str, str]], measure: Measure) -> tuple[list[Other], list[str]]:
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
    except OSError as error:
        failures.note(error)
        return None
    freed = held.single + sum(inode.allocated for inode in held.shared if inode.inside >= inode.links)
    return Other(kind, top, path, held.identity, held.files, held.apparent, freed)


def _may_remove(path: str) -> bool:
    """Return whether this user may take something out of the directory that it is in."""
    above = os.path.dirname(path)
    if not failures.may_write(above):
        return False
    directory, status = os.stat(above), os.lstat(path)
    if not directory.st_mode & stat.S_ISVTX or not hasattr(os, "geteuid"):
        return True
    return os.geteuid() in (directory.st_uid, status.st_uid) or is_root_to(status)
