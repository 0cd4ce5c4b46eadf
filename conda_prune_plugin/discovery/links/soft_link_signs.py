"""Find environments that soft-link from the caches by listing a few directories of each, instead of walking it.

A client soft-links whole packages, so a link shows in a directory that most packages have, or at the path of a file
that a package in the cache has. A single link made by hand, deep inside an environment, shows no sign: it is found
right before the deletion, when all environments are walked through.
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
from ..clients.conda_context import SOFT_LINKS, soft_link_settings
from ..clients.installations import settings_files
from .soft_links import Walk, by_real_path, environments_of, soft_links

#: Where a package of a noarch python has its modules, and its scripts (CEP 20): in the environment they lie elsewhere.
_MODULES, _SCRIPTS = "site-packages", "python-scripts"

#: The directories that are listed in each environment; that of python's modules besides.
_LISTED = ("", "Library", "Lib", "Scripts") if os.name == "nt" else ("", "bin", "lib", "share", "include")


class SoftLinkSearch:
    """Finds the soft links of environments: of all, or of those that show a sign of soft links."""

    def __init__(self, roots: Iterable[Root], caches: tuple[Cache, ...]) -> None:
        self._prefixes = environments_of(roots)
        self._caches = caches
        self._complete: SoftLinks | None = None

    def everywhere(self, progress: Callable[[int], None]) -> SoftLinks:
        """Walk through all environments, once."""
        if self._complete is None:
            self._complete = soft_links(self._prefixes, self._caches, progress)
        return self._complete

    def where_signs_are(self, samples: Iterable[str], progress: Callable[[int], None]) -> SoftLinks:
        """Walk through the environments that show a sign; `samples`: the paths of files within packages."""
        if self._complete is not None:
            return self._complete
        signed = sorted(with_signs(self._prefixes, self._caches, samples))
        return soft_links(signed, self._caches, progress) if signed else NO_SOFT_LINKS


def why_soft_links(roots: Iterable[Root], caches: tuple[Cache, ...], progress: Callable[[int], None]) -> str | None:
    """Return why unknown environments may soft-link from the caches, None if nothing suggests it.

    Checks conda's settings, the configuration files in the home directory and of the installations in the usual places,
    and every directory of every known environment, up to the first soft link.
    """
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
    """Return the inventory and notices with the environments that have soft links and can't be listed completely.

    One whose readable part has no soft links is assumed to have none: a directory of another user somewhere in an
    environment must not stop every removal.
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
    """Give the environments in which a link leads into a cache, or to a directory elsewhere.

    samples: the paths of files within packages, which are checked too.
    """
    walk, wanted = Walk(by_real_path(prefixes), caches), _by_directory(samples)
    for prefix, path in walk.prefixes.items():
        for link in _links(prefix, wanted):
            try:
                if not walk.entries_behind(link, prefix, chains=True) and not walk.elsewhere(link, prefix):
                    continue
            except OSError as error:
                failures.note(error)
                continue
            except RecursionError:
                pass  # A chain of links that is too long to be followed may lead anywhere.
            yield path
            break


def _links(prefix: str, wanted: Mapping[str, Mapping[str, list[str]]]) -> Iterator[str]:
    """Give the symbolic links in the listed directories of an environment, and those among the samples."""
    libraries: set[str] = set()
    for directory in _LISTED:
        top = os.path.join(prefix, directory)
        names, links = _listing(top)
        yield from links
        yield from _samples_that_are_links(top, names, wanted.get(directory, {}))
        if directory in ("lib", "Lib"):
            libraries.update(os.path.join(top, name) for name in names if name.startswith("python"))
            libraries.update([top] if _MODULES in names else [])
    for library in libraries:
        top = os.path.join(library, _MODULES)
        names, links = _listing(top)
        yield from links
        yield from _samples_that_are_links(top, names, wanted.get(_MODULES, {}))


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
            # Once for every environment and candidate, so without os.path, whose functions take twice as long.
            path = top + os.sep + rest
            try:
                mode = os.lstat(path).st_mode
            except OSError as error:
                failures.note(error)
                continue
            if stat.S_ISLNK(mode):
                yield path


def _by_directory(samples: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """Return the samples by listed directory and by the first name in it, as the rest of their paths."""
    found: dict[str, dict[str, list[str]]] = {}
    for sample in samples:
        first, _, below = sample.partition(os.sep)
        before, modules, after = f"{os.sep}{sample}".partition(f"{os.sep}{_MODULES}{os.sep}")
        if below and first == _SCRIPTS:
            top, rest = "bin", below
        # Of a package that is not noarch too: lib/python3.12/site-packages, Lib/site-packages.
        elif modules and before.lower().split(os.sep)[1:2] in ([], ["lib"]):
            top, rest = _MODULES, after
        else:
            top, rest = (first, below) if below and first in _LISTED else ("", sample)
        found.setdefault(top, {}).setdefault(rest.split(os.sep, 1)[0], []).append(rest)
    return found
