"""Soft links from environments into the caches: the only links that nothing but the environment itself tells of."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from conda.base.context import context

from ..core.model import Cache, Root, RootKind
from .installations import settings_files

#: conda's and mamba's settings by which they make soft links.
_SETTINGS = ("allow_softlinks", "always_softlink")


@dataclass(frozen=True, slots=True)
class SoftLink:
    """A symbolic link of an environment that leads into an entry: the name of that in its cache's directory."""

    path: str
    cache: str
    name: str


@dataclass(frozen=True, slots=True)
class SoftLinks:
    """All soft links of environments into caches; `unseen`: the environments that could not be looked through."""

    entries: frozenset[tuple[str, str]]
    unseen: frozenset[str]


def soft_links(roots: Iterable[Root], caches: tuple[Cache, ...]) -> SoftLinks:
    """Look for soft links into the caches in every file of every environment."""
    entries: set[tuple[str, str]] = set()
    unseen: set[str] = set()
    prefixes = _prefixes(roots)
    for prefix in prefixes:
        unreadable: list[str] = []
        entries |= {(link.cache, link.name) for link in _links(prefix, caches, prefixes, unreadable)}
        if unreadable:
            unseen.add(prefix)
    return SoftLinks(frozenset(entries), frozenset(unseen))


def why_soft_links(roots: Iterable[Root], caches: tuple[Cache, ...]) -> str | None:
    """Return why environments that are not known may soft-link from the caches, None if nothing speaks for it.

    Looked at are the settings of the conda that runs, the configuration files in the home and of the installations
    in the usual places, and every file of every environment that is known, up to the first soft link.
    """
    for setting in _SETTINGS:
        if getattr(context, setting):
            return f"conda's setting {setting} is on"
    for path, values in settings_files(os.environ):
        for setting in _SETTINGS:
            if values.get(setting) is True:
                return f"{path} sets {setting}"
    prefixes = _prefixes(roots)
    for prefix in prefixes:
        for link in _links(prefix, caches, prefixes, []):
            return f"the environment {prefix} has soft links ({link.path} leads to {link.name})"
    return None


def _prefixes(roots: Iterable[Root]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.realpath(root.path) for root in roots if root.kind is RootKind.ENVIRONMENT))


def _links(top: str, caches: tuple[Cache, ...], prefixes: Iterable[str], unreadable: list[str]) -> Iterator[SoftLink]:
    """Give the soft links below a prefix, but not those of caches and other environments that lie inside of it."""
    skip = {*prefixes, *(cache.real_path for cache in caches)} - {top}
    pending = [top]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(directory) as listing:
                for item in listing:
                    if item.is_symlink():
                        yield from _into(item.path, top, caches)
                    elif item.is_dir(follow_symlinks=False) and item.path not in skip:
                        pending.append(item.path)
        except FileNotFoundError:
            continue
        except OSError:
            unreadable.append(directory)


def _into(path: str, top: str, caches: tuple[Cache, ...]) -> Iterator[SoftLink]:
    try:
        target = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    except FileNotFoundError:
        return  # Gone since it was listed.
    # Most links lead from one file of an environment to another; where such a one leads further, that is seen there.
    if target.startswith(os.path.join(top, "")) and not any(_below(target, cache.path) for cache in caches):
        return
    real_path = os.path.realpath(path)
    for cache in caches:
        name = _below(real_path, cache.real_path) or _below(target, cache.path) or _below(target, cache.real_path)
        if name is not None:
            yield SoftLink(path, cache.path, name)


def _below(path: str, directory: str) -> str | None:
    """Return the first name of a path behind a directory that it lies in."""
    top = os.path.join(directory, "")
    return path[len(top) :].split(os.sep, 1)[0] if path.startswith(top) else None
