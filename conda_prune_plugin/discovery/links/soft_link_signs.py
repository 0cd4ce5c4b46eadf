"""Find environments that soft-link from the caches by listing a few directories of each, instead of walking it.

A client that soft-links does so for a whole package, so a link shows where most packages have something, or at a file
that a package in the cache has. A single link that was made by hand, deep inside of an environment, shows no sign: it
is found right before the deletion, when all environments are walked through.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from ... import failures
from ...core.model import Cache, Inventory, Root
from ...core.notices import Notice
from ...core.rules.reachability import NO_SOFT_LINKS, SoftLinks
from ...failures import suppress
from ..system.worker import WorkerPool
from .soft_links import Walk, by_real_path, environments_of, soft_links

#: Where a package of a noarch python has its modules, and its scripts (CEP 20): in the environment they lie elsewhere.
_MODULES, _SCRIPTS = "site-packages", "python-scripts"

#: The directories that are listed in each environment; that of python's modules besides.
_LISTED = ("", "Library", "Lib", "Scripts") if os.name == "nt" else ("", "bin", "lib", "share", "include")


class SoftLinkSearch:
    """Looks for what environments soft-link: in all of them, or in those that show a sign of soft links.

    A worker pool with a helper makes the latter faster.
    """

    def __init__(self, roots: Iterable[Root], caches: tuple[Cache, ...], workers: WorkerPool | None = None) -> None:
        self._prefixes = environments_of(roots)
        self._caches = caches
        self._workers = workers
        self._complete: SoftLinks | None = None
        self._begun: Signs | None = None
        self._signed: set[str] = set()
        self._asked: frozenset[str] | None = None

    def begin(self, samples: Iterable[str]) -> None:
        """Have the helper look for signs while this process does something else, if there is one."""
        if self._workers is not None and self._workers.helped:
            signs = Signs(by_real_path(self._prefixes), self._caches, tuple(samples))
            self._workers.begin(signs, list(signs.prefixes), ahead=len(signs.prefixes))
            self._begun = signs

    @property
    def begun(self) -> bool:
        """Whether a helper is at it."""
        return self._begun is not None

    def everywhere(self, progress: Callable[[int], None]) -> SoftLinks:
        """Return what is soft-linked, once all environments have been walked through."""
        self._finish()
        if self._complete is None:
            self._complete = soft_links(self._prefixes, self._caches, progress)
        return self._complete

    def where_signs_are(self, samples: Iterable[str], progress: Callable[[int], None]) -> SoftLinks:
        """Return what the environments soft-link that show a sign; `samples`: the paths of files within packages."""
        self._finish()
        if self._complete is not None:
            return self._complete
        wanted = set(samples).difference(self._asked or ())
        if wanted or self._asked is None:
            self._signed.update(with_signs(self._prefixes, self._caches, wanted))
        return soft_links(sorted(self._signed), self._caches, progress) if self._signed else NO_SOFT_LINKS

    def _finish(self) -> None:
        """Take what the helper has seen, so that the worker pool is free for other work."""
        if self._begun is not None and self._workers is not None:
            shown = zip(self._begun.prefixes.values(), self._workers.finish())
            self._signed.update(path for path, is_signed in shown if is_signed)
            self._asked = frozenset(self._begun.samples)
            self._begun = None


def why_soft_links(roots: Iterable[Root], caches: tuple[Cache, ...], progress: Callable[[int], None]) -> str | None:
    """Return why unknown environments may soft-link from the caches, None if nothing suggests it.

    Looked at are the settings of the conda that runs, the configuration files in the home and of the installations
    in the usual places, and every directory of every known environment, up to the first soft link.
    """
    # Not for the second process of a `WorkerPool`, which imports nothing of conda.
    from ..clients.conda_context import SOFT_LINKS, soft_link_settings
    from ..clients.installations import settings_files

    for setting in soft_link_settings():
        return f"conda's setting {setting} is on"
    for path, values in settings_files(os.environ):
        for setting in SOFT_LINKS:
            if values.get(setting) is True:
                return f"{path} sets {setting}"
    walk = Walk(by_real_path(environments_of(roots)), caches, progress)
    for prefix, path in walk.prefixes.items():
        for link, _, name in walk.links(prefix, [prefix]):
            return f"the environment {path} has soft links ({link} leads to {name})"
    return None


def with_unseen(inventory: Inventory, softly: SoftLinks) -> tuple[Inventory, tuple[Notice, ...]]:
    """Return the inventory and notices with the environments that soft-link something and hide a part of themselves.

    One that links nothing as far as it can be listed is taken to link nothing: a directory of another user somewhere in
    an environment must not stop every removal.
    """
    linking = frozenset(path for paths in softly.entries.values() for path in paths)
    notices = tuple(
        Notice(
            "unreadable-directory",
            f"Can't list all of the environment {path}, and the rest of it has soft links into the caches.",
            path,
            hides_roots=True,
        )
        for path in sorted(softly.unseen & linking)
    )
    if not notices:
        return inventory, ()
    possible = inventory.soft_links or f"the environment {notices[0].path} has soft links"
    return replace(inventory, soft_links=possible), notices


def with_signs(prefixes: Iterable[str], caches: tuple[Cache, ...], samples: Iterable[str] = ()) -> Iterator[str]:
    """Give the environments that show a sign of soft links into the caches."""
    signs = Signs(by_real_path(prefixes), caches, tuple(samples))
    return (path for prefix, path in signs.prefixes.items() if signs.do(prefix))


class Signs:
    """Looks for signs of soft links in environments, given by their real paths; the work of a worker pool.

    prefixes: their real paths with those that they are known by. samples: the paths of files within packages.
    """

    def __init__(self, prefixes: dict[str, str], caches: tuple[Cache, ...], samples: tuple[str, ...]) -> None:
        self.prefixes = prefixes
        self.samples = samples
        self._walk = Walk(prefixes, caches)
        self._wanted = _by_directory(samples)

    def __reduce__(self) -> tuple[type[Signs], tuple[dict[str, str], tuple[Cache, ...], tuple[str, ...]]]:
        return Signs, (self.prefixes, self._walk.caches, self.samples)

    def do(self, prefix: str) -> bool:
        """Return whether a link of an environment leads into a cache, or to a directory elsewhere."""
        for link in self._links(prefix):
            try:
                if self._walk.entries_behind(link, prefix, chains=True) or self._walk.elsewhere(link, prefix):
                    return True
            except RecursionError:
                return True
            except OSError as error:
                failures.note(error)
        return False

    do_in_worker = do

    def take(self, answer: bool) -> bool:
        """Return what was seen in the other process."""
        return answer

    def _links(self, prefix: str) -> Iterator[str]:
        """Give the symbolic links in the listed directories of an environment, and those among the samples."""
        libraries: set[str] = set()
        for directory in _LISTED:
            top = os.path.join(prefix, directory)
            names, links = _listing(top)
            yield from links
            yield from _samples_that_are_links(top, names, self._wanted.get(directory, {}))
            if directory in ("lib", "Lib"):
                libraries.update(os.path.join(top, name) for name in names if name.startswith("python"))
                libraries.update([top] if _MODULES in names else [])
        for library in libraries:
            top = os.path.join(library, _MODULES)
            names, links = _listing(top)
            yield from links
            yield from _samples_that_are_links(top, names, self._wanted.get(_MODULES, {}))


def _listing(directory: str) -> tuple[set[str], list[str]]:
    """Return the names in a directory, and its links but those to another name in it: most links of libraries."""
    names: set[str] = set()
    links: list[str] = []
    with suppress(OSError), os.scandir(directory) as listing:
        for entry in listing:
            names.add(entry.name)
            if entry.is_symlink():
                with suppress(OSError):
                    links += [entry.path] if os.sep in os.readlink(entry.path) else []
    return names, links


def _samples_that_are_links(top: str, names: Collection[str], wanted: Mapping[str, list[str]]) -> Iterator[str]:
    for name in wanted.keys() & names:
        for rest in wanted[name]:
            # Asked for every environment and candidate, so not by the functions of os.path, which take twice as long.
            path = top + os.sep + rest
            try:
                mode = os.lstat(path).st_mode
            except OSError as error:
                failures.note(error)
                continue
            if stat.S_ISLNK(mode):
                yield path


def _by_directory(samples: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Return what to ask for: of each listed directory, by the first name in it, the rests of the samples' paths."""
    found: dict[str, dict[str, list[str]]] = {}
    for sample in samples:
        top, rest = _place(sample)
        found.setdefault(top, {}).setdefault(rest.split(os.sep, 1)[0], []).append(rest)
    return found


def _place(sample: str) -> tuple[str, str]:
    first, _, rest = sample.partition(os.sep)
    if not rest:
        return "", sample
    if first == _SCRIPTS:
        return "bin", rest
    before, modules, after = f"{os.sep}{sample}".partition(f"{os.sep}{_MODULES}{os.sep}")
    # Of a package that is not noarch too: lib/python3.12/site-packages, Lib/site-packages.
    if modules and before.lower().split(os.sep)[1:2] in ([], ["lib"]):
        return _MODULES, after
    return (first, rest) if first in _LISTED else ("", sample)
