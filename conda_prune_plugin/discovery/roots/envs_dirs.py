"""Patterns of directories that hold environments, with one listing of each directory on the way.

A pattern either belongs to a tool, and then everything there counts as an environment unless the opposite is certain,
or it leads through directories with other things in them (a home, ``/opt``, a project), and then only directories with
a ``conda-meta`` count.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from ... import failures
from ...core.layout import META
from ...core.notices import Notice
from ..system.deep_paths import nearest
from ..system.mounts import mount_points
from .half_removed import may_be_remains

#: The directory that mkfs makes at the top of a file system, for root only.
_LOST_AND_FOUND = "lost+found"

#: A component of a pattern that stands for every directory, and every link, at this place.
ANY = "*"

#: How many directories of a mixed place are searched. A place with more is not for environments, and each directory
#: costs a system call, on a network a round trip.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class EnvsDir:
    """A pattern of environments: at `top` (an absolute path, which need not exist), and `below` it by name or `ANY`.

    mixed: other things are there too.
    """

    top: str
    below: tuple[str, ...] = (ANY,)
    mixed: bool = False


@dataclass
class Listing:
    """The directories that have been listed, each once, and notices about those that can't be."""

    notices: list[Notice] = field(default_factory=list)
    _names: dict[str, dict[str, None]] = field(default_factory=dict)

    def environments(self, pattern: EnvsDir) -> Iterator[str]:
        """Return the environments of a pattern, sorted."""
        if pattern.mixed:
            return filter(has_records, self.candidates(pattern))
        return (path for path in self.candidates(pattern) if may_be_environment(path) or may_be_remains(path))

    def candidates(self, pattern: EnvsDir, visit: Callable[[str], object] = lambda directory: None) -> Iterator[str]:
        """Return every path that a pattern leads to; `visit` is called with each directory before its listing."""
        paths: Iterable[str] = (pattern.top,)
        for part in pattern.below:
            if part == ANY:
                paths = self._children(paths, visit, mixed=pattern.mixed)
            else:
                paths = [os.path.join(path, part) for path in paths if part in self._names.get(path, (part,))]
        return iter(paths)

    def _children(self, directories: Iterable[str], visit: Callable[[str], object], *, mixed: bool) -> Iterator[str]:
        for directory in directories:
            if (names := self._names.get(directory)) is None:
                visit(directory)
                names = self._names[directory] = dict.fromkeys(sorted(self._list(directory, mixed=mixed)))
            paths = [os.path.join(directory, name) for name in names]
            # A renamed directory is no mount point, and an automounter would mount whatever is looked up below one.
            yield from (path for path in paths if path not in self._mounts) if mixed else paths

    @cached_property
    def _mounts(self) -> frozenset[str]:
        return mount_points()

    def _list(self, directory: str, *, mixed: bool) -> list[str]:
        """Return the names of directories and links in a directory; an error hides roots if only a tool works there."""
        problem: str | None = None
        names: list[str] = []
        try:
            with os.scandir(directory) as listing:
                names = [entry.name for entry in listing if _leads_on(entry)]
        except (FileNotFoundError, NotADirectoryError):
            link = None if mixed else _broken_link(directory)
            problem = f"{link} is a broken link" if link else None
        except OSError as error:
            failures.note(error)
            problem = error.strerror or str(error)
        if mixed and len(names) > _MOST:
            message = (
                f"{directory} has {len(names):,} directories, and only the first {_MOST:,} were searched for "
                "environments. Name others with --root or --search."
            )
            self.notices.append(Notice("unsearched-directory", message, directory))
            return sorted(names)[:_MOST]
        if problem and not mixed:
            message = (
                f"Can't list the environments in {directory}: {problem}. "
                "Packages they soft-link are not protected. Name the environments with --root."
            )
            self.notices.append(Notice("unreadable-directory", message, directory, hides_roots=True))
        return names


def may_be_environment(prefix: str) -> bool:
    """Return whether a directory has a ``conda-meta`` of any kind, or might have one that we can't see now."""
    try:
        os.lstat(os.path.join(prefix, META))
    except (FileNotFoundError, NotADirectoryError):
        # A link to nowhere may lead to a disk that is not mounted.
        return failures.islink(prefix) and not failures.exists(prefix)
    except OSError as error:
        failures.note(error)
        return os.path.basename(prefix) != _LOST_AND_FOUND
    return True


def has_records(prefix: str) -> bool:
    """Return whether a directory is seen to have a ``conda-meta``."""
    return failures.lexists(os.path.join(prefix, META))


def _leads_on(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() or entry.is_dir(follow_symlinks=False)
    except OSError as error:
        failures.note(error)
        return True


def _broken_link(path: str) -> str | None:
    """Return the link to nowhere that a missing path leads through: it may lead to a disk that is not mounted."""
    path, _ = nearest(path)
    return path if failures.islink(path) and not failures.exists(path) else None
