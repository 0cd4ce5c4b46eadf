"""From the command line's words and conda's settings to an inventory, and the watch over its roots."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from .. import failures
from ..core.dist_names import STATE, recorded_names
from ..core.model import Cache, Entry, Inventory, Notice, Root, RootKind, RootState
from ..core.rules.reachability import references
from ..core.soft_links import SoftLinks
from ..core.units import plural
from ..errors import UnreadableEnvironmentError
from .clients.conda import Settings, conda_settings, registry, unregistered_notices
from .clients.other_users import find_neighbours
from .clients.rattler import is_rattlers
from .links.soft_link_signs import with_signs
from .links.soft_links import environments_of, soft_links
from .links.unseen_soft_links import why_soft_links
from .packages.cache_listing import find_caches
from .packages.match_spec import matching
from .packages.package_identity import Names
from .roots.backups import note_names
from .roots.conda_meta import META, MISSING, with_contents
from .roots.environments import Reader, Sources, Survey, read_roots, require_environments, search_environments
from .roots.envs_dirs import Listing
from .roots.half_removed import settled
from .roots.lockfiles import Lockfile, lockfile_root, read_lockfile, unmatched
from .roots.revisions import earlier_revisions
from .system.size_precision import precision_notices
from .system.worker import Crew

#: The kind of the notice that an environment which is not known may soft-link what goes.
SOFT_LINKS_POSSIBLE = "soft-links-possible"

#: What each watched path was: inode and modification time, or None where there was nothing.
_Signature = dict[str, "tuple[int, int] | None"]

#: A file system's clock ticks coarsely, FAT's every two seconds: what changed less long ago may change again and still
#: look the same. In nanoseconds.
_TICK = 2 * 10**9


@dataclass(frozen=True, slots=True)
class Request:
    """What the user named, as typed.

    configured: absolute paths of environments that a setting names; unlike `roots` they may be missing at the moment.
    keep: package specifications. keep_revisions: how many of each environment's earlier revisions are roots.
    """

    pkgs_dirs: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    lockfiles: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    keep_revisions: int = 0


@dataclass(frozen=True, slots=True)
class Discovery:
    """An inventory and the watch that tells whether its roots still are what they were."""

    inventory: Inventory
    watch: RootWatch


@dataclass(frozen=True, slots=True)
class Beginning:
    """A discovery that has begun: what conda's settings say, and who reads environments by now."""

    settings: Settings
    reader: Reader


def begin(crew: Crew) -> Beginning:
    """Begin a discovery: a crew of two reads environments while this process imports the rest of the program."""
    settings = conda_settings()
    reader = Reader(crew)
    reader.begin(known_sources(settings))
    return Beginning(settings, reader)


def known_sources(settings: Settings) -> Sources:
    """Return the sources that need no looking for."""
    return Sources(
        registries=settings.registries,
        other_registries=settings.other_registries,
        envs_dirs=settings.envs_dirs,
        prefixes=settings.prefixes,
        root_prefix=settings.root_prefix,
        places=settings.places,
        current=settings.current,
        caches=settings.pkgs_dirs,
    )


def discover(request: Request, progress: Callable[[int], None], beginning: Beginning | None = None) -> Discovery:
    """Find caches, entries and roots by listing. Nothing is written.

    `progress` is called with the number of directories seen in a search; `beginning`: what has been begun already.

    Raises `PruneError` if something that the user named is not there.
    """
    beginning = beginning or begin(Crew(at_once=False))
    settings = beginning.settings
    lockfiles = [read_lockfile(name) for name in dict.fromkeys(request.lockfiles)]
    caches, notices = find_caches(settings.pkgs_dirs, request.pkgs_dirs, settings.other_caches)
    named = [*require_environments(request.roots), *map(os.path.abspath, request.configured)]
    skip = frozenset(cache.real_path for cache in caches)
    for directory in request.searches:
        found, unseen = search_environments(directory, skip, progress)
        named += found
        notices += unseen
    neighbours = tuple((user.name, registry(user.home), user.cache) for user in find_neighbours(caches))
    known = known_sources(settings)
    noting = tuple(dict.fromkeys((*known.caches, *(cache.path for cache in caches))))
    sources = replace(known, neighbours=neighbours, named=tuple(named), caches=noting)
    watch = RootWatch(sources, caches, beginning.reader)
    notices += unregistered_notices() + precision_notices(caches)
    if not caches:
        notices += (_no_cache(settings.pkgs_dirs),)
    further, odd = further_roots(request, watch.roots, caches, lockfiles)
    notices += watch.notices + odd
    hidden = any(notice.hides_roots for notice in notices)
    possible = _soft_links_unseen(watch.roots, caches, progress) if hidden else None
    if possible is not None:
        message = (
            f"Nothing is removed without --ignore-unreadable because of that: soft links are possible, {possible}."
        )
        notices += (Notice(SOFT_LINKS_POSSIBLE, message, ""),)
    roots = watch.roots + further
    unsearched, remarks = (frozenset(), ()) if request.searches else entries_unsearched(caches, roots)
    return Discovery(Inventory(caches, roots, notices + remarks, possible, unsearched), watch)


