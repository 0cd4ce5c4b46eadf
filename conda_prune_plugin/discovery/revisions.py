"""What earlier revisions of an environment held, from its ``conda-meta/history``."""

from __future__ import annotations

import os

from conda.exceptions import CondaError
from conda.history import History

from ..core.model import Notice, Root, RootKind
from ..core.names import archive_dist
from .reading import read_regular
from .records import META


def earlier_revisions(environment: Root, count: int) -> tuple[tuple[Root, ...], tuple[Notice, ...]]:
    """Return the `count` revisions before the present one as roots, the newest first.

    Where the history can't be understood, whatever its lines name is one root, and that is told. Where it can't be
    read there is only the telling: a revision needs the environment's own history to be gone back to.
    """
    path = os.path.join(environment.path, META, "history")
    try:
        # The user of conda's class has to do without its context manager, which writes.
        states = History(environment.path).construct_states()
    except (CondaError, OSError, ValueError) as error:
        lines = _lines(path)
        message = (
            f"The history {path} can't be understood ({error}), so its revisions are not known; "
            "every package that it names stays."
        )
        dists = frozenset(_dist(line.lstrip("+-")) for line in lines)
        return (_revision(environment, None, dists),) if dists else (), (Notice("broken-history", message, path),)
    numbered = list(enumerate(dists for _, dists in states))[:-1]
    return tuple(
        _revision(environment, number, frozenset(map(_dist, dists))) for number, dists in numbered[::-1][:count]
    ), ()


def _revision(environment: Root, number: int | None, dists: frozenset[str]) -> Root:
    which = "the history" if number is None else f"revision {number}"
    name = f"{which} of {environment.name or environment.path}"
    return Root(environment.path, name, environment.state, dists, RootKind.REVISION)


def _dist(line: str) -> str:
    """Return the dist that a line names: ``channel/subdir::name-version-build``, in old ones with a suffix."""
    name = line.strip().rsplit("::", 1)[-1]
    return archive_dist(name) or name


def _lines(path: str) -> list[str]:
    try:
        text = read_regular(path).decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip().startswith(("+", "-"))]
