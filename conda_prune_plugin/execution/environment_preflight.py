"""Last checks before an environment is removed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..core.evidence import Identity, Measurement
from ..core.model import Cache
from .files.dir_fd import Directory
from .locks.run_lock import Patience
from .quarantine.executor import Changed
from .state.receipt import ReceiptEntry

#: In a receipt's details, the number of files that no export can bring back.
LOST = "lost_files"


@dataclass(frozen=True, slots=True)
class EnvironmentRemoval:
    """One environment to remove.

    place: the directory that it lies in; `name` is its name there.
    identity: what it was when it was looked at; signature: inode and time of modification of its ``conda-meta``, None
        if it had none.
    exports: files by name. entry: for the receipt, without the part, which gets its number when the run begins.
    """

    place: Cache
    name: str
    identity: Identity
    signature: tuple[int, int] | None
    exports: Mapping[str, bytes] = field(repr=False)
    entry: ReceiptEntry

    @property
    def path(self) -> str:
        """Its absolute path."""
        return os.path.join(self.place.path, self.name)


@dataclass(frozen=True, slots=True)
class EnvironmentPorts:
    """Callbacks that a removal of environments needs from outside.

    objection: returns why an environment must not be removed at this moment, or None.
    removal_hooks: does what conda does outside of an environment that it removes; returns what went wrong, or None.
    unregister: removes an environment's line from the registry; returns what went wrong, or None.
    note: records the path of a run's directory where later runs look; raises `StateError`.
    """

    objection: Callable[[str], str | None]
    removal_hooks: Callable[[str], str | None]
    unregister: Callable[[str], str | None]
    note: Callable[[str], None]
    measure: Callable[[str, int | None], Measurement]
    progress: Callable[[int], None]
    patience: Patience


def preflight(removal: EnvironmentRemoval, place: Directory, ports: EnvironmentPorts) -> Measurement:
    """Return what an environment holds if nothing stands in its way at this moment.

    Raises `Changed`, or `OSError` for what can't be deleted, before anything of it is changed.
    """
    try:
        status = place.status(removal.name)
    except FileNotFoundError:
        raise Changed("it is gone") from None
    if (status.st_dev, status.st_ino) != (removal.identity.device, removal.identity.inode):
        raise Changed("something else is in its place")
    with place.child(removal.name) as prefix:
        meta = prefix.status("conda-meta") if prefix.exists("conda-meta") else None
        # Where there was none, an environment may have been created since.
        if removal.signature != (meta and (meta.st_ino, meta.st_mtime_ns)):
            raise Changed("it has changed since it was looked at")
    if objection := ports.objection(removal.path):
        raise Changed(objection)
    measurement = ports.measure(*place.at(removal.name))
    if measurement.obstacle is not None:
        raise OSError(measurement.obstacle)
    return measurement


def require_movable(here: Directory, name: str, there: Directory, new_name: str) -> None:
    """Move an environment out of its place and back, before its packages' scripts run, which can't be undone.

    Raises `OSError`: in a lower layer of an overlay, for instance, no directory can be renamed.
    """
    try:
        here.move(name, there, new_name)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise OSError("it lies in a lower layer of an overlay, and can't be moved") from error
        raise
    there.move(new_name, here, name)
