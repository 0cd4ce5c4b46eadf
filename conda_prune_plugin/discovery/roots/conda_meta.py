"""Read the packages that an environment's ``conda-meta`` lists.

A record is named ``name-version-build.json``, and conda accepts it only under that name, so the listing says what an
environment references. Only doubtful records are opened: those whose name is no dist, and those too short to be one.
Every name in a ``conda-meta`` directory protects its package, readable or not.

`PrefixData` is not used: it takes a millisecond a record and raises on the first broken one. A test compares the two.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from ... import failures
from ...core.dist_names import is_dist_name
from ...core.layout import META
from ...core.model import Root, RootState
from ...core.notices import EVEN_UNMOUNTED, FIX_REGISTRY, MISSING, Notice
from ...failures import suppress
from ..clients.archive_names import entry_names
from ..system.safe_read import dist_of, read_object

#: No client writes shorter records (the mandatory keys alone take more), but truncated ones often are. In bytes.
SHORTEST_RECORD = 256

_SUFFIX = ".json"


def read_environment(prefix: str, name: str | None) -> tuple[Root, tuple[Notice, ...]]:
    """Return an environment as a root, and notices about it. Raises nothing: the root's state says what is wrong.

    `HALF_REMOVED` is any directory with neither a history nor a record: `half_removed.settled` decides what that is.
    """
    meta = os.path.join(prefix, META)
    try:
        # Before it is listed, so that a change in between has another stamp.
        status = os.stat(meta)
        signature = (status.st_ino, status.st_mtime_ns)
        names, doubtful = _records(meta)
    except OSError as error:
        failures.note(error)
        return _without_records(prefix, name, error)
    # Even an empty history makes an environment for conda and mamba; records protect their packages without one.
    if not names and not has_history(prefix):
        return Root(prefix, name, RootState.HALF_REMOVED, frozenset(), signature=signature), ()
    dists = {name.removesuffix(_SUFFIX) for name in names}
    notices = []
    for path in (os.path.join(meta, name) for name in doubtful):
        try:
            dists.add(dist_of(read_object(path)))
        except (OSError, ValueError) as error:
            failures.note(error)
            # Unless a conda at work has removed it since it was listed.
            if failures.lexists(path):
                message = (
                    f"The record {path} can't be read. Its package is kept, but conda may fail to use the environment. "
                    f"Reinstall the package into {prefix}, or move the file out of {META}."
                )
                notices.append(Notice("corrupt-record", message, path))
    state = RootState.CORRUPT if notices else RootState.OK
    return Root(prefix, name, state, frozenset(dists), signature=signature), tuple(notices)


def with_contents(root: Root, cached: frozenset[str]) -> Root:
    """Return a root that also references what the content of its odd records names.

    Odd are the few that aren't called like anything in a cache (`cached`), as most are called like their package's
    directory: records of wheels, of packages whose channel calls file and package by different names, and renamed ones.
    Their content says what the package is, which file it came from, and where that was.
    """
    aliases: dict[str, str] = {}
    for dist in sorted(root.dists - cached):
        with suppress(OSError, ValueError):  # An unreadable record protects the package that its name says.
            for name in _names(read_object(os.path.join(root.path, META, dist + _SUFFIX))):
                if name not in root.dists:
                    aliases.setdefault(name, dist)
    return replace(root, dists=root.dists.union(aliases), aliases=aliases) if aliases else root


def package_files(prefix: str, dist: str) -> list[str]:
    """Return the paths below a prefix of the files in a dist's record, with slashes. Raises `OSError`, `ValueError`."""
    files = read_object(os.path.join(prefix, META, dist + _SUFFIX)).get("files")
    return [name for name in files if isinstance(name, str)] if isinstance(files, list) else []


#: The fields of a record that name the package's file, or where it was extracted.
_PLACES = ("fn", "url", "extracted_package_dir", "package_tarball_full_path")


