"""Make the inventory of caches and roots, and watch the roots."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..core.dist_names import recorded_names
from ..core.model import Cache, Entry, Inventory, Root, RootKind, RootState
from ..core.notices import SOFT_LINKS_POSSIBLE, Notice
from ..core.rules.policy import DEFAULT_MIN_AGE
from ..core.rules.reachability import references
from ..core.rules.targets import DEFAULT, Target
from ..core.units import plural
from .clients.conda import Settings, conda_settings, unregistered_notices
from .clients.installations import find_other_users
from .clients.lock_files import is_rattlers
from .leftovers.leftover_search import DEFAULT_SEARCH, Search
from .links.soft_link_signs import why_soft_links
from .packages.cache_listing import find_caches
from .packages.match_spec import matching
from .packages.package_identity import Names
from .roots.environment_search import search_environments
from .roots.environments import require_environments
from .roots.lockfiles import Lockfile, lockfile_root, read_lockfile
from .roots.revisions import earlier_revisions
from .roots.watch import RootWatch
from .system.mounts import precision_notices


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Where to look, and what to examine: the part of `operations.options.PlanOptions`, which describes the fields."""

    pkgs_dirs: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    configured_roots: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    lockfiles: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    configured_keep: tuple[str, ...] = ()
    keep_revisions: int = 0
    targets: Target = DEFAULT
    search: Search = DEFAULT_SEARCH
    only: tuple[str, ...] = ()
    tempfiles: tuple[str, ...] = ()
    min_age: float = DEFAULT_MIN_AGE
    max_size: int | None = None
    max_inodes: int | None = None
    check_remote: bool = False

    @property
    def limits_caches(self) -> bool:
        """Whether what the caches hold matters."""
        return self.max_size is not None or self.max_inodes is not None


@dataclass(frozen=True, slots=True)
class Discovery:
    """An inventory and the watch that tells whether its roots still are what they were."""

    inventory: Inventory
    watch: RootWatch


def discover(request: Request, progress: Callable[[int], None], settings: Settings | None = None) -> Discovery:
    """Find caches, entries and roots by listing. Nothing is written.

    `progress` is called with the number of directories seen in a search; `settings`: conda's, if they are known.

    Raises `PruneError` if something that the user named is not there.
    """
    settings = settings or conda_settings()
    lockfiles = [read_lockfile(name) for name in dict.fromkeys(request.lockfiles)]
    caches, notices = find_caches(settings.pkgs_dirs, request.pkgs_dirs, settings.other_caches)
    named = [*require_environments((*request.roots, *request.tempfiles))]
    named += map(os.path.abspath, request.configured_roots)
    skip = frozenset(cache.real_path for cache in caches)
    for directory in request.searches:
        found, unseen = search_environments(directory, skip, progress)
        named += found
        notices += unseen
    noted = tuple(dict.fromkeys((*settings.caches, *(cache.path for cache in caches))))
    sources = replace(settings, other_users=find_other_users(caches), named=tuple(named), caches=noted)
    watch = RootWatch(sources, caches)
    notices += unregistered_notices() + precision_notices(caches)
    if not caches:
        message = f"No package cache found in {', '.join(settings.pkgs_dirs)}. Name one with --pkgs-dir."
        notices += (Notice("no-cache", message, ""),)
    further, odd = further_roots(request, watch.roots, caches, lockfiles)
    notices += watch.notices + odd
    possible = None
    if any(notice.hides_roots for notice in notices):
        # An environment that is there may soft-link anything. One that is missing was most probably deleted: without a
        # trace of soft links elsewhere, every stale line of a registry would stop every run. An installation that
        # several users share sets soft links for all of them; a closed home, as most are, tells nothing.
        unreadable = next((root.path for root in watch.roots if root.state is RootState.UNREADABLE), None)
        possible = f"{unreadable} can't be read" if unreadable else why_soft_links(watch.roots, caches, progress)
    if possible is not None:
        message = f"Those environments may soft-link packages: {possible}."
        notices += (Notice(SOFT_LINKS_POSSIBLE, message, ""),)
    roots = watch.roots + further
    unsearched, remarks = (frozenset(), ()) if request.searches else entries_unsearched(caches, roots)
    return Discovery(Inventory(caches, roots, notices + remarks, possible, unsearched), watch)


def entries_unsearched(caches: Iterable[Cache], roots: Iterable[Root]) -> tuple[frozenset[Entry], tuple[Notice, ...]]:
    """Return the entries of rattler and pixi, and a notice for each cache where some of them could be removed.

    Their environments are registered nowhere. An environment that is not found loses nothing, as its hard links show
    and the rest are copies; but its packages would have to be fetched again.
    """
    referenced = references(roots)
    found: set[Entry] = set()
    notices = []
    for cache in caches:
        entries = [entry for entry in cache.entries if is_rattlers(entry, cache)]
        found.update(entries)
        if stay := sum(not any(name in referenced for name in recorded_names(entry.dist)) for entry in entries):
            message = (
                f"Kept {plural(stay, 'package')} in {cache.path}: pixi and rattler keep no list of their environments. "
                "Name the directories of your projects with --search."
            )
            notices.append(Notice("unsearched-cache", message, cache.path))
    return frozenset(found), tuple(notices)


def further_roots(
    request: Request, environments: Iterable[Root], caches: tuple[Cache, ...], lockfiles: Iterable[Lockfile]
) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
    """Return the roots that are no environments: revisions, lockfiles and rules, with notices about them."""
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
        root, unmatched = lockfile_root(lockfile, caches, names)
        roots.append(root)
        notices += unmatched
    for spec in dict.fromkeys((*request.configured_keep, *request.keep)):
        dists = frozenset(entry.dist for entry in matching((spec,), caches, doubtful=True, names=names))
        roots.append(Root("", spec, RootState.OK, dists, RootKind.KEEP))
    return tuple(roots), tuple(notices)
