"""What the ``conda-meta`` of one environment lists.

A record is named ``name-version-build.json``, and conda accepts it only under that name, so the listing says what an
environment references. Opened is only what the listing leaves in doubt: a record whose name is no dist, and one too
short to be a record. Whatever a ``conda-meta`` directory lists protects what it names, readable or not.

`PrefixData` is not asked: it costs a millisecond a record and raises on the first broken one. A differential test
holds this listing against its answer.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace

from ..core.model import Notice, Root, RootState
from ..core.names import is_dist_name, package_name
from .reading import dist_of, read_object

META = "conda-meta"

#: The kind of the notice on an environment that is not there.
MISSING = "missing-environment"

#: No record that any client writes is this short (its mandatory keys alone take more); a cut-off or overwritten one
#: often is. In bytes.
SHORTEST_RECORD = 256

_SUFFIX = ".json"


def read_environment(prefix: str, name: str | None) -> tuple[Root, tuple[Notice, ...]]:
    """Return an environment as a root, and what was odd about it. Raises nothing: that is what its state is for."""
    meta = os.path.join(prefix, META)
    try:
        # Before it is listed: what changes meanwhile has another stamp.
        stamp = _stamp(meta)
        names, doubtful = _records(meta)
    except OSError as error:
        return _without_records(prefix, name, error)
    dists = {name.removesuffix(_SUFFIX) for name in names}
    notices = []
    for path in (os.path.join(meta, name) for name in doubtful):
        try:
            dists.add(dist_of(read_object(path)))
        except (OSError, ValueError):
            # Unless a conda at work has removed it since it was listed.
            if os.path.lexists(path):
                notices.append(_corrupt_record(path, prefix))
    state = RootState.CORRUPT if notices else RootState.OK
    return Root(prefix, name, state, frozenset(dists), stamp=stamp), tuple(notices)


class Reading:
    """The work of reading environments, for a crew: a task is a prefix and the environment's name."""

    def do(self, task: tuple[str, str | None]) -> tuple[Root, tuple[Notice, ...]]:
        """Return an environment as a root, and what was odd about it."""
        return read_environment(*task)

    do_apart = do

    def take(self, answer: tuple[Root, tuple[Notice, ...]]) -> tuple[Root, tuple[Notice, ...]]:
        """Return what the other process has read."""
        return answer


def with_contents(root: Root, cached: frozenset[str], wanted: frozenset[str]) -> Root:
    """Return a root that also references what the content of its oddest records names.

    A record may be called like a dist and hold another. Those worth opening name a package that some candidate is of
    (`wanted`) and no dist that any cache has (`cached`): few, since most names in a record are true. A record that
    bears the name of another package, or that of a dist in a cache, is believed, as conda ignores it altogether.
    """
    odd = [dist for dist in root.dists if dist not in cached and package_name(dist) in wanted]
    return replace(root, dists=root.dists | frozenset(_contents(root.path, odd))) if odd else root


def _contents(prefix: str, dists: Iterable[str]) -> Iterable[str]:
    for dist in dists:
        try:
            yield dist_of(read_object(os.path.join(prefix, META, dist + _SUFFIX)))
        except (OSError, ValueError):
            continue  # Its name protects what it can.


def _stamp(meta: str) -> tuple[int, int]:
    status = os.stat(meta)
    return status.st_ino, status.st_mtime_ns


def _without_records(prefix: str, name: str | None, error: OSError) -> tuple[Root, tuple[Notice, ...]]:
    # Nothing can be at a path that is too long.
    gone = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
    # A conda-meta that is no directory, or a link to a disk that is not mounted, is not gone but unreadable.
    if gone and not os.path.lexists(os.path.join(prefix, META)):
        message = (
            f"Environment {prefix} is registered but missing, so packages it soft-links are not protected. "
            "Mount its disk first, or ignore this if you deleted it."
        )
        notice = Notice(MISSING, message, prefix, hides_roots=True)
        return Root(prefix, name, RootState.MISSING, frozenset()), (notice,)
    message = (
        f"The environment {prefix} can't be read ({error.strerror}), so what it references is not known "
        "and what it soft-links is not protected."
    )
    notice = Notice("unreadable-environment", message, prefix, hides_roots=True)
    return Root(prefix, name, RootState.UNREADABLE, frozenset()), (notice,)


def _records(meta: str) -> tuple[list[str], list[str]]:
    """Return the names of all records in a directory, and of those that have to be opened. Raises `OSError`."""
    # By descriptor, so that the kernel looks up one name for each status, and not a path.
    with ExitStack() as stack:
        place: str | int = meta
        if os.scandir in os.supports_fd:
            place = os.open(meta, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
            stack.callback(os.close, place)
        with os.scandir(place) as listing:
            records = [item for item in listing if item.name.endswith(_SUFFIX)]
        return [record.name for record in records], [record.name for record in records if _is_doubtful(record)]


def _is_doubtful(record: os.DirEntry[str]) -> bool:
    try:
        return not is_dist_name(record.name.removesuffix(_SUFFIX)) or record.stat().st_size < SHORTEST_RECORD
    except OSError:
        return True


def _corrupt_record(path: str, prefix: str) -> Notice:
    message = (
        f"The record {path} can't be read. The package that its name gives stays in the caches, but conda may not "
        f"be able to use the environment: reinstall the package into {prefix}, or move the file out of {META}."
    )
    return Notice("corrupt-record", message, path)