def _names(record: Mapping[str, Any]) -> Iterator[str]:
    """Give the names that the package of an environment's record may have in a cache."""
    with suppress(ValueError):
        yield dist_of(record)
    link = record.get("link")
    for place in (*map(record.get, _PLACES), link.get("source") if isinstance(link, dict) else None):
        if isinstance(place, str):
            yield from entry_names(place)


def has_history(prefix: str) -> bool:
    """Return whether conda takes a directory for an environment (`PrefixData.is_environment`, from 25.5)."""
    return failures.isfile(os.path.join(prefix, META, "history"))


def is_environment(prefix: str) -> bool:
    """Return whether a directory is an environment: by conda's rule, or as it has records. Raises `OSError`."""
    return has_history(prefix) or bool(_records(os.path.join(prefix, META))[0])


def missing_notice(prefix: str) -> Notice:
    """Return the notice on an environment that is not there."""
    directory, command = missing_directory(prefix), FIX_REGISTRY
    also = mount = ""
    if directory is not None:
        command += EVEN_UNMOUNTED
        also, mount = f", and so is {directory}", " If its disk isn't mounted, mount it before you prune."
    message = (
        f"Environment {prefix} is registered but missing{also}. Packages used only by it through soft links count "
        f"as unused.{mount} If you moved it, name its new place with --root. If you deleted it: "
        f"`{command}`"
    )
    return Notice(MISSING, message, prefix, hides_roots=True, command=command, missing_directory=directory or "")


def missing_directory(prefix: str) -> str | None:
    """Return what is missing with an environment, so that its disk may not be mounted; None if it was deleted."""
    if failures.islink(prefix):
        return failures.realpath(prefix)
    directory = os.path.dirname(prefix)
    return None if failures.isdir(directory) else directory


def _without_records(prefix: str, name: str | None, error: OSError) -> tuple[Root, tuple[Notice, ...]]:
    if is_without_meta(prefix, error):
        if failures.isdir(prefix):
            return Root(prefix, name, RootState.HALF_REMOVED, frozenset()), ()
        # No disk is mounted on a file.
        notices = () if failures.isfile(prefix) else (missing_notice(prefix),)
        return Root(prefix, name, RootState.MISSING, frozenset()), notices
    message = f"The environment {prefix} can't be read ({error.strerror}), so packages it soft-links are not protected."
    notice = Notice("unreadable-environment", message, prefix, hides_roots=True)
    return Root(prefix, name, RootState.UNREADABLE, frozenset()), (notice,)


def is_without_meta(prefix: str, error: OSError) -> bool:
    """Return whether a prefix has no ``conda-meta`` directory, by the error of listing that.

    A ``conda-meta`` that links to a disk which is not mounted is not missing but unreadable.
    """
    meta = os.path.join(prefix, META)
    # Nothing can be at a path that is too long.
    missing = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    return missing and (not failures.lexists(meta) or failures.isfile(meta))


def _records(meta: str) -> tuple[list[str], list[str]]:
    """Return the names of all records in a directory, and of those that have to be opened. Raises `OSError`.

    Records are what `PrefixData.load` reads. From 26.3 on it skips the files that macOS keeps beside others on foreign
    file systems; before, it fails on them.
    """
    # By descriptor, so that the kernel looks up one name for each status, and not a path.
    with ExitStack() as stack:
        place: str | int = meta
        if os.scandir in os.supports_fd:
            place = os.open(meta, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
            stack.callback(failures.close, place, meta)
        with os.scandir(place) as listing:
            records = [entry for entry in listing if entry.name.endswith(_SUFFIX) and not entry.name.startswith("._")]
        return [record.name for record in records], [record.name for record in records if _is_doubtful(record)]


def _is_doubtful(record: os.DirEntry[str]) -> bool:
    try:
        return not is_dist_name(record.name.removesuffix(_SUFFIX)) or record.stat().st_size < SHORTEST_RECORD
    except OSError as error:
        failures.note(error)
        return True
