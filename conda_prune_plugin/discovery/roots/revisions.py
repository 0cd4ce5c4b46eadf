"""Read the packages of an environment's earlier revisions from ``conda-meta/history``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from ... import failures
from ...core.dist_names import is_dist_name
from ...core.layout import META
from ...core.model import Root, RootKind, RootState
from ...core.notices import Notice
from ..clients.archive_names import archive_dist
from ..clients.conda_files import is_diff, parse_history
from ..system.safe_read import read_regular

#: So many revisions of one environment are roots of their own; those before them are one.
_SEPARATE = 100

#: The line before each revision, as ``conda.history.History.parse`` looks for it.
_HEADER = re.compile(r"==>\s*.+?\s*<==")


def earlier_revisions(environment: Root, count: int) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
    """Return the `count` revisions before the present one as roots, the newest first.

    Where the history can't be understood, whatever its lines name is one root, and that is told. Where it can't be
    read nothing is known of what was asked for, so that stops a removal.
    """
    path = os.path.join(environment.path, META, "history")
    try:
        content = read_regular(path)
    except FileNotFoundError:
        return (), ()
    except OSError as error:
        failures.note(error)
        if environment.state in (RootState.MISSING, RootState.HALF_REMOVED):
            return (), ()
        return (), (_unreadable(path, error),)
    try:
        _require_understood(content)
        return tuple(_roots(environment, parse_history(environment.path), count)), ()
    except (OSError, ValueError) as error:
        failures.note(error)
        dists = frozenset(filter(None, map(_named, content.decode("utf-8", "replace").splitlines())))
        message = (
            f"The history {path} can't be parsed ({error}), so its revisions are unknown. "
            "Every package it names is kept."
        )
        return (_revision(environment, "the history", dists),) if dists else (), (
            Notice("broken-history", message, path),
        )


def _roots(environment: Root, revisions: Sequence[AbstractSet[str]], count: int) -> Iterator[Root]:
    """Give the wanted revisions as roots, the newest first; the oldest of very many together, as one.

    Raises `ValueError` for a revision that makes no sense, as conda raises ``CondaHistoryError``.
    """
    last = len(revisions) - 1
    first = max(last - count, 0)
    own = max(last - _SEPARATE, first)
    together: set[str] = set()
    states = []
    for number, (state, added) in enumerate(_states(revisions)):
        if first <= number < own:
            together |= added if together else state
        elif own <= number < last:
            states.append((number, frozenset(map(_dist, state))))
    for number, dists in reversed(states):
        yield _revision(environment, f"revision {number}", dists)
    if together:
        yield _revision(environment, f"revisions {first} to {own - 1}", frozenset(map(_dist, together)))


def _states(revisions: Iterable[AbstractSet[str]]) -> Iterator[tuple[AbstractSet[str], AbstractSet[str]]]:
    """Give for each revision what it held and what it added, as `History.construct_states` without a copy of each.

    conda keeps all of them at once, which takes memory by the square of the history.
    """
    state: set[str] = set()
    for content in revisions:
        if not is_diff(content):
            state = set(content)
            yield state, state
            continue
        added = {line[1:] for line in content if line.startswith("+")}
        removed = {line[1:] for line in content if line.startswith("-")}
        if len(added) + len(removed) < len(content):
            raise ValueError("a revision has both packages and changes")
        state -= removed
        state |= added
        yield state, added


def _require_understood(content: bytes) -> None:
    """Check that conda's reading, which leaves out or takes for packages what it does not know, is right.

    Raises `ValueError`.
    """
    revisions: list[list[str]] = []
    for number, line in enumerate(map(str.strip, content.decode("utf-8").splitlines()), 1):
        if _HEADER.match(line):
            revisions.append([])
        elif line and not line.startswith("#"):
            if _named(line) is None:
                raise ValueError(f"line {number} is neither a package nor the head of a revision")
            if not revisions:
                raise ValueError(f"line {number} stands before the first revision")
            revisions[-1].append(line)
    if any(_mixed(lines) for lines in revisions):
        raise ValueError("a revision has both packages and changes")


def _mixed(lines: Sequence[str]) -> bool:
    return len({line.startswith(("+", "-")) for line in lines}) > 1


def _unreadable(path: str, error: OSError) -> Notice:
    message = f"The history {path} can't be read ({error.strerror or error}), so --keep-revisions can't be honored."
    return Notice("unreadable-history", message, path, stops=True)


def _revision(environment: Root, which: str, dists: frozenset[str]) -> Root:
    name = f"{which} of {environment.name or environment.path}"
    return Root(environment.path, name, environment.state, dists, RootKind.REVISION)


def _dist(line: str) -> str:
    """Return the dist that a line names: ``channel/subdir::name-version-build``, in old ones with a suffix."""
    name = line.strip().rsplit("::", 1)[-1]
    return archive_dist(name) or name


def _named(line: str) -> str | None:
    """Return the dist that a line of a revision names, whether it came, went or was there; None if it names none."""
    line = line.strip()
    dist = _dist(line.lstrip("+-"))
    # A channel may have spaces in it, a dist has none.
    return dist if is_dist_name(dist) and not re.search(r"[\s<>#]", dist) and not line.startswith("#") else None
