"""The targets of ``conda clean`` besides packages: index caches, log files, and the temporary files of every client.

conda's own finders (`conda.cli.main_clean`) of the first two open every ``urls.txt`` for appending, to see which caches
they may change, and miss caches without one. Its finder of temporary files knows two endings and takes what a package
has brought. Ours look in the same places and know what the other clients make too. Each pattern names its source.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator

from ... import failures
from ...core.accounting import Ledger
from ...core.layout import META
from ...core.model import Cache, Client, Inventory, OtherKind, Root, RootKind, RootState
from ...core.notices import Notice
from ...core.plan import Other
from ...core.rules.targets import Target
from ...core.units import plural
from ...failures import suppress
from ..clients.conda_context import temporary_endings
from ..clients.lock_files import holder, is_lock, is_lock_name
from ..system.measure import Measure
from ..system.privileges import is_root_to, own_user
from ..system.safe_read import read_object, read_regular
from ..system.tree_walk import walk
from ..usage.pip_packages import recorded_files

#: conda's own endings (``.c~``, ``.trash``), and what could not be deleted: by conda (``unlink_or_rename_to_trash`` in
#: ``conda/gateways/disk/delete.py``), by mamba (``remove_or_rename`` in ``libmamba/src/core/util.cpp``).
_TRASH = re.compile(rf"(?:{'|'.join(map(re.escape, temporary_endings()))}|\.conda_trash(?:_\d+)?|\.mamba_trash)\Z")

#: A link that conda makes to try what a file system can (``conda/gateways/disk/test.py``; ``try_hard_link`` in
#: ``conda/install.py`` until 4.2). It lies at the top of an environment.
_PROBE = re.compile(r"\.tmp\.index\.json(?:\.[0-9a-f]{8})?|\.tmp-.+-[^-]+-[^-]+")

#: Where mamba lists its trash, one path below the prefix a line.
_LIST = os.path.join(META, "mamba_trash.txt")

#: mamba's locks in ``conda-meta`` (`lock_files`).
_META_LOCKS = ("conda-meta.lock", "mamba.lock")

#: Indexes being written: conda's (``conda/gateways/repodata/__init__.py`` and ``zstd.py``), mamba's
#: (``TemporaryFile`` in ``subdir_index.cpp`` and ``shard_index_loader.cpp``).
_INDEX = re.compile(r".+\.tmp|mamba(?:f|shard)[0-9A-Za-z]{10}")

#: Where a cache has its channel indexes (`conda.core.subdir_data.create_cache_dir`), and conda-libmamba-solver had its
#: logs (`conda.base.constants.CONDA_LOGS_DIR`).
_INDEX_CACHE, _LOGS = "cache", ".logs"


def find_other(
    targets: Target,
    inventory: Inventory,
    measure: Measure,
    oldest: float,
    progress: Callable[[int], None],
    named: Iterable[str] = (),
) -> tuple[tuple[Other, ...], tuple[Notice, ...]]:
    """Return what goes for the targets, and notices on temporary files that stay.

    oldest: what was changed after that, in seconds since the epoch, may be in use. `progress` is called with the
    number of environments done. named: look for temporary files in these environments, and in those inside of them,
    only. Nothing is written.
    """
    named = [failures.realpath(os.path.expanduser(path)) for path in named]
    # rattler and pixi keep indexes elsewhere.
    writable = [
        cache.real_path
        for cache in inventory.caches
        if cache.writable and cache.client != Client.RATTLER and cache.top is None
    ]
    notices: tuple[Notice, ...] = ()
    places: list[tuple[OtherKind, str, str]] = []
    for cache in writable:
        if Target.INDEX_CACHE in targets:
            places += ((OtherKind.INDEX_CACHE, cache, path) for path in _index_cache(cache))
        if Target.LOGFILES in targets:
            places += ((OtherKind.LOGFILES, cache, path) for path in _log_files(cache))
    if Target.TEMPFILES in targets:
        search = _TemporaryFileSearch(inventory.caches, oldest)
        for cache in () if named or Target.INDEX_CACHE in targets else writable:
            search.look_in_index_cache(cache)
        for done, prefix in enumerate(sorted(_searched(inventory.roots, named))):
            progress(done)
            search.look_in_environment(prefix)
        places += ((OtherKind.TEMPFILES, top, path) for path, top in sorted(search.found.items()))
        notices = (*search.notices, *search.kept())
    removed, closed = _measured_all(places, measure)
    return removed, notices + closed


def _index_cache(cache: str) -> Iterator[str]:
    path = os.path.join(cache, _INDEX_CACHE)
    if failures.isdir(path):
        yield path


def _log_files(cache: str) -> Iterator[str]:
    with (
        suppress(FileNotFoundError, NotADirectoryError, PermissionError),
        os.scandir(os.path.join(cache, _LOGS)) as listing,
    ):
        yield from sorted(entry.path for entry in listing if not entry.is_dir())


def _searched(roots: Iterable[Root], named: Collection[str]) -> set[str]:
    """Return the environments to look for temporary files in: all, or those at or below a named path."""
    paths = {
        failures.realpath(root.path)
        for root in roots
        if root.kind is RootKind.ENVIRONMENT and root.state in (RootState.OK, RootState.CORRUPT)
    }
    return {path for path in paths if failures.is_below(path, named)} if named else paths


def _measured_all(
    places: Iterable[tuple[OtherKind, str, str]], measure: Measure
) -> tuple[tuple[Other, ...], tuple[Notice, ...]]:
    """Return the decisions to remove what this user can, and a notice on the rest."""
    removed: list[Other] = []
    closed: list[str] = []
    for kind, top, path in places:
        # A file that was deleted since the listing is neither.
        with suppress(FileNotFoundError):
            other = _measured(kind, top, path, measure)
            if other is None:
                closed.append(path)
            else:
                removed.append(other)
    if closed:
        what = plural(len(closed), "temporary or log file or index cache", "temporary or log files or index caches")
        return tuple(removed), (
            Notice("read-only", f"Kept {what}: no permission. The first is {closed[0]}.", closed[0]),
        )
    return tuple(removed), ()


class _TemporaryFileSearch:
    """Collects temporary files; `found` has the environment or cache of each path."""

    def __init__(self, caches: Iterable[Cache], oldest: float) -> None:
        self.found: dict[str, str] = {}
        self.notices: list[Notice] = []
        self._oldest = oldest
        self._inside_caches = tuple(os.path.join(cache.real_path, "") for cache in caches)
        self._recent = 0
        self._held: dict[str, str] = {}

    def look_in_index_cache(self, cache: str) -> None:
        """Collect files with temporary names from the directory where a cache keeps channels' indexes."""
        files: list[str] = []
        locks: list[str] = []
        with suppress(OSError), os.scandir(os.path.join(cache, _INDEX_CACHE)) as listing:
            for item in listing:
                if item.is_file(follow_symlinks=False) and (_INDEX.fullmatch(item.name) or _TRASH.search(item.name)):
                    files.append(item.path)
                elif (item.name.endswith(".lock") or is_lock_name(item.name)) and is_lock(item.path):
                    locks.append(item.path)
        self._take(cache, (*files, *self._free(locks)))

    def look_in_environment(self, prefix: str) -> None:
        """Collect temporary files in an environment that belong to no package."""
        files, locks = _temporary_names(prefix)
        files = {path for path in files if not path.startswith(self._inside_caches)}
        try:
            brought = _brought(prefix) if files or locks else frozenset()
        except (OSError, ValueError) as error:
            failures.note(error)
            message = f"Kept the temporary files in {prefix}: a record there can't be read, so packages may own them."
            self.notices.append(Notice("unreadable-directory", message, prefix))
            return
        own = {path for path in files | locks if os.path.relpath(path, prefix) not in brought}
        self._take(prefix, files & own)
        self._take(prefix, self._free(locks & own))
        self._take(prefix, self._finished_list(prefix))

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

    def _finished_list(self, prefix: str) -> Iterator[str]:
        """Give the path of mamba's list of its trash, if all that it names is going, or gone."""
        with suppress(OSError):
            path = os.path.join(prefix, _LIST)
            lines = os.fsdecode(read_regular(path)).splitlines()
            listed = [os.path.normpath(os.path.join(prefix, line)) for line in lines if line]
            if all(item in self.found or not failures.lexists(item) for item in listed):
                yield path

    def _free(self, locks: Iterable[str]) -> Iterator[str]:
        """Give the locks that no living process holds."""
        for path in sorted(locks):
            try:
                held = holder(path)
            except OSError as error:
                failures.note(error)
                held = f"can't check: {error.strerror}"
            if held is None:
                yield path
            else:
                self._held[path] = held

    def _take(self, top: str, paths: Iterable[str]) -> None:
        for path in paths:
            with suppress(OSError):
                status = os.lstat(path)
                if max(status.st_mtime, status.st_ctime) > self._oldest:
                    self._recent += 1
                else:
                    self.found[path] = top


