"""Find environments: in registries, in directories of environments, and where the user says they are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ... import failures
from ...core.layout import META
from ...core.model import Root
from ...core.notices import Notice
from ...errors import NoSuchDirectoryError
from ..system.deep_paths import real_path
from .conda_meta import read_environment
from .environment_search import nearby_envs_dirs
from .environments_txt import environment_backups, registered_prefixes
from .envs_dirs import EnvsDir, Listing, has_records, may_be_environment


@dataclass(frozen=True, slots=True)
class Sources:
    """Where environments may be; absolute paths, each as configured. Not all of them need to exist.

    registries: files that list one environment a line, this user's own. other_registries: those of other users, whose
        homes need not be readable.
    other_users: name and registry of other users of a cache, and that cache.
    envs_dirs: where an environment is known by its name; places: where it is not, such as those of tools.
    prefixes: environments only if they have a ``conda-meta``, or may have one that can't be seen.
    named: environments because the user says so.
    current: the directory that the program runs in; None where it was removed.
    forgotten: registered prefixes that count as not registered.
    caches: where notes of backups of environments may be.
    """

    registries: tuple[str, ...] = ()
    other_registries: tuple[str, ...] = ()
    other_users: tuple[tuple[str, str, str], ...] = ()
    envs_dirs: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    root_prefix: str = ""
    places: tuple[EnvsDir, ...] = ()
    current: str | None = None
    forgotten: frozenset[str] = frozenset()
    caches: tuple[str, ...] = ()

    @property
    def noted(self) -> tuple[str, ...]:
        """The directories whose state may have notes of backups of environments."""
        registries = map(os.path.dirname, self.all_registries)
        tops = (place.top for place in self.own_places if len(place.below) == 1)
        return tuple(dict.fromkeys((*tops, *self.caches, *registries)))

    @property
    def own_places(self) -> tuple[EnvsDir, ...]:
        """The directories of environments that are known without a registry, those with other things in them last."""
        return (*map(EnvsDir, self.envs_dirs), *sorted(self.places, key=lambda place: place.mixed))

    @property
    def all_registries(self) -> tuple[str, ...]:
        """The registries of all users, each once."""
        other_users = (registry for _, registry, _ in self.other_users)
        return tuple(dict.fromkeys((*self.registries, *other_users, *self.other_registries)))


def require_environments(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the absolute paths of environments that the user named.

    Raises `NoSuchDirectoryError` for one that is none.
    """
    found = []
    for path in paths:
        prefix = os.path.abspath(os.path.expanduser(path))
        is_directory = path != "" and failures.isdir(prefix)
        if not is_directory or not may_be_environment(prefix):
            problem = f"it has no {META}" if is_directory else "it is not a directory"
            raise NoSuchDirectoryError(
                f"There is no environment at {path}: {problem}.",
                hint="Give the path of an environment; `conda env list` shows those that conda knows.",
                path=prefix,
            )
        found.append(prefix)
    return tuple(found)


class Survey:
    """The content of the registries at one moment, the places that follow from it, and one listing of these.

    places: all of them, those with other things in them last.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.listing = Listing()
        self._odd: list[Notice] = []
        self._registered = _registered(sources, self._odd)
        # Of prefixes that merely may exist, a missing one was not renamed.
        known = (*sources.named, *filter(has_records, sources.prefixes), *self._registered)
        own = frozenset(sources.own_places)
        nearby = nearby_envs_dirs(known, sources.current)
        self._nearby = tuple(place for place in nearby if replace(place, mixed=False) not in own)
        self.places = (*sources.own_places, *self._nearby)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Notices about what could not be read so far."""
        return (*self.listing.notices, *self._odd)

    def environments(self) -> tuple[tuple[str, str | None], ...]:
        """Return each environment once: its path, and its name if it has one."""
        prefixes: dict[str, str] = {}
        for prefix in dict.fromkeys(self._prefixes()):
            real = real_path(prefix)
            # A link to an environment does not hide the environment's own name.
            if real not in prefixes or (failures.islink(prefixes[real]) and not failures.islink(prefix)):
                prefixes[real] = prefix
        return tuple((prefix, self._name(prefix)) for prefix in prefixes.values())

    def _prefixes(self) -> Iterator[str]:
        sources = self.sources
        yield from sources.named
        yield from filter(may_be_environment, sources.prefixes)
        for place in sources.own_places:
            yield from self.listing.environments(place)
        yield from self._registered
        # A backup lies next to what is still registered, with or without a note.
        yield from environment_backups((*sources.noted, *map(os.path.dirname, self._registered)), self._odd)
        for place in self._nearby:
            yield from self.listing.environments(place)

    def _name(self, prefix: str) -> str | None:
        if prefix == self.sources.root_prefix:
            return "base"
        directory, name = os.path.split(prefix)
        return name if directory in self.sources.envs_dirs else None


def read_roots(sources: Sources, survey: Survey | None = None) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
    """Return every environment of the sources once, sorted by path, and notices about them.

    `survey`: one that was made just now.
    """
    survey = survey or Survey(sources)
    read = [read_environment(prefix, name) for prefix, name in survey.environments()]
    roots = sorted((root for root, _ in read), key=lambda root: root.path)
    return tuple(roots), (*survey.notices, *(notice for _, notices in read for notice in notices))


def known_prefixes(sources: Sources) -> frozenset[str]:
    """Return the paths of all environments of the sources, missing ones included."""
    return frozenset(prefix for prefix, _ in Survey(sources).environments())


def _registered(sources: Sources, notices: list[Notice]) -> tuple[str, ...]:
    found: list[str] = []
    other_users = {registry: (name, cache) for name, registry, cache in sources.other_users}
    for registry in sources.all_registries:
        overlong: list[int] = []
        try:
            found += (path for path in registered_prefixes(registry, overlong) if path not in sources.forgotten)
        except OSError as error:
            failures.note(error)
            if registry in other_users:
                name, cache = other_users[registry]
                kind, hides = "unreadable-neighbour", True
                message = (
                    f"{name} also uses the package cache {cache}, and the registry {registry} can't be read "
                    f"({error.strerror}), so packages that environments of that user soft-link are not protected. "
                    "Run this as root to see them."
                )
            else:
                kind, hides = "unreadable-registry", registry in sources.registries
                message = (
                    f"The registry {registry} can't be read: {error.strerror}. "
                    "Environments that only it lists are unknown. Name them with --root."
                )
            notices.append(Notice(kind, message, registry, hides_roots=hides))
        if overlong:
            # Nothing can be there, so they hide no environment.
            more = f" and {len(overlong) - 1:,} more lines" if len(overlong) > 1 else ""
            message = f"Line {overlong[0]:,}{more} of the registry {registry}: too long for a path. Ignored."
            notices.append(Notice("overlong-line", message, registry))
    return tuple(found)
