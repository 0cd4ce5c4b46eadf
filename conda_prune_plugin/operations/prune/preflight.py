"""Checks before anything is removed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress

from ... import failures
from ...core.model import Cache, Inventory
from ...core.notices import MISSING, Notice
from ...discovery.clients.conda import UNREGISTERED
from ...discovery.system.processes import Process, can_look, installing
from ...errors import RunningError, UnreadableEnvironmentError, UsageError
from ...presentation.terminal.notice_groups import first_of

#: What to do about hidden environments, by the kind of the notice.
_HINTS = {
    MISSING: "Mount its disk, or name its new place with --root if you moved it, or clean up the registry with `conda "
    "prune envs --fix-registry` if you deleted it",
    UNREGISTERED: "Set register_envs to true once all environments are registered",
}

_OR_IGNORE = (
    ", or continue with --ignore-unreadable: only packages that such environments soft-link can be harmed. "
    "Nothing was removed."
)


def refuse_destination(destination: str | None, caches: Iterable[Cache]) -> None:
    """Refuse a directory for archives that lies in a cache. Raises `UsageError`."""
    if destination is None:
        return
    real = failures.realpath(destination)
    for cache in caches:
        if _lies_in(real, cache.real_path):
            raise UsageError(
                f"--backup-to: {destination} lies in the package cache {cache.path}.",
                hint="Give it a directory elsewhere, ideally on another disk. --backup keeps packages in the cache.",
            )
    if failures.lexists(real) and not failures.isdir(real):
        raise UsageError(f"--backup-to: {destination} is not a directory.", hint="Give it a directory.")


def _lies_in(path: str, directory: str) -> bool:
    """Return True if a path lies in a directory, however both are spelled: through links or mounts, in any case."""
    while True:
        with suppress(OSError):
            if os.path.samefile(path, directory):
                return True
        if (above := os.path.dirname(path)) == path:
            return False
        path = above


def refuse_hidden_roots(inventory: Inventory, notices: Sequence[Notice]) -> None:
    """Refuse if an unknown environment may soft-link packages to be removed, or a root of the options can't be read.

    A removal harms an environment only through soft links. Raises `UnreadableEnvironmentError`.
    """
    for notice in notices:
        if notice.stops:
            raise UnreadableEnvironmentError(
                notice.message,
                hint="Make it readable, or continue with --ignore-unreadable. Nothing was removed.",
                path=notice.path,
            )
    # Missing environments come last: the user can do more about the others.
    for notice in sorted(notices, key=lambda notice: notice.kind == MISSING):
        if notice.hides_roots and inventory.soft_links is not None:
            raise UnreadableEnvironmentError(
                f"{first_of(notices, notice.kind)} It may have soft links: {inventory.soft_links}.",
                hint=_HINTS.get(notice.kind, "Make it readable") + _OR_IGNORE,
                path=notice.path,
            )


def running_notices(caches: Sequence[Cache]) -> tuple[Notice, ...]:
    """Return a warning for each other program that is installing packages, or that such programs can't be seen."""
    if not can_look():
        message = "Other programs can't be seen on this system. Make sure that none is installing packages."
        return (Notice("running", message, ""),)
    return tuple(map(_running, installing(cache.real_path for cache in caches)))


def refuse_running(caches: Sequence[Cache]) -> None:
    """Refuse to remove while another program is installing. Raises `RunningError`."""
    if notices := tuple(map(_running, installing(cache.real_path for cache in caches))):
        raise RunningError(
            " ".join(notice.message for notice in notices),
            hint="Wait until it is done, or continue with --yes --ignore-running, which may remove packages it is "
            "about to link and make it fail. Nothing was removed.",
        )


def _running(process: Process) -> Notice:
    command = process.command if len(process.command) <= 80 else process.command[:77] + "..."
    return Notice("running", f"Another program is installing packages: process {process.pid} ({command}).", "")
