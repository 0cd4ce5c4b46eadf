"""Read registries of environments, such as ``~/.conda/environments.txt``, and notes of backups of environments.

An environment in a backup is complete, with all its links into the caches. It is a root until its backup is purged: a
restore brings it back by a rename, and then the packages that it soft-links have to be there. Backups are found in the
state beside the environments that registries list, and where notes lead (`state.notes`): in the state of the
directories of environments, of the caches and of the registries.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
from collections.abc import Iterable, Iterator

from ... import failures
from ...core.dist_names import LONGEST_NOTE, UNFINISHED_NOTE, noted_run
from ...core.layout import META, STATE
from ...core.notices import MISSING, Notice
from ...failures import suppress
from ..system.safe_read import LONGEST_PATH, read_regular

#: The largest registry that is read, in bytes and in lines that aren't empty. Ten thousand environments take one or two
#: megabytes, and conda takes lines out when it lists environments.
LARGEST_REGISTRY, MOST_LINES = 16 << 20, 100_000

#: A line of a registry from its first letter on. There may be any number of empty lines.
_LINE = re.compile(rb"\S.*")


def registered_prefixes(registry: str, overlong: list[int] | None = None) -> tuple[str, ...]:
    """Return the environments that a registry file lists; none if there is no such file.

    conda ends each prefix with a newline and writes newlines in a prefix as they are, so a line that is no environment
    is tried together with those after it. Lines that are no absolute path are not conda's. Lines longer than any path
    are skipped, and their numbers added to `overlong`.

    Raises `OSError`, also for a larger registry than any real one.
    """
    try:
        content = read_regular(registry, LARGEST_REGISTRY)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    if beyond := next(itertools.islice(_LINE.finditer(content), MOST_LINES, None), None):
        number = content.count(b"\n", 0, beyond.start()) + 1
        raise OSError(errno.EFBIG, f"line {number:,} is one more than a registry may have", registry)
    prefixes: list[str] = []
    end = counted = 0
    number = 1
    for line in _LINE.finditer(content):
        number += content.count(b"\n", counted, line.start())
        counted = line.start()
        if line.end() - line.start() > LONGEST_PATH:
            if overlong is not None:
                overlong.append(number)
            continue
        stripped = os.fsdecode(line[0].rstrip())
        if line.start() < end or not os.path.isabs(stripped) or "\0" in stripped:
            continue
        found = list(filter(failures.lexists, _spellings(line[0])))
        if not found:
            found, end = _over_lines(content, line.start(), line.end())
        prefixes += map(os.path.abspath, found or [stripped])
    return tuple(prefixes)


def _spellings(text: bytes) -> Iterable[str]:
    """Return the paths that a line may mean: a blank at its end may belong to the path, or may have been typed."""
    return map(os.fsdecode, dict.fromkeys((text.rstrip(), text)))


def _over_lines(content: bytes, start: int, end: int) -> tuple[list[str], int]:
    """Return the environments that a line names together with up to four after it, and where the last one ends."""
    for _ in range(4):
        following = content.find(b"\n", end + 1)
        end = len(content) if following < 0 else following
        if end - start > LONGEST_PATH:
            break
        found = [path for path in _spellings(content[start:end]) if failures.lexists(os.path.join(path, META))]
        if found:
            return found, end
    return [], start


def environment_backups(directories: Iterable[str], notices: list[Notice]) -> Iterator[str]:
    """Yield the prefixes of all environments in backups, without those that are being deleted."""
    for directory in with_noted_places(directories, notices):
        state = os.path.join(directory, STATE)
        for run in _names(state):
            for number in _names(os.path.join(state, run)):
                prefix = os.path.join(state, run, number)
                if number.isdecimal() and failures.isdir(prefix):
                    yield prefix


def is_environment_backup(prefix: str) -> bool:
    """Return whether a prefix is that of an environment in a backup."""
    return os.path.basename(os.path.dirname(os.path.dirname(prefix))) == STATE


def with_noted_places(directories: Iterable[str], notices: list[Notice], *, own: bool = False) -> tuple[str, ...]:
    """Return directories that may have state of ours, and those that notes in their state lead to.

    own: only this user's notes. Those of others may have been written by anyone: they lead to roots, and to nothing
    that may be changed.
    """
    places = dict.fromkeys(directories)
    for path in [os.path.join(directory, STATE, name) for directory in places for name in note_names(directory)]:
        try:
            if own and not _is_own(path):
                continue
            line = read_regular(path, LONGEST_NOTE).rstrip(b"\n")
        except OSError as error:
            failures.note(error)
            if not isinstance(error, FileNotFoundError):
                message = f"Can't read {path}: {error.strerror}. The backups it points to are not protected."
                notices.append(Notice("unreadable-directory", message, path, hides_roots=True))
            continue
        if os.path.isabs(line) and b"\0" not in line and b"\n" not in line:
            place = os.fsdecode(line)
            places[place] = None
            if not failures.isdir(place):
                message = (
                    f"Backups of environments in {place} are missing, so packages they soft-link are not protected. "
                    f"Mount its disk first, or delete {path} if you deleted them."
                )
                notices.append(Notice(MISSING, message, place, hides_roots=True))
    return tuple(places)


def note_names(directory: str) -> tuple[str, ...]:
    """Return the names of the notes in a directory's state."""
    names = _names(os.path.join(directory, STATE))
    return tuple(name for name in names if noted_run(name) is not None and not name.endswith(UNFINISHED_NOTE))


def _is_own(path: str) -> bool:
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and (not hasattr(os, "geteuid") or status.st_uid == os.geteuid())


def _names(directory: str) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(directory))
    return []
