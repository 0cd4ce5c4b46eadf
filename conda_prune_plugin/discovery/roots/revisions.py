"""Read the packages of an environment's earlier revisions from ``conda-meta/history``.

`conda.history.History` is not used: it takes unknown lines for packages or skips them, waits at a pipe, and copies
every revision, so its memory grows by the square of the history. A test compares the two.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from ... import failures
from ...core.dist_names import is_dist_name
from ...core.layout import META
from ...core.model import Root, RootKind, RootState
from ...core.notices import Notice
from ..clients.archive_names import archive_dist
from ..system.safe_read import read_regular

#: How many revisions of one environment are roots of their own; those before them are one root together.
_SEPARATE = 100

#: The line before each revision, as ``conda.history.History.parse`` looks for it.
_HEADER = re.compile(r"==>\s*.+?\s*<==")


def earlier_revisions(environment: Root, count: int) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
    """Return the `count` revisions before the present one as roots, the newest first.

    If the history can't be parsed, every package it names is one root, with a notice. If it can't be read, the notice
    stops a removal, because what the user asked for is unknown.
    """
    path = os.path.join(environment.path, META, "history")
    try:
        content = read_regular(path)
    except OSError as error:
        failures.note(error)
        if isinstance(error, FileNotFoundError) or environment.state in (RootState.MISSING, RootState.HALF_REMOVED):
            return (), ()
        message = f"The history {path} can't be read ({error.strerror or error}), so --keep-revisions can't be honored."
        return (), (Notice("unreadable-history", message, path, stops=True),)
    try:
        return tuple(_roots(environment, _revisions(content), count)), ()
    except ValueError as error:
        message = (
            f"The history {path} can't be parsed ({error}), so its revisions are unknown. "
            "Every package it names is kept."
        )
        dists = frozenset(filter(None, map(_named, content.decode("utf-8", "replace").splitlines())))
        roots = (_root(environment, "the history", dists),) if dists else ()
        return roots, (Notice("broken-history", message, path),)


def _revisions(content: bytes) -> list[list[str]]:
    """Return the lines of each revision, the oldest first. Raises `ValueError` for a line that conda doesn't write."""
    revisions: list[list[str]] = []
    for number, line in enumerate(map(str.strip, content.decode("utf-8").splitlines()), 1):
        if _HEADER.match(line):
            revisions.append([])
        elif line and not line.startswith("#"):
            if _named(line) is None:
                raise ValueError(f"line {number} is neither a package nor the head of a revision")
            if not revisions:
                raise ValueError(f"line {number} is before the first revision")
            revisions[-1].append(line)
            if _is_change(line) != _is_change(revisions[-1][0]):
                raise ValueError(f"the revision at line {number} has both packages and changes")
    return revisions


def _roots(environment: Root, revisions: Sequence[Sequence[str]], count: int) -> Iterator[Root]:
    """Yield the wanted revisions as roots, the newest first; the oldest of very many together, as one."""
    last = len(revisions) - 1
    first = max(last - count, 0)
    separate = max(last - _SEPARATE, first)
    state: set[str] = set()
    together: set[str] = set()
    roots = []
    for number, lines in enumerate(revisions[:last]):
        # As `History.construct_states`, but without a copy for each.
        if lines and _is_change(lines[0]):
            added = {line[1:] for line in lines if line.startswith("+")}
            state.difference_update(line[1:] for line in lines if line.startswith("-"))
            state |= added
        else:
            added = state = set(lines)
        if first <= number < separate:
            together |= added if together else state
        elif number >= separate:
            roots.append(_root(environment, f"revision {number}", frozenset(map(_dist, state))))
    yield from reversed(roots)
    if together:
        yield _root(environment, f"revisions {first} to {separate - 1}", frozenset(map(_dist, together)))


def _root(environment: Root, revision: str, dists: frozenset[str]) -> Root:
    name = f"{revision} of {environment.name or environment.path}"
    return Root(environment.path, name, environment.state, dists, RootKind.REVISION)


def _is_change(line: str) -> bool:
    return line.startswith(("+", "-"))


def _dist(line: str) -> str:
    """Return the dist that a line names: ``channel/subdir::name-version-build``, in old ones with a suffix."""
    name = line.strip().rsplit("::", 1)[-1]
    return archive_dist(name) or name


def _named(line: str) -> str | None:
    """Return the dist that a line of a revision names, None if it names none."""
    line = line.strip()
    dist = _dist(line.lstrip("+-"))
    # A channel may have spaces in it, a dist has none.
    return dist if is_dist_name(dist) and not re.search(r"[\s<>#]", dist) and not line.startswith("#") else None
