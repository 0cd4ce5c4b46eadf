"""What earlier revisions of an environment held, from its ``conda-meta/history``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from conda.exceptions import CondaError
from conda.history import History

from ..core.model import Notice, Root, RootKind, RootState
from ..core.names import is_dist_name
from .archive_names import archive_dist
from .reading import read_regular
from .records import META

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
        if environment.state in (RootState.MISSING, RootState.HALF_REMOVED):
            return (), ()
        return (), (_unreadable(path, error),)
    try:
        _require_understood(content)
        # The user of conda's class has to do without its context manager, which writes.
        states = History(environment.path).construct_states()
    except (CondaError, OSError, ValueError) as error:
        dists = frozenset(filter(None, map(_named, content.decode("utf-8", "replace").splitlines())))
        message = (
            f"The history {path} can't be understood ({error}), so its revisions are not known; "
            "every package that it names stays."
        )
        return (_revision(environment, None, dists),) if dists else (), (Notice("broken-history", message, path),)
    numbered = list(enumerate(dists for _, dists in states))[:-1]
    return tuple(
        _revision(environment, number, frozenset(map(_dist, dists))) for number, dists in numbered[::-1][:count]
    ), ()


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
    message = (
        f"The history {path} can't be read ({error.strerror or error}), so what --keep-revisions asks for is not known."
    )
    return Notice("unreadable-history", message, path, stops=True)


def _revision(environment: Root, number: int | None, dists: frozenset[str]) -> Root:
    which = "the history" if number is None else f"revision {number}"
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