def _temporary_names(prefix: str) -> tuple[set[str], set[str]]:
    """Return the files, and the locks, that are temporary by their names in an environment."""
    files: set[str] = set()
    locks: set[str] = set()
    meta = os.path.join(prefix, META)
    for directory, directories, others in walk(prefix):
        entries = (*directories, *others)
        if directory != prefix and any(entry.name in (".git", META) for entry in entries):
            # The user's: an editor's backup of a C source has a name like a file that conda has replaced. Or another
            # environment, which is searched itself if it is known.
            directories.clear()
            continue
        for entry in entries:
            name = entry.name
            is_candidate = is_lock_name(name) if directory == prefix else directory == meta and name in _META_LOCKS
            if is_candidate and is_lock(entry.path):
                locks.add(entry.path)
            is_temporary = _TRASH.search(name) or (directory == prefix and _PROBE.fullmatch(name))
            # Directories, also behind a link, hold other files.
            if is_temporary and not entry.is_dir():
                files.add(entry.path)
    return files, locks


def _brought(prefix: str) -> frozenset[str]:
    """Return the paths below a prefix that packages have brought. Raises `OSError` or `ValueError`."""
    found: set[str] = set(recorded_files(prefix))
    for name in os.listdir(os.path.join(prefix, META)):
        if name.endswith(".json") and not name.startswith("."):
            files = read_object(os.path.join(prefix, META, name)).get("files")
            found.update(name for name in (files if isinstance(files, list) else ()) if isinstance(name, str))
    return frozenset(name.replace("/", os.sep) for name in found)


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
    freed = Ledger().remove(held)
    return Other(kind, top, path, held.identity, held.files, held.apparent, freed.bytes, freed.inodes)


def _may_remove(path: str) -> bool:
    """Return whether this user may take something out of the directory that it is in."""
    above = os.path.dirname(path)
    if not failures.may_write(above):
        return False
    directory, status = os.stat(above), os.lstat(path)
    if not directory.st_mode & stat.S_ISVTX or own_user() is None:
        return True
    return own_user() in (directory.st_uid, status.st_uid) or is_root_to(status)
