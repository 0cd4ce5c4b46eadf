"""Find environments that soft-link from the caches by listing a few directories of each, instead of walking it.

A client that soft-links does so for a whole package, so a link shows where most packages have something, or at a file
that a package in the cache has. A single link that was made by hand, deep inside of an environment, shows no sign: it
is found right before the deletion, when all environments are walked through.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ... import failures
from ...core.model import Cache, Inventory, Root
from ...core.notices import Notice
from ...core.rules.reachability import NO_SOFT_LINKS, SoftLinks
from ...failures import suppress
from .soft_links import Walk, by_real_path, environments_of, soft_links

#: Where a package of a noarch python has its modules, and its scripts (CEP 20): in the environment they lie elsewhere.
_MODULES, _SCRIPTS = "site-packages", "python-scripts"

#: The directories that are listed in each environment; that of python's modules besides.
_LISTED = ("", "Library", "Lib", "Scripts") if os.name == "nt" else ("", "bin", "lib", "share", "include")

#: Below `_LISTED` and the modules, by the first name there, what to ask for: the rest of a path.
_Samples = Mapping[str, Mapping[str, "list[str]"]]


class SoftLinkSearch:
    """Looks for what environments soft-link: in all of them, or in those that show a sign of soft links."""

    def __init__(self, roots: Iterable[Root], caches: tuple[Cache, ...]) -> None:
        self._prefixes = environments_of(roots)
        self._caches = caches
        self._complete: SoftLinks | None = None

    def everywhere(self, progress: Callable[[int], None]) -> SoftLinks:
        """Return what is soft-linked, once all environments have been walked through."""
        if self._complete is None:
            self._complete = soft_links(self._prefixes, self._caches, progress)
        return self._complete

    def where_signs_are(self, samples: Iterable[str], progress: Callable[[int], None]) -> SoftLinks:
        """Return what the environments soft-link that show a sign; `samples`: the paths of files within packages."""
        if self._complete is not None:
            return self._complete
        signed = sorted(with_signs(self._prefixes, self._caches, samples))
        return soft_links(signed, self._caches, progress) if signed else NO_SOFT_LINKS


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
    walk, wanted = Walk(by_real_path(prefixes), caches), _by_directory(samples)
    for prefix, path in walk.prefixes.items():
        if any(_is_sign(link, prefix, walk) for link in _links(prefix, wanted)):
            yield path


def _is_sign(link: str, prefix: str, walk: Walk) -> bool:
    """Return whether a link leads into a cache, or to a directory elsewhere that has to be looked through."""
    with suppress(OSError):
        links, directory = walk.followed(link, prefix)
        # Where the walk sees the next link of a chain, this has to follow it.
        return bool(links) or directory is not None or walk.leads_into_cache(link)
    return False


@dataclass(frozen=True, slots=True)
class _Listing:
    names: frozenset[str]
    links: tuple[str, ...]


def _links(prefix: str, wanted: _Samples) -> Iterator[str]:
    """Give the symbolic links in the listed directories of an environment, and those among the samples."""
    libraries: frozenset[str] = frozenset()
    for directory in _LISTED:
        top = os.path.join(prefix, directory)
        listing = _listing(top)
        yield from _links_in(top, listing, wanted.get(directory, {}))
        if directory in ("lib", "Lib"):
            libraries |= {os.path.join(directory, name) for name in listing.names if name.startswith("python")}
            libraries |= {directory} if _MODULES in listing.names else frozenset()
    for directory in libraries:
        top = os.path.join(prefix, directory, _MODULES)
        yield from _links_in(top, _listing(top), wanted.get(_MODULES, {}))


def _links_in(top: str, listing: _Listing, wanted: Mapping[str, list[str]]) -> Iterator[str]:
    yield from listing.links
    for name in wanted.keys() & listing.names:
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


def _listing(directory: str) -> _Listing:
    """Return the names in a directory, and its links but those to another name in it: most links of libraries."""
    items: list[os.DirEntry[str]] = []
    links: list[str] = []
    with suppress(OSError), os.scandir(directory) as listing:
        items += listing
    for item in items:
        if item.is_symlink():
            with suppress(OSError):
                links += [item.path] if os.sep in os.readlink(item.path) else []
    return _Listing(frozenset([item.name for item in items]), tuple(links))


def _by_directory(samples: Iterable[str]) -> _Samples:
    """Return the samples by the directory that they lie in of those which are listed."""
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
