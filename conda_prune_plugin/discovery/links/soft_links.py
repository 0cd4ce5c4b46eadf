"""Soft links from environments into the caches, which only the environments themselves show."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ... import failures
from ...core.model import Cache, Root, RootKind, RootState
from ...core.rules.reachability import SoftLinks
from ...failures import suppress
from ..system.mounts import KERNEL
from ..system.tree_walk import walk
from ..system.worker import WorkerPool


@dataclass(frozen=True, slots=True)
class SoftLink:
    """A symbolic link of an environment that leads into an entry: the name of that in its cache's directory."""

    path: str
    cache: str
    name: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a walk through one environment has shown.

    entries: cache and case-folded name of what it links. complete: all of it could be listed.
    directories: those that were listed, each as it was before; None if it may have changed since and look the same.
    """

    entries: frozenset[tuple[str, str]]
    complete: bool
    directories: Mapping[str, _Stamp | None]


#: Inode, modification time, and time of the last status change.
_Stamp = tuple[int, int, int]

#: As `roots.watch` has it: what changed less long ago may change again and still look the same. In nanoseconds.
_TICK = 2 * 10**9


def soft_links(
    prefixes: Iterable[str],
    caches: tuple[Cache, ...],
    progress: Callable[[int], None],
    workers: WorkerPool | None = None,
    memory: dict[str, Seen] | None = None,
) -> SoftLinks:
    """Look for soft links into the caches in every directory of the environments with these paths.

    That takes one listing a directory, and asks nothing of files. `progress` is called with the number of directories
    seen so far; a `workers` makes it faster. memory: what an earlier look has seen, by real path: then only what has
    changed since is listed, which takes one stat a directory; kept up to date.
    """
    walk = Walk(by_real_path(prefixes), caches, progress)
    memory = {} if memory is None else memory
    known = [prefix for prefix in walk.prefixes if prefix in memory]
    tasks = [prefix for prefix in walk.prefixes if prefix not in memory]
    if workers is None or not tasks:
        found = [walk.do(prefix) for prefix in tasks]
    else:
        workers.begin(walk, tasks)
        found = workers.finish()
    memory.update((prefix, walk.again(prefix, memory[prefix])) for prefix in known)
    memory.update(zip(tasks, found))
    entries: dict[tuple[str, str], set[str]] = {}
    for prefix, path in walk.prefixes.items():
        for entry in memory[prefix].entries:
            entries.setdefault(entry, set()).add(path)
    unseen = frozenset(path for prefix, path in walk.prefixes.items() if not memory[prefix].complete)
    return SoftLinks({entry: frozenset(paths) for entry, paths in entries.items()}, unseen)


def environments_of(roots: Iterable[Root]) -> tuple[str, ...]:
    """Return the paths of those roots that are environments, and may hold anything.

    A registered directory that is no environment may be anything, the top directory even.
    """
    return tuple(
        root.path for root in roots if root.kind is RootKind.ENVIRONMENT and root.state is not RootState.MISSING
    )


def by_real_path(prefixes: Iterable[str]) -> dict[str, str]:
    """Return the real paths of environments, each with the path that it is known by."""
    return {failures.realpath(path): path for path in prefixes}


class Walk:
    """Walks through environments, given by their real paths; the work of a worker pool.

    prefixes: their real paths with those that they are known by. caches: without what lies in them.
    """

    def __init__(
        self,
        prefixes: dict[str, str],
        caches: tuple[Cache, ...],
        progress: Callable[[int], None] = lambda directories: None,
    ) -> None:
        self.prefixes = prefixes
        self._unreadable = False
        # What lies in them is of no interest, and need not be handed to another process.
        self.caches, self._progress = tuple(replace(cache, entries=()) for cache in caches), progress
        # Caches, and environments that lie inside of others, are looked through on their own.
        self._skip = {*prefixes, *(cache.real_path for cache in caches), *KERNEL}
        self._places = _Places(caches)
        self._stamps: dict[str, _Stamp | None] = {}
        self._seen = 0

    def __reduce__(self) -> tuple[type[Walk], tuple[dict[str, str], tuple[Cache, ...]]]:
        return Walk, (self.prefixes, self.caches)

    def do(self, prefix: str) -> Seen:
        """Return what an environment links."""
        return self._looked(prefix, [prefix], {})

    do_in_worker = do

    def again(self, prefix: str, before: Seen) -> Seen:
        """Return what an environment links by now: only directories that have changed are listed again."""
        self._seen += len(before.directories)
        self._progress(self._seen)
        unchanged = {path: stamp for path, stamp in before.directories.items() if stamp and _stamp(path) == stamp}
        if len(unchanged) == len(before.directories):
            return before
        changed = [path for path in before.directories if path not in unchanged]
        now = self._looked(prefix, changed, unchanged)
        return Seen(before.entries | now.entries, before.complete and now.complete, now.directories)

    def _looked(self, prefix: str, pending: list[str], unchanged: Mapping[str, _Stamp | None]) -> Seen:
        """Return what directories of an environment link, and those below them that are not known as unchanged."""
        self._unreadable = False
        self._stamps = dict(unchanged)
        since = time.time_ns() - _TICK
        entries = frozenset((link.cache, link.name.casefold()) for link in self._links(prefix, pending))
        stamps = {
            path: None if stamp is None or max(stamp[1:]) > since else stamp for path, stamp in self._stamps.items()
        }
        return Seen(entries, not self._unreadable, stamps)

    def take(self, answer: Seen) -> Seen:
        """Return what was seen in the other process."""
        self._seen += len(answer.directories)
        self._progress(self._seen)
        return answer

    def links(self, prefix: str) -> Iterator[SoftLink]:
        """Give the soft links of an environment that lead into a cache.

        Directories that lie elsewhere, on a larger disk say, and are linked from there are looked through too.
        """
        self._stamps = {}
        return self._links(prefix, [prefix])

    def _links(self, prefix: str, pending: list[str]) -> Iterator[SoftLink]:
        def enter(directory: str) -> bool:
            # Links may lead round in circles, so no directory is looked through twice; all these paths are real ones.
            if directory in self._stamps:
                return False
            self._seen += 1
            self._progress(self._seen)
            # What is changed from here on is seen by a later look.
            self._stamps[directory] = _stamp(directory)
            return True

        def unreadable(error: OSError) -> None:
            self._unreadable |= not isinstance(error, FileNotFoundError)

        while pending:
            tops, pending = pending, []
            for _, _, others in walk(*tops, skip=self._skip, enter=enter, unreadable=unreadable):
                for entry in others:
                    # Nearly all are files, and the listing itself tells that.
                    if not entry.is_file(follow_symlinks=False) and entry.is_symlink():
                        links, directory = self.followed(entry.path, prefix)
                        yield from links
                        pending += [directory] if directory is not None else []

    def followed(self, link: str, prefix: str) -> tuple[list[SoftLink], str | None]:
        """Return the soft links that a link makes, and the directory behind it that is to be looked through."""
        try:
            return list(_into(link, prefix, self.caches, self._places)), self._moved(link, prefix)
        except RecursionError:
            # The `realpath` of older Pythons calls itself for each link of a chain; the kernel follows forty.
            self._unreadable = True
            return [], None

    def leads_into_cache(self, link: str) -> bool:
        """Return whether a link leads into a cache in the end, however many links there are in between."""
        with suppress(RecursionError):
            return self._places.place(failures.realpath(link)) is not None
        return True

    def _moved(self, link: str, prefix: str) -> str | None:
        """Return the real path of the directory that a link leads to, if that is looked through in no other way."""
        try:
            if not stat.S_ISDIR(os.stat(link).st_mode):
                return None
        except OSError as error:
            failures.note(error)
            # What leads to nowhere may lead to a disk that is not mounted.
            tops = (prefix, *(cache.real_path for cache in self.caches))
            self._unreadable |= not _within(failures.realpath(link), tops)
            return None
        path = failures.realpath(link)
        return None if _within(path, (prefix, *self._skip)) else path


def _stamp(directory: str) -> _Stamp | None:
    with suppress(OSError):
        status = os.stat(directory)
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns
    return None


def _within(path: str, tops: Iterable[str]) -> bool:
    """Return whether a path is one of some directories, or lies in one."""
    return any(path == top or _below(path, top) is not None for top in tops)


class _Places:
    """Finds the cache that a path lies in, be it spelled otherwise: by another mount, by letters of another case."""

    def __init__(self, caches: tuple[Cache, ...]) -> None:
        self._caches = dict(filter(None, map(_identified, caches)))
        self._found: dict[str, tuple[Cache, str] | None] = {}

    def place(self, real_path: str) -> tuple[Cache, str] | None:
        """Return the cache, and the name in it that a path lies below or bears."""
        paths = [real_path]
        # No recursion: a link may name a thousand directories, none of which has to be there.
        while (above := os.path.dirname(paths[-1])) != paths[-1] and above not in self._found:
            paths.append(above)
        found = self._found.get(above)
        while True:
            path = paths.pop()
            found = found and (found[0], found[1] or os.path.basename(path))
            if not paths:
                return found
            found = self._found[path] = self._itself(path) or found

    def _itself(self, directory: str) -> tuple[Cache, str] | None:
        """Return the cache that a directory is, with no name in it."""
        with suppress(OSError):
            status = os.stat(directory)
            if cache := self._caches.get((status.st_dev, status.st_ino)):
                return cache, ""
        return None


def _identified(cache: Cache) -> tuple[tuple[int, int], Cache] | None:
    with suppress(OSError):
        status = os.stat(cache.real_path)
        return (status.st_dev, status.st_ino), cache
    return None


def _into(path: str, top: str, caches: tuple[Cache, ...], places: _Places) -> Iterator[SoftLink]:
    try:
        target = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    except FileNotFoundError:
        return  # Gone since it was listed.
    # Most links lead from one file of an environment to another; where such a one leads further, that is seen there.
    direct = [(cache, _below(target, cache.path) or _below(target, cache.real_path)) for cache in caches]
    if target.startswith(os.path.join(top, "")) and not any(name for _, name in direct):
        return
    real_path = failures.realpath(path)
    if place := places.place(real_path):
        yield SoftLink(path, place[0].path, place[1])
    for cache, name in direct:
        for found in {name, _below(real_path, cache.real_path)} - {None}:
            yield SoftLink(path, cache.path, str(found))


def _below(path: str, directory: str) -> str | None:
    """Return the first name of a path behind a directory that it lies in."""
    top = os.path.join(directory, "")
    return path[len(top) :].split(os.sep, 1)[0] if path.startswith(top) else None
