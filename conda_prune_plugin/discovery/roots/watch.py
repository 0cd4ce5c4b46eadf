"""Watch the roots: notice an environment that appears or changes during a run."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping

from ... import failures
from ...core.dist_names import recorded_names
from ...core.layout import META, STATE
from ...core.model import Cache, Root, RootState
from ...core.notices import MISSING, Notice
from ...core.rules.reachability import SoftLinks, references
from ...errors import UnreadableEnvironmentError
from ..links.soft_link_signs import with_signs
from ..links.soft_links import Seen, environments_of, soft_links
from .backups import note_names
from .conda_meta import with_contents
from .environments import Sources, Survey, read_roots
from .envs_dirs import Listing
from .half_removed import settled

#: What each watched path was: inode and modification time, or None where there was nothing.
_Signature = dict[str, "tuple[int, int] | None"]

#: A file system's clock ticks coarsely, FAT's every two seconds: what changed less long ago may change again and still
#: look the same. In nanoseconds.
_TICK = 2 * 10**9


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

    def __init__(self, sources: Sources, caches: tuple[Cache, ...]) -> None:
        self._sources = sources
        self._caches = caches
        self.roots: tuple[Root, ...] = ()
        # Signed before it is read, as far as it is known already what will be read; environments bring their own
        # stamps, taken before they were listed, which may be some time ago.
        signature, survey = self._sign_anew()
        since = time.time_ns()
        self.roots, self.notices = self._read(survey)
        self._hidden = self._hiding(self.notices)
        signatures = {os.path.join(root.path, META): _settled(root.signature, since) for root in self.roots}
        self._signature = {**signature, **signatures}
        absent = (
            root.path for root in self.roots if root.state is RootState.MISSING and not failures.lexists(root.path)
        )
        self._first = self._prefixes().difference(absent)
        # What environments link, by their real paths: a second look lists only what has changed since.
        self._linked: dict[str, Seen] = {}
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
                    f"{min(newly_hidden)} can't be read any more, so the packages it uses are unknown.",
                    hint="What was not deleted yet is at its place. Try again when it can be read.",
                    path=min(newly_hidden),
                )
            self._references = None
        if self._references is None:
            self._references = references(self.roots)
        return self._references

    def soft_links(self, progress: Callable[[int], None] = lambda seen: None) -> SoftLinks:
        """Return what environments soft-link at this moment, also those that are being made: links come before records.

        All of them are walked through. A directory that has been without a ``conda-meta`` from the beginning is no
        environment any more, or never was: it may be as large as a disk, so it is walked through if it shows a sign
        of soft links. Asked again, it lists only what has changed since. `progress` is called with the number of
        directories seen so far.
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

    def _read(self, survey: Survey) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
        roots, notices = read_roots(self._sources, survey)
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
        return {path: _signature_of(path) for path in self._sources.all_registries}

    def _sign(self, listing: Listing) -> _Signature:
        signature = self._sign_registries()
        signature |= {path: _signature_of(path) for path in (os.path.join(root.path, META) for root in self.roots)}
        # Not by the time of its change: the removal itself works in a cache's state.
        signature |= {os.path.join(path, STATE): (0, hash(note_names(path))) for path in self._sources.noting}
        for place in self._places:
            # A directory is signed before it is listed.
            directories: _Signature = {}
            metas = (
                os.path.join(path, META)
                for path in listing.candidates(place, None if place.mixed else _signing(directories))
            )
            signatures = {path: _signature_of(path) for path in metas if path not in signature}
            if place.mixed:
                # What else comes and goes there is of no interest.
                signature |= {path: value for path, value in signatures.items() if value is not None}
            else:
                # Also of what is no environment yet: a directory of environments changes before its newest has a
                # conda-meta.
                signature |= signatures | directories
        return signature


def _signing(signature: _Signature) -> Callable[[str], None]:
    def sign(path: str) -> None:
        signature[path] = _signature_of(path)

    return sign


def _signature_of(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError as error:
        failures.note(error)
        return None
    return _settled((status.st_ino, status.st_mtime_ns), time.time_ns())


def _settled(signature: tuple[int, int] | None, since: int) -> tuple[int, int] | None:
    """Return a stamp that was taken at `since` or later, or one that is like no other where it says too little."""
    recent = signature is not None and since - _TICK < signature[1] < time.time_ns() + _TICK
    return (signature[0], -next(_unlike)) if signature is not None and recent else signature


#: Numbers that no stamp has.
_unlike = itertools.count(1)


def _no_cache(configured: Iterable[str]) -> Notice:
    places = ", ".join(configured)
    message = f"No package cache found in {places}. Name one with --pkgs-dir."
    return Notice("no-cache", message, "")
