"""Recognise leftovers by name: partial downloads, temporary directories, trash, locks, and what rattler leaves."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import starmap

from ... import failures
from ...core.dist_names import is_dist_name
from ...core.layout import INDEX, RECORD
from ...core.model import Cache, ReasonKind
from ...failures import suppress
from ..clients.archive_names import archive_dist
from ..clients.lock_files import holder, is_lock, is_lock_name, rattler_leftovers
from ..system.safe_read import dist_of, read_object

#: The endings of unfinished downloads: of conda (`conda.gateways.connection.download`), of mamba and conda up to 24.
_PARTIAL = (".partial", ".part")

#: The endings of archives and packages that conda replaces (``.c~``) or can't delete (``.trash``):
#: `conda.base.constants.CONDA_TEMP_EXTENSIONS`. Others use them too: editors for backups of C sources.
_SUFFIXES = (".c~", ".trash")

#: What could not be deleted, conda's and mamba's; a number may follow.
_WORDS = (".conda_trash", ".mamba_trash")

_ENDS = (*_PARTIAL, *_SUFFIXES)

#: Behind the name of a package that conda 4.0 to 4.2 is extracting (``extract`` in ``conda/install.py``).
_EXTRACTING = ".tmp"

#: Directories that Python's tempfile has made here: with conda-package-handling 1.4 to 1.9 where a constructor works
#: in the cache (``TemporaryDirectory`` in its ``utils.py``), with conda-pypi (``install_ephemeral_conda`` in
#: ``installer.py``), and by default (six letters and digits up to Python 3.2).
_SCRATCH_BEGINS = (".cph_tmp", "ephemeral", "tmp")
_SCRATCH = re.compile(rf"(?:{'|'.join(map(re.escape, _SCRATCH_BEGINS))})(?:[a-z0-9_]{{8}}|[A-Za-z0-9_]{{6}})")

#: What lies in such a directory: parts of an archive, archives, packages, or one package's files.
_IN_SCRATCH = re.compile(r"(?:pkg|info)-.+\.tar\.(?:zst|bz2)|metadata\.json|info|cache|urls(?:\.txt)?")

#: Where old versions of conda move what can't be deleted.
_TRASH = ".trash"


@dataclass(frozen=True, slots=True)
class NamedLeftover:
    """A file with the name of a leftover: the kind, and the dist that it is of, where its name tells.

    held: the process that holds it, if it is a lock. unreadable: why that can't be told.
    """

    name: str
    kind: ReasonKind
    detail: str
    dist: str | None = None
    held: str | None = None
    unreadable: str | None = None


def is_leftover_name(item: os.DirEntry[str]) -> bool:
    """Return whether something has a name that clients give to temporary files and trash, and is no package."""
    name = item.name
    # Asked of all that lies in a cache.
    if _is_marked(name):
        return True
    named = name.endswith(_EXTRACTING) or (name.startswith(_SCRATCH_BEGINS) and _SCRATCH.fullmatch(name) is not None)
    return named and not _is_package(item)


def _is_marked(name: str) -> bool:
    return name.endswith(_ENDS) or ("_trash" in name and any(word in name for word in _WORDS))


def _is_package(item: os.DirEntry[str]) -> bool:
    """Return whether a directory is a package that happens to be called so: conda has recorded it, or it says so."""
    if failures.lexists(os.path.join(item.path, RECORD)):
        return True
    with suppress(OSError, ValueError):
        return dist_of(read_object(os.path.join(item.path, INDEX))) == item.name
    return False


def leftovers_by_name(cache: Cache) -> Iterator[NamedLeftover]:
    """Give all that has the name of a leftover in a cache, sorted by name; links and devices are none."""
    items: list[os.DirEntry[str]] = []
    with suppress(OSError), os.scandir(cache.real_path) as listing:
        # All of them or none: a lock whose package was not listed would look like one that is gone.
        items = list(listing)
    found = [_with_lock_holder(item, cache) for item in starmap(NamedLeftover, rattler_leftovers(cache, items))]
    # Nearly everything in a cache has no such name.
    for item in items:
        if is_leftover_name(item):
            found += filter(None, [_named_leftover(item)])
        elif is_lock_name(item.name) and is_lock(item.path):
            lock = NamedLeftover(item.name, ReasonKind.TRASH, "a lock that no process holds any more")
            found.append(_with_lock_holder(lock, cache))
    yield from sorted(found, key=lambda named: named.name)


def _with_lock_holder(named: NamedLeftover, cache: Cache) -> NamedLeftover:
    """Return a leftover with the process that holds it, if it is a lock."""
    if named.kind is not ReasonKind.TRASH:
        return named
    try:
        held = holder(os.path.join(cache.real_path, named.name))
    except OSError as error:
        failures.note(error)
        return replace(named, unreadable=f"can't check whether a process holds it: {error.strerror}")
    return replace(named, held=held, detail="a lock" if held else named.detail)


def _named_leftover(item: os.DirEntry[str]) -> NamedLeftover | None:
    name = item.name
    is_file, is_directory = item.is_file(follow_symlinks=False), item.is_dir(follow_symlinks=False)
    suffix = next((suffix for suffix in (*_PARTIAL, _EXTRACTING) if name.endswith(suffix)), None)
    if suffix is not None:
        stem = name.removesuffix(suffix)
        dist = archive_dist(stem)
        if dist is not None and is_file:
            return NamedLeftover(name, ReasonKind.PARTIAL_DOWNLOAD, "an interrupted download", dist)
        if suffix == _EXTRACTING and is_dist_name(stem) and is_directory:
            return NamedLeftover(name, ReasonKind.INCOMPLETE_EXTRACTION, "an interrupted extraction", stem)
    elif not _is_marked(name):
        if is_directory and _is_scratch(item.path):
            detail = "a temporary directory of an interrupted install"
            return NamedLeftover(name, ReasonKind.INCOMPLETE_EXTRACTION, detail)
    elif is_file or is_directory:
        # A number may follow a word; a suffix is at the end.
        suffix = next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), None)
        of = name[: name.rindex(suffix or next(word for word in _WORDS if word in name))]
        dist = archive_dist(of) or of
        known = dist if is_dist_name(dist) else None
        if known is not None or suffix is None or name == _TRASH:
            return NamedLeftover(name, ReasonKind.TRASH, "left by an interrupted install or removal", known)
    return None


def _is_scratch(path: str) -> bool:
    """Return whether there is nothing in a directory but what clients put into temporary ones."""
    with suppress(OSError):
        names = os.listdir(path)
        whole = "info" in names and failures.isfile(os.path.join(path, INDEX))
        return whole or all(
            _IN_SCRATCH.fullmatch(name) or _is_marked(name) or archive_dist(name) or is_dist_name(name)
            for name in names
        )
    return False