def entries_unsearched(caches: Iterable[Cache], roots: Iterable[Root]) -> tuple[frozenset[Entry], tuple[Notice, ...]]:
    """Return the entries of rattler and pixi, and for each cache where something could go a notice how to let it.

    Their environments are registered nowhere. One that is not found loses nothing, as its hard links show and the
    rest are copies; but what it was made of would have to be fetched again.
    """
    referenced = references(roots)
    found: set[Entry] = set()
    notices = []
    for cache in caches:
        entries = [entry for entry in cache.entries if is_rattlers(entry, cache)]
        found.update(entries)
        if stay := sum(not any(name in referenced for name in recorded_names(entry.dist)) for entry in entries):
            message = (
                f"{plural(stay, 'package')} in {cache.path} can't be judged and stay: pixi and rattler keep no list of "
                "their environments. Say with --search DIR where your projects are."
            )
            notices.append(Notice("unsearched-cache", message, cache.path))
    return frozenset(found), tuple(notices)


def _soft_links_unseen(
    roots: tuple[Root, ...], caches: tuple[Cache, ...], progress: Callable[[int], None]
) -> str | None:
    """Return why what can't be seen may soft-link from the caches, None if nothing speaks for it.

    An installation that several users share sets it for all of them. Of one who does so for himself, in a home that is
    closed, nothing tells: most homes are, and he would stop the others for ever.
    """
    unreadable = next((root.path for root in roots if root.state is RootState.UNREADABLE), None)
    # Nobody can testify for one that is there. One that is missing was most probably deleted, and without a trace of
    # soft links elsewhere every stale line of a registry would stop every run.
    if unreadable is not None:
        return f"nothing can be said of those in {unreadable}, which can't be read"
    return why_soft_links(roots, caches, progress)


def further_roots(
    request: Request, environments: Iterable[Root], caches: tuple[Cache, ...], lockfiles: Iterable[Lockfile]
) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
    """Return the roots that are no environments: revisions, lockfiles and rules, and what was odd about them."""
    roots: list[Root] = []
    notices: list[Notice] = []
    environments = tuple(environments)
    names = Names(environments)
    if request.keep_revisions:
        for environment in environments:
            revisions, odd = earlier_revisions(environment, request.keep_revisions)
            roots += revisions
            notices += odd
    for lockfile in lockfiles:
        roots.append(lockfile_root(lockfile, caches, names))
        notices += unmatched(lockfile, caches)
    for spec in dict.fromkeys(request.keep):
        dists = frozenset(entry.dist for entry in matching((spec,), caches, doubtful=True, names=names))
        roots.append(Root("", spec, RootState.OK, dists, RootKind.KEEP))
    return tuple(roots), tuple(notices)


def with_odd_contents(roots: tuple[Root, ...], caches: tuple[Cache, ...]) -> tuple[Root, ...]:
    """Return the roots with what those records mean that are called like nothing in the caches."""
    cached = frozenset(name for cache in caches for entry in cache.entries for name in recorded_names(entry.dist))
    # Where each entry is called like a record, nothing may go that another record could mean.
    if not cached.difference(*(root.dists for root in roots)):
        return roots
    return tuple(with_contents(root, cached) for root in roots)


