"""Find soft links from environments into the caches, by walking through the environments."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ... import failures
from ...core.model import Cache, Root, RootKind, RootState
from ...core.rules.reachability import SoftLinks
from ...failures import suppress
from ..system.mounts import KERNEL
from ..system.tree_walk import walk


@dataclass(frozen=True, slots=True)
class Seen:
    """The result of a walk through one environment.

    entries: cache and case-folded name of each entry that it links. complete: all of it could be listed. directories:
    those that were listed, each as it was before; None if a later change of it might not show.
    """

    entries: frozenset[tuple[str, str]]
    complete: bool
    directories: Mapping[str, _Stamp | None]


#: Inode, modification time, and time of the last status change.
_Stamp = tuple[int, int, int]

#: As in `roots.watch`: a directory that changed more recently may change again with the same times. In nanoseconds.
_TICK = 2 * 10**9


def soft_links(
    prefixes: Iterable[str],
    caches: tuple[Cache, ...],
    progress: Callable[[int], None],
    memory: dict[str, Seen] | None = None,
) -> SoftLinks:
    """Look for soft links into the caches in every directory of the environments with these paths.

    That takes one listing a directory and no stat of files. `progress` is called with the number of directories seen
    so far. memory: the results of earlier walks, by real path, kept up to date: of these environments only directories
    that have changed are listed again, which takes one stat a directory.
    """
    walk = Walk(by_real_path(prefixes), caches, progress)
    memory = {} if memory is None else memory
    for prefix in walk.prefixes:
        memory[prefix] = walk.again(prefix, memory[prefix]) if prefix in memory else walk.do(prefix)
    entries: dict[tuple[str, str], set[str]] = {}
    for prefix, path in walk.prefixes.items():
        for entry in memory[prefix].entries:
            entries.setdefault(entry, set()).add(path)
    unseen = frozenset(path for prefix, path in walk.prefixes.items() if not memory[prefix].complete)
    return SoftLinks({entry: frozenset(paths) for entry, paths in entries.items()}, unseen)


def environments_of(roots: Iterable[Root]) -> tuple[str, ...]:
    """Return the paths of the roots that are environments and aren't missing.

    A registered directory that is no environment may be anything, even the root directory.
    """
    return tuple(
        root.path for root in roots if root.kind is RootKind.ENVIRONMENT and root.state is not RootState.MISSING
    )


def by_real_path(prefixes: Iterable[str]) -> dict[str, str]:
    """Return the real paths of environments, each with the path that it is known by."""
    return {failures.realpath(path): path for path in prefixes}


class Walk:
    """Walks through environments; `prefixes`: their real paths, each with the path that it is known by."""

    def __init__(
        self,
        prefixes: dict[str, str],
        caches: tuple[Cache, ...],
        progress: Callable[[int], None] = lambda directories: None,
    ) -> None:
        self.prefixes = prefixes
        self._progress = progress
        # Caches, and environments that lie inside of others, are looked through on their own.
        self._skip = {*prefixes, *(cache.real_path for cache in caches), *KERNEL}
        self._places = _Places(caches)
        self._stamps: dict[str, _Stamp | None] = {}
        self._complete = True
        self._seen = 0

    def do(self, prefix: str) -> Seen:
        """Walk through all of an environment."""
        return self._look(prefix, [prefix], {})

    def again(self, prefix: str, before: Seen) -> Seen:
        """List the directories that have changed since an earlier walk, and return the result for all."""
        self._count(len(before.directories))
        unchanged = {path: stamp for path, stamp in before.directories.items() if stamp and _stamp(path) == stamp}
        if len(unchanged) == len(before.directories):
            return before
        now = self._look(prefix, [path for path in before.directories if path not in unchanged], unchanged)
        return Seen(before.entries | now.entries, before.complete and now.complete, now.directories)

    def _count(self, directories: int) -> None:
        self._seen += directories
        self._progress(self._seen)

    def _look(self, prefix: str, tops: list[str], unchanged: Mapping[str, _Stamp | None]) -> Seen:
        """Walk through some directories of an environment, without those below that are unchanged."""
        self._complete = True
        self._stamps = dict(unchanged)
        since = time.time_ns() - _TICK
        entries = frozenset((cache, name.casefold()) for _, cache, name in self.links(prefix, tops))
        stamps = {
            path: None if stamp is None or max(stamp[1:]) > since else stamp for path, stamp in self._stamps.items()
        }
        return Seen(entries, self._complete, stamps)

    def links(self, prefix: str, tops: list[str]) -> Iterator[tuple[str, str, str]]:
        """Give the links in directories of an environment that lead into an entry: link, cache, and name in that.

        Directories elsewhere, such as on a larger disk, that a link leads to are walked through too.
        """

        def enter(directory: str) -> bool:
            # Links may form cycles, so no directory is listed twice; all these paths are real ones.
            if directory in self._stamps:
                return False
            self._count(1)
            # Before the listing, so that a later walk sees any change from here on.
            self._stamps[directory] = _stamp(directory)
            return True

        def unreadable(error: OSError) -> None:
            self._complete &= isinstance(error, FileNotFoundError)

        while tops:
            elsewhere: list[str] = []
            for _, _, others in walk(*tops, skip=self._skip, enter=enter, unreadable=unreadable):
                for entry in others:
                    if entry.is_symlink():
                        places, directory = self._follow(entry.path, prefix)
                        yield from ((entry.path, cache, name) for cache, name in sorted(places))
                        elsewhere += [directory] if directory else []
            tops = elsewhere

    def _follow(self, link: str, prefix: str) -> tuple[set[tuple[str, str]], str | None]:
        try:
            return self.entries_behind(link, prefix), self.elsewhere(link, prefix)
        except FileNotFoundError:
            return set(), None  # Gone since it was listed.
        except (OSError, RecursionError) as error:
            # The `realpath` of older Pythons calls itself for each link of a chain; the kernel follows 40.
            failures.note(error)
            self._complete = False
            return set(), None

    def entries_behind(self, link: str, prefix: str, *, chains: bool = False) -> set[tuple[str, str]]:
        """Return the entries that a link of an environment leads into, by cache and name.

        chains: follow it through other links of the environment too, which a walk meets anyway.

        Raises `OSError` or `RecursionError`.
        """
        target = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
        # Most links lead from one file of an environment to another.
        if not chains and _within(target, (prefix,)) and not _within(target, self._places.tops):
            return set()
        # What is behind the first link may be another link, in another entry.
        return {place for path in (target, failures.realpath(link)) if (place := self._places.place(path))}

    def elsewhere(self, link: str, prefix: str) -> str | None:
        """Return the real path of the directory that a link leads to, None if the walk finds it anyway."""
        try:
            if not stat.S_ISDIR(os.stat(link).st_mode):
                return None
        except OSError as error:
            failures.note(error)
            # A dangling link may lead to a disk that isn't mounted.
            self._complete &= _within(failures.realpath(link), (prefix, *self._places.tops))
            return None
        path = failures.realpath(link)
        return None if _within(path, (prefix, *self._skip)) else path


def _stamp(directory: str) -> _Stamp | None:
    with suppress(OSError):
        status = os.stat(directory)
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns
    return None


def _within(path: str, tops: Iterable[str]) -> bool:
    """Return True if a path is one of some directories, or lies in one."""
    return any(path == top or path.startswith(os.path.join(top, "")) for top in tops)


class _Places:
    """Finds the cache that a path lies in, even through another mount or with letters of another case.

    tops: the paths of the caches.
    """

    def __init__(self, caches: tuple[Cache, ...]) -> None:
        self._caches: dict[tuple[int, int], str] = {}
        self._found: dict[str, tuple[str, str] | None] = {}
        for cache in caches:
            self._found[cache.path] = self._found[cache.real_path] = (cache.path, "")
            with suppress(OSError):
                status = os.stat(cache.real_path)
                self._caches[status.st_dev, status.st_ino] = cache.path
        self.tops = tuple(self._found)

    def place(self, path: str) -> tuple[str, str] | None:
        """Return the path of the cache that a path lies in, and the name of the entry."""
        paths = [path]
        # No recursion: a link may name a thousand directories, whether they exist or not.
        while (above := os.path.dirname(paths[-1])) != paths[-1] and above not in self._found:
            paths.append(above)
        found = self._found.get(above)
        while True:
            path = paths.pop()
            found = found and (found[0], found[1] or os.path.basename(path))
            if not paths:
                return found
            found = self._found[path] = self._itself(path) or found

    def _itself(self, directory: str) -> tuple[str, str] | None:
        """Return the cache that a directory is, with no name in it."""
        with suppress(OSError):
            status = os.stat(directory)
            if cache := self._caches.get((status.st_dev, status.st_ino)):
                return cache, ""
        return None
