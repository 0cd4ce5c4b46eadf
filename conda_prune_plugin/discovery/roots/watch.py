"""Watch the roots: notice an environment that appears or changes during a run."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping

from ... import failures
from ...core.dist_names import recorded_names
from ...core.layout import META, STATE
from ...core.model import Cache, Root, RootState
from ...core.notices import MISSING
from ...core.rules.reachability import SoftLinks, references
from ...errors import UnreadableEnvironmentError
from ..links.soft_link_signs import with_signs
from ..links.soft_links import Seen, environments_of, soft_links
from .conda_meta import with_contents
from .environments import Sources, Survey, read_roots
from .environments_txt import note_names
from .envs_dirs import Listing
from .half_removed import settled

#: Inode and modification time of each watched path, None where nothing was.
_Signature = dict[str, "tuple[int, int] | None"]

#: A file system's clock ticks coarsely, FAT's every two seconds: a directory that changed more recently may change
#: again and still have the same stamp. In nanoseconds.
_TICK = 2 * 10**9


def with_odd_contents(roots: tuple[Root, ...], caches: tuple[Cache, ...]) -> tuple[Root, ...]:
    """Return the roots with the packages of those records that aren't called like anything in the caches."""
    cached = frozenset(name for cache in caches for entry in cache.entries for name in recorded_names(entry.dist))
    # Where each entry is called like a record, nothing may go that another record could mean.
    if not cached.difference(*(root.dists for root in roots)):
        return roots
    return tuple(with_contents(root, cached) for root in roots)


class RootWatch:
    """The roots, read again as soon as a directory or a registry that they come from has changed.

    One stat for each of these is cheap enough before every single removal; a search is not repeated.
    """

    roots: tuple[Root, ...] = ()

    def __init__(self, sources: Sources, caches: tuple[Cache, ...]) -> None:
        self._sources = sources
        self._caches = caches
        since = time.time_ns()
        self._read()
        self._hidden = self._hiding()
        # Environments bring their own stamps, taken before they were listed, which may be some time ago.
        self._signature |= {os.path.join(root.path, META): _settled(root.signature, since) for root in self.roots}
        missing = (root.path for root in self.roots if root.state is RootState.MISSING)
        self._first = self._prefixes().difference(path for path in missing if not failures.lexists(path))
        # The soft links of environments, by their real paths: a second look lists only what has changed since.
        self._linked: dict[str, Seen] = {}
        # Made on request: a dry run makes none.
        self._references: Mapping[str, tuple[Root, ...]] | None = None

    def references(self) -> Mapping[str, tuple[Root, ...]]:
        """Return for each dist the roots that name it at this moment.

        Raises `UnreadableEnvironmentError` if an environment that could be read before can't be read any more.
        """
        if self._signature != self._sign(Listing()):
            self._read()
            if newly_hidden := self._hiding() - self._hidden:
                raise UnreadableEnvironmentError(
                    f"{min(newly_hidden)} can't be read any more, so the packages it uses are unknown.",
                    hint="Packages not deleted yet are in place. Try again when it can be read.",
                    path=min(newly_hidden),
                )
            self._references = None
        if self._references is None:
            self._references = references(self.roots)
        return self._references

    def soft_links(self, progress: Callable[[int], None] = lambda seen: None) -> SoftLinks:
        """Return the soft links of all environments at this moment, also of new ones: links come before records.

        All of them are walked. A directory without a ``conda-meta`` from the beginning is no environment, and may be as
        large as a disk, so it is walked only if it shows a sign of soft links. Asked again, it lists only what has
        changed since. `progress` is called with the number of directories seen so far.
        """
        self.references()
        known = self._prefixes()
        present = [root for root in self.roots if root.state is not RootState.MISSING]
        walked = {*environments_of(present), *(known - self._first)}
        walked.update(with_signs(sorted(known - walked), self._caches))
        return soft_links(sorted(walked), self._caches, progress, self._linked)

    def _prefixes(self) -> frozenset[str]:
        """Return where environments are, or are being made: without a ``conda-meta`` yet."""
        return frozenset(os.path.dirname(path) for path in self._signature if os.path.basename(path) == META)

    def _read(self) -> None:
        """Read the roots. Their sources are signed before, so a change in between is seen the next time."""
        registries = self._sign_registries()
        survey = Survey(self._sources)
        self._places = survey.places
        self._signature = {**self._sign(survey.listing), **registries}
        roots, notices = read_roots(self._sources, survey)
        roots, odd = settled(roots, self._caches)
        self.roots, self.notices = with_odd_contents(roots, self._caches), notices + odd

    def _hiding(self) -> frozenset[str]:
        # An environment that is removed in between hides nothing: its packages were not in the plan.
        return frozenset(notice.path for notice in self.notices if notice.hides_roots and notice.kind != MISSING)

    def _sign_registries(self) -> _Signature:
        return {path: _signature_of(path) for path in self._sources.all_registries}

    def _sign(self, listing: Listing) -> _Signature:
        signature = self._sign_registries()
        signature |= {path: _signature_of(path) for path in (os.path.join(root.path, META) for root in self.roots)}
        # Not by the time of its change: the removal itself works in a cache's state.
        signature |= {os.path.join(path, STATE): (0, hash(note_names(path))) for path in self._sources.noted}
        for place in self._places:
            directories: _Signature = {}

            def visit(path: str, directories: _Signature = directories) -> None:
                # A directory is signed before it is listed.
                directories[path] = _signature_of(path)

            candidates = listing.candidates(place) if place.mixed else listing.candidates(place, visit)
            metas = (os.path.join(path, META) for path in candidates)
            signatures = {path: _signature_of(path) for path in metas if path not in signature}
            if place.mixed:
                # Other things come and go there.
                signature |= {path: value for path, value in signatures.items() if value is not None}
            else:
                # Other directories count too: one of environments changes before its newest has a conda-meta.
                signature |= signatures | directories
        return signature


def _signature_of(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError as error:
        failures.note(error)
        return None
    return _settled((status.st_ino, status.st_mtime_ns), time.time_ns())


def _settled(signature: tuple[int, int] | None, since: int) -> tuple[int, int] | None:
    """Return a stamp that was taken at `since` or later, or one like no other if it was taken too soon to tell."""
    recent = signature is not None and since - _TICK < signature[1] < time.time_ns() + _TICK
    return (signature[0], -next(_unlike)) if signature is not None and recent else signature


#: Numbers that no stamp has.
_unlike = itertools.count(1)