class RootWatch:
    """The roots, read again as soon as a directory or a registry that they come from has changed.

    A stat of each of these is cheap enough to ask before every single removal; a search is not repeated.
    """

    def __init__(self, sources: Sources, caches: tuple[Cache, ...], reader: Reader | None = None) -> None:
        """`reader`: what may have read some of the environments already."""
        self._sources = sources
        self._caches = caches
        self.roots: tuple[Root, ...] = ()
        # Signed before it is read, as far as it is known already what will be read; environments bring their own
        # stamps, taken before they were listed, which may be some time ago.
        signature, survey = self._sign_anew()
        since = time.time_ns() if reader is None or reader.since is None else reader.since
        self.roots, self.notices = self._read(survey, reader)
        self._hidden = self._hiding(self.notices)
        stamps = {os.path.join(root.path, META): _settled(root.stamp, since) for root in self.roots}
        self._signature = {**signature, **stamps}
        absent = (
            root.path for root in self.roots if root.state is RootState.MISSING and not failures.lexists(root.path)
        )
        self._first = self._prefixes().difference(absent)
        # Made when somebody asks: a dry run does not.
        self._references: Mapping[str, tuple[Root, ...]] | None = None

    def references(self) -> Mapping[str, tuple[Root, ...]]:
        """Return for each dist the roots that name it at this moment.

        Raises `UnreadableEnvironmentError` if there is an environment that could be read before and no more.
        """
        if self._signature != self._sign(Listing()):
            # Signed before it is read: what changes meanwhile, or is new, is seen the next time.
            self._signature, survey = self._sign_anew()
            self.roots, self.notices = self._read(survey)
            if newly_hidden := self._hiding(self.notices) - self._hidden:
                raise UnreadableEnvironmentError(
                    f"{min(newly_hidden)} can't be read any more, so what it references is not known.",
                    hint="What was not deleted yet is at its place. Try again when it can be read.",
                    path=min(newly_hidden),
                )
            self._references = None
        if self._references is None:
            self._references = references(self.roots)
        return self._references

    def soft_links(self, progress: Callable[[int], None] = lambda seen: None, crew: Crew | None = None) -> SoftLinks:
        """Return what environments soft-link at this moment, also those that are being made: links come before records.

        All of them are walked through. A directory that has been without a ``conda-meta`` from the beginning is no
        environment any more, or never was: it may be as large as a disk, so it is walked through if it shows a sign
        of soft links. `progress` is called with the number of directories seen so far; a `crew` makes it faster.
        """
        self.references()
        known = self._prefixes()
        present = [root for root in self.roots if root.state is not RootState.MISSING]
        walked = {*environments_of(present), *(known - self._first)}
        walked.update(with_signs(sorted(known - walked), self._caches))
        return soft_links(sorted(walked), self._caches, progress, crew)

    def _prefixes(self) -> frozenset[str]:
        """Return where environments are, or are being made: without a ``conda-meta`` yet."""
        return frozenset(os.path.dirname(path) for path in self._signature if os.path.basename(path) == META)

    def _read(self, survey: Survey, reader: Reader | None = None) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
        roots, notices = read_roots(self._sources, reader, survey)
        roots, odd = settled(roots, self._caches)
        return with_odd_contents(roots, self._caches), notices + odd

    @staticmethod
    def _hiding(notices: Iterable[Notice]) -> frozenset[str]:
        # An environment that is removed meanwhile hides nothing: what it used was not in the plan.
        return frozenset(notice.path for notice in notices if notice.hides_roots and notice.kind != MISSING)

    def _sign_anew(self) -> tuple[_Signature, Survey]:
        """Sign what the registries lead to at this moment; what they are is signed before they are read."""
        registries = self._sign_registries()
        survey = Survey(self._sources)
        self._places = survey.places
        return {**self._sign(survey.listing), **registries}, survey

    def _sign_registries(self) -> _Signature:
        return {path: _stamp(path) for path in self._sources.all_registries}

    def _sign(self, listing: Listing) -> _Signature:
        signature = self._sign_registries()
        signature |= {path: _stamp(path) for path in (os.path.join(root.path, META) for root in self.roots)}
        # Not by the time of its change: the removal itself works in a cache's state.
        signature |= {os.path.join(path, STATE): (0, hash(note_names(path))) for path in self._sources.noting}
        for place in self._places:
            # A directory is signed before it is listed.
            directories: _Signature = {}
            metas = (
                os.path.join(path, META)
                for path in listing.candidates(place, None if place.mixed else _signing(directories))
            )
            stamps = {path: _stamp(path) for path in metas if path not in signature}
            if place.mixed:
                # What else comes and goes there is of no interest.
                signature |= {path: stamp for path, stamp in stamps.items() if stamp is not None}
            else:
                # Also of what is no environment yet: a directory of environments changes before its newest has a
                # conda-meta.
                signature |= stamps | directories
        return signature


def _signing(signature: _Signature) -> Callable[[str], None]:
    def sign(path: str) -> None:
        signature[path] = _stamp(path)

    return sign


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError as error:
        failures.note(error)
        return None
    return _settled((status.st_ino, status.st_mtime_ns), time.time_ns())


def _settled(stamp: tuple[int, int] | None, since: int) -> tuple[int, int] | None:
    """Return a stamp that was taken at `since` or later, or one that is like no other where it says too little."""
    recent = stamp is not None and since - _TICK < stamp[1] < time.time_ns() + _TICK
    return (stamp[0], -next(_unlike)) if stamp is not None and recent else stamp


#: Numbers that no stamp has.
_unlike = itertools.count(1)


def _no_cache(configured: Iterable[str]) -> Notice:
    places = ", ".join(configured)
    message = f"There is no package cache in any of the configured places ({places}); name one with --pkgs-dir."
    return Notice("no-cache", message, "")
