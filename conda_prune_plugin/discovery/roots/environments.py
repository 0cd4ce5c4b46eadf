"""Find environments: in registries, in directories of environments, and where the user says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ... import failures
from ...core.layout import META
from ...core.model import Root
from ...core.notices import Notice
from ...errors import NoSuchDirectoryError
from ..system.deep_paths import real_path
from .backups import environment_backups
from .conda_meta import read_environment
from .environments_txt import registered_prefixes
from .envs_dirs import EnvsDir, Listing, has_records, may_be_environment
from .nearby_environments import nearby_envs_dirs

#: An environment to be read: its path, and its name if it is known by one.
_Task = tuple[str, "str | None"]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where environments may be; absolute paths.

    other_users: name and registry of other users of a cache, and that cache.
    registries: this user's own. other_registries: those of others, of whom not every home needs to be readable.
    envs_dirs: where an environment is known by its name; places: where it is not.
    prefixes: taken for environments only if they have a ``conda-meta``, or may have one that can't be seen.
    named: the user's word that these are environments.
    current: the directory that the program runs in, where there is one.
    forgotten: registered prefixes that are taken for not registered.
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
    def noting(self) -> tuple[str, ...]:
        """Where notes of backups of environments may be: in the state of these directories."""
        registries = map(os.path.dirname, self.all_registries)
        tops = (place.top for place in self.own_places if len(place.below) == 1)
        return tuple(dict.fromkeys((*tops, *self.caches, *registries)))

    @property
    def own_places(self) -> tuple[EnvsDir, ...]:
        """The directories of environments that are known without a registry, those with nothing else in them first."""
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
        if not path or not failures.isdir(prefix):
            problem = "it is not a directory"
        elif not may_be_environment(prefix):
            problem = f"it has no {META}"
        else:
            found.append(prefix)
            continue
        raise NoSuchDirectoryError(
            f"There is no environment at {path}: {problem}.",
            hint="Give the path of an environment; `conda env list` shows those that conda knows.",
            path=prefix,
        )
    return tuple(found)


class Survey:
    """What the registries say at one moment, the places that follow from it, and one listing of these.

    places: all of them, those with nothing else in them first.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.listing = Listing()
        self._odd: list[Notice] = []
        self._registered = _registered(sources, self._odd)
        self._nearby = _nearby(sources, self._registered)
        self.places = (*sources.own_places, *self._nearby)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What could not be read so far."""
        return (*self.listing.notices, *self._odd)

    def tasks(self) -> tuple[_Task, ...]:
        """Return each environment once."""
        prefixes: dict[str, str] = {}
        for prefix in dict.fromkeys(self._prefixes()):
            real = real_path(prefix)
            # A link to an environment does not hide what that is called itself.
            if real not in prefixes or (failures.islink(prefixes[real]) and not failures.islink(prefix)):
                prefixes[real] = prefix
        return tuple((prefix, _name(prefix, self.sources)) for prefix in prefixes.values())

    def _prefixes(self) -> Iterator[str]:
        sources = self.sources
        yield from sources.named
        yield from filter(may_be_environment, sources.prefixes)
        for place in sources.own_places:
            yield from self.listing.environments(place)
        yield from self._registered
        # A backup lies next to what is still registered, with or without a note.
        yield from environment_backups((*sources.noting, *map(os.path.dirname, self._registered)), self._odd)
        for place in self._nearby:
            yield from self.listing.environments(place)


def read_roots(sources: Sources, survey: Survey | None = None) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
    """Return every environment of the sources once, sorted by path, with what was odd about them.

    `survey`: one that was made just now.
    """
    survey = survey or Survey(sources)
    notices: list[Notice] = []
    roots = []
    for prefix, name in survey.tasks():
        root, odd = read_environment(prefix, name)
        roots.append(root)
        notices += odd
    return tuple(sorted(roots, key=lambda root: root.path)), (*survey.notices, *notices)


def known_prefixes(sources: Sources) -> frozenset[str]:
    """Return the paths of all environments of the sources, missing ones included."""
    return frozenset(prefix for prefix, _ in Survey(sources).tasks())


def _nearby(sources: Sources, registered: Iterable[str]) -> tuple[EnvsDir, ...]:
    # Of prefixes that merely may exist, a missing one was not renamed.
    prefixes = filter(has_records, sources.prefixes)
    found = nearby_envs_dirs((*sources.named, *prefixes, *registered), sources.current)
    own = frozenset(sources.own_places)
    return tuple(place for place in found if replace(place, mixed=False) not in own)


def _registered(sources: Sources, notices: list[Notice]) -> tuple[str, ...]:
    found: list[str] = []
    other_users = {registry: (name, cache) for name, registry, cache in sources.other_users}
    for registry in sources.all_registries:
        overlong: list[int] = []
        try:
            prefixes = registered_prefixes(registry, overlong)
            found += (prefix for prefix in prefixes if prefix not in sources.forgotten)
            notices += _overlong(registry, overlong)
        except OSError as error:
            failures.note(error)
            if registry in other_users:
                notices.append(_unseen_other_user(*other_users[registry], registry, error))
                continue
            message = (
                f"The registry {registry} can't be read: {error.strerror}. "
                "Environments that only it lists are unknown. Name them with --root."
            )
            own = registry in sources.registries
            notices.append(Notice("unreadable-registry", message, registry, hides_roots=own))
    return tuple(found)


def _overlong(registry: str, lines: Sequence[int]) -> Iterator[Notice]:
    """Give the notice on lines that are longer than any path; nothing can be there, so they hide no environment."""
    if lines:
        more = f" and {len(lines) - 1:,} more lines" if len(lines) > 1 else ""
        message = f"Line {lines[0]:,}{more} of the registry {registry}: too long for a path. Ignored."
        yield Notice("overlong-line", message, registry)


def _unseen_other_user(name: str, cache: str, registry: str, error: OSError) -> Notice:
    message = (
        f"{name} also uses the package cache {cache}, and the registry {registry} can't be read ({error.strerror}), "
        "so packages that environments of that user soft-link are not protected. Run this as root to see them."
    )
    return Notice("unreadable-neighbour", message, registry, hides_roots=True)


def _name(prefix: str, sources: Sources) -> str | None:
    if prefix == sources.root_prefix:
        return "base"
    directory, name = os.path.split(prefix)
    return name if directory in sources.envs_dirs else None
