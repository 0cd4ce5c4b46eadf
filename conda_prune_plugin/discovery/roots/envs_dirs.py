"""Patterns of directories that hold environments, with one listing of each directory on the way.

A pattern either belongs to a tool, and then whatever lies there is taken for an environment unless the opposite is
certain, or it leads through directories with other things in them (a home, ``/opt``, a project), and then only what has
a ``conda-meta`` counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ... import failures
from ...core.layout import META
from ...core.notices import Notice
from ..system.mounts import mount_points
from .half_removed import may_be_remains

#: What mkfs makes in the top directory of a file system, for root only.
_LOST_AND_FOUND = "lost+found"

#: A component of a pattern that stands for every directory, and every link, at this place.
ANY = "*"

#: How many directories beside other things are looked into at one place. One that has more is no place for
#: environments, and each costs a system call, on a network a round trip.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class EnvsDir:
    """A pattern of environments: at `top` (an absolute path, which need not exist), and `below` it by name or `ANY`.

    mixed: other things lie there too.
    """

    top: str
    below: tuple[str, ...] = (ANY,)
    mixed: bool = False


@dataclass(slots=True)
class Listing:
    """The directories that have been listed, each once, and what could not be."""

    notices: list[Notice] = field(default_factory=list)
    _names: dict[str, dict[str, None]] = field(default_factory=dict)
    _mounts: frozenset[str] | None = None

    def environments(self, pattern: EnvsDir) -> Iterator[str]:
        """Give the environments of a pattern, sorted."""
        accept = has_records if pattern.mixed else _may_be_prefix
        return filter(accept, self.candidates(pattern))

    def candidates(self, pattern: EnvsDir, visit: Callable[[str], None] | None = None) -> Iterator[str]:
        """Give every path that a pattern leads to; `visit` is called with each directory before its listing."""
        paths: Iterable[str] = (pattern.top,)
        for part in pattern.below:
            if part == ANY:
                paths = self._children(paths, pattern, visit)
            else:
                paths = [os.path.join(path, part) for path in paths if part in self._names.get(path, (part,))]
        return iter(paths)

    def _children(
        self, directories: Iterable[str], pattern: EnvsDir, visit: Callable[[str], None] | None
    ) -> Iterator[str]:
        for directory in directories:
            if (names := self._names.get(directory)) is None:
                if visit is not None:
                    visit(directory)
                names = self._names[directory] = self._list(directory, strict=not pattern.mixed)
            paths = [os.path.join(directory, name) for name in names]
            # What was renamed is no mount point, and an automounter would try to mount what is asked for below one.
            yield from (path for path in paths if path not in self._mounted()) if pattern.mixed else paths

    def _mounted(self) -> frozenset[str]:
        if self._mounts is None:
            self._mounts = mount_points()
        return self._mounts

    def _list(self, directory: str, *, strict: bool) -> dict[str, None]:
        try:
            with os.scandir(directory) as listing:
                names = [item.name for item in listing if _leads_on(item)]
        except (FileNotFoundError, NotADirectoryError):
            if strict and (link := _broken_link(directory)) is not None:
                self.notices.append(_unlisted(directory, f"{link} is a broken link"))
            return {}
        except OSError as error:
            failures.note(error)
            if strict:
                self.notices.append(_unlisted(directory, error.strerror or str(error)))
            return {}
        if strict or len(names) <= _MOST:
            return dict.fromkeys(sorted(names))
        message = (
            f"{directory} has {len(names):,} directories, and only the first {_MOST:,} were searched for environments. "
            "Name others with --root or --search."
        )
        self.notices.append(Notice("unsearched-directory", message, directory))
        return dict.fromkeys(sorted(names)[:_MOST])


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


def _may_be_prefix(path: str) -> bool:
    return may_be_environment(path) or may_be_remains(path)


def has_records(prefix: str) -> bool:
    """Return whether a directory is seen to have a ``conda-meta``."""
    try:
        os.lstat(os.path.join(prefix, META))
    except (OSError, ValueError) as error:
        failures.note(error)
        return False
    return True


def _leads_on(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_symlink() or item.is_dir(follow_symlinks=False)
    except OSError as error:
        failures.note(error)
        return True


def _broken_link(path: str) -> str | None:
    """Return the link to nowhere that a missing path leads through: it may lead to a disk that is not mounted."""
    while not failures.lexists(path):
        if (above := os.path.dirname(path)) == path:
            return None
        path = above
    return path if failures.islink(path) and not failures.exists(path) else None


def _unlisted(directory: str, why: str) -> Notice:
    message = (
        f"Can't list the environments in {directory}: {why}. "
        "Packages they soft-link are not protected. Name the environments with --root."
    )
    return Notice("unreadable-directory", message, directory, hides_roots=True)
